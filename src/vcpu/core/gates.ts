import { RSP, SEGMENT, VECTOR } from "../../isa/registers.ts";
import { type Ex, i32, type Local } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import { ACCESS, ATTR, F, GPRS, SEG, STATUS, segmentOffset } from "../layout.ts";
import type { Core } from "./core.ts";
import {
	attributesOf,
	dplOf,
	gateBytes,
	gateOffset,
	gateSelector,
	isCode,
	isCode64,
	isConforming,
	isNull,
	limitOf,
	put,
	RPL,
	raise,
	SYSTEM_TYPE,
	selectorCode,
	systemType,
	TI,
} from "./descriptors.ts";
import { csSelector } from "./far.ts";
import { isCanonical, isLongMode } from "./mode.ts";
import { checkPushes, innerStack, longStack, moveStackPointer, OUTSIDE, pushAll, putOnStack } from "./stack-frames.ts";
import { TASK_SOURCE } from "./tasks.ts";

/** Bytes of a call gate that count parameters (SDM 3A 5.8.3). */
const PARAMETER_COUNT = 0x1f;

/** What a far JMP or CALL does with a system descriptor: call gates, task gates, TSSs (SDM 2A JMP, CALL). */
export function defineGates(core: Core): void {
	defineParameters(core);
	defineCallGate(core);
	defineLongCallGate(core);

	/** `systemTransfer(state, record, selector, raw, calls)` → status. */
	core.define("systemTransfer", ["i32", "i32", "i32", "i64", "i32"], ["i32"], (f) => {
		const [st, rec, selector, raw, calls] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		const attributes = f.let(attributesOf(core, raw));
		const type = f.let(systemType(attributes));
		const refuse = raise(core, st, VECTOR.GP, selectorCode(selector, 0));
		const dpl = f.let(dplOf(attributes));
		const source = f.let(calls.mul(TASK_SOURCE.call));
		const next = call(core.fn("nextIp"), st, rec);

		const long = f.let(isLongMode(st));
		const callGate = type.and(~SYSTEM_TYPE.size32).eq(SYSTEM_TYPE.callGate16);
		const taskGate = f.let(type.eq(SYSTEM_TYPE.taskGate));
		const tss = f.let(type.and(~SYSTEM_TYPE.size32).eq(SYSTEM_TYPE.tss16).and(selector.and(TI).eqz()));
		// Long mode has no tasks to switch to, and one kind of call gate (SDM 3A 8.7, 5.8.3.1).
		f.returnIf(long.and(type.ne(SYSTEM_TYPE.callGate64)), refuse);
		f.returnIf(callGate.or(taskGate).or(tss).eqz(), refuse);
		f.returnIf(dpl.ltU(F.cpl.of(st)).or(dpl.ltU(selector.and(RPL))), refuse);
		f.returnIf(attributes.and(ATTR.present).eqz(), raise(core, st, VECTOR.NP, selectorCode(selector, 0)));
		f.if(long, () => f.return(call(core.fn("longCallGate"), st, rec, selector, raw, calls)));
		f.if(tss, () => f.return(call(core.fn("transferTask"), st, rec, selector, raw, source, next)));
		f.if(taskGate, () => {
			const target = f.let(gateSelector(raw));
			f.check(call(core.fn("findTask"), st, rec, target, VECTOR.GP, 0, 0));
			f.return(call(core.fn("transferTask"), st, rec, target, F.data.of(st), source, next));
		});
		f.return(call(core.fn("callGate"), st, rec, raw, calls));
	});
}

/**
 * `copyParameters(state, record, n, count, bytes, base, mask, pointer)` → 0 or stopHere: copies parameters n … count-1
 * from the old stack to the new one, below its first two elements. It recurses so that all are read before any is
 * stored.
 */
function defineParameters(core: Core): void {
	core.define("copyParameters", ["i32", "i32", "i32", "i32", "i32", "i64", "i64", "i64"], ["i32"], (f) => {
		const [st, rec, n, count, bytes] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		const [base, mask, pointer] = [f.param(5), f.param(6), f.param(7)];
		f.returnIf(n.eq(count), 0);
		f.check(call(core.fn("stackLoad"), st, rec, n.mul(bytes), bytes));
		const value = f.let(F.data.of(st));
		f.check(call(f, st, rec, n.add(1), count, bytes, base, mask, pointer));
		const below = count.sub(n).add(2).mul(bytes);
		const linear = base.add(pointer.sub(below.extU()).and(mask)).and(F.linearMask.of(st));
		f.return(put(core, st, rec, linear, bytes, ACCESS.system, value));
	});
}

/** The code segment that a call gate leads to, read and checked (SDM 2A CALL, JMP); `is` tells what will do. */
function callTarget(
	core: Core,
	f: FunctionBuilder,
	{ st, rec }: { readonly st: Ex; readonly rec: Ex },
	gate: Ex,
	calls: Ex,
	is: (attributes: Ex) => Ex,
): Record<"selector" | "raw" | "level" | "dpl" | "conforming", Local> {
	const selector = f.let(gateSelector(gate));
	f.returnIf(isNull(selector), raise(core, st, VECTOR.GP, 0));
	f.check(call(core.fn("readDescriptor"), st, rec, selector, VECTOR.GP, 0));
	const raw = f.let(F.data.of(st));
	const attributes = f.let(attributesOf(core, raw));
	const [level, dpl] = [f.let(F.cpl.of(st)), f.let(dplOf(attributes))];
	const conforming = f.let(isConforming(attributes));
	// A jump cannot change the privilege level; a call can raise it.
	const wrong = dpl.gtU(level).or(calls.or(conforming).eqz().and(dpl.ne(level)));
	f.returnIf(is(attributes).eqz().or(wrong), raise(core, st, VECTOR.GP, selectorCode(selector, 0)));
	f.returnIf(attributes.and(ATTR.present).eqz(), raise(core, st, VECTOR.NP, selectorCode(selector, 0)));
	return { selector, raw, level, dpl, conforming };
}

/** `callGate(state, record, raw, calls)` → branch or stopHere: through a gate whose own rights are checked. */
function defineCallGate(core: Core): void {
	core.define("callGate", ["i32", "i32", "i64", "i32"], ["i32"], (f) => {
		const [st, rec, gate, calls] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const gateAttributes = f.let(attributesOf(core, gate));
		const { selector, raw, level, dpl, conforming } = callTarget(core, f, { st, rec }, gate, calls, isCode);
		const ip = f.let(gateOffset(gate, gateAttributes));
		const bytes = f.let(gateBytes(gateAttributes));
		f.if(calls.eqz().or(conforming).or(dpl.eq(level)), () => {
			f.return(call(core.fn("transferCode"), st, rec, selector, raw, ip, calls.mul(bytes)));
		});

		const count = f.let(gate.shrU(32).wrap().and(PARAMETER_COUNT));
		const stack = innerStack(core, f, st, rec, dpl, 0);
		const total = f.let(count.add(4).mul(bytes));
		const status = f.let(checkPushes(core, st, stack, total, bytes));
		f.returnIf(status.eq(OUTSIDE), raise(core, st, VECTOR.SS, selectorCode(stack.selector, 0)));
		f.check(status);
		f.returnIf(ip.gtU(limitOf(core, raw)), raise(core, st, VECTOR.GP, 0));
		f.check(call(core.fn("markAccessed"), st, rec, selector, raw));
		f.check(call(core.fn("markAccessed"), st, rec, stack.selector, stack.raw));
		f.check(call(core.fn("copyParameters"), st, rec, 0, count, bytes, stack.base, stack.mask, stack.pointer));
		const below = f.local("i32", 0);
		const push = (value: Parameters<typeof putOnStack>[5]): void => {
			f.set(below, below.add(bytes));
			f.check(putOnStack(core, { st, rec }, stack, below, bytes, value));
		};
		push(SEG.selector.of(st, segmentOffset(SEGMENT.ss)).extU());
		push(st.load("i64", GPRS + RSP * 8));
		f.set(below, below.add(count.mul(bytes)));
		push(csSelector(st));
		push(call(core.fn("nextIp"), st, rec));
		f.call(core.fn("installSegment"), st, SEGMENT.ss, stack.selector, stack.raw);
		moveStackPointer(f, st, stack, total);
		f.call(core.fn("enterCode"), st, selector, raw, dpl, ip);
		f.return(STATUS.branch);
	});
}

/** `longCallGate(state, record, gateSelector, raw, calls)` → branch or stopHere: through a 64-bit gate whose own rights are checked. */
function defineLongCallGate(core: Core): void {
	core.define("longCallGate", ["i32", "i32", "i32", "i64", "i32"], ["i32"], (f) => {
		const [st, rec, gateAt, gate, calls] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		f.check(call(core.fn("readUpper"), st, rec, gateAt));
		const ip = f.let(
			F.data
				.of(st)
				.shl(32)
				.or(gateOffset(gate, attributesOf(core, gate))),
		);
		const { selector, raw, level, dpl, conforming } = callTarget(core, f, { st, rec }, gate, calls, isCode64);
		f.if(calls.eqz().or(conforming).or(dpl.eq(level)), () => {
			f.return(call(core.fn("transferCode"), st, rec, selector, raw, ip, calls.shl(3)));
		});

		f.check(call(core.fn("longPointer"), st, rec, dpl, 0));
		const stack = longStack(f, F.data.of(st), ACCESS.write | ACCESS.stack | ACCESS.system);
		f.check(checkPushes(core, st, stack, 32, 8));
		f.returnIf(isCanonical(st, ip).eqz(), raise(core, st, VECTOR.GP, 0));
		f.check(call(core.fn("markAccessed"), st, rec, selector, raw));
		const old = [SEG.selector.of(st, segmentOffset(SEGMENT.ss)).extU(), st.load("i64", GPRS + RSP * 8)];
		const values = [...old, csSelector(st), call(core.fn("nextIp"), st, rec)];
		const below = pushAll(core, f, { st, rec }, stack, i32(8), values);
		f.call(core.fn("nullStack"), st, dpl);
		moveStackPointer(f, st, stack, below);
		f.call(core.fn("enterCode"), st, selector, raw, dpl, ip);
		f.return(STATUS.branch);
	});
}
