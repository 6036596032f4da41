import { type Ex, type Local, simd } from "../../../wasm/expression.ts";
import { float } from "../../../wasm/float.ts";
import type { FloatCode } from "./code.ts";
import { F32, F64, inexactKnown, MXCSR } from "./format.ts";
import { fusedVectors } from "./fused-native.ts";

/*
 * WebAssembly's own arithmetic rounds to nearest and shows no flags. It is right where no operand is a denormal and the
 * result is a normal number above the smallest one, or an exact zero: then nothing but PE can be raised, and neither DAZ
 * nor FTZ plays a part. Whether PE is raised does not matter where it is set already and masked, and can be told cheaply
 * in many cases where it is not. What these functions do not return from is left to the code behind them.
 */

/** Prints `body` for rounding to nearest and operands that are no denormals. */
function whenPlain(code: FloatCode, operands: readonly Ex[], body: () => void): void {
	const { f, format, mxcsr } = code;
	const noDenormal = operands.map((x) => format.isDenormal(x).eqz()).reduce((all, one) => all.and(one));
	f.if(mxcsr.and(MXCSR.rc).eqz().and(noDenormal), body);
}

/** a + b. */
export function fastSum(code: FloatCode, a: Local, b: Local): void {
	const { f, format } = code;
	whenPlain(code, [a, b], () => {
		const sum = f.let(format.native("add", a, b));
		f.if(format.isPlain(sum).or(format.isZero(sum)), () => {
			f.returnIf(inexactKnown(code.mxcsr), sum);
			// What rounding took away is a number (Knuth's two-sum), but for overflow on the way to it.
			const sub = (x: Ex, y: Ex): Local => f.let(format.native("sub", x, y));
			const part = sub(sum, a);
			const error = f.let(format.native("add", sub(a, sub(sum, part)), sub(b, part)));
			f.returnIf(format.isZero(error), sum);
			f.if(format.magnitude(error).ltU(format.bits(format.infinity << 1n)), () => {
				code.raise(MXCSR.pe);
				f.return(sum);
			});
		});
	});
}

/** a · b. */
export function fastProduct(code: FloatCode, a: Local, b: Local): void {
	const { f, format } = code;
	whenPlain(code, [a, b], () => {
		const product = f.let(format.native("mul", a, b));
		f.if(format.isPlain(product), () => {
			f.returnIf(inexactKnown(code.mxcsr), product);
			if (format === F32) {
				const exact = float("f64.mul", promote(a), promote(b));
				f.if(float("f64.ne", exact, promote(product)), () => code.raise(MXCSR.pe));
				f.return(product);
				return;
			}
			// Two odd numbers of m and n bits have a product of m + n or one less.
			const zeros = f.let(
				a
					.or(format.bits(format.minNormal))
					.ctz()
					.add(b.or(format.bits(format.minNormal)).ctz()),
			);
			f.returnIf(zeros.gtU(format.fraction), product);
			f.if(zeros.ltU(format.fraction), () => {
				code.raise(MXCSR.pe);
				f.return(product);
			});
		});
	});
}

/** a / b. */
export function fastQuotient(code: FloatCode, a: Local, b: Local): void {
	fastRounded(code, "div", a, b);
}

export function fastRoot(code: FloatCode, a: Local): void {
	fastRounded(code, "sqrt", a);
}

function fastRounded(code: FloatCode, op: "div" | "sqrt", ...operands: Local[]): void {
	const { f, format } = code;
	f.if(inexactKnown(code.mxcsr), () =>
		whenPlain(code, operands, () => {
			const result = f.let(format.native(op, ...operands));
			f.returnIf(format.isPlain(result), result);
		}),
	);
}

/** ±(a · b) ± c: of f32 by way of f64, which holds the product. */
export function fastFused(code: FloatCode, a: Local, b: Local, c: Local, sign: Ex, addendSign: Ex): void {
	const { f, format } = code;
	if (format !== F32) {
		f.if(inexactKnown(code.mxcsr), () => {
			const [x, y, z] = [a.xor(sign), b, c.xor(addendSign)].map((bits) => f.let(simd("i64x2.splat", [bits])));
			const { value, doubt } = fusedVectors(f, format, x!, y!, z!);
			f.if(simd("v128.any_true", [doubt]).eqz(), () => f.return(simd("i64x2.extract_lane", [value], [0])));
		});
		return;
	}
	whenPlain(code, [a, b, c], () => {
		const product = f.let(float("f64.mul", promote(a.xor(sign)), promote(b)));
		const addend = f.let(promote(c.xor(addendSign)));
		const sum = f.let(float("f64.add", product, addend));
		const part = f.let(float("f64.sub", sum, product));
		const rest = float("f64.sub", product, float("f64.sub", sum, part));
		const error = f.let(float("f64.add", rest, float("f64.sub", addend, part)));
		// Rounded to odd in f64, it rounds to f32 as the exact sum would.
		const odd = f.let(F64.fromFloat(sum));
		const inexact = f.let(F64.isZero(F64.fromFloat(error)).eqz());
		f.if(inexact.and(odd.wrap().and(1).eqz()), () => {
			const grows = F64.fromFloat(error).xor(odd).geS(0).extU();
			f.set(odd, odd.add(grows.shl(1)).sub(1));
		});
		const result = f.let(F32.fromFloat(float("f32.demote_f64", F64.toFloat(odd))));
		f.if(F32.isPlain(result), () => {
			f.if(inexact.or(float("f64.ne", promote(result), sum)), () => code.raise(MXCSR.pe));
			f.return(result);
		});
	});
}

function promote(bits: Ex): Ex {
	return float("f64.promote_f32", F32.toFloat(bits));
}

/** f64 → f32. */
export function fastNarrow(code: FloatCode, a: Local): void {
	const { f } = code;
	whenPlain(code, [a], () => {
		const result = f.let(F32.fromFloat(float("f32.demote_f64", F64.toFloat(a))));
		f.if(F32.isPlain(result), () => {
			f.if(float("f64.ne", promote(result), F64.toFloat(a)), () => code.raise(MXCSR.pe));
			f.return(result);
		});
	});
}
