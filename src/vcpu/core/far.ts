import { RSP, SEGMENT, VECTOR } from "../../isa/registers.ts";
import type { Ex, Local } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import { ATTR, F, GPRS, SEG, STATUS, segmentOffset } from "../layout.ts";
import type { Core } from "./core.ts";
import {
	attributesOf,
	dplOf,
	isConforming,
	isLoadableCode,
	isNull,
	limitOf,
	RPL,
	raise,
	selectorCode,
} from "./descriptors.ts";
import { isCanonical, isLongMode, isReal } from "./mode.ts";
import { loadedPointer } from "./segment-access.ts";
import {
	type At,
	checkPushes,
	currentStack,
	moveStackPointer,
	OUTSIDE,
	popAll,
	pushAll,
	type Stack,
} from "./stack-frames.ts";

/** CS as a value to push. */
export function csSelector(st: Ex): Ex {
	return SEG.selector.of(st, segmentOffset(SEGMENT.cs)).extU();
}

/** Limit of CS as it stands. */
export function csLimit(st: Ex): Ex {
	return SEG.limit.of(st, segmentOffset(SEGMENT.cs));
}

/** 1 where `ip` lies outside the code segment of a descriptor: above its limit; in 64-bit code, where it is not canonical. */
export function isOutsideCode(core: Core, st: Ex, raw: Ex, ip: Ex): Ex {
	return call(core.fn("isOutsideCode"), st, raw, ip);
}

/** Far jumps, calls and returns to code segments (SDM 2A JMP, CALL; 2B RET); gates and tasks are elsewhere. */
export function defineFar(core: Core): void {
	defineEnter(core);
	defineReturn(core);
}

/** Defines JMP and CALL; calls `systemTransfer` of gates.ts for descriptors that are no code segments. */
export function defineFarHelpers(core: Core): void {
	defineTransfer(core, "helper_jumpFar", false);
	defineTransfer(core, "helper_callFar", true);
	for (const name of ["helper_jumpFar", "helper_callFar"]) {
		core.define(`${name}Through`, ["i32", "i32", "i32", "i64", "i32"], ["i32"], (f) => {
			const [st, rec, bytes] = [f.param(0), f.param(1), f.param(4)];
			f.check(call(core.fn("loadPointer"), st, rec, f.param(2), f.param(3), bytes));
			const { selector, offset } = loadedPointer(f, st, bytes);
			f.return(call(core.fn(name), st, rec, selector, offset, bytes));
		});
	}
}

function defineEnter(core: Core): void {
	core.define("isOutsideCode", ["i32", "i64", "i64"], ["i32"], (f) => {
		const [st, raw, ip] = [f.param(0), f.param(1), f.param(2)];
		f.if(isLongMode(st).and(attributesOf(core, raw).and(ATTR.long).ne(0)), () => f.return(isCanonical(st, ip).eqz()));
		f.return(ip.gtU(limitOf(core, raw)));
	});

	/** `enterCode(state, selector, raw, level, ip)`: loads CS, CPL and RIP; all checks are done. */
	core.define("enterCode", ["i32", "i32", "i64", "i32", "i64"], [], (f) => {
		const [st, selector, raw, level, ip] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		const same = SEG.raw.of(st, segmentOffset(SEGMENT.cs)).eq(raw).and(F.cpl.of(st).eq(level));
		F.rip.set(f, st, ip);
		// The same segment at the same level: nothing follows from it (but for alignment checks, at level 3 only).
		f.if(same.and(level.ne(3)), () => {
			SEG.selector.set(f, st, selector.and(~RPL).or(level), segmentOffset(SEGMENT.cs));
			f.return();
		});
		f.call(core.fn("installSegment"), st, SEGMENT.cs, selector.and(~RPL).or(level), raw);
		F.cpl.set(f, st, level);
		f.call(core.fn("updateMode"), st);
	});

	/** `checkTargetCode(state, selector, raw)` → 0 or stopHere: CS for a jump or call without a gate; CPL stays. */
	core.define("checkTargetCode", ["i32", "i32", "i64"], ["i32"], (f) => {
		const [st, selector, raw] = [f.param(0), f.param(1), f.param(2)];
		const attributes = f.let(attributesOf(core, raw));
		const [dpl, level] = [f.let(dplOf(attributes)), f.let(F.cpl.of(st))];
		const wrong = dpl.gtU(level).when(isConforming(attributes), dpl.ne(level).or(selector.and(RPL).gtU(level)));
		f.returnIf(wrong, raise(core, st, VECTOR.GP, selectorCode(selector, 0)));
		f.returnIf(attributes.and(ATTR.present).eqz(), raise(core, st, VECTOR.NP, selectorCode(selector, 0)));
		f.return(0);
	});

	/**
	 * `transferCode(state, record, selector, raw, ip, bytes)` → branch or stopHere: enters a checked code segment at the
	 * same privilege. With `bytes` not 0 it pushes the return address in elements of that size.
	 */
	core.define("transferCode", ["i32", "i32", "i32", "i64", "i64", "i32"], ["i32"], (f) => {
		const [st, rec, selector, raw, ip, bytes] = [
			f.param(0),
			f.param(1),
			f.param(2),
			f.param(3),
			f.param(4),
			f.param(5),
		];
		const stack = currentStack(f, st);
		f.if(bytes.ne(0), () => checkReturnFrame(core, f, st, stack, bytes));
		f.returnIf(isOutsideCode(core, st, raw, ip), raise(core, st, VECTOR.GP, 0));
		f.check(call(core.fn("markAccessed"), st, rec, selector, raw));
		f.if(bytes.ne(0), () => pushReturnAddress(core, f, { st, rec }, stack, bytes));
		f.call(core.fn("enterCode"), st, selector, raw, F.cpl.of(st), ip);
		f.return(STATUS.branch);
	});
}

/** Checks room for a return address on the current stack; #SS(0). */
function checkReturnFrame(core: Core, f: FunctionBuilder, st: Ex, stack: Stack, bytes: Ex): void {
	const status = f.let(checkPushes(core, st, stack, bytes.shl(1), bytes));
	f.returnIf(status.eq(OUTSIDE), raise(core, st, VECTOR.SS, 0));
	f.check(status);
}

function pushReturnAddress(core: Core, f: FunctionBuilder, at: At, stack: Stack, bytes: Ex): void {
	const values = [csSelector(at.st), call(core.fn("nextIp"), at.st, at.rec)];
	moveStackPointer(f, at.st, stack, pushAll(core, f, at, stack, bytes, values));
}

/** JMP and CALL through a far pointer: `(state, record, selector, offset, bytes)` → status. */
function defineTransfer(core: Core, name: string, calls: boolean): void {
	core.define(name, ["i32", "i32", "i32", "i64", "i32"], ["i32"], (f) => {
		const [st, rec, selector, offset, bytes] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		f.if(isReal(st), () => {
			const stack = calls && currentStack(f, st);
			if (stack) checkReturnFrame(core, f, st, stack, bytes);
			f.returnIf(offset.gtU(csLimit(st)), raise(core, st, VECTOR.GP, 0));
			if (stack) pushReturnAddress(core, f, { st, rec }, stack, bytes);
			f.call(core.fn("loadRealSegment"), st, SEGMENT.cs, selector);
			F.rip.set(f, st, offset);
			f.call(core.fn("updateMode"), st);
			f.return(STATUS.branch);
		});
		f.returnIf(isNull(selector), raise(core, st, VECTOR.GP, 0));
		f.check(call(core.fn("readDescriptor"), st, rec, selector, VECTOR.GP, 0));
		const raw = f.let(F.data.of(st));
		const attributes = f.let(attributesOf(core, raw));
		f.if(attributes.and(ATTR.s).eqz(), () => {
			f.return(call(core.fn("systemTransfer"), st, rec, selector, raw, calls ? 1 : 0));
		});
		f.returnIf(isLoadableCode(st, attributes).eqz(), raise(core, st, VECTOR.GP, selectorCode(selector, 0)));
		f.check(call(core.fn("checkTargetCode"), st, selector, raw));
		f.return(call(core.fn("transferCode"), st, rec, selector, raw, offset, calls ? bytes : 0));
	});
}

function defineReturn(core: Core): void {
	/** `setStackPointer(state, value)`: the part that the stack's size uses. */
	core.define("setStackPointer", ["i32", "i64"], [], (f) => {
		const [st, value] = [f.param(0), f.param(1)];
		const mask = f.let(F.stackMask.of(st));
		// A write to ESP clears what is above, as one to any register of 32 bits.
		const rest = st
			.load("i64", GPRS + RSP * 8)
			.and(mask.not())
			.and(0xffffffffn);
		f.store("i64", st, rest.or(value.and(mask)), GPRS + RSP * 8);
	});

	/** `readReturnCode(state, record, selector)` → status; the checked descriptor for CS of RETF and IRET in F.data. */
	core.define("readReturnCode", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, selector] = [f.param(0), f.param(1), f.param(2)];
		f.returnIf(isNull(selector), raise(core, st, VECTOR.GP, 0));
		f.check(call(core.fn("readDescriptor"), st, rec, selector, VECTOR.GP, 0));
		f.returnIf(selector.and(RPL).ltU(F.cpl.of(st)), raise(core, st, VECTOR.GP, selectorCode(selector, 0)));
		f.return(call(core.fn("checkReturnCode"), st, selector, F.data.of(st), VECTOR.GP, 0));
	});

	/**
	 * `outerReturn(state, record, selector, raw, ip, delta, extra, bytes)` → branch or stopHere: a return to an outer
	 * privilege level (RETF, IRET), or with IRET in 64-bit mode to any, whose stack pointer lies `delta` bytes above the
	 * stack pointer; `extra` bytes of parameters leave the outer stack too. The caller calls `updateMode`.
	 */
	core.define("outerReturn", ["i32", "i32", "i32", "i64", "i64", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, selector, raw] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const [ip, delta, extra, bytes] = [f.param(4), f.param(5), f.param(6), f.param(7)];
		const level = f.let(selector.and(RPL));
		const [pointer, second] = popAll(core, f, { st, rec }, bytes, 2, delta) as [Local, Local];
		const stack = f.let(second.wrap().and(0xffff));
		const none = f.let(isNull(stack));
		const stackRaw = f.local("i64", 0);
		f.if(
			none,
			() => {
				// 64-bit code needs no stack segment below privilege level 3.
				const able = isLongMode(st)
					.and(attributesOf(core, raw).and(ATTR.long).ne(0))
					.and(level.ne(3))
					.and(stack.and(RPL).eq(level));
				f.returnIf(able.eqz(), raise(core, st, VECTOR.GP, 0));
			},
			() => {
				f.check(call(core.fn("readDescriptor"), st, rec, stack, VECTOR.GP, 0));
				f.set(stackRaw, F.data.of(st));
				f.check(call(core.fn("checkStack"), st, stack, stackRaw, level, VECTOR.GP, 0));
			},
		);
		f.returnIf(isOutsideCode(core, st, raw, ip), raise(core, st, VECTOR.GP, 0));
		f.check(call(core.fn("markAccessed"), st, rec, selector, raw));
		f.if(
			none,
			() => f.call(core.fn("nullStack"), st, stack),
			() => {
				f.check(call(core.fn("markAccessed"), st, rec, stack, stackRaw));
				f.call(core.fn("installSegment"), st, SEGMENT.ss, stack, stackRaw);
			},
		);
		f.call(core.fn("enterCode"), st, selector, raw, level, ip);
		// A 16-bit stack takes 16 bits of the pointer: the rest of ESP stays as the inner level left it.
		f.call(core.fn("setStackPointer"), st, pointer.add(extra.extU()));
		// What the outer level may not use is taken away (SDM 3A 5.8.6).
		f.if(level.ne(0), () => {
			for (const number of [SEGMENT.es, SEGMENT.ds, SEGMENT.fs, SEGMENT.gs]) {
				const attributes = f.let(SEG.attributes.of(st, segmentOffset(number)));
				const hidden = attributes
					.and(ATTR.unusable)
					.eqz()
					.and(isConforming(attributes).eqz())
					.and(dplOf(attributes).ltU(level));
				f.if(hidden, () => f.call(core.fn("hideSegment"), st, number));
			}
		});
		f.return(STATUS.branch);
	});

	core.define("helper_returnFar", ["i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, extra, bytes] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		f.check(call(core.fn("stackLoad"), st, rec, 0, bytes));
		const ip = f.let(F.data.of(st));
		f.check(call(core.fn("stackLoad"), st, rec, bytes, bytes));
		const selector = f.let(F.data.of(st).wrap().and(0xffff));
		const frame = f.let(bytes.shl(1));
		f.if(isReal(st), () => {
			f.returnIf(ip.gtU(csLimit(st)), raise(core, st, VECTOR.GP, 0));
			f.call(core.fn("releaseStack"), st, frame.add(extra));
			f.call(core.fn("loadRealSegment"), st, SEGMENT.cs, selector);
			F.rip.set(f, st, ip);
			f.call(core.fn("updateMode"), st);
			f.return(STATUS.branch);
		});
		f.check(call(core.fn("readReturnCode"), st, rec, selector));
		const raw = f.let(F.data.of(st));
		f.if(selector.and(RPL).eq(F.cpl.of(st)), () => {
			f.returnIf(isOutsideCode(core, st, raw, ip), raise(core, st, VECTOR.GP, 0));
			f.check(call(core.fn("markAccessed"), st, rec, selector, raw));
			f.call(core.fn("releaseStack"), st, frame.add(extra));
			f.call(core.fn("enterCode"), st, selector, raw, F.cpl.of(st), ip);
			f.return(STATUS.branch);
		});
		const status = call(core.fn("outerReturn"), st, rec, selector, raw, ip, frame.add(extra), extra, bytes);
		f.if(status.eq(STATUS.stopHere), () => f.return(STATUS.stopHere));
		f.call(core.fn("updateMode"), st);
		f.return(STATUS.branch);
	});
}
