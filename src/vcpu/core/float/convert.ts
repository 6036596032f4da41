import { type Ex, i32, type Local } from "../../../wasm/expression.ts";
import { type FloatName, float } from "../../../wasm/float.ts";
import { call, type FunctionBuilder } from "../../../wasm/function.ts";
import type { Core } from "../core.ts";
import { FloatCode } from "./code.ts";
import { fastNarrow } from "./fast.ts";
import { F16, F32, F64, type Format, MXCSR, RC } from "./format.ts";

/** An f64 or f32 value rounded to an integer as `rounding` (RC) says. */
function rounded(f: FunctionBuilder, format: Format, bits: Local, rounding: Ex): Local {
	const result = f.local(format.int);
	const set = (op: "nearest" | "floor" | "ceil" | "trunc") => (): void => f.set(result, format.native(op, bits));
	f.switch(rounding, [set("nearest"), set("floor"), set("ceil")], set("trunc"));
	return result;
}

/** Conversions between formats and integers, on bits (SDM 1 4.9, 11.5; SDM 2A CVTxx, ROUNDxx). */
export function defineConversions(core: Core): void {
	for (const format of [F32, F64]) {
		defineToInteger(core, format);
		defineFromInteger(core, format);
		defineRoundToIntegral(core, format);
	}
	defineWiden(core);
	defineNarrow(core);
	defineHalf(core);
}

/** `fNN_toI32(state, a, truncate)` and `fNN_toI64`: the integer indefinite where it does not fit (IE). */
function defineToInteger(core: Core, format: Format): void {
	const { name, int } = format;
	for (const bits of [32, 64] as const) {
		const result = bits === 64 ? "i64" : "i32";
		core.define(`${name}_toI${bits}`, ["i32", int, "i32"], [result], (f) => {
			const [a, truncate] = [f.param(1), f.param(2)];
			const code = new FloatCode(core, f, format);
			code.flush(a);
			const whole = rounded(f, format, a, i32(RC.zero).when(truncate, code.rounding));
			const value = format.toFloat(whole);
			const wide = f.let(format === F64 ? value : float("f64.promote_f32", value));
			const limit = float("f64.reinterpret_i64", F64.bits(BigInt(bits - 1 + F64.bias) << 52n));
			const fits = float("f64.lt", wide, limit).and(float("f64.ge", wide, float("f64.neg", limit)));
			f.if(fits.eqz(), () => {
				code.raise(MXCSR.ie);
				f.return(bits === 64 ? -0x8000000000000000n : -0x80000000);
			});
			f.if(whole.ne(a).and(format.isZero(a).eqz()), () => code.raise(MXCSR.pe));
			f.return(float(bits === 64 ? "i64.trunc_sat_f64_s" : "i32.trunc_sat_f64_s", wide));
		});
	}
}

/** `fNN_fromI32(state, a)`, `fNN_fromI64(state, a)`. */
function defineFromInteger(core: Core, format: Format): void {
	const { name, int, bias } = format;
	core.define(`${name}_fromI64`, ["i32", "i64"], [int], (f) => {
		const a = f.param(1);
		const limit = 1n << BigInt(format.fraction + 1);
		f.if(a.add(limit).leU(2n * limit), () => {
			f.return(format.fromFloat(float(`${name}.convert_i64_s` as FloatName, a)));
		});
		const code = new FloatCode(core, f, format);
		const sign = f.let(a.shrU(63).wrap());
		f.if(sign, () => f.set(a, a.neg()));
		f.if(a.ltS(0), () => f.return(code.signed(i32(1), BigInt(bias + 63) << BigInt(format.fraction))));
		const shift = code.normalize(a);
		code.round(sign, i32(bias + 62).sub(shift), a);
		f.unreachable();
	});
	core.define(`${name}_fromI32`, ["i32", "i32"], [int], (f) => {
		f.return(call(core.fn(`${name}_fromI64`), f.param(0), f.param(1).extS()));
	});
}

/** `fNN_roundTo(state, a, immediate)`: to an integral value (SDM 2B ROUNDPD, figure 4-24). */
function defineRoundToIntegral(core: Core, format: Format): void {
	const { name, int } = format;
	core.define(`${name}_roundTo`, ["i32", int, "i32"], [int], (f) => {
		const [a, immediate] = [f.param(1), f.param(2)];
		const code = new FloatCode(core, f, format);
		code.flush(a);
		code.propagate(a);
		const whole = rounded(f, format, a, code.rounding.when(immediate.and(4), immediate.and(3)));
		f.if(whole.ne(a).and(immediate.and(8).eqz()), () => code.raise(MXCSR.pe));
		f.return(whole);
	});
}

/** `f32_toF64(state, a)`: exact. */
function defineWiden(core: Core): void {
	core.define("f32_toF64", ["i32", "i32"], ["i64"], (f) => {
		const a = f.param(1);
		const code = new FloatCode(core, f, F32);
		code.flush(a);
		f.if(F32.isNan(a), () => {
			f.if(code.isSignaling(a), () => code.raise(MXCSR.ie));
			const payload = a
				.and(F32.bits(F32.minNormal - 1n))
				.extU()
				.shl(F64.fraction - F32.fraction);
			f.return(
				F32.sign(a)
					.extU()
					.shl(63)
					.or(F64.bits(F64.infinity | F64.quiet))
					.or(payload),
			);
		});
		code.noteDenormals(a);
		f.return(float("i64.reinterpret_f64", float("f64.promote_f32", F32.toFloat(a))));
	});
}

/** `f64_toF32(state, a)`. */
function defineNarrow(core: Core): void {
	core.define("f64_toF32", ["i32", "i64"], ["i32"], (f) => {
		const a = f.param(1);
		const code = new FloatCode(core, f, F64);
		fastNarrow(code, a);
		code.flush(a);
		const sign = f.let(F64.sign(a).shl(31));
		f.if(F64.isNan(a), () => {
			f.if(code.isSignaling(a), () => code.raise(MXCSR.ie));
			const payload = a
				.shrU(F64.fraction - F32.fraction)
				.wrap()
				.and(F32.bits(F32.minNormal - 1n));
			f.return(sign.or(payload).or(F32.bits(F32.infinity | F32.quiet)));
		});
		f.if(F64.isInfinite(a), () => f.return(sign.or(F32.bits(F32.infinity))));
		const x = code.unpack(a);
		f.if(x.significand.eqz(), () => f.return(sign));
		const exponent = x.exponent.sub(F64.bias - F32.bias);
		f.return(call(core.fn("f32_round"), f.param(0), code.mxcsr, x.sign, exponent, x.significand));
	});
}

/** `f16_toF32(state, a)` and `f32_toF16(state, a, immediate)`: SDM 2C VCVTPH2PS, VCVTPS2PH. */
function defineHalf(core: Core): void {
	core.define("f16_toF32", ["i32", "i32"], ["i32"], (f) => {
		const a = f.param(1);
		const sign = f.let(a.shrU(15).and(1).shl(31));
		const magnitude = f.let(a.and(0x7fff));
		const infinity = Number(F16.infinity);
		f.if(magnitude.geU(infinity), () => {
			const payload = f.let(magnitude.sub(infinity).shl(F32.fraction - F16.fraction));
			f.if(payload, () => {
				const quiet = F32.bits(F32.quiet);
				f.if(payload.and(quiet).eqz(), () => new FloatCode(core, f, F32).raise(MXCSR.ie));
				f.set(payload, payload.or(quiet));
			});
			f.return(sign.or(F32.bits(F32.infinity)).or(payload));
		});
		// As the significand of a small f32, whose exponent a multiplication then puts right: exact, denormals too.
		const scale = F32.bits(BigInt(F32.bias + F32.bias - F16.bias) << BigInt(F32.fraction));
		f.return(sign.or(F32.native("mul", magnitude.shl(F32.fraction - F16.fraction), scale)));
	});
	core.define("f32_toF16", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [a, immediate] = [f.param(1), f.param(2)];
		const code = new FloatCode(core, f, F32);
		code.flush(a);
		const sign = f.let(F32.sign(a).shl(15));
		f.if(F32.isNan(a), () => {
			f.if(code.isSignaling(a), () => code.raise(MXCSR.ie));
			const payload = a.shrU(F32.fraction - F16.fraction).and(Number(F16.minNormal - 1n));
			f.return(sign.or(payload).or(Number(F16.infinity | F16.quiet)));
		});
		f.if(F32.isInfinite(a), () => f.return(sign.or(Number(F16.infinity))));
		// Far below every half; processors report PE even where an unmasked UE keeps the result back.
		f.if(F32.isDenormal(a), () => code.raise(MXCSR.pe));
		const x = code.unpack(a);
		f.if(x.significand.eqz(), () => f.return(sign));
		const control = f.let(code.mxcsr.and(~MXCSR.ftz));
		f.if(immediate.and(4).eqz(), () => {
			f.set(control, control.and(~MXCSR.rc).or(immediate.and(3).shl(MXCSR.rcShift)));
		});
		const exponent = x.exponent.sub(F32.bias - F16.bias);
		f.return(call(core.fn("f16_round"), f.param(0), control, x.sign, exponent, x.significand));
	});
}
