import { i32 } from "../../../wasm/expression.ts";
import type { Core } from "../core.ts";
import { FloatCode, shiftRightSticky } from "./code.ts";
import { type Format, MXCSR, RC } from "./format.ts";

/**
 * `fNN_round(state, mxcsr, sign, exponent, significand)` → bits: rounds sign · significand · 2^-62 · 2^(exponent - bias), where
 * the leading bit of the significand is bit 62 and its lowest bit stands for whatever lies below it. Raises OE, UE and PE;
 * a number is tiny where it would be after rounding with unbounded exponents (SDM 1 4.9.1.5).
 */
export function defineRound(core: Core, format: Format): void {
	const { name, int, fraction, maxExponent, infinity } = format;
	core.define(`${name}_round`, ["i32", "i32", "i32", "i32", "i64"], [int], (f) => {
		const [mxcsr, sign, exponent, significand] = [f.param(1), f.param(2), f.param(3), f.param(4)];
		const code = new FloatCode(core, f, format, mxcsr);
		const extra = 62 - fraction;
		const mask = (1n << BigInt(extra)) - 1n;
		const half = 1n << BigInt(extra - 1);
		const rounding = f.let(code.rounding);
		/** Down for negative numbers, up for positive ones. */
		const away = rounding.eq(i32(RC.up).sub(sign));
		const increment = f.local("i64");
		f.if(
			rounding.eqz(),
			() => f.set(increment, half),
			() => f.set(increment, away.extU().mul(mask)),
		);
		const carries = significand.add(increment).shrU(63).wrap();
		const rest = f.local("i64", significand.and(mask));
		/** Unmasked: no result, and PE says whether it would be inexact with an unbounded exponent. */
		const give = (flag: number): void => {
			code.raise(rest.ne(0).mul(MXCSR.pe).or(flag));
			f.return(format.bits(0n));
		};
		f.if(
			exponent.leS(0),
			() => {
				const tiny = f.let(exponent.ltS(0).or(carries.eqz()));
				f.if(tiny, () => {
					f.if(
						mxcsr.and(MXCSR.um),
						() => {
							f.if(mxcsr.and(MXCSR.ftz), () => {
								code.raise(MXCSR.ue | MXCSR.pe);
								f.return(code.signed(sign, 0n));
							});
						},
						() => give(MXCSR.ue),
					);
				});
				const count = f.let(i32(1).sub(exponent).extU());
				shiftRightSticky(f, significand, count);
				f.set(exponent, 1);
				f.set(rest, significand.and(mask));
				f.if(tiny.and(rest.ne(0)), () => code.raise(MXCSR.ue));
			},
			() =>
				f.if(exponent.add(carries).geS(maxExponent), () => {
					f.if(mxcsr.and(MXCSR.om).eqz(), () => give(MXCSR.oe));
					code.raise(MXCSR.oe | MXCSR.pe);
					f.if(increment.eqz(), () => f.return(code.signed(sign, infinity - 1n)));
					f.return(code.signed(sign, infinity));
				}),
		);
		f.if(rest.ne(0), () => code.raise(MXCSR.pe));
		f.set(significand, significand.add(increment).shrU(extra));
		// A tie goes to the even neighbour.
		f.if(rounding.eqz().and(rest.eq(half)), () => f.set(significand, significand.and(-2)));
		const exponentBits = int === "i64" ? exponent.sub(1).extU() : exponent.sub(1);
		f.return(code.signed(sign, exponentBits.shl(fraction).add(int === "i64" ? significand : significand.wrap())));
	});
}
