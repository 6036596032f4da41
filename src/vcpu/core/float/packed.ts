import { FLOAT_FUNCTIONS, type FloatFunction } from "../../../isa/float.ts";
import { type Arg, type Ex, i64, type Local, simd, v128 } from "../../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../../wasm/function.ts";
import { F } from "../../layout.ts";
import { typeOf } from "../../print-expr.ts";
import type { Core } from "../core.ts";
import { F32, F64, type Format, inexactKnown } from "./format.ts";
import { FUSED } from "./fused.ts";
import { returnFused } from "./fused-native.ts";
import { Lanes, nativeFloat } from "./native.ts";

/** Returns from a function by native arithmetic, where its result is right. */
function returnNative(f: FunctionBuilder, name: FloatFunction, operands: readonly Local[]): void {
	const native = nativeFloat(name, operands);
	if (!native) return;
	const attempt = (): void => {
		const result = f.let(native.value);
		f.returnIf(native.doubt(result).eqz(), result);
	};
	if (native.exact) attempt();
	else f.if(inexactKnown(F.mxcsr.of(f.param(0))), attempt);
}

/** `float_NAME(state, ...)`, for what native arithmetic does not do. */
function define(core: Core, name: FloatFunction, body: (f: FunctionBuilder, operands: readonly Local[]) => void): void {
	const { params, result } = FLOAT_FUNCTIONS[name];
	const types = params.map((width) => typeOf(width));
	core.define(`float_${name}`, ["i32", ...types], [typeOf(result)], (f) => {
		const operands = params.map((_, n) => f.param(n + 1));
		returnNative(f, name, operands);
		body(f, operands);
	});
}

/**
 * `float_NAME_ps|pd` from `fNN_SCALAR`; `last` gives an integer for each lane, behind the operands. `first` may return for
 * all lanes at once.
 */
function definePacked(
	core: Core,
	name: string,
	scalar: string,
	last?: (lane: number) => number,
	first?: (f: FunctionBuilder, format: Format, operands: readonly Local[]) => void,
): void {
	for (const format of [F32, F64]) {
		define(core, `${name}_${format === F32 ? "ps" : "pd"}` as FloatFunction, (f, operands) => {
			const lanes = new Lanes(format);
			first?.(f, format, operands);
			const result = f.local("v128", v128(0n));
			for (let n = 0; n < lanes.count; n++) {
				const args: Arg[] = operands.map((x) => (x.type === "v128" ? lanes.lane(x, n) : x));
				if (last) args.push(last(n));
				f.set(result, lanes.withLane(result, n, call(core.fn(`${format.name}_${scalar}`), f.param(0), ...args)));
			}
			f.return(result);
		});
	}
}

/** The functions of FLOAT_FUNCTIONS on vectors of numbers, from those on single ones. */
export function definePackedFloat(core: Core): void {
	for (const name of ["add", "sub", "mul", "div", "sqrt", "min", "max", "cmp"]) definePacked(core, name, name);
	definePacked(core, "addsub", "sum", (n) => 1 - (n & 1));
	definePacked(core, "round", "roundTo");
	const { negateProduct, negateAddend } = FUSED;
	for (const [name, even, odd] of [
		["fmadd", 0, 0],
		["fmsub", negateAddend, negateAddend],
		["fnmadd", negateProduct, negateProduct],
		["fnmsub", negateProduct | negateAddend, negateProduct | negateAddend],
		["fmaddsub", negateAddend, 0],
		["fmsubadd", 0, negateAddend],
	] as const)
		definePacked(
			core,
			name,
			"fma",
			(n) => (n & 1 ? odd : even),
			(f, format, [a, b, c]) => {
				const signs = (bit: number): Ex => signBits(format, (even & bit) !== 0, (odd & bit) !== 0);
				f.if(inexactKnown(F.mxcsr.of(f.param(0))), () => {
					const factor = f.let(simd("v128.xor", [a!, signs(negateProduct)]));
					returnFused(f, format, factor, b!, f.let(simd("v128.xor", [c!, signs(negateAddend)])));
				});
			},
		);
	for (const name of ["rcp", "rsqrt"] as const)
		define(core, `${name}_ps`, (f) => eachLane(f, F32, f.param(1), (x) => call(core.fn(`f32_${name}`), f.param(0), x)));
	defineConversions(core);
}

/** The sign bits of lanes of even and of odd number, as wanted. */
function signBits({ width }: Format, even: boolean, odd: boolean): Ex {
	let all = 0n;
	for (let lane = 0; lane < 128 / width; lane++)
		if (lane & 1 ? odd : even) all |= 1n << BigInt(lane * width + width - 1);
	return v128(all);
}

/** Returns the vector of what `value` makes of each lane. */
function eachLane(f: FunctionBuilder, format: Format, vector: Local, value: (x: Ex) => Ex): void {
	const lanes = new Lanes(format);
	const result = f.local("v128", v128(0n));
	for (let n = 0; n < lanes.count; n++) f.set(result, lanes.withLane(result, n, value(lanes.lane(vector, n))));
	f.return(result);
}

/** CVTxx on vectors. */
function defineConversions(core: Core): void {
	const [singles, doubles] = [new Lanes(F32), new Lanes(F64)];
	const word = (x: Ex, n: number): Ex => simd("i32x4.extract_lane", [x], [n]);
	/** Two results of 32 bits, the lower one first. */
	const pair = (f: FunctionBuilder, half: (n: number) => Ex): void => {
		const [low, high] = [f.let(half(0)), f.let(half(1))];
		f.return(low.extU().or(high.extU().shl(32)));
	};
	define(core, "ps2dq", (f) => {
		eachLane(f, F32, f.param(1), (x) => call(core.fn("f32_toI32"), f.param(0), x, f.param(2)));
	});
	define(core, "pd2dq", (f) => {
		pair(f, (n) => call(core.fn("f64_toI32"), f.param(0), doubles.lane(f.param(1), n), f.param(2)));
	});
	define(core, "dq2ps", (f) => eachLane(f, F32, f.param(1), (x) => call(core.fn("f32_fromI32"), f.param(0), x)));
	define(core, "dq2pd", (f) => f.unreachable());
	define(core, "ps2pd", (f) => {
		const source = f.let(simd("i64x2.splat", [f.param(1)]));
		const result = f.local("v128", v128(0n));
		for (const n of [0, 1])
			f.set(result, doubles.withLane(result, n, call(core.fn("f32_toF64"), f.param(0), word(source, n))));
		f.return(result);
	});
	define(core, "pd2ps", (f) => pair(f, (n) => call(core.fn("f64_toF32"), f.param(0), doubles.lane(f.param(1), n))));
	define(core, "ph2ps", (f) => {
		const result = f.local("v128", v128(0n));
		for (let n = 0; n < 4; n++) {
			const half = f
				.param(1)
				.shrU(n * 16)
				.wrap()
				.and(0xffff);
			f.set(result, singles.withLane(result, n, call(core.fn("f16_toF32"), f.param(0), half)));
		}
		f.return(result);
	});
	define(core, "ps2ph", (f) => {
		const result = f.local("i64", i64(0));
		for (let n = 0; n < 4; n++) {
			const half = call(core.fn("f32_toF16"), f.param(0), word(f.param(1), n), f.param(2));
			f.set(result, result.or(half.extU().shl(n * 16)));
		}
		f.return(result);
	});
}

/** Conversions of single numbers, by the functions that compute them. */
const SCALARS: Partial<Record<FloatFunction, string>> = {
	ss2sd: "f32_toF64",
	sd2ss: "f64_toF32",
	ss2si32: "f32_toI32",
	ss2si64: "f32_toI64",
	sd2si32: "f64_toI32",
	sd2si64: "f64_toI64",
	si2ss32: "f32_fromI32",
	si2ss64: "f32_fromI64",
	si2sd32: "f64_fromI32",
	si2sd64: "f64_fromI64",
};

/** The core's function for one of FLOAT_FUNCTIONS. */
export function floatCallee(name: FloatFunction): string {
	const [op, suffix] = name.split("_");
	const format = suffix === "ss" ? F32 : suffix === "sd" ? F64 : undefined;
	if (!format) return SCALARS[name] ?? `float_${name}`;
	return `${format.name}_${op === "round" ? "roundTo" : op}`;
}
