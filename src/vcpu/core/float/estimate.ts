import type { Core } from "../core.ts";
import { FloatCode } from "./code.ts";
import { F32 } from "./format.ts";

/**
 * `f32_rcp(a)` and `f32_rsqrt(a)` (SDM 2B RCPPS, RSQRTPS): nearly 1/a and 1/√a, without exceptions and whatever MXCSR
 * says; denormals are zeros. The manual asks for an error of at most 1.5 · 2^-12: here it is at most one in the last place.
 */
export function defineEstimates(core: Core): void {
	const one = F32.bits(BigInt(F32.bias) << BigInt(F32.fraction));
	for (const op of ["rcp", "rsqrt"] as const) {
		core.define(`f32_${op}`, ["i32", "i32"], ["i32"], (f) => {
			const a = f.param(1);
			const code = new FloatCode(core, f, F32);
			const flushed = (x: typeof a): void => f.if(F32.isDenormal(x), () => f.set(x, x.and(F32.signBit)));
			f.if(F32.isNan(a), () => f.return(a.or(F32.bits(F32.quiet))));
			flushed(a);
			if (op === "rcp") {
				const result = f.let(F32.native("div", one, a));
				// The smallest normal number goes the same way: the estimate of hardware is below it.
				const tiny = F32.magnitude(result).leU(F32.bits(F32.minNormal << 1n));
				f.return(result.and(F32.signBit.when(tiny, -1)));
				return;
			}
			f.if(F32.isZero(a), () => f.return(code.signed(F32.sign(a), F32.infinity)));
			f.if(F32.sign(a), () => f.return(F32.indefinite));
			f.return(F32.native("div", one, F32.native("sqrt", a)));
		});
	}
}
