import { type Ex, i32, i64 } from "../../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../../wasm/function.ts";
import { F, STATUS } from "../../layout.ts";
import { FSW } from "../control-bits.ts";
import type { Core } from "../core.ts";
import {
	BIAS,
	copyNumber,
	EXPONENT_MAX,
	INTEGER_BIT,
	invalid,
	isDenormal,
	isEmpty,
	isInfinite,
	isZero,
	partsOf,
	raiseFlags,
	result,
	stackRegister,
	storeNumber,
} from "./format.ts";
import { registerHelper } from "./instructions.ts";
import { stackFault } from "./stack.ts";
import { loadWide, NUMBER, sumSeries, wideSlot } from "./wide.ts";
import { SERIES } from "./wide-constants.ts";

const SLOT = { r: 8, z: 9, sine: 10, cosine: 11 } as const;
/** Pi as processors have it, 66 bits, times 2^64; so it is pi/2 times 2^65 (SDM 1 8.3.8). */
const PI_66 = { high: 3n, low: 0x243f6a8885a308d3n } as const;
/** What the functions give. */
const WANT = { sine: 0, cosine: 1, tangent: 2, cosineToo: 3 } as const;

/** FSIN, FCOS, FSINCOS and FPTAN. */
export function defineTrigonometry(core: Core): void {
	/**
	 * `reduceAngle(state, a)` → the quarter turn, 0 to 3: takes the nearest multiple of pi/2 from |a| < 2^63; number r becomes what is
	 * left, as for a positive angle.
	 */
	core.define("reduceAngle", ["i32", "i32"], ["i32"], (f) => {
		const [st, at] = [f.param(0), f.param(1)];
		const r = wideSlot(st, SLOT.r);
		loadWide(f, r, at);
		NUMBER.sign.set(f, r, 0);
		const exponent = f.let(NUMBER.exponent.of(r));
		f.returnIf(exponent.ltS(-1), 0);
		// In units of 2^-65: high:low is less than pi/2 all the time.
		const [high, low] = [f.local("i64", 0n), f.let(NUMBER.high.of(r))];
		const quarter = f.local("i32", 0);
		const steps = f.let(exponent.add(2));
		const least = (h: Ex, l: Ex): Ex => h.gtU(PI_66.high).or(h.eq(PI_66.high).and(l.geU(PI_66.low)));
		f.while(steps.ne(0), () => {
			f.set(steps, steps.sub(1));
			f.set(high, high.shl(1).or(low.shrU(63)));
			f.set(low, low.shl(1));
			f.set(quarter, quarter.shl(1));
			f.if(least(high, low), () => {
				f.set(high, high.sub(PI_66.high).sub(low.ltU(PI_66.low).extU()));
				f.set(low, low.sub(PI_66.low));
				f.set(quarter, quarter.or(1));
			});
		});
		const half = (PI_66.high << 64n) | PI_66.low;
		const [halfHigh, halfLow] = [half >> 65n, (half >> 1n) & 0xffff_ffff_ffff_ffffn];
		f.if(high.gtU(halfHigh).or(high.eq(halfHigh).and(low.gtU(halfLow))), () => {
			f.set(high, i64(PI_66.high).sub(high).sub(low.gtU(PI_66.low).extU()));
			f.set(low, i64(PI_66.low).sub(low));
			f.set(quarter, quarter.add(1));
			NUMBER.sign.set(f, r, 1);
		});
		const place = f.local("i32", 127 - 65);
		f.if(high.eqz(), () => {
			f.set(high, low);
			f.set(low, 0n);
			f.set(place, place.sub(64));
		});
		const shift = f.let(high.clz());
		f.if(shift.ne(0n), () => {
			f.set(high, high.shl(shift).or(low.shrU(i64(64).sub(shift))));
			f.set(low, low.shl(shift));
		});
		NUMBER.high.set(f, r, high);
		NUMBER.low.set(f, r, low);
		NUMBER.exponent.set(f, r, place.sub(shift.wrap()));
		f.return(quarter.and(3));
	});

	/** `sineAndCosine(state, a)`: of |a| < 2^63, neither 0 nor NaN, to the numbers sine and cosine. */
	core.define("sineAndCosine", ["i32", "i32"], [], (f) => {
		const [st, at] = [f.param(0), f.param(1)];
		const [r, z, sine, cosine] = [SLOT.r, SLOT.z, SLOT.sine, SLOT.cosine].map((n) => wideSlot(st, n)) as [
			Ex,
			Ex,
			Ex,
			Ex,
		];
		const quarter = f.let(call(core.fn("reduceAngle"), st, at));
		f.call(core.fn("wideMultiply"), z, r, r);
		f.call(core.fn("wideFraction"), z, z);
		const odd = f.let(quarter.and(1));
		const [s, c] = [f.let(cosine.when(odd, sine)), f.let(sine.when(odd, cosine))];
		sumSeries(core, f, s, z, SERIES.sin, 1);
		f.call(core.fn("wideMultiply"), s, s, r);
		sumSeries(core, f, c, z, SERIES.cos, 1);
		const negative = f.let(partsOf(f, at).sign);
		const flip = (number: Ex, by: Ex): void => NUMBER.sign.set(f, number, NUMBER.sign.of(number).xor(by));
		// Quarters: (s, c), (c, -s), (-s, -c), (-c, s).
		flip(sine, quarter.shrU(1).xor(negative));
		flip(cosine, quarter.shrU(1).xor(odd));
	});

	/**
	 * `fpuTrigonometry(state, a, want)`: sine, cosine or tangent to the result; `cosineToo` behind a `sine` of the same operand
	 * takes what was worked out for it.
	 */
	core.define("fpuTrigonometry", ["i32", "i32", "i32"], [], (f) => {
		const [st, at, want] = [f.param(0), f.param(1), f.param(2)];
		const a = partsOf(f, at);
		f.if(call(core.fn("fpuNan"), st, at, at), () => f.return());
		f.if(isInfinite(a), () => {
			invalid(f, st);
			f.return();
		});
		raiseFlags(f, st, isDenormal(a).shl(1));
		const [sine, cosine] = [wideSlot(st, SLOT.sine), wideSlot(st, SLOT.cosine)];
		f.if(isZero(a), () => {
			copyNumber(f, st, at, F.fpuResult.offset);
			f.if(want.and(WANT.cosine), () => result(f, st, i64(INTEGER_BIT), i32(BIAS)));
			f.return();
		});
		f.if(want.ne(WANT.cosineToo), () => f.call(core.fn("sineAndCosine"), st, at));
		f.if(want.eq(WANT.tangent), () => f.call(core.fn("wideDivide"), sine, sine, cosine));
		f.call(core.fn("fpuRoundWide"), st, cosine.when(want.and(WANT.cosine), sine));
	});

	/**
	 * Sets or clears C2; leaves with it set where ST(0) is a number of 2^63 or beyond, and nothing changed. `pushes`: that the stack is
	 * full comes first.
	 */
	const leaveBeyond = (f: FunctionBuilder, st: Ex, pushes: boolean): void => {
		const a = partsOf(f, stackRegister(st, 0));
		const beyond = a.exponent
			.geU(BIAS + 63)
			.and(a.exponent.ne(EXPONENT_MAX))
			.and(a.significand.ltS(0n));
		const counts = pushes ? isEmpty(st, 0).eqz().and(isEmpty(st, 7)) : isEmpty(st, 0).eqz();
		const word = f.let(F.fsw.of(st).and(~FSW.c2));
		f.if(beyond.and(counts), () => {
			F.fsw.set(f, st, word.and(~FSW.c1).or(FSW.c2));
			f.return(STATUS.next);
		});
		F.fsw.set(f, st, word);
	};
	const compute = (f: FunctionBuilder, st: Ex, want: number): void =>
		f.if(
			isEmpty(st, 0),
			() => stackFault(f, st, 0),
			() => f.call(core.fn("fpuTrigonometry"), st, stackRegister(st, 0), want),
		);

	for (const [name, want] of [
		["fpuSin", WANT.sine],
		["fpuCos", WANT.cosine],
	] as const)
		registerHelper(core, name, [], (f, st) => {
			leaveBeyond(f, st, false);
			compute(f, st, want);
			f.drop(call(core.fn("fpuCommit"), st, 0));
		});

	// The sine to ST(0), then the cosine is pushed.
	registerHelper(core, "fpuSinCos", [], (f, st) => {
		leaveBeyond(f, st, true);
		compute(f, st, WANT.sine);
		copyNumber(f, st, st, F.fpuB.offset, F.fpuResult.offset);
		f.if(F.fpuRaised.of(st).and(FSW.invalid).eqz(), () => compute(f, st, WANT.cosineToo));
		f.call(core.fn("fpuCommitTwo"), st);
	});

	// The tangent to ST(0), then 1 is pushed; a NaN to both.
	registerHelper(core, "fpuTan", [], (f, st) => {
		leaveBeyond(f, st, true);
		compute(f, st, WANT.tangent);
		copyNumber(f, st, st, F.fpuB.offset, F.fpuResult.offset);
		const nan = partsOf(f, st.add(F.fpuResult.offset)).exponent.eq(EXPONENT_MAX);
		f.if(nan.eqz(), () => storeNumber(f, st, INTEGER_BIT, BIAS, F.fpuResult.offset));
		f.call(core.fn("fpuCommitTwo"), st);
	});
}
