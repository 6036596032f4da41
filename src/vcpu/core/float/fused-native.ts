import { type Ex, i32, type Local, simd, v128 } from "../../../wasm/expression.ts";
import type { FunctionBuilder } from "../../../wasm/function.ts";
import { F32, F64, type Format } from "./format.ts";
import { Lanes } from "./native.ts";

const singles = new Lanes(F32);
const doubles = new Lanes(F64);

const add = (a: Ex, b: Ex): Ex => doubles.native("add", a, b);
const sub = (a: Ex, b: Ex): Ex => doubles.native("sub", a, b);
const mul = (a: Ex, b: Ex): Ex => doubles.native("mul", a, b);

function twoTo(power: number): bigint {
	return BigInt(F64.bias + power) << BigInt(F64.fraction);
}

/** Returns a · b + c of vectors where native arithmetic gives it and nothing but PE, which is known, can be raised. */
export function returnFused(f: FunctionBuilder, format: Format, a: Local, b: Local, c: Local): void {
	const fused = fusedVectors(f, format, a, b, c);
	f.if(simd("v128.any_true", [fused.doubt]).eqz(), () => f.return(fused.value));
}

/** The same as a value, and lanes that are not 0 where it may be wrong. */
export function fusedVectors(
	f: FunctionBuilder,
	format: Format,
	a: Local,
	b: Local,
	c: Local,
): { readonly value: Local; readonly doubt: Ex } {
	return format === F32 ? fusedSingles(f, a, b, c) : fusedDoubles(f, a, b, c);
}

/** a + b and what rounding took away (Knuth). */
function twoSum(f: FunctionBuilder, a: Local, b: Local): readonly [Local, Local] {
	const sum = f.let(add(a, b));
	const part = f.let(sub(sum, a));
	return [sum, f.let(add(sub(a, sub(sum, part)), sub(b, part)))];
}

/** a · b and what rounding took away (Dekker): the products of halves of 26 bits are exact. */
function twoProduct(f: FunctionBuilder, a: Local, b: Local): readonly [Local, Local] {
	const splitter = doubles.constant(twoTo(27) + (1n << BigInt(F64.fraction - 27)));
	const split = (x: Local): readonly [Local, Local] => {
		const scaled = f.let(mul(x, splitter));
		const high = f.let(sub(scaled, sub(scaled, x)));
		return [high, f.let(sub(x, high))];
	};
	const product = f.let(mul(a, b));
	const [aHigh, aLow] = split(a);
	const [bHigh, bLow] = split(b);
	const first = sub(mul(aHigh, bHigh), product);
	return [product, f.let(add(add(add(first, mul(aHigh, bLow)), mul(aLow, bHigh)), mul(aLow, bLow)))];
}

/** `sum` rounded to odd: where `error` is not 0 and the last bit is 0, the neighbour on its side. */
function roundedToOdd(sum: Local, error: Local): Ex {
	const one = doubles.constant(1n);
	const step = doubles.or(simd("i64x2.shr_s", [simd("v128.xor", [sum, error]), i32(63)]), one);
	const even = simd("i64x2.eq", [doubles.and(sum, one), v128(0n)]);
	const inexact = doubles.native("ne", error, v128(0n));
	return simd("i64x2.add", [sum, doubles.and(step, doubles.and(even, inexact))]);
}

/**
 * The last sum but one is rounded to odd, so that the last one rounds as the exact value would (Boldo and Melquiond, 2008).
 * Between these bounds nothing overflows, and whatever rounding takes away is a normal number.
 */
function fusedDoubles(f: FunctionBuilder, a: Local, b: Local, c: Local): { value: Local; doubt: Ex } {
	const [product, productRest] = twoProduct(f, a, b);
	const [t, tRest] = twoSum(f, c, productRest);
	const [v, vRest] = twoSum(f, product, t);
	const [z, zRest] = twoSum(f, tRest, vRest);
	const value = f.let(add(v, roundedToOdd(z, zRest)));
	const within = (x: Local, low: number, high: number): Ex => {
		const above = doubles.native("gt", doubles.native("abs", x), doubles.constant(twoTo(low)));
		return doubles.and(doubles.or(above, doubles.zero(x)), doubles.below(x, twoTo(high)));
	};
	const right = doubles.and(doubles.and(within(a, -400, 400), within(b, -400, 400)), within(c, -800, 900));
	return { value, doubt: doubles.or(doubles.not(right), doubles.zero(value)) };
}

/** By way of doubles, which hold the product; their sum is rounded to odd. */
function fusedSingles(f: FunctionBuilder, a: Local, b: Local, c: Local): { value: Local; doubt: Ex } {
	const half = (high: boolean): Local => {
		const [x, y, z] = [a, b, c].map((vector) => {
			const lanes = high ? simd("i8x16.shuffle", [vector, vector], UPPER_HALF) : vector;
			return f.let(simd("f64x2.promote_low_f32x4", [lanes]));
		}) as [Local, Local, Local];
		const [sum, error] = twoSum(f, f.let(mul(x, y)), z);
		return f.let(simd("f32x4.demote_f64x2_zero", [roundedToOdd(sum, error)]));
	};
	const value = f.let(simd("i8x16.shuffle", [half(false), half(true)], LOWER_HALVES));
	const denormal = singles.or(singles.or(singles.denormal(a), singles.denormal(b)), singles.denormal(c));
	return { value, doubt: singles.or(denormal, singles.not(singles.plain(value))) };
}

const bytes = (first: number): number[] => Array.from({ length: 8 }, (_, n) => first + n);
const UPPER_HALF = [...bytes(8), ...bytes(8)];
const LOWER_HALVES = [...bytes(0), ...bytes(16)];
