import { FLOAT_FUNCTIONS, type FloatFunction } from "../../../isa/float.ts";
import { type Arg, type Ex, i64, type Local, simd, v128 } from "../../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../../wasm/function.ts";
import type { SimdOp } from "../../../wasm/simd.ts";
import { F } from "../../layout.ts";
import type { Core } from "../core.ts";
import { INEXACT_KNOWN } from "./fast.ts";
import { F32, F64, type Format } from "./format.ts";
import { FUSED } from "./fused.ts";

/** Whether the lanes of a fast result are right, as a vector that is not 0 where one is not. */
type Doubt = (lanes: Lanes, result: Local, ...operands: Local[]) => Ex;

/** Native vector arithmetic on one format. */
export class Lanes {
	readonly format: Format;
	readonly shape: "f32x4" | "f64x2";
	readonly count: number;

	constructor(format: Format) {
		this.format = format;
		this.shape = format === F32 ? "f32x4" : "f64x2";
		this.count = format === F32 ? 4 : 2;
	}

	/** The same bits in every lane. */
	constant(bits: bigint): Ex {
		let all = 0n;
		for (let n = 0; n < this.count; n++) all = (all << BigInt(this.format.width)) | bits;
		return v128(all);
	}
	op(name: string, ...args: Ex[]): Ex {
		return simd(`${this.shape}.${name}` as SimdOp, args);
	}
	/** Lane `n` as bits. */
	lane(value: Ex, n: number): Ex {
		return simd(this.format === F32 ? "i32x4.extract_lane" : "i64x2.extract_lane", [value], [n]);
	}
	withLane(vector: Ex, n: number, value: Ex): Ex {
		return simd(this.format === F32 ? "i32x4.replace_lane" : "i64x2.replace_lane", [vector, value], [n]);
	}
	abs(value: Ex): Ex {
		return this.op("abs", value);
	}
	zero(value: Ex): Ex {
		return this.op("eq", value, v128(0n));
	}
	denormal(value: Ex): Ex {
		return and(this.op("lt", this.abs(value), this.constant(this.format.minNormal)), this.op("ne", value, v128(0n)));
	}
	/** Neither above the smallest normal number nor below infinity, nor a NaN. */
	notPlain(value: Ex): Ex {
		const above = this.op("gt", this.abs(value), this.constant(this.format.minNormal));
		return not(and(above, this.op("lt", this.abs(value), this.constant(this.format.infinity))));
	}
	nan(value: Ex): Ex {
		return this.op("ne", value, value);
	}
}

function and(a: Ex, b: Ex): Ex {
	return simd("v128.and", [a, b]);
}
function or(first: Ex, ...rest: Ex[]): Ex {
	return rest.reduce((all, one) => simd("v128.or", [all, one]), first);
}
function not(a: Ex): Ex {
	return simd("v128.not", [a]);
}
/** Bits of `a` that are not in `b`. */
function without(a: Ex, b: Ex): Ex {
	return simd("v128.andnot", [a, b]);
}

/** Result 0 is exact where the other operands say so. */
const sumDoubt: Doubt = (lanes, result, a, b) =>
	or(lanes.denormal(a), lanes.denormal(b), without(lanes.notPlain(result), lanes.zero(result)));
const productDoubt: Doubt = (lanes, result, a, b) => {
	const zero = and(lanes.zero(result), or(lanes.zero(a), lanes.zero(b)));
	return or(lanes.denormal(a), lanes.denormal(b), without(lanes.notPlain(result), zero));
};
const quotientDoubt: Doubt = (lanes, result, a, b) => {
	const zero = and(lanes.zero(result), lanes.zero(a));
	return or(lanes.denormal(a), lanes.denormal(b), without(lanes.notPlain(result), zero));
};
const rootDoubt: Doubt = (lanes, result, a) =>
	or(lanes.denormal(a), without(lanes.notPlain(result), lanes.zero(result)));
const choiceDoubt: Doubt = (lanes, _result, a, b) =>
	or(lanes.denormal(a), lanes.denormal(b), lanes.nan(a), lanes.nan(b));

/** Lanes' result by native arithmetic, where `doubt` has no say and, unless `exact`, PE is known. */
interface NativePacked {
	readonly native: (lanes: Lanes, operands: readonly Ex[]) => Ex;
	readonly doubt: Doubt;
	readonly exact?: boolean;
}

const same = (op: string, doubt: Doubt): NativePacked => ({
	native: (lanes, operands) => lanes.op(op, ...operands),
	doubt,
});
// Theirs chooses the first operand where the second is not less: the other way round.
const choice = (op: "pmin" | "pmax"): NativePacked => ({
	native: (lanes, [a, b]) => lanes.op(op, b!, a!),
	doubt: choiceDoubt,
	exact: true,
});

/** Packed operations that native arithmetic can do, in both formats. */
export const NATIVE_PACKED: Readonly<Record<string, NativePacked>> = {
	add: same("add", sumDoubt),
	sub: same("sub", sumDoubt),
	mul: same("mul", productDoubt),
	div: same("div", quotientDoubt),
	sqrt: same("sqrt", rootDoubt),
	addsub: {
		native: (lanes, [a, b]) => lanes.op("add", a!, simd("v128.xor", [b!, evenSigns(lanes)])),
		doubt: sumDoubt,
	},
	min: choice("pmin"),
	max: choice("pmax"),
};

/** What is special about a packed function: the function of each lane takes more. */
interface PackedOptions {
	/** Bits for the function on single numbers behind its operands, by lane. */
	readonly last?: (lane: number) => readonly Arg[];
}

/** `float_NAME_ps|pd(state, ...)` from `fNN_SCALAR`. */
function definePacked(core: Core, name: string, scalar: string, options: PackedOptions = {}): void {
	for (const format of [F32, F64]) {
		const suffix = format === F32 ? "ps" : "pd";
		const { params } = FLOAT_FUNCTIONS[`${name}_${suffix}` as FloatFunction];
		const lanes = new Lanes(format);
		core.define(
			`float_${name}_${suffix}`,
			["i32", ...params.map((width) => (width === 128 ? "v128" : "i32") as "v128" | "i32")],
			["v128"],
			(f) => {
				const st = f.param(0);
				const operands = params.map((_, n) => f.param(n + 1));
				const vectors = operands.filter(({ type }) => type === "v128");
				const native = NATIVE_PACKED[name];
				if (native) {
					const fast = (): void => {
						const result = f.let(native.native(lanes, operands));
						f.returnIf(simd("v128.any_true", [native.doubt(lanes, result, ...vectors)]).eqz(), result);
					};
					if (native.exact) fast();
					else f.if(F.mxcsr.of(st).and(INEXACT_KNOWN.mask).eq(INEXACT_KNOWN.value), fast);
				}
				const result = f.local("v128", v128(0n));
				for (let n = 0; n < lanes.count; n++) {
					const args = operands.map((x) => (x.type === "v128" ? lanes.lane(x, n) : x));
					const value = call(core.fn(`${format.name}_${scalar}`), st, ...args, ...(options.last?.(n) ?? []));
					f.set(result, lanes.withLane(result, n, value));
				}
				f.return(result);
			},
		);
	}
}

/** The functions of FLOAT_FUNCTIONS on vectors of numbers, from those on single ones. */
export function definePackedFloat(core: Core): void {
	for (const name of ["add", "sub", "mul", "div", "sqrt", "min", "max"] as const) definePacked(core, name, name);
	definePacked(core, "addsub", "sum", { last: (n) => [1 - (n & 1)] });
	definePacked(core, "cmp", "cmp");
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
		definePacked(core, name, "fma", { last: (n) => [n & 1 ? odd : even] });
	defineEstimates(core);
	defineConversions(core);
}

/** The sign bits of lanes 0 and 2. */
function evenSigns({ format }: Lanes): Ex {
	return v128(format === F32 ? (1n << 31n) | (1n << 95n) : 1n << 63n);
}

function defineEstimates(core: Core): void {
	for (const name of ["rcp", "rsqrt"] as const) {
		core.define(`float_${name}_ps`, ["i32", "v128"], ["v128"], (f) => {
			eachLane(f, F32, f.param(1), (x) => call(core.fn(`f32_${name}`), f.param(0), x));
		});
	}
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
	core.define("float_ps2dq", ["i32", "v128", "i32"], ["v128"], (f) => {
		eachLane(f, F32, f.param(1), (x) => call(core.fn("f32_toI32"), f.param(0), x, f.param(2)));
	});
	core.define("float_pd2dq", ["i32", "v128", "i32"], ["i64"], (f) => {
		const half = (n: number): Local =>
			f.let(call(core.fn("f64_toI32"), f.param(0), doubles.lane(f.param(1), n), f.param(2)));
		const [low, high] = [half(0), half(1)];
		f.return(low.extU().or(high.extU().shl(32)));
	});
	core.define("float_dq2ps", ["i32", "v128"], ["v128"], (f) => {
		f.if(F.mxcsr.of(f.param(0)).and(INEXACT_KNOWN.mask).eq(INEXACT_KNOWN.value), () => {
			f.return(simd("f32x4.convert_i32x4_s", [f.param(1)]));
		});
		eachLane(f, F32, f.param(1), (x) => call(core.fn("f32_fromI32"), f.param(0), x));
	});
	core.define("float_dq2pd", ["i32", "i64"], ["v128"], (f) => {
		f.return(simd("f64x2.convert_low_i32x4_s", [simd("i64x2.splat", [f.param(1)])]));
	});
	core.define("float_ps2pd", ["i32", "i64"], ["v128"], (f) => {
		const a = f.let(simd("i64x2.splat", [f.param(1)]));
		const doubt = or(singles.denormal(a), singles.nan(a));
		f.if(simd("v128.any_true", [doubt]).eqz(), () => f.return(simd("f64x2.promote_low_f32x4", [a])));
		const result = f.local("v128", v128(0n));
		for (const n of [0, 1])
			f.set(result, doubles.withLane(result, n, call(core.fn("f32_toF64"), f.param(0), word(a, n))));
		f.return(result);
	});
	core.define("float_pd2ps", ["i32", "v128"], ["i64"], (f) => {
		const half = (n: number): Local => f.let(call(core.fn("f64_toF32"), f.param(0), doubles.lane(f.param(1), n)));
		const [low, high] = [half(0), half(1)];
		f.return(low.extU().or(high.extU().shl(32)));
	});
	core.define("float_ph2ps", ["i32", "i64"], ["v128"], (f) => {
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
	core.define("float_ps2ph", ["i32", "v128", "i32"], ["i64"], (f) => {
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
