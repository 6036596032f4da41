import { RSP, SEGMENT } from "../../isa/registers.ts";
import { type Arg, type Ex, i32, i64, Local, literal } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import { ACCESS, F, GPRS, SEG, STATUS } from "../layout.ts";
import type { Core } from "./core.ts";
import { segmentAddress } from "./mode.ts";

/**
 * Checks that `bytes` bytes at `offset` lie in a segment and gives their linear address. Where they do not, the
 * function returns stopHere with #SS(0) or #GP(0) pending.
 */
export function segmentLinear(
	core: Core,
	f: FunctionBuilder,
	st: Ex,
	segment: Ex | number,
	offset: Ex,
	bytes: Arg,
	write: boolean,
): Local {
	const at = f.let(segmentAddress(st, segment));
	const first = offset instanceof Local ? offset : f.let(offset);
	const last = first.add(literal("i32", bytes).extU()).sub(1n);
	f.if(
		SEG.low
			.of(at)
			.gtS(first)
			.or(last.gtS((write ? SEG.writeHigh : SEG.readHigh).of(at))),
		() => {
			f.return(call(core.fn("segmentFault"), st, segment));
		},
	);
	const linear = f.let(SEG.start.of(at).add(first).and(F.linearMask.of(st)));
	f.release(at);
	return linear;
}

/** Access bits for an access through `segment`. */
export function accessThrough(segment: Ex | number, access: number): Arg {
	if (typeof segment === "number") return segment === SEGMENT.ss ? access | ACCESS.stack : access;
	return segment.eq(SEGMENT.ss).mul(ACCESS.stack).or(access);
}

/** Offset of the stack's top plus `delta`, wrapped to the stack's size, i64. */
export function stackOffset(st: Ex, delta: Ex | number): Ex {
	return st
		.load("i64", GPRS + RSP * 8)
		.add(delta)
		.and(F.stackMask.of(st));
}

/** Sets as much of RSP as the stack's size says. */
export function setStackPointer(f: FunctionBuilder, st: Ex, value: Ex): void {
	const mask = F.stackMask.of(st);
	f.store(
		"i64",
		st,
		st
			.load("i64", GPRS + RSP * 8)
			.and(mask.not())
			.or(value.and(mask)),
		GPRS + RSP * 8,
	);
}

/** Accesses by segment and offset for helpers. Values are zero-extended to 64 bits. */
export function defineSegmentAccess(core: Core): void {
	/** `loadAt(state, rec, segment, offset, bytes)` → status; the value is in F.data. */
	core.define("loadAt", ["i32", "i32", "i32", "i64", "i32"], ["i32"], (f) => {
		const [st, rec, segment, offset, bytes] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		const linear = segmentLinear(core, f, st, segment, offset, bytes, false);
		f.return(call(core.fn("load"), st, rec, linear, bytes, accessThrough(segment, ACCESS.read)));
	});

	/** `loadPointer(state, rec, segment, offset, bytes)` → status: a far pointer with an offset of `bytes`, read at once; see {@link loadedPointer}. */
	core.define("loadPointer", ["i32", "i32", "i32", "i64", "i32"], ["i32"], (f) => {
		const [st, rec, segment, offset, bytes] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		f.return(call(core.fn("loadAt"), st, rec, segment, offset, bytes.add(2)));
	});

	/** `storeAt(state, rec, segment, offset, bytes, value)` → 0, stopNext or stopHere. */
	core.define("storeAt", ["i32", "i32", "i32", "i64", "i32", "i64"], ["i32"], (f) => {
		const [st, rec, segment, offset, bytes] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		const linear = segmentLinear(core, f, st, segment, offset, bytes, true);
		f.return(call(core.fn("storeValue"), st, rec, linear, bytes, accessThrough(segment, ACCESS.write), f.param(5)));
	});

	/** `probeAt(state, segment, offset, bytes)` → status: whether a store there would fault; nothing is stored. */
	core.define("probeAt", ["i32", "i32", "i64", "i32"], ["i32"], (f) => {
		const [st, segment, offset, bytes] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const linear = segmentLinear(core, f, st, segment, offset, bytes, true);
		f.returnIf(call(core.fn("hit"), st, linear, bytes, F.tlbWrite.of(st)).ne(0), 0);
		f.return(call(core.fn("probe"), st, linear, bytes, accessThrough(segment, ACCESS.write)));
	});

	/** `setGpr(state, number, bytes, value)`: 4 bytes clear the upper half, fewer leave the rest (SDM 1 3.4.1.1). */
	core.define("setGpr", ["i32", "i32", "i32", "i64"], [], (f) => {
		const [st, number, bytes, value] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const at = f.let(st.add(number.shl(3)));
		f.switch(bytes, [
			undefined,
			() => f.store("i64_8", at, value, GPRS),
			() => f.store("i64_16", at, value, GPRS),
			undefined,
			() => f.store("i64", at, value.and(0xffffffffn), GPRS),
			undefined,
			undefined,
			undefined,
			() => f.store("i64", at, value, GPRS),
		]);
	});

	/** `probeWords(state, count, bytes)` → status: the fault of the first of `count` pushes that has one. */
	core.define("probeWords", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, count, bytes] = [f.param(0), f.param(1), f.param(2)];
		const n = f.local("i32", 0);
		f.while(n.ltU(count), () => {
			f.set(n, n.add(1));
			f.check(call(core.fn("probeAt"), st, SEGMENT.ss, stackOffset(st, i32(0).sub(n.mul(bytes)).extS()), bytes));
		});
		f.return(0);
	});

	/**
	 * `pushWords(state, rec, count, bytes)` → 0, stopNext or stopHere: stores the first `count` of F.words below the
	 * stack pointer, the first at the top, after checking all of them. The stack pointer is the caller's to move.
	 */
	core.define("pushWords", ["i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, count, bytes] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const total = f.let(count.mul(bytes));
		const n = f.local("i32");
		const word = (): Ex => st.add(n.shl(3)).load("i64", F.words.offset);
		const offset = (): Ex => stackOffset(st, i32(0).sub(n.add(1).mul(bytes)).extS());
		f.if(stackOffset(st, 0).geU(total.extU()), () => {
			const bottom = stackOffset(st, i32(0).sub(total).extS());
			const linear = segmentLinear(core, f, st, SEGMENT.ss, bottom, total, true);
			const host = f.let(call(core.fn("hit"), st, linear, total, F.tlbWrite.of(st)));
			f.if(host.ne(0), () => {
				f.set(n, 0);
				f.set(host, host.add(total));
				f.while(n.ltU(count), () => {
					f.set(host, host.sub(bytes));
					const store = (kind: "i64_16" | "i64_32" | "i64"): (() => void) => {
						return () => f.store(kind, host, word());
					};
					f.switch(bytes.shrU(1), [undefined, store("i64_16"), store("i64_32"), undefined, store("i64")]);
					f.set(n, n.add(1));
				});
				f.return(0);
			});
		});
		f.check(call(core.fn("probeWords"), st, count, bytes));
		f.set(n, 0);
		f.while(n.ltU(count), () => {
			f.if(call(core.fn("storeAt"), st, rec, SEGMENT.ss, offset(), bytes, word()).eq(STATUS.stopHere), () => {
				f.return(STATUS.stopHere);
			});
			f.set(n, n.add(1));
		});
		f.return(call(core.fn("stopIfPending"), st));
	});
}

/** Selector (i32) and offset (i64) of the pointer that `loadPointer` has read. */
export function loadedPointer(f: FunctionBuilder, st: Ex, bytes: Ex): { selector: Local; offset: Local } {
	const selector = f.let(st.add(bytes).load("i32_16u", F.data.offset));
	const mask = i64(-1).shrU(i64(64).sub(bytes.shl(3).extU()));
	return { selector, offset: f.let(F.data.of(st).and(mask)) };
}
