import { RSP, SEGMENT, VECTOR } from "../../isa/registers.ts";
import { type Arg, type Ex, i64, type Local } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import { ACCESS, ATTR, F, Field, GPRS, SEG, STATUS, segmentOffset, TLB_BYTES } from "../layout.ts";
import type { Core } from "./core.ts";
import {
	attributesOf,
	baseOf,
	dplOf,
	isNull,
	isWritableData,
	limitOf,
	put,
	RPL,
	raise,
	SYSTEM_TYPE,
	selectorCode,
} from "./descriptors.ts";
import { segmentAddress } from "./mode.ts";

/** Results of `innerStack`: behind what the page walk keeps in the same scratch words. */
const INNER = {
	selector: new Field(F.scratch.offset + 64, 4),
	pointer: new Field(F.scratch.offset + 72, 8),
	raw: new Field(F.scratch.offset + 80, 8),
} as const;

/** Status of `checkPushes`: the frame does not fit into the segment. */
export const OUTSIDE = -1;

/** A stack that a frame is pushed onto: the one in force, or one whose descriptor has been checked. */
export interface Stack {
	readonly base: Local;
	readonly low: Local;
	readonly high: Local;
	/** Stack pointer before the frame. */
	readonly pointer: Local;
	readonly mask: Local;
	/** What there is of linear addresses. */
	readonly linearMask: Local;
	/** ACCESS bits for its stores. */
	readonly access: Arg;
}

/** The state, and the record of the instruction in hand (0: none). */
export interface At {
	readonly st: Ex;
	readonly rec: Ex;
}

/** The stack in force, accessed at the CPL in force. */
export function currentStack(f: FunctionBuilder, st: Ex): Stack {
	const at = segmentOffset(SEGMENT.ss);
	return {
		base: f.let(SEG.start.of(st, at)),
		low: f.let(SEG.low.of(st, at)),
		high: f.let(SEG.writeHigh.of(st, at)),
		pointer: f.let(st.load("i64", GPRS + RSP * 8)),
		mask: f.let(F.stackMask.of(st)),
		linearMask: f.let(F.linearMask.of(st)),
		access: ACCESS.write | ACCESS.stack,
	};
}

/** A stack of an inner privilege level, with what goes into SS when it is taken. */
export interface InnerStack extends Stack {
	readonly selector: Local;
	readonly raw: Local;
}

/** Finds the stack for privilege level `level` in the TSS; returns the fault where it is not usable. */
export function innerStack(core: Core, f: FunctionBuilder, st: Ex, rec: Ex, level: Ex, ext: Arg): InnerStack {
	f.check(call(core.fn("innerStack"), st, rec, level, ext));
	const raw = f.let(INNER.raw.of(st));
	const attributes = f.let(attributesOf(core, raw));
	const big = f.let(attributes.and(ATTR.big));
	const low = f.local("i64", 0);
	const high = f.let(limitOf(core, raw));
	const mask = f.let(i64(0xffffffffn).when(big, 0xffffn));
	f.if(attributes.and(ATTR.expandDown).ne(0), () => {
		f.set(low, high.add(1n));
		f.set(high, mask);
	});
	const base = f.let(baseOf(core, raw));
	f.release(attributes, big);
	return {
		base,
		low,
		high,
		pointer: f.let(INNER.pointer.of(st)),
		mask,
		linearMask: f.let(F.linearMask.of(st)),
		access: ACCESS.write | ACCESS.stack | ACCESS.system,
		selector: f.let(INNER.selector.of(st)),
		raw,
	};
}

/** Checks that a frame of `total` bytes in elements of `bytes` can be pushed: 0, stopHere or {@link OUTSIDE}. */
export function checkPushes(core: Core, st: Ex, stack: Stack, total: Arg, bytes: Arg): Ex {
	const { base, low, high, pointer, mask, linearMask, access } = stack;
	return call(core.fn("checkPushes"), st, base, low, high, pointer, mask, linearMask, total, bytes, access);
}

/** Stores an element that begins `below` bytes under the stack pointer: 0 or stopHere. */
export function putOnStack(core: Core, { st, rec }: At, stack: Stack, below: Ex, bytes: Ex, value: Ex): Ex {
	const offset = stack.pointer.sub(below.extU()).and(stack.mask);
	const linear = stack.base.add(offset).and(stack.linearMask);
	return put(core, st, rec, linear, bytes, stack.access, value);
}

/** Pushes `values` in this order onto a checked stack. @returns bytes taken. */
export function pushAll(core: Core, f: FunctionBuilder, at: At, stack: Stack, bytes: Ex, values: readonly Ex[]): Local {
	const below = f.local("i32", 0);
	const elements = values.map((value) => f.let(value));
	const top = f.let(F.frameTop.of(at.st));
	f.if(
		top.ne(0).and(bytes.ne(2)),
		() => {
			for (const element of elements) {
				f.set(below, below.add(bytes));
				f.if(
					bytes.eq(4),
					() => f.store("i64_32", top.sub(below), element),
					() => f.store("i64", top.sub(below), element),
				);
			}
		},
		() => {
			for (const element of elements) {
				f.set(below, below.add(bytes));
				f.check(putOnStack(core, at, stack, below, bytes, element));
			}
		},
	);
	f.release(top, ...elements);
	return below;
}

/** Reads `count` elements of the stack in force, the lowest first, from `delta` bytes above its top. */
export function popAll(core: Core, f: FunctionBuilder, { st, rec }: At, bytes: Ex, count: number, delta: Ex): Local[] {
	const elements = Array.from({ length: count }, () => f.local("i64"));
	const host = f.let(call(core.fn("stackHit"), st, delta, bytes.mul(count)));
	f.if(
		host.ne(0).and(bytes.ne(2)),
		() => {
			f.if(
				bytes.eq(4),
				() => elements.forEach((element, n) => void f.set(element, host.load("i64_32u", n * 4))),
				() => elements.forEach((element, n) => void f.set(element, host.load("i64", n * 8))),
			);
		},
		() => {
			elements.forEach((element, n) => {
				f.check(call(core.fn("stackLoad"), st, rec, delta.add(bytes.mul(n)), bytes));
				f.set(element, F.data.of(st));
			});
		},
	);
	f.release(host);
	return elements;
}

/** The stack pointer after `below` bytes were taken; what the stack's size leaves out stays as it was in the pointer. */
export function moveStackPointer(f: FunctionBuilder, st: Ex, stack: Stack, below: Ex): void {
	const { pointer, mask } = stack;
	const moved = pointer.sub(below.extU()).and(mask);
	f.store("i64", st, pointer.and(mask.not()).or(moved), GPRS + RSP * 8);
}

/** The stack of 64-bit code that an interrupt or call gate pushes onto, from `pointer` down: everywhere in linear memory. */
export function longStack(f: FunctionBuilder, pointer: Ex, access: Arg): Stack {
	return {
		base: f.let(i64(0)),
		low: f.let(i64(-(1n << 63n))),
		high: f.let(i64((1n << 63n) - 1n)),
		pointer: f.let(pointer),
		mask: f.let(i64(-1)),
		linearMask: f.let(i64(-1)),
		access,
	};
}

/** Reading and checking stacks for far transfers and interrupts. */
export function defineStackFrames(core: Core): void {
	/**
	 * `checkPushes(state, base, low, high, pointer, mask, linearMask, total, bytes, access)` → 0, stopHere, or -1: outside the
	 * segment. Elements are checked from the top down, each with the pointer wrapped, as they will be pushed.
	 */
	const params = ["i32", "i64", "i64", "i64", "i64", "i64", "i64", "i32", "i32", "i32"] as const;
	core.define("checkPushes", [...params], ["i32"], (f) => {
		const st = f.param(0);
		const [base, low, high] = [f.param(1), f.param(2), f.param(3)];
		const [pointer, mask, linearMask] = [f.param(4), f.param(5), f.param(6)];
		const [total, bytes, access] = [f.param(7), f.param(8), f.param(9)];
		const rights = f.let(call(core.fn("accessRights"), st, access));
		const top = f.let(pointer.and(mask));
		const size = f.let(total.extU());
		F.frameTop.set(f, st, 0);
		// The usual case at once: no wrap, inside the segment, on one cached page.
		f.if(top.geU(size), () => {
			const offset = f.let(top.sub(size));
			f.if(offset.geS(low).and(top.sub(1n).leS(high)).and(F.fillable.of(st)), () => {
				const table = f.let(call(core.fn("tableOf"), st, rights).add(TLB_BYTES));
				const host = f.let(call(core.fn("hit"), st, base.add(offset).and(linearMask), total, table));
				f.if(host.ne(0), () => {
					F.frameTop.set(f, st, host.add(total));
					f.return(0);
				});
			});
		});
		const below = f.local("i32", 0);
		const element = f.let(bytes.extU());
		const offset = f.local("i64");
		f.while(below.ltU(total), () => {
			f.set(below, below.add(bytes));
			f.set(offset, pointer.sub(below.extU()).and(mask));
			f.returnIf(offset.ltS(low).or(offset.add(element).sub(1n).gtS(high)), OUTSIDE);
		});
		f.set(below, 0);
		f.while(below.ltU(total), () => {
			f.set(below, below.add(bytes));
			f.set(offset, base.add(pointer.sub(below.extU()).and(mask)).and(linearMask));
			f.check(call(core.fn("checkAlignment"), st, offset, bytes, rights));
			f.check(call(core.fn("probe"), st, offset, bytes, access));
		});
		f.return(0);
	});

	/** `stackHit(state, delta, bytes)` → VM memory offset of what lies `delta` above the top of the stack where `bytes` can be read at once, else 0. */
	core.define("stackHit", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, delta, bytes] = [f.param(0), f.param(1), f.param(2)];
		const at = segmentOffset(SEGMENT.ss);
		const offset = f.let(
			st
				.load("i64", GPRS + RSP * 8)
				.add(delta.extU())
				.and(F.stackMask.of(st)),
		);
		const last = f.let(offset.add(bytes.extU()).sub(1n));
		const outside = offset.ltS(SEG.low.of(st, at)).or(last.gtS(SEG.readHigh.of(st, at)));
		f.returnIf(outside.or(last.gtU(F.stackMask.of(st))), 0);
		const linear = SEG.start.of(st, at).add(offset).and(F.linearMask.of(st));
		f.return(call(core.fn("hit"), st, linear, bytes, F.tlbRead.of(st)));
	});

	/** `stackLoad(state, record, delta, bytes)` → status; the element `delta` bytes above the stack pointer is in F.data. */
	core.define("stackLoad", ["i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, delta, bytes] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const at = segmentOffset(SEGMENT.ss);
		const offset = f.let(
			st
				.load("i64", GPRS + RSP * 8)
				.add(delta.extU())
				.and(F.stackMask.of(st)),
		);
		f.if(offset.ltS(SEG.low.of(st, at)).or(offset.add(bytes.extU()).sub(1n).gtS(SEG.readHigh.of(st, at))), () =>
			f.return(raise(core, st, VECTOR.SS, 0)),
		);
		const linear = SEG.start.of(st, at).add(offset).and(F.linearMask.of(st));
		f.return(call(core.fn("load"), st, rec, linear, bytes, ACCESS.read | ACCESS.stack));
	});

	/** `releaseStack(state, bytes)`: moves the stack pointer up. */
	core.define("releaseStack", ["i32", "i32"], [], (f) => {
		const [st, bytes] = [f.param(0), f.param(1)];
		const pointer = f.let(st.load("i64", GPRS + RSP * 8));
		const mask = f.let(F.stackMask.of(st));
		f.store("i64", st, pointer.and(mask.not()).or(pointer.add(bytes.extU()).and(mask)), GPRS + RSP * 8);
	});

	defineInnerStack(core);

	/**
	 * `longPointer(state, record, index, ext)` → status; stack pointer `index` of the 64-bit TSS is in F.data: 0 to 2 by
	 * privilege level, from 4 on the interrupt stack table (SDM 3A 8.7).
	 */
	core.define("longPointer", ["i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, index, ext] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const tss = f.let(segmentAddress(st, SEGMENT.tr));
		const at = f.let(index.shl(3).add(4).extU());
		f.if(at.add(7n).gtU(SEG.limit.of(tss)), () => {
			f.return(raise(core, st, VECTOR.TS, selectorCode(SEG.selector.of(tss), ext)));
		});
		f.return(call(core.fn("load"), st, rec, SEG.base.of(tss).add(at), 8, ACCESS.system));
	});
}

/**
 * `innerStack(state, record, level, ext)` → status: SS and ESP of a privilege level from the TSS, checked as CALL and
 * interrupts do (SDM 2A CALL, INT n): everything wrong with them is #TS, but a segment that is not present is #SS.
 */
function defineInnerStack(core: Core): void {
	core.define("innerStack", ["i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, level, ext] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const tss = f.let(segmentAddress(st, SEGMENT.tr));
		const big = f.let(SEG.attributes.of(tss).and(SYSTEM_TYPE.size32).ne(0));
		const bytes = f.let(big.shl(1).add(2));
		// The pointers begin behind the back link; each is a stack pointer and a selector.
		const at = f.let(level.shl(1).add(1).mul(bytes).extU());
		f.if(at.add(bytes.extU()).add(1n).gtU(SEG.limit.of(tss)), () => {
			f.return(raise(core, st, VECTOR.TS, selectorCode(SEG.selector.of(tss), ext)));
		});
		const linearMask = f.let(F.linearMask.of(st));
		const linear = f.let(SEG.base.of(tss).add(at));
		f.check(call(core.fn("load"), st, rec, linear.and(linearMask), bytes, ACCESS.system));
		const pointer = f.let(F.data.of(st));
		f.check(call(core.fn("load"), st, rec, linear.add(bytes.extU()).and(linearMask), 2, ACCESS.system));
		const selector = f.let(F.data.of(st).wrap());
		const invalid = raise(core, st, VECTOR.TS, selectorCode(selector, ext));
		f.returnIf(isNull(selector), raise(core, st, VECTOR.TS, ext));
		f.check(call(core.fn("readDescriptor"), st, rec, selector, VECTOR.TS, ext));
		const raw = f.let(F.data.of(st));
		const attributes = f.let(attributesOf(core, raw));
		f.returnIf(selector.and(RPL).ne(level), invalid);
		f.returnIf(dplOf(attributes).ne(level).or(isWritableData(attributes).eqz()), invalid);
		f.returnIf(attributes.and(ATTR.present).eqz(), raise(core, st, VECTOR.SS, selectorCode(selector, ext)));
		INNER.selector.set(f, st, selector);
		INNER.pointer.set(f, st, pointer);
		INNER.raw.set(f, st, raw);
		f.return(STATUS.next);
	});
}
