import { SEGMENT, VECTOR } from "../../isa/registers.ts";
import { type Arg, type Ex, i32, i64 } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import { ACCESS, ATTR, F, SEG, STATUS } from "../layout.ts";
import type { Core } from "./core.ts";
import { isLongMode, segmentAddress } from "./mode.ts";
import { isCanonicalBase } from "./msr.ts";

/** Types of system descriptors (SDM 3A table 3-2); bit 3 makes the 32-bit form of those from 1 to 7. */
export const SYSTEM_TYPE = {
	tss16: 1,
	ldt: 2,
	/** Set in the type of a TSS in use. */
	busy: 2,
	callGate16: 4,
	taskGate: 5,
	interruptGate16: 6,
	trapGate16: 7,
	size32: 8,
	/** In long mode the types with that bit are those of 64 bits, and the others are not used (but the LDT's). */
	tss64: 9,
	callGate64: 12,
	interruptGate64: 14,
} as const;

/** Selector bits: requested privilege, and the local table. */
export const RPL = 3;
export const TI = 4;

/** An exception as a status: stopHere. */
export function raise(core: Core, st: Ex, vector: Arg, code: Arg): Ex {
	return call(core.fn("raise"), st, vector, code);
}

/** Error code that names a selector; `ext` is 1 where an event outside the program is the cause (SDM 3A 6.13). */
export function selectorCode(selector: Ex, ext: Arg): Ex {
	return selector.and(0xfffc).or(ext);
}

/** 1 where a selector is null. */
export function isNull(selector: Ex): Ex {
	return selector.and(0xfffc).eqz();
}

/** Attributes (as {@link ATTR}) of an 8-byte descriptor. */
export function attributesOf(core: Core, raw: Ex): Ex {
	return call(core.fn("descriptorAttributes"), raw);
}

export function limitOf(core: Core, raw: Ex): Ex {
	return call(core.fn("descriptorLimit"), raw);
}

export function baseOf(core: Core, raw: Ex): Ex {
	return call(core.fn("descriptorBase"), raw);
}

/** Descriptor privilege level of attributes. */
export function dplOf(attributes: Ex): Ex {
	return attributes.shrU(ATTR.dplShift).and(3);
}

/** 1 where attributes are those of a code segment. */
export function isCode(attributes: Ex): Ex {
	return attributes.and(ATTR.s | ATTR.code).eq(ATTR.s | ATTR.code);
}

/** 1 where CS can take attributes: those of a code segment, in long mode not both 64-bit (L) and 32-bit (D) code. */
export function isLoadableCode(st: Ex, attributes: Ex): Ex {
	const both = ATTR.long | ATTR.big;
	return isCode(attributes).and(isLongMode(st).and(attributes.and(both).eq(both)).eqz());
}

/** 1 where attributes are those of 64-bit code, which interrupts and call gates of long mode lead to. */
export function isCode64(attributes: Ex): Ex {
	const bits = ATTR.s | ATTR.code | ATTR.long;
	return attributes.and(bits | ATTR.big).eq(bits);
}

/** 1 where attributes are those of a writable data segment. */
export function isWritableData(attributes: Ex): Ex {
	return attributes.and(ATTR.s | ATTR.code | ATTR.writable).eq(ATTR.s | ATTR.writable);
}

/** 1 where attributes are those of a conforming code segment. */
export function isConforming(attributes: Ex): Ex {
	return attributes.and(ATTR.s | ATTR.code | ATTR.expandDown).eq(ATTR.s | ATTR.code | ATTR.expandDown);
}

/** Type of a system descriptor or gate, 0–15; 16 and above where it is a code or data segment. */
export function systemType(attributes: Ex): Ex {
	return attributes.and(ATTR.typeMask | ATTR.s);
}

/** Selector in a gate. */
export function gateSelector(raw: Ex): Ex {
	return raw.shrU(16).wrap().and(0xffff);
}

/** Entry point in a gate, cut to 16 bits in a 16-bit one. */
export function gateOffset(raw: Ex, attributes: Ex): Ex {
	const offset = raw.and(0xffffn).or(raw.shrU(32).and(0xffff0000n));
	return offset.and(i64(0xffffffffn).when(attributes.and(SYSTEM_TYPE.size32), 0xffffn));
}

/** Element size of the frames of a gate: 2 or 4. */
export function gateBytes(attributes: Ex): Ex {
	return attributes.and(SYSTEM_TYPE.size32).shrU(2).add(2);
}

/** Stores through the core, `stopNext` counting as done: 0 or stopHere. */
export function put(core: Core, st: Ex, rec: Ex, linear: Ex, bytes: Arg, access: Arg, value: Ex): Ex {
	return call(core.fn("put"), st, rec, linear, bytes, access, value);
}

/** Reading descriptors, their accessed and busy bits, and turning them into segment registers (SDM 3A 3.4.5, 3.5). */
export function defineDescriptors(core: Core): void {
	definePut(core);
	defineParts(core);
	defineTables(core);
	defineInstall(core);
}

function definePut(core: Core): void {
	core.define("put", ["i32", "i32", "i64", "i32", "i32", "i64"], ["i32"], (f) => {
		const [st, rec, linear] = [f.param(0), f.param(1), f.param(2)];
		const [bytes, access, value] = [f.param(3), f.param(4), f.param(5)];
		const status = call(core.fn("storeValue"), st, rec, linear, bytes, access, value);
		f.return(status.eq(STATUS.stopHere).mul(STATUS.stopHere));
	});
}

function defineParts(core: Core): void {
	core.define("descriptorBase", ["i64"], ["i64"], (f) => {
		const raw = f.param(0);
		f.return(raw.shrU(16).and(0xffffffn).or(raw.shrU(32).and(0xff000000n)));
	});
	core.define("descriptorLimit", ["i64"], ["i64"], (f) => {
		const raw = f.param(0);
		const limit = f.let(raw.and(0xffffn).or(raw.shrU(32).and(0xf0000n)));
		f.if(raw.and(1n << 55n).ne(0), () => f.set(limit, limit.shl(12).or(0xfffn)));
		f.return(limit);
	});
	core.define("descriptorAttributes", ["i64"], ["i32"], (f) => {
		const high = f.let(f.param(0).shrU(32).wrap());
		f.return(high.shrU(8).and(0xff).or(high.shrU(12).and(0xf00)));
	});
}

function defineTables(core: Core): void {
	/** `descriptorAddress(state, selector)` → linear address, or -1 beyond the table's limit. */
	core.define("descriptorAddress", ["i32", "i32"], ["i64"], (f) => {
		const [st, selector] = [f.param(0), f.param(1)];
		const offset = f.let(selector.and(0xfff8).extU());
		const [base, limit] = [f.let(F.gdtBase.of(st)), f.let(F.gdtLimit.of(st))];
		f.if(selector.and(TI).ne(0), () => {
			const ldt = f.let(segmentAddress(st, SEGMENT.ldtr));
			f.returnIf(SEG.attributes.of(ldt).and(ATTR.unusable).ne(0), -1);
			f.set(base, SEG.base.of(ldt));
			f.set(limit, SEG.limit.of(ldt));
		});
		f.returnIf(offset.or(7n).gtU(limit), -1);
		f.return(base.add(offset).and(F.systemMask.of(st)));
	});

	/**
	 * `readDescriptor(state, record, selector, vector, ext)` → 0 with the descriptor in F.data, or stopHere: an
	 * unanswered read, a page fault, or `vector` with the selector where it lies outside its table.
	 */
	core.define("readDescriptor", ["i32", "i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, selector, vector, ext] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		const address = f.let(call(core.fn("descriptorAddress"), st, selector));
		f.returnIf(address.eq(-1), raise(core, st, vector, selectorCode(selector, ext)));
		f.return(call(core.fn("load"), st, rec, address, 8, ACCESS.system));
	});

	/** `readGlobal(state, record, selector, vector, ext)` → as `readDescriptor`; a local selector is `vector` too. */
	core.define("readGlobal", ["i32", "i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, selector, vector, ext] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		f.returnIf(selector.and(TI).ne(0), raise(core, st, vector, selectorCode(selector, ext)));
		f.return(call(core.fn("readDescriptor"), st, rec, selector, vector, ext));
	});

	/**
	 * `readUpper(state, record, selector)` → 0 with the second half of a 16-byte descriptor of long mode in F.data, or
	 * stopHere: as `readDescriptor`, or #GP where that half is not one.
	 */
	core.define("readUpper", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, selector] = [f.param(0), f.param(1), f.param(2)];
		const refuse = raise(core, st, VECTOR.GP, selectorCode(selector, 0));
		const address = f.let(call(core.fn("descriptorAddress"), st, selector.add(8)));
		f.returnIf(address.eq(-1).or(selector.and(0xfff8).eq(0xfff8)), refuse);
		f.check(call(core.fn("load"), st, rec, address, 8, ACCESS.system));
		// The type of the second half must be 0, so that nobody takes it for a descriptor (SDM 3A 3.5.2).
		f.returnIf(F.data.of(st).and(UPPER_TYPE).ne(0n), refuse);
		f.return(0);
	});

	/**
	 * `readWideBase(state, record, selector, raw)` → 0 with the base of an LDT or TSS in F.data, or stopHere. In long mode
	 * its descriptor has 16 bytes, and the base must be canonical.
	 */
	core.define("readWideBase", ["i32", "i32", "i32", "i64"], ["i32"], (f) => {
		const [st, rec, selector, raw] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		f.if(isLongMode(st).eqz(), () => {
			F.data.set(f, st, baseOf(core, raw));
			f.return(0);
		});
		f.check(call(core.fn("readUpper"), st, rec, selector));
		const base = f.let(F.data.of(st).shl(32).or(baseOf(core, raw)));
		f.returnIf(isCanonicalBase(st, base).eqz(), raise(core, st, VECTOR.GP, selectorCode(selector, 0)));
		F.data.set(f, st, base);
		f.return(0);
	});

	/** `writeType(state, record, selector, attributes)` → 0 or stopHere: rewrites the byte of type, S, DPL and P. */
	core.define("writeType", ["i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, selector, attributes] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const address = f.let(call(core.fn("descriptorAddress"), st, selector));
		f.returnIf(address.eq(-1), 0);
		f.set(address, address.add(5).and(F.systemMask.of(st)));
		f.return(put(core, st, rec, address, 1, ACCESS.system | ACCESS.bit, attributes.and(0xff).extU()));
	});

	/** `markAccessed(state, record, selector, raw)` → 0 or stopHere: sets the accessed bit in the table where it is clear. */
	core.define("markAccessed", ["i32", "i32", "i32", "i64"], ["i32"], (f) => {
		const [st, rec, selector, raw] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const attributes = f.let(attributesOf(core, raw));
		f.returnIf(attributes.and(ATTR.accessed).ne(0), 0);
		f.return(call(core.fn("writeType"), st, rec, selector, attributes.or(ATTR.accessed)));
	});
}

function defineInstall(core: Core): void {
	/** `installSegment(state, number, selector, raw)`: fills a segment register from a checked descriptor. */
	core.define("installSegment", ["i32", "i32", "i32", "i64"], [], (f) => {
		const [st, number, selector, raw] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const segment = f.let(segmentAddress(st, number));
		f.if(SEG.raw.of(segment).eq(raw), () => {
			SEG.selector.set(f, segment, selector);
			f.return();
		});
		const attributes = f.let(attributesOf(core, raw));
		// The hidden part shows the segment as accessed; a system segment's type stays.
		f.set(attributes, attributes.or(attributes.and(ATTR.s).ne(0)));
		install(core, f, st, number, selector, baseOf(core, raw), limitOf(core, raw), attributes);
		SEG.raw.set(f, segment, raw);
	});

	/** `installSystem(state, number, selector, raw, base)`: fills LDTR or TR. */
	core.define("installSystem", ["i32", "i32", "i32", "i64", "i64"], [], (f) => {
		const [st, number, selector, raw, base] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		install(core, f, st, number, selector, base, limitOf(core, raw), attributesOf(core, raw));
	});

	/** `nullStack(state, selector)`: SS without a segment, as 64-bit mode has it below privilege level 3; its DPL is the selector's RPL. */
	core.define("nullStack", ["i32", "i32"], [], (f) => {
		const [st, selector] = [f.param(0), f.param(1)];
		const attributes = f.let(selector.and(RPL).shl(ATTR.dplShift).or(ATTR.unusable));
		install(core, f, st, i32(SEGMENT.ss), selector, i64(0), i64(0), attributes);
	});

	/** `clearSegment(state, number, selector)`: a null selector, or one that could not be loaded; nothing can use it. */
	core.define("clearSegment", ["i32", "i32", "i32"], [], (f) => {
		install(core, f, f.param(0), f.param(1), f.param(2), i64(0), i64(0), ATTR.unusable);
	});

	/** `hideSegment(state, number)`: null for an outer privilege level, with its base, which FS and GS show in 64-bit mode. */
	core.define("hideSegment", ["i32", "i32"], [], (f) => {
		const [st, number] = [f.param(0), f.param(1)];
		install(core, f, st, number, i32(0), SEG.base.of(segmentAddress(st, number)), i64(0), ATTR.unusable);
	});

	/**
	 * `loadRealSegment(state, number, selector)`: as real and virtual-8086 mode load it. Real mode keeps the limit and
	 * attributes that are there ("unreal" mode lives on it); virtual-8086 mode sets them (SDM 3A 20.1.1, 20.2.1).
	 */
	core.define("loadRealSegment", ["i32", "i32", "i32"], [], (f) => {
		const [st, number, selector] = [f.param(0), f.param(1), f.param(2)];
		const segment = f.let(segmentAddress(st, number));
		const base = selector.and(0xffff).shl(4).extU();
		const attributes = f.let(SEG.attributes.of(segment));
		const virtual = F.eflags.of(st).and(VM).ne(0);
		f.if(
			virtual,
			() => install(core, f, st, number, selector, base, i64(0xffff), ATTR.present | (3 << ATTR.dplShift) | DATA),
			() =>
				f.if(
					attributes.and(ATTR.unusable).ne(0),
					() => install(core, f, st, number, selector, base, i64(0xffff), ATTR.present | DATA),
					() => install(core, f, st, number, selector, base, SEG.limit.of(segment), attributes),
				),
		);
	});
}

const VM = 0x20000;
/** Type and S in the second half of a 16-byte descriptor. */
const UPPER_TYPE = 0x1f00_0000_0000n;
/** Writable data, accessed. */
const DATA = ATTR.s | ATTR.writable | ATTR.accessed;

function install(
	core: Core,
	f: FunctionBuilder,
	st: Ex,
	number: Ex,
	selector: Ex,
	base: Ex,
	limit: Ex,
	attributes: Arg,
): void {
	f.call(core.fn("setSegment"), st, number, selector.and(0xffff), base, limit, attributes);
}
