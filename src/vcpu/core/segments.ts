import { SEGMENT, VECTOR } from "../../isa/registers.ts";
import { type Arg, type Ex, i32 } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import { ATTR, F, GPRS, STATUS } from "../layout.ts";
import type { Core } from "./core.ts";
import {
	attributesOf,
	dplOf,
	isConforming,
	isLoadableCode,
	isNull,
	isWritableData,
	RPL,
	raise,
	selectorCode,
} from "./descriptors.ts";
import { is64Bit, isReal } from "./mode.ts";
import { loadedPointer } from "./segment-access.ts";

/** Interrupts and debug traps wait for one more instruction (SDM 3A 6.8.3). */
const SHADOW = 3;

/** Writes a general register by number: 2 bytes leave the rest, 4 clear the upper half. */
export function writeGpr(f: FunctionBuilder, st: Ex, number: Ex, bytes: Ex, value: Ex): void {
	const at = f.let(st.add(number.shl(3)));
	f.if(
		bytes.eq(2),
		() => f.store("i64_16", at, value, GPRS),
		() =>
			f.if(
				bytes.eq(4),
				() => f.store("i64", at, value.and(0xffffffffn), GPRS),
				() => f.store("i64", at, value, GPRS),
			),
	);
}

/** Loading ES, SS, DS, FS and GS (SDM 2B MOV, POP; 2A LDS). */
export function defineSegments(core: Core): void {
	defineChecks(core);
	defineLoad(core);

	core.define("helper_loadSegment", ["i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, number, selector] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		f.check(call(core.fn("loadSegment"), st, rec, number, selector));
		f.return(shadowed(f, st, number));
	});

	core.define("helper_popSegment", ["i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, number, bytes] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		f.check(call(core.fn("stackLoad"), st, rec, 0, bytes));
		const selector = f.let(F.data.of(st).wrap().and(0xffff));
		// The pointer moves as the old stack counts, whatever SS becomes.
		const mask = f.let(F.stackMask.of(st));
		f.check(call(core.fn("loadSegment"), st, rec, number, selector));
		const inForce = f.let(F.stackMask.of(st));
		F.stackMask.set(f, st, mask);
		f.call(core.fn("releaseStack"), st, bytes);
		F.stackMask.set(f, st, inForce);
		f.return(shadowed(f, st, number));
	});

	core.define("helper_loadFarPointer", ["i32", "i32", "i32", "i32", "i32", "i64", "i32"], ["i32"], (f) => {
		const [st, rec, number, register] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const bytes = f.param(6);
		f.check(call(core.fn("loadPointer"), st, rec, f.param(4), f.param(5), bytes));
		const { selector, offset } = loadedPointer(f, st, bytes);
		f.check(call(core.fn("loadSegment"), st, rec, number, selector));
		writeGpr(f, st, register, bytes, offset);
		f.return(STATUS.next);
	});
}

/** The status of MOV and POP: after one into SS the next instruction runs undisturbed. */
function shadowed(f: FunctionBuilder, st: Ex, number: Ex): Ex {
	f.if(number.eq(SEGMENT.ss), () => {
		F.shadow.set(f, st, SHADOW);
		f.return(STATUS.stopNext);
	});
	return i32(STATUS.next);
}

function defineChecks(core: Core): void {
	const params = ["i32", "i32", "i64", "i32", "i32", "i32"] as const;
	/**
	 * `checkStack(state, selector, raw, level, vector, ext)` → 0 or stopHere: a descriptor for SS at privilege `level`.
	 * `vector` reports all faults but #SS for a segment that is not present.
	 */
	core.define("checkStack", [...params], ["i32"], (f) => {
		const [st, selector, raw] = [f.param(0), f.param(1), f.param(2)];
		const [level, vector, ext] = [f.param(3), f.param(4), f.param(5)];
		const attributes = f.let(attributesOf(core, raw));
		f.returnIf(
			selector.and(RPL).ne(level).or(dplOf(attributes).ne(level)).or(isWritableData(attributes).eqz()),
			raise(core, st, vector, selectorCode(selector, ext)),
		);
		notPresent(core, f, st, attributes, VECTOR.SS, selectorCode(selector, ext));
		f.return(0);
	});

	/** `checkData(state, selector, raw, level, vector, ext)` → 0 or stopHere: a descriptor for DS, ES, FS or GS. */
	core.define("checkData", [...params], ["i32"], (f) => {
		const [st, selector, raw] = [f.param(0), f.param(1), f.param(2)];
		const [level, vector, ext] = [f.param(3), f.param(4), f.param(5)];
		const attributes = f.let(attributesOf(core, raw));
		const dpl = f.let(dplOf(attributes));
		const unreadable = attributes.and(ATTR.s | ATTR.code | ATTR.writable).eq(ATTR.s | ATTR.code);
		const private_ = isConforming(attributes)
			.eqz()
			.and(selector.and(RPL).gtU(dpl).or(level.gtU(dpl)));
		f.returnIf(
			attributes.and(ATTR.s).eqz().or(unreadable).or(private_),
			raise(core, st, vector, selectorCode(selector, ext)),
		);
		notPresent(core, f, st, attributes, VECTOR.NP, selectorCode(selector, ext));
		f.return(0);
	});

	/**
	 * `checkReturnCode(state, selector, raw, vector, ext)` → 0 or stopHere: a descriptor for CS whose selector decides the
	 * privilege level, as RETF, IRET and task switches load it.
	 */
	core.define("checkReturnCode", ["i32", "i32", "i64", "i32", "i32"], ["i32"], (f) => {
		const [st, selector, raw, vector, ext] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		const attributes = f.let(attributesOf(core, raw));
		const dpl = f.let(dplOf(attributes));
		const level = f.let(selector.and(RPL));
		const wrong = dpl.gtU(level).when(isConforming(attributes), dpl.ne(level));
		f.returnIf(isLoadableCode(st, attributes).eqz().or(wrong), raise(core, st, vector, selectorCode(selector, ext)));
		notPresent(core, f, st, attributes, VECTOR.NP, selectorCode(selector, ext));
		f.return(0);
	});
}

function notPresent(core: Core, f: FunctionBuilder, st: Ex, attributes: Ex, vector: number, code: Arg): void {
	f.returnIf(attributes.and(ATTR.present).eqz(), raise(core, st, vector, code));
}

function defineLoad(core: Core): void {
	/** `loadSegment(state, record, number, selector)` → 0 or stopHere. */
	core.define("loadSegment", ["i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, number, selector] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const finish = (): void => {
			// Decoded code depends on the first four; FS and GS are looked at each time.
			f.if(number.leU(SEGMENT.ds), () => f.call(core.fn("updateMode"), st));
			f.return(0);
		};
		f.if(isReal(st), () => {
			f.call(core.fn("loadRealSegment"), st, number, selector);
			finish();
		});
		const stack = f.let(number.eq(SEGMENT.ss));
		f.if(isNull(selector), () => {
			f.if(
				stack,
				() => {
					const level = F.cpl.of(st);
					const able = is64Bit(st).and(level.ne(3)).and(selector.and(RPL).eq(level));
					f.returnIf(able.eqz(), raise(core, st, VECTOR.GP, 0));
					f.call(core.fn("nullStack"), st, selector);
				},
				() => f.call(core.fn("clearSegment"), st, number, selector),
			);
			finish();
		});
		f.check(call(core.fn("readDescriptor"), st, rec, selector, VECTOR.GP, 0));
		const raw = f.let(F.data.of(st));
		const level = F.cpl.of(st);
		f.if(
			stack,
			() => f.check(call(core.fn("checkStack"), st, selector, raw, level, VECTOR.GP, 0)),
			() => f.check(call(core.fn("checkData"), st, selector, raw, level, VECTOR.GP, 0)),
		);
		f.check(call(core.fn("markAccessed"), st, rec, selector, raw));
		f.call(core.fn("installSegment"), st, number, selector, raw);
		finish();
		f.return(0);
	});
}
