import { i32 } from "../../../wasm/expression.ts";
import { F } from "../../layout.ts";
import { FSW } from "../control-bits.ts";
import type { Core } from "../core.ts";
import { isDenormal, isNan, isSignalling, isUnsupported, isZero, partsOf, raiseFlags } from "./format.ts";

/** How two numbers compare, as the condition code of FCOM (SDM 1 table 8-6). */
export const ORDER = { greater: 0, less: FSW.c0, equal: FSW.c3, unordered: FSW.c0 | FSW.c2 | FSW.c3 } as const;

export function defineCompare(core: Core): void {
	/** `fpuCompare(state, a, b, quiet)` → one of {@link ORDER}; `quiet`: quiet NaNs are no invalid operation (FUCOM). */
	core.define("fpuCompare", ["i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, quiet] = [f.param(0), f.param(3)];
		const [a, b] = [partsOf(f, f.param(1)), partsOf(f, f.param(2))];
		const unsupported = f.let(isUnsupported(a).or(isUnsupported(b)));
		f.if(unsupported.or(isNan(a)).or(isNan(b)), () => {
			F.fpuRaised.set(f, st, unsupported.or(quiet.eqz()).or(isSignalling(a)).or(isSignalling(b)));
			f.return(ORDER.unordered);
		});
		raiseFlags(f, st, isDenormal(a).or(isDenormal(b)).shl(1));
		f.returnIf(isZero(a).and(isZero(b)), ORDER.equal);
		f.returnIf(a.sign.ne(b.sign), i32(ORDER.less).when(a.sign, ORDER.greater));
		// Denormals have the lowest exponent of normal numbers; zero is below all of them.
		f.set(a.exponent, a.exponent.add(a.exponent.eqz()));
		f.set(b.exponent, b.exponent.add(b.exponent.eqz()));
		const same = f.let(a.exponent.eq(b.exponent));
		f.returnIf(same.and(a.significand.eq(b.significand)), ORDER.equal);
		const below = f.let(a.significand.ltU(b.significand).when(same, a.exponent.ltU(b.exponent)));
		f.return(i32(ORDER.less).when(below.ne(a.sign), ORDER.greater));
	});
}
