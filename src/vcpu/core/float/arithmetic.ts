import { i32, i64 } from "../../../wasm/expression.ts";
import { float } from "../../../wasm/float.ts";
import { call } from "../../../wasm/function.ts";
import type { Core } from "../core.ts";
import { FloatCode, shiftRightSticky } from "./code.ts";
import { fastProduct, fastQuotient, fastRoot, fastSum } from "./fast.ts";
import { type Format, MXCSR } from "./format.ts";

/**
 * `fNN_add(state, a, b)`, `fNN_sub`, `fNN_mul`, `fNN_div` and `fNN_sqrt(state, a)` on bits, exact in result and flags
 * (SDM 1 4.8, 4.9, 11.5): rounding, DAZ and FTZ as MXCSR says; what is raised goes into F.floatRaised.
 */
export function defineArithmetic(core: Core, format: Format): void {
	defineAdd(core, format);
	defineMul(core, format);
	defineDiv(core, format);
	defineSqrt(core, format);
}

function defineAdd(core: Core, format: Format): void {
	const { name, int } = format;
	/** `fNN_sum(state, a, b, negate)`: a + b, or a - b where `negate` is 1. */
	core.define(`${name}_sum`, ["i32", int, int, "i32"], [int], (f) => {
		const [a, b, negate] = [f.param(1), f.param(2), f.param(3)];
		const code = new FloatCode(core, f, format);
		fastSum(code, a, f.let(b.xor(code.signed(negate, 0n))));
		code.flush(a, b);
		code.propagate(a, b);
		f.set(b, b.xor(code.signed(negate, 0n)));
		f.if(format.isInfinite(a).or(format.isInfinite(b)), () => {
			const both = format.isInfinite(a).and(format.isInfinite(b));
			f.if(both.and(a.ne(b)), () => code.invalid());
			code.noteDenormals(a, b);
			f.return(a.when(format.isInfinite(a), b));
		});
		const x = code.unpack(a);
		const y = code.unpack(b);
		f.if(x.exponent.ltS(y.exponent), () => {
			for (const part of ["sign", "exponent", "significand"] as const) {
				const kept = f.let(x[part]);
				f.set(x[part], y[part]);
				f.set(y[part], kept);
			}
		});
		const distance = f.let(x.exponent.sub(y.exponent).extU());
		shiftRightSticky(f, y.significand, distance);
		f.if(
			x.sign.eq(y.sign),
			() => {
				const sum = f.let(x.significand.add(y.significand));
				f.if(sum.eqz(), () => f.return(code.signed(x.sign, 0n)));
				f.if(sum.ltS(0), () => {
					f.set(sum, sum.shrU(1).or(sum.and(1)));
					f.set(x.exponent, x.exponent.add(1));
				});
				code.round(x.sign, x.exponent, sum);
			},
			() => {
				const difference = f.let(x.significand.sub(y.significand));
				f.if(difference.eqz(), () => f.return(code.exactZero()));
				f.if(difference.ltS(0), () => {
					f.set(difference, difference.neg());
					f.set(x.sign, y.sign);
				});
				const shift = code.normalize(difference);
				code.round(x.sign, x.exponent.sub(shift), difference);
			},
		);
		f.unreachable();
	});
	for (const [op, negate] of [
		["add", 0],
		["sub", 1],
	] as const) {
		core.define(`${name}_${op}`, ["i32", int, int], [int], (f) => {
			f.return(call(core.fn(`${name}_sum`), f.param(0), f.param(1), f.param(2), negate));
		});
	}
}

function defineMul(core: Core, format: Format): void {
	const { name, int, bias } = format;
	core.define(`${name}_mul`, ["i32", int, int], [int], (f) => {
		const [a, b] = [f.param(1), f.param(2)];
		const code = new FloatCode(core, f, format);
		fastProduct(code, a, b);
		code.flush(a, b);
		code.propagate(a, b);
		const sign = f.let(format.sign(a.xor(b)));
		f.if(format.isInfinite(a).or(format.isInfinite(b)), () => {
			f.if(format.isZero(a).or(format.isZero(b)), () => code.invalid());
			code.noteDenormals(a, b);
			f.return(code.signed(sign, format.infinity));
		});
		const x = code.unpack(a);
		const y = code.unpack(b);
		f.if(x.significand.eqz().or(y.significand.eqz()), () => f.return(code.signed(sign, 0n)));
		const exponent = f.let(x.exponent.add(y.exponent).sub(bias));
		const product = f.let(call(core.fn("mulHigh"), x.significand.shl(1), y.significand.shl(1)));
		const low = x.significand.shl(1).mul(y.significand.shl(1));
		f.if(product.ltS(0), () => {
			f.set(product, product.shrU(1).or(product.and(1)));
			f.set(exponent, exponent.add(1));
		});
		code.round(sign, exponent, product.or(low.ne(0).extU()));
		f.unreachable();
	});
}

function defineDiv(core: Core, format: Format): void {
	const { name, int, bias } = format;
	core.define(`${name}_div`, ["i32", int, int], [int], (f) => {
		const [a, b] = [f.param(1), f.param(2)];
		const code = new FloatCode(core, f, format);
		fastQuotient(code, a, b);
		code.flush(a, b);
		code.propagate(a, b);
		const sign = f.let(format.sign(a.xor(b)));
		f.if(format.isInfinite(a), () => {
			f.if(format.isInfinite(b), () => code.invalid());
			code.noteDenormals(b);
			f.return(code.signed(sign, format.infinity));
		});
		f.if(format.isInfinite(b), () => {
			code.noteDenormals(a);
			f.return(code.signed(sign, 0n));
		});
		f.if(format.isZero(b), () => {
			f.if(format.isZero(a), () => code.invalid());
			code.raise(MXCSR.ze);
			f.return(code.signed(sign, format.infinity));
		});
		const x = code.unpack(a);
		const y = code.unpack(b);
		f.if(x.significand.eqz(), () => f.return(code.signed(sign, 0n)));
		const exponent = f.let(x.exponent.sub(y.exponent).add(bias));
		// 53-bit integers; the quotient of two of them, rounded, is off by less than one in its last place.
		const [n, d] = [f.let(x.significand.shrU(10)), f.let(y.significand.shrU(10))];
		f.if(n.ltU(d), () => {
			f.set(n, n.shl(1));
			f.set(exponent, exponent.sub(1));
		});
		const estimate = float("f64.div", float("f64.convert_i64_s", n), float("f64.convert_i64_s", d));
		/** Bits below the point. */
		const shift = 52;
		const quotient = f.let(float("i64.trunc_sat_f64_s", float("f64.mul", estimate, twoTo(shift))));
		// The remainder is small, so its low 64 bits are all of it.
		const rest = f.let(n.shl(shift).sub(quotient.mul(d)));
		f.if(rest.ltS(0), () => {
			f.set(quotient, quotient.sub(1));
			f.set(rest, rest.add(d));
		});
		f.if(rest.geS(d), () => {
			f.set(quotient, quotient.add(1));
			f.set(rest, rest.sub(d));
		});
		// One more bit, so that ties can be told, then the sticky one.
		const half = f.let(rest.shl(1).geU(d).extU());
		const sticky = rest.shl(1).ne(half.mul(d)).extU();
		code.round(sign, exponent, quotient.shl(10).or(half.shl(9)).or(sticky));
		f.unreachable();
	});
}

function defineSqrt(core: Core, format: Format): void {
	const { name, int, bias } = format;
	core.define(`${name}_sqrt`, ["i32", int], [int], (f) => {
		const a = f.param(1);
		const code = new FloatCode(core, f, format);
		fastRoot(code, a);
		code.flush(a);
		code.propagate(a);
		f.if(format.isZero(a), () => f.return(a));
		f.if(format.sign(a), () => code.invalid());
		f.if(format.isInfinite(a), () => f.return(a));
		const x = code.unpack(a);
		// An even power of two times 1..4 as a 54-bit integer with 52 bits below the point.
		const power = f.let(x.exponent.sub(bias));
		const n = f.let(x.significand.shrU(10).shl(power.and(1).extU()));
		const exponent = f.let(power.shrS(1).add(bias));
		const estimate = float("f64.sqrt", float("f64.convert_i64_s", n));
		const root = f.let(float("i64.trunc_sat_f64_s", float("f64.mul", estimate, twoTo(26))));
		// n · 2^52 - root²: small, so its low 64 bits are all of it.
		const rest = f.let(n.shl(52).sub(root.mul(root)));
		f.if(rest.ltS(0), () => {
			f.set(root, root.sub(1));
			f.set(rest, rest.add(root.shl(1)).add(1));
		});
		f.if(rest.gtS(root.shl(1)), () => {
			f.set(rest, rest.sub(root.shl(1)).sub(1));
			f.set(root, root.add(1));
		});
		// The root is never half-way between two numbers.
		const half = rest.gtS(root).extU();
		code.round(i32(0), exponent, root.shl(10).or(half.shl(9)).or(rest.ne(0).extU()));
		f.unreachable();
	});
}

function twoTo(power: number): ReturnType<typeof float> {
	return float("f64.reinterpret_i64", i64(BigInt(power + 1023) << 52n));
}
