import { SEGMENT } from "../../isa/registers.ts";
import { type Ex, i32, i64 } from "../../wasm/expression.ts";
import type { FunctionBuilder } from "../../wasm/function.ts";
import {
	ATTR,
	BREAK_DEBUGGER,
	F,
	GUEST_DEBUG,
	KEY,
	SEG,
	SEG_SIZE,
	SEGMENTS,
	segmentOffset,
	TLB_BYTES,
	TLB_TABLE,
	TRACED,
} from "../layout.ts";
import { CR0, CR4, EFER, EFLAGS, XCR0_AVX } from "./control-bits.ts";
import type { Core } from "./core.ts";

/** Limit of a segment of 4 GiB; an access that runs over its end goes on at 0, as processors do it (SDM 3A 5.3 leaves it open). */
const WHOLE = 0xffffffffn;
/** The last byte of an access that runs over the end is below this. */
const WRAPS = 0x1ffffffffn;

/** 1 in real and virtual-8086 mode. */
export function isReal(st: Ex): Ex {
	return F.cr0.of(st).wrap().and(CR0.pe).eqz().or(F.eflags.of(st).and(EFLAGS.vm).ne(0));
}

/** 1 in virtual-8086 mode. */
export function isV86(st: Ex): Ex {
	return F.eflags.of(st).and(EFLAGS.vm).ne(0);
}

/** 1 in long mode: 64-bit and compatibility mode. */
export function isLongMode(st: Ex): Ex {
	return F.efer.of(st).wrap().and(EFER.lma).ne(0);
}

/** 1 in 64-bit mode. */
export function is64Bit(st: Ex): Ex {
	return F.modeKey.of(st).and(KEY.long).ne(0);
}

/** 1 where all bits of a linear address above its width (48 bits, 57 with CR4.LA57) are as the topmost one (SDM 1 3.3.7.1). */
export function isCanonical(st: Ex, linear: Ex): Ex {
	const shift = F.linearShift.of(st);
	return linear.shl(shift).shrS(shift).eq(linear);
}

/** Address of the hidden part of segment register `n`. */
export function segmentAddress(st: Ex, n: Ex | number): Ex {
	return typeof n === "number" ? st.add(segmentOffset(n)) : st.add(n.mul(SEG_SIZE)).add(SEGMENTS);
}

/**
 * Sets what follows from the base, attributes and limit of segment register `n`, and whether this is 64-bit mode. Data and
 * code may be read and written in real mode.
 */
function ranges(f: FunctionBuilder, st: Ex, n: Ex): void {
	const segment = f.let(segmentAddress(st, n));
	f.if(F.modeKey.of(st).and(KEY.long).ne(0), () => {
		SEG.start.set(f, segment, SEG.base.of(segment).when(n.geU(SEGMENT.fs), 0n));
		SEG.low.set(f, segment, -(1n << 63n));
		for (const high of [SEG.readHigh, SEG.writeHigh, SEG.fetchHigh]) high.set(f, segment, (1n << 63n) - 1n);
		f.return();
	});
	SEG.start.set(f, segment, SEG.base.of(segment));
	const attributes = f.let(SEG.attributes.of(segment));
	const limit = f.let(SEG.limit.of(segment));
	const last = f.let(i64(WRAPS).when(limit.eq(WHOLE), limit));
	SEG.low.set(f, segment, 0);
	SEG.readHigh.set(f, segment, last);
	SEG.writeHigh.set(f, segment, last);
	SEG.fetchHigh.set(f, segment, limit);
	f.if(attributes.and(ATTR.unusable).ne(0), () => {
		SEG.readHigh.set(f, segment, -1);
		SEG.writeHigh.set(f, segment, -1);
		f.return();
	});
	f.if(isReal(st), () => f.return());
	f.if(
		attributes.and(ATTR.code).ne(0),
		() => {
			SEG.writeHigh.set(f, segment, -1);
			f.if(attributes.and(ATTR.writable).eqz(), () => SEG.readHigh.set(f, segment, -1));
		},
		() => {
			f.if(attributes.and(ATTR.expandDown).ne(0), () => {
				const top = f.let(i64(0xffffffffn).when(attributes.and(ATTR.big), 0xffffn));
				SEG.low.set(f, segment, limit.add(1n));
				SEG.readHigh.set(f, segment, top);
				SEG.writeHigh.set(f, segment, top);
			});
			f.if(attributes.and(ATTR.writable).eqz(), () => SEG.writeHigh.set(f, segment, -1));
		},
	);
}

function updateAll(core: Core, f: FunctionBuilder, st: Ex): void {
	const n = f.local("i32", 0);
	f.while(n.ltU(6), () => {
		f.call(core.fn("updateSegment"), st, n);
		f.set(n, n.add(1));
	});
}

/** What follows from the control registers and segments: ranges, masks, TLBs in force, the key of decoded code. */
export function defineMode(core: Core): void {
	/** `updateSegment(state, number)`: call after changing a hidden part. */
	core.define("updateSegment", ["i32", "i32"], [], (f) => ranges(f, f.param(0), f.param(1)));

	/** `updateSegments(state)`: all of them; call after CR0.PE or EFLAGS.VM changed, or hidden parts were set by hand. */
	core.define("updateSegments", ["i32"], [], (f) => {
		updateAll(core, f, f.param(0));
		for (const number of Object.values(SEGMENT)) SEG.raw.set(f, f.param(0), -1, segmentOffset(number));
	});

	/** `updateMode(state)`: call after anything in the list above changed, segments first. */
	core.define("updateMode", ["i32"], [], (f) => {
		const st = f.param(0);
		const attributes = (name: keyof typeof SEGMENT): Ex =>
			st.load("i32", segmentOffset(SEGMENT[name]) + SEG.attributes.offset);
		const key = f.local("i32", 0);
		const code = f.let(attributes("cs"));
		const stack32 = f.let(attributes("ss").and(ATTR.big).ne(0));
		const active = f.let(F.efer.of(st).wrap().and(EFER.lma).ne(0));
		const long = f.let(active.and(code.and(ATTR.long).ne(0)));
		f.if(F.modeKey.of(st).and(KEY.long).ne(0).ne(long), () => {
			F.modeKey.set(f, st, long.mul(KEY.long));
			updateAll(core, f, st);
		});
		const la57 = F.cr4.of(st).wrap().and(CR4.la57).ne(0);
		F.linearShift.set(f, st, i64(64 - 57).when(la57, BigInt(64 - 48)));
		F.linearMask.set(f, st, i64(-1).when(long, 0xffffffffn));
		F.systemMask.set(f, st, i64(-1).when(active, 0xffffffffn));
		F.stackMask.set(f, st, i64(-1).when(long, i64(0xffffffffn).when(stack32, 0xffffn)));
		const sizes = code.and(ATTR.big).ne(0).mul(KEY.code32).or(stack32.mul(KEY.stack32));
		f.set(key, i32(KEY.long).when(long, sizes.or(active.mul(KEY.compatibility))));
		const flat = f.local("i32", long.eqz());
		for (const name of ["cs", "ss", "ds", "es"] as const) {
			const at = segmentOffset(SEGMENT[name]);
			f.set(flat, flat.and(st.load("i64", at + SEG.base.offset).eqz()));
			f.set(flat, flat.and(st.load("i64", at + SEG.low.offset).eqz()));
			if (name === "cs") f.set(flat, flat.and(st.load("i64", at + SEG.fetchHigh.offset).eq(WHOLE)));
			else
				for (const high of [SEG.readHigh, SEG.writeHigh])
					f.set(flat, flat.and(st.load("i64", at + high.offset).eq(WRAPS)));
		}
		const user = f.let(F.cpl.of(st).eq(3));
		const ac = f.let(F.eflags.of(st).and(EFLAGS.ac).ne(0));
		const opened = f.let(ac.and(user.eqz()).and(F.cr4.of(st).wrap().and(CR4.smap).ne(0)));
		f.set(
			key,
			key.or(flat.mul(KEY.flat)).or(user.mul(KEY.user)).or(opened.mul(KEY.opened)).or(isReal(st).mul(KEY.real)),
		);
		const cr0 = F.cr0.of(st).wrap();
		const sse = cr0
			.and(CR0.em | CR0.ts)
			.eqz()
			.and(F.cr4.of(st).wrap().and(CR4.osfxsr).ne(0));
		const xcr0 = F.xcr0.of(st).wrap();
		const avx = cr0
			.and(CR0.ts)
			.eqz()
			.and(F.cr4.of(st).wrap().and(CR4.osxsave).ne(0))
			.and(xcr0.and(XCR0_AVX).eq(XCR0_AVX));
		f.set(key, key.or(sse.mul(KEY.sse)).or(avx.mul(KEY.avx)));
		F.modeKey.set(f, st, key);
		const aligned = f.let(user.and(F.cr0.of(st).wrap().and(CR0.am).ne(0)).and(ac));
		const forUser = F.guestDebug.of(st).and(GUEST_DEBUG.hardware).ne(0);
		const control = f.let(
			F.debugControl
				.of(st)
				.when(forUser, F.dr.of(st, 7 * 8))
				.wrap(),
		);
		const stops = F.stopCount.of(st).ne(0).mul(BREAK_DEBUGGER);
		const watches = F.watchCount.of(st).ne(0).mul(BREAK_DEBUGGER);
		F.breakControl.set(f, st, control.or(watches));
		F.stepped.set(
			f,
			st,
			control
				.and(0xff)
				.or(F.guestDebug.of(st).and(GUEST_DEBUG.singleStep))
				.or(stops)
				.or(F.tracing.of(st).and(TRACED.instructions | TRACED.misses)),
		);
		const watched = f.let(control.and(0xff).ne(0));
		const fillable = f.let(aligned.or(watched).eqz());
		F.fillable.set(f, st, fillable);
		const area = f.let(F.tlbArea.of(st));
		const explicit = f.let(area.add(opened.mul(TLB_TABLE.opened * TLB_BYTES)));
		const own = f.let(area.add(user.mul(TLB_TABLE.user * TLB_BYTES)));
		const tables = f.let(own.when(user, explicit));
		const empty = f.let(area.add(TLB_TABLE.empty * TLB_BYTES));
		F.tlbExplicit.set(f, st, explicit);
		F.tlbRead.set(f, st, tables.when(fillable, empty));
		F.tlbWrite.set(f, st, tables.add(TLB_BYTES).when(fillable, empty));
		F.tlbFetch.set(f, st, own.add(2 * TLB_BYTES));
	});

	/** `setBase(state, number, base)`: of FS or GS alone. */
	core.define("setBase", ["i32", "i32", "i64"], [], (f) => {
		const [st, number] = [f.param(0), f.param(1)];
		const segment = f.let(segmentAddress(st, number));
		SEG.base.set(f, segment, f.param(2));
		SEG.raw.set(f, segment, -1);
		f.call(core.fn("updateSegment"), st, number);
	});

	/** `setSegment(state, number, selector, base, limit, attributes)`: fills a segment register, with its ranges. */
	core.define("setSegment", ["i32", "i32", "i32", "i64", "i64", "i32"], [], (f) => {
		const st = f.param(0);
		const segment = f.let(segmentAddress(st, f.param(1)));
		SEG.selector.set(f, segment, f.param(2));
		SEG.base.set(f, segment, f.param(3));
		SEG.limit.set(f, segment, f.param(4));
		SEG.attributes.set(f, segment, f.param(5));
		SEG.raw.set(f, segment, -1);
		f.call(core.fn("updateSegment"), st, f.param(1));
	});
}
