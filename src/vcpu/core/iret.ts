import { RSP, SEGMENT, VECTOR } from "../../isa/registers.ts";
import { type Ex, i32, type Local } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import { ACCESS, ATTR, F, GPRS, SEG, STATUS, segmentOffset } from "../layout.ts";
import { CR0, CR4, EFLAGS } from "./control-bits.ts";
import type { Core } from "./core.ts";
import { RPL, raise, SYSTEM_TYPE } from "./descriptors.ts";
import { csLimit, isOutsideCode } from "./far.ts";
import { is64Bit, isCanonical, isLongMode } from "./mode.ts";
import { popAll } from "./stack-frames.ts";
import { TASK_SOURCE } from "./tasks.ts";

/** Flags that a 16-bit IRET can set, CPL and IOPL allowing: all of FLAGS. */
const LOW = 0x7fd5;
/** Those of a 32-bit IRET in real mode: ID, AC and RF on top (SDM 2A IRET). */
const ALL = LOW | EFLAGS.rf | EFLAGS.ac | EFLAGS.id;
/** Everything, for a return to virtual-8086 mode. */
const TO_VIRTUAL = ALL | EFLAGS.vm | EFLAGS.vif | EFLAGS.vip;

/** Bytes of a frame of 64-bit mode: RIP, CS, RFLAGS, RSP, SS. */
const FRAME_64 = 40;
/** Of a descriptor: the accessed bit, its privilege level. */
const ACCESSED = 1n << 40n;
const DPL = 3n << 45n;

/** IRET in every mode (SDM 2A IRET). */
export function defineIret(core: Core): void {
	defineReal(core);
	defineToVirtual(core);
	defineTaskReturn(core);
	defineInPlace(core);
	defineProtected(core);

	core.define("helper_iret", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, bytes] = [f.param(0), f.param(1), f.param(2)];
		const status = f.local("i32");
		const flags = f.let(F.eflags.of(st));
		const real = F.cr0.of(st).wrap().and(CR0.pe).eqz();
		const nested = flags.and(EFLAGS.nt).ne(0);
		// Long mode has no tasks to return to.
		f.returnIf(nested.and(isLongMode(st)), raise(core, st, VECTOR.GP, 0));
		f.if(is64Bit(st).and(F.cpl.of(st).eqz()).and(bytes.eq(8)), () =>
			f.set(status, call(core.fn("iretInPlace"), st, rec)),
		);
		f.if(status.eq(STATUS.branch), () => {
			F.nmiBlocked.set(f, st, 0);
			f.return(status);
		});
		f.returnIf(status.eq(STATUS.stopHere), status);
		f.if(
			real.or(flags.and(EFLAGS.vm).ne(0)),
			() => f.set(status, call(core.fn("iretReal"), st, rec, bytes)),
			() =>
				f.if(
					nested,
					() => f.set(status, call(core.fn("iretTask"), st, rec)),
					() => f.set(status, call(core.fn("iretProtected"), st, rec, bytes)),
				),
		);
		f.if(status.ne(STATUS.stopHere), () => F.nmiBlocked.set(f, st, 0));
		f.return(status);
	});
}

/** Reads an element of the frame into a local. */
function pop(
	core: Core,
	f: FunctionBuilder,
	st: Ex,
	rec: Ex,
	delta: Ex,
	bytes: Ex,
): ReturnType<FunctionBuilder["let"]> {
	f.check(call(core.fn("stackLoad"), st, rec, delta, bytes));
	return f.let(F.data.of(st));
}

/** Gives the flags in `mask`, all arithmetic ones among them, the values in `value`. */
function setFlags(core: Core, f: FunctionBuilder, st: Ex, value: Ex, mask: Ex): void {
	const kept = F.eflags.of(st).and(mask.not());
	f.call(core.fn("writeFlags"), st, kept.or(value.and(mask)));
}

/** `iretReal(state, record, bytes)`: real and virtual-8086 mode, where IOPL below 3 asks for VME. */
function defineReal(core: Core): void {
	core.define("iretReal", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, bytes] = [f.param(0), f.param(1), f.param(2)];
		const before = f.let(F.eflags.of(st));
		const virtual = f.let(before.and(EFLAGS.vm).ne(0));
		// With IOPL below 3 IF stands for VIF.
		const vme = f.let(virtual.and(before.and(EFLAGS.iopl).ne(EFLAGS.iopl)));
		f.if(vme, () => {
			const able = bytes.eq(2).and(F.cr4.of(st).wrap().and(CR4.vme).ne(0));
			f.returnIf(able.eqz(), raise(core, st, VECTOR.GP, 0));
		});
		const ip = pop(core, f, st, rec, i32(0), bytes);
		const selector = f.let(pop(core, f, st, rec, bytes, bytes).wrap());
		const flags = f.let(pop(core, f, st, rec, bytes.shl(1), bytes).wrap());
		f.returnIf(ip.gtU(csLimit(st)), raise(core, st, VECTOR.GP, 0));
		const mask = f.let(i32(LOW).when(bytes.eq(2), ALL));
		f.if(virtual, () => f.set(mask, mask.and(~EFLAGS.iopl)));
		f.if(vme, () => {
			const wantsIf = flags.and(EFLAGS.if).ne(0);
			f.returnIf(
				before.and(EFLAGS.vip).ne(0).and(wantsIf).or(flags.and(EFLAGS.tf).ne(0)),
				raise(core, st, VECTOR.GP, 0),
			);
			f.set(mask, mask.and(~EFLAGS.if).or(EFLAGS.vif));
			f.set(flags, flags.or(wantsIf.mul(EFLAGS.vif)));
		});
		f.call(core.fn("releaseStack"), st, bytes.mul(3));
		f.call(core.fn("loadRealSegment"), st, SEGMENT.cs, selector);
		F.rip.set(f, st, ip);
		setFlags(core, f, st, flags, mask);
		f.call(core.fn("updateMode"), st);
		f.return(STATUS.branch);
	});
}

/** `iretToVirtual(state, record, ip, selector, flags)`: from privilege level 0 back into virtual-8086 mode. */
function defineToVirtual(core: Core): void {
	core.define("iretToVirtual", ["i32", "i32", "i64", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, ip, selector, flags] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		const above = (words: number): Ex => pop(core, f, st, rec, i32(words * 4), i32(4));
		const pointer = above(3);
		const order = [SEGMENT.ss, SEGMENT.es, SEGMENT.ds, SEGMENT.fs, SEGMENT.gs];
		const selectors = order.map((_number, n) => f.let(above(4 + n).wrap()));
		f.returnIf(ip.gtU(0xffff), raise(core, st, VECTOR.GP, 0));
		f.call(core.fn("writeFlags"), st, flags.and(TO_VIRTUAL));
		F.cpl.set(f, st, 3);
		f.call(core.fn("loadRealSegment"), st, SEGMENT.cs, selector);
		order.forEach((number, n) => {
			f.call(core.fn("loadRealSegment"), st, number, selectors[n] ?? 0);
		});
		F.rip.set(f, st, ip);
		f.call(core.fn("updateMode"), st);
		f.store("i64", st, pointer, GPRS + RSP * 8);
		f.return(STATUS.branch);
	});
}

/** `iretTask(state, record)`: back to the task that the back link names (SDM 3A 7.4). */
function defineTaskReturn(core: Core): void {
	core.define("iretTask", ["i32", "i32"], ["i32"], (f) => {
		const [st, rec] = [f.param(0), f.param(1)];
		const link = SEG.base.of(st, segmentOffset(SEGMENT.tr)).and(F.linearMask.of(st));
		f.check(call(core.fn("load"), st, rec, link, 2, ACCESS.system));
		const selector = f.let(F.data.of(st).wrap());
		f.check(call(core.fn("findTask"), st, rec, selector, VECTOR.TS, 0, SYSTEM_TYPE.busy));
		const next = call(core.fn("nextIp"), st, rec);
		f.return(call(core.fn("transferTask"), st, rec, selector, F.data.of(st), TASK_SOURCE.return, next));
	});
}

/**
 * `iretInPlace(state, record)` → branch, stopHere, or next with nothing done where it is not for this: from an interrupt within
 * privilege level 0 of 64-bit mode, with the segments in force and their descriptors as they were.
 */
function defineInPlace(core: Core): void {
	core.define("iretInPlace", ["i32", "i32"], ["i32"], (f) => {
		const [st, rec] = [f.param(0), f.param(1)];
		const other = STATUS.next;
		const frame = f.let(call(core.fn("stackHit"), st, 0, FRAME_64));
		f.returnIf(frame.eqz(), other);
		const ip = f.let(frame.load("i64"));
		const changed = [
			[SEGMENT.cs, f.let(frame.load("i32_16u", 8))],
			[SEGMENT.ss, f.let(frame.load("i32_16u", 32))],
		] as const;
		f.returnIf(isCanonical(st, ip).eqz(), other);
		for (const [number, selector] of changed)
			f.returnIf(selector.ne(SEG.selector.of(st, segmentOffset(number))).or(selector.and(RPL)), other);
		for (const [number, selector] of changed) {
			const attributes = SEG.attributes.of(st, segmentOffset(number));
			f.if(
				selector.eqz(),
				// 64-bit code needs no stack segment.
				() => f.returnIf(number === SEGMENT.ss ? attributes.and(ATTR.unusable).eqz() : i32(1), other),
				() => {
					f.check(call(core.fn("readDescriptor"), st, rec, selector, VECTOR.GP, 0));
					const raw = F.data.of(st);
					const same = raw.eq(SEG.raw.of(st, segmentOffset(number)));
					f.returnIf(same.and(raw.and(ACCESSED | DPL).eq(ACCESSED)).eqz(), other);
				},
			);
		}
		const flags = f.let(frame.load("i32", 16));
		const opened = f.let(F.eflags.of(st));
		f.store("i64", st, frame.load("i64", 24), GPRS + RSP * 8);
		F.rip.set(f, st, ip);
		setFlags(core, f, st, flags, i32(ALL | EFLAGS.vif | EFLAGS.vip));
		f.if(F.eflags.of(st).xor(opened).and(EFLAGS.ac), () => f.call(core.fn("updateMode"), st));
		f.return(STATUS.branch);
	});
}

function defineProtected(core: Core): void {
	core.define("iretProtected", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, bytes] = [f.param(0), f.param(1), f.param(2)];
		const [ip, second, third] = popAll(core, f, { st, rec }, bytes, 3, i32(0)) as [Local, Local, Local];
		const selector = f.let(second.wrap().and(0xffff));
		const flags = f.let(third.wrap());
		const level = f.let(F.cpl.of(st));
		f.if(level.eqz().and(flags.and(EFLAGS.vm).ne(0)).and(isLongMode(st).eqz()), () => {
			f.return(call(core.fn("iretToVirtual"), st, rec, ip, selector, flags));
		});
		f.check(call(core.fn("readReturnCode"), st, rec, selector));
		const raw = f.let(F.data.of(st));
		// What may change depends on the privilege of the code that returns (SDM 2A IRET).
		const before = F.eflags.of(st);
		const mask = f.let(
			i32(LOW)
				.when(bytes.eq(2), ALL)
				.and(~(EFLAGS.iopl | EFLAGS.if)),
		);
		f.if(level.leU(before.and(EFLAGS.iopl).shrU(EFLAGS.ioplShift)), () => f.set(mask, mask.or(EFLAGS.if)));
		f.if(level.eqz(), () => {
			f.set(mask, mask.or(EFLAGS.iopl).or(i32(EFLAGS.vif | EFLAGS.vip).when(bytes.ne(2), 0)));
		});
		const frame = f.let(bytes.mul(3));
		const before64 = f.let(is64Bit(st));
		const opened = f.let(before.and(EFLAGS.ac));
		f.if(
			// 64-bit mode has SS and RSP in every frame (SDM 3A 6.14.3).
			selector.and(RPL).eq(level).and(before64.eqz()),
			() => {
				f.returnIf(isOutsideCode(core, st, raw, ip), raise(core, st, VECTOR.GP, 0));
				f.check(call(core.fn("markAccessed"), st, rec, selector, raw));
				f.call(core.fn("releaseStack"), st, frame);
				setFlags(core, f, st, flags, mask);
				f.call(core.fn("enterCode"), st, selector, raw, level, ip);
				f.if(F.eflags.of(st).and(EFLAGS.ac).ne(opened), () => f.call(core.fn("updateMode"), st));
			},
			() => {
				const stackRaw = SEG.raw.of(st, segmentOffset(SEGMENT.ss));
				const stackBefore = f.let(stackRaw);
				const codeBefore = f.let(SEG.raw.of(st, segmentOffset(SEGMENT.cs)));
				const status = call(core.fn("outerReturn"), st, rec, selector, raw, ip, frame, 0, bytes);
				f.if(status.eq(STATUS.stopHere), () => f.return(STATUS.stopHere));
				setFlags(core, f, st, flags, mask);
				// Between two pieces of 64-bit code at one level nothing else changes the mode.
				const same = before64.and(codeBefore.eq(raw)).and(stackBefore.eq(stackRaw)).and(F.cpl.of(st).eq(level));
				f.returnIf(same.and(F.eflags.of(st).and(EFLAGS.ac).eq(opened)), STATUS.branch);
				f.call(core.fn("updateMode"), st);
			},
		);
		f.return(STATUS.branch);
	});
}
