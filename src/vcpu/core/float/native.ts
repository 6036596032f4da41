import { type FloatFunction, RELATION } from "../../../isa/float.ts";
import { type Ex, i32, i64, type Local, simd, v128 } from "../../../wasm/expression.ts";
import { type FloatName, float } from "../../../wasm/float.ts";
import type { SimdOp } from "../../../wasm/simd.ts";
import { PREDICATES } from "./compare.ts";
import { F32, F64, type Format } from "./format.ts";

/**
 * WebAssembly's arithmetic for one of FLOAT_FUNCTIONS. It rounds to nearest and shows no flags, so it may be taken only
 * where no flag but PE can be raised, and that one is known to be set and masked already.
 */
export interface NativeFloat {
	readonly value: Ex;
	/** i32: not 0 where `result`, which is `value`, may be wrong or raise something. */
	doubt(result: Local): Ex;
	/** Right whatever MXCSR says; otherwise only where {@link inexactKnown}. */
	readonly exact: boolean;
}

/** Truth values are v128 lanes or i32: what {@link arithmetic} needs to know of either. */
interface Numbers {
	native(op: string, ...args: Ex[]): Ex;
	/** x < y and the like. */
	compare(op: "eq" | "lt" | "gt", x: Ex, y: Ex): Ex;
	zero(x: Ex): Ex;
	denormal(x: Ex): Ex;
	nan(x: Ex): Ex;
	/** Above the smallest normal number and below infinity. */
	plain(x: Ex): Ex;
	and(x: Ex, y: Ex): Ex;
	or(x: Ex, y: Ex): Ex;
	not(x: Ex): Ex;
	/** Any lane. */
	holds(x: Ex): Ex;
	/** `x` where the truth value holds, else `y`. */
	choose(condition: Ex, x: Ex, y: Ex): Ex;
	/** All ones where the truth value holds, else 0. */
	mask(condition: Ex): Ex;
	/** False. */
	readonly none: Ex;
}

/** Vectors. */
export class Lanes implements Numbers {
	readonly format: Format;
	readonly count: number;
	readonly none: Ex = v128(0n);
	private readonly shape: "f32x4" | "f64x2";

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
	native(op: string, ...args: Ex[]): Ex {
		return simd(`${this.shape}.${op}` as SimdOp, args);
	}
	compare(op: "eq" | "lt" | "gt", x: Ex, y: Ex): Ex {
		return this.native(op, x, y);
	}
	/** Lane `n` as bits. */
	lane(value: Ex, n: number): Ex {
		return simd(this.format === F32 ? "i32x4.extract_lane" : "i64x2.extract_lane", [value], [n]);
	}
	withLane(vector: Ex, n: number, value: Ex): Ex {
		return simd(this.format === F32 ? "i32x4.replace_lane" : "i64x2.replace_lane", [vector, value], [n]);
	}
	zero(x: Ex): Ex {
		return this.native("eq", x, v128(0n));
	}
	below(x: Ex, bits: bigint): Ex {
		return this.native("lt", this.native("abs", x), this.constant(bits));
	}
	denormal(x: Ex): Ex {
		return this.and(this.below(x, this.format.minNormal), this.native("ne", x, v128(0n)));
	}
	nan(x: Ex): Ex {
		return this.native("ne", x, x);
	}
	plain(x: Ex): Ex {
		const above = this.native("gt", this.native("abs", x), this.constant(this.format.minNormal));
		return this.and(above, this.below(x, this.format.infinity));
	}
	and(x: Ex, y: Ex): Ex {
		return simd("v128.and", [x, y]);
	}
	or(x: Ex, y: Ex): Ex {
		return simd("v128.or", [x, y]);
	}
	not(x: Ex): Ex {
		return simd("v128.not", [x]);
	}
	holds(x: Ex): Ex {
		return simd("v128.any_true", [x]);
	}
	choose(condition: Ex, x: Ex, y: Ex): Ex {
		return simd("v128.bitselect", [x, y, condition]);
	}
	mask(condition: Ex): Ex {
		return condition;
	}
}

/** Single numbers, as bits. */
class Single implements Numbers {
	readonly format: Format;
	readonly none: Ex = i32(0);

	constructor(format: Format) {
		this.format = format;
	}
	native(op: string, ...args: Ex[]): Ex {
		const { format } = this;
		const name = `${format.name}.${op}` as FloatName;
		return format.fromFloat(float(name, ...args.map((x) => format.toFloat(x))));
	}
	compare(op: "eq" | "lt" | "gt", x: Ex, y: Ex): Ex {
		return float(`${this.format.name}.${op}` as FloatName, this.format.toFloat(x), this.format.toFloat(y));
	}
	zero(x: Ex): Ex {
		return this.format.isZero(x);
	}
	denormal(x: Ex): Ex {
		return this.format.isDenormal(x);
	}
	nan(x: Ex): Ex {
		return this.format.isNan(x);
	}
	plain(x: Ex): Ex {
		return this.format.isPlain(x);
	}
	and(x: Ex, y: Ex): Ex {
		return x.and(y);
	}
	or(x: Ex, y: Ex): Ex {
		return x.or(y);
	}
	not(x: Ex): Ex {
		return x.eqz();
	}
	holds(x: Ex): Ex {
		return x;
	}
	choose(condition: Ex, x: Ex, y: Ex): Ex {
		return x.when(condition, y);
	}
	mask(condition: Ex): Ex {
		return this.format.bits(-1n).when(condition, this.format.bits(0n));
	}
}

const NUMBERS: Readonly<Record<string, Numbers & { readonly format: Format }>> = {
	ps: new Lanes(F32),
	pd: new Lanes(F64),
	ss: new Single(F32),
	sd: new Single(F64),
};

/**
 * Native arithmetic for `name`, if there is any for these arguments: locals, or constants.
 */
export function nativeFloat(name: FloatFunction, args: readonly Ex[]): NativeFloat | undefined {
	const [op = "", suffix = ""] = name.split("_");
	const numbers = NUMBERS[suffix];
	if (!numbers) return conversion(name, args);
	const [a, second] = args as [Ex, Ex?];
	const b = op === "round" || second === undefined ? a : second;
	const anyDenormal = (): Ex => (a === b ? numbers.denormal(a) : numbers.or(numbers.denormal(a), numbers.denormal(b)));
	const unusual = (): Ex =>
		numbers.or(anyDenormal(), a === b ? numbers.nan(a) : numbers.or(numbers.nan(a), numbers.nan(b)));
	/** The result is plain, or a zero that is exact where `zero` holds. */
	const rounded = (value: Ex, zero: (result: Ex) => Ex): NativeFloat => ({
		value,
		exact: false,
		doubt: (result) =>
			numbers.holds(numbers.or(anyDenormal(), numbers.not(numbers.or(numbers.plain(result), zero(result))))),
	});
	/** Nothing is rounded. */
	const chosen = (value: Ex): NativeFloat => ({ value, exact: true, doubt: () => numbers.holds(unusual()) });
	const zeroOf =
		(...operands: Ex[]) =>
		(result: Ex) =>
			numbers.and(
				numbers.zero(result),
				operands.map((x) => numbers.zero(x)).reduce((all, one) => numbers.or(all, one)),
			);
	switch (op) {
		case "add":
		case "sub":
			return rounded(numbers.native(op, a, b), (result) => numbers.zero(result));
		case "addsub":
			return rounded(numbers.native("add", a, simd("v128.xor", [b, evenSigns(numbers.format)])), (result) =>
				numbers.zero(result),
			);
		case "mul":
			return rounded(numbers.native(op, a, b), zeroOf(a, b));
		case "div":
			return rounded(numbers.native(op, a, b), zeroOf(a));
		case "sqrt":
			return rounded(numbers.native(op, a), (result) => numbers.zero(result));
		case "min":
			return chosen(numbers.choose(numbers.compare("lt", a, b), a, b));
		case "max":
			return chosen(numbers.choose(numbers.compare("gt", a, b), a, b));
		case "cmp": {
			const predicate = args[2]?.constant;
			return predicate === undefined
				? undefined
				: chosen(numbers.mask(relations(numbers, PREDICATES[Number(predicate) & 15] ?? 0, a, b)));
		}
		case "round": {
			const immediate = args[1]?.constant;
			if (immediate === undefined) return undefined;
			const current = (Number(immediate) & 4) !== 0;
			const value = numbers.native(current ? "nearest" : (ROUNDINGS[Number(immediate) & 3] ?? ""), a);
			return { ...chosen(value), exact: !current && (Number(immediate) & 8) !== 0 };
		}
		case "relation": {
			const bit = (relation: "eq" | "lt" | "gt", set: number): Ex => numbers.compare(relation, a, b).mul(set);
			return chosen(bit("eq", RELATION.equal).or(bit("lt", RELATION.less)).or(bit("gt", RELATION.greater)));
		}
	}
	return undefined;
}

/** By rounding control. */
const ROUNDINGS = ["nearest", "floor", "ceil", "trunc"];

/** Whether a and b, no NaNs, lie to each other as one of `set` says. */
function relations(numbers: Numbers, set: number, a: Ex, b: Ex): Ex {
	const ordered = RELATION.equal | RELATION.less | RELATION.greater;
	if ((set & ordered) === ordered) return numbers.not(numbers.none);
	return (
		[
			["eq", RELATION.equal],
			["lt", RELATION.less],
			["gt", RELATION.greater],
		] as const
	)
		.filter(([, bit]) => set & bit)
		.map(([op]) => numbers.compare(op, a, b))
		.reduce((all, one) => numbers.or(all, one), numbers.none);
}

/** The sign bits of lanes of even number. */
function evenSigns(format: Format): Ex {
	return v128(format === F32 ? (1n << 31n) | (1n << 95n) : 1n << 63n);
}

/** Bytes of lanes 0, 2, 0 and 2 of 32 bits. */
const EVEN_WORDS = [0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11];

function conversion(name: FloatFunction, [a, truncate]: readonly Ex[]): NativeFloat | undefined {
	if (!a) return undefined;
	const never = (): Ex => i32(0);
	const [singles, doubles] = [new Lanes(F32), new Lanes(F64)];
	/** To integers of which those below 2^31 or 2^63 fit. */
	const toInteger = (format: Format, bits: 32 | 64): NativeFloat | undefined => {
		if (truncate?.constant === undefined) return undefined;
		const number = format.toFloat(a);
		const whole = truncate.constant === 0 ? float(`${format.name}.nearest` as FloatName, number) : number;
		const wide = format === F64 ? whole : float("f64.promote_f32", whole);
		const limit = float("f64.reinterpret_i64", i64(BigInt(bits - 1 + F64.bias) << 52n));
		return {
			value: float(bits === 64 ? "i64.trunc_sat_f64_s" : "i32.trunc_sat_f64_s", wide),
			exact: false,
			doubt: () => float("f64.lt", float("f64.abs", wide), limit).eqz(),
		};
	};
	switch (name) {
		case "si2sd32":
			return { value: F64.fromFloat(float("f64.convert_i32_s", a)), exact: true, doubt: never };
		case "si2sd64":
			return { value: F64.fromFloat(float("f64.convert_i64_s", a)), exact: false, doubt: never };
		case "si2ss32":
			return { value: F32.fromFloat(float("f32.convert_i32_s", a)), exact: false, doubt: never };
		case "si2ss64":
			return { value: F32.fromFloat(float("f32.convert_i64_s", a)), exact: false, doubt: never };
		case "sd2si32":
			return toInteger(F64, 32);
		case "sd2si64":
			return toInteger(F64, 64);
		case "ss2si32":
			return toInteger(F32, 32);
		case "ss2si64":
			return toInteger(F32, 64);
		case "ss2sd":
			return {
				value: F64.fromFloat(float("f64.promote_f32", F32.toFloat(a))),
				exact: true,
				doubt: () => F32.isDenormal(a).or(F32.isNan(a)),
			};
		case "sd2ss":
			return {
				value: F32.fromFloat(float("f32.demote_f64", F64.toFloat(a))),
				exact: false,
				doubt: (result) => F32.isPlain(result).or(F64.isZero(a)).eqz(),
			};
		case "dq2ps":
			return { value: simd("f32x4.convert_i32x4_s", [a]), exact: false, doubt: never };
		case "dq2pd":
			return { value: simd("f64x2.convert_low_i32x4_s", [simd("i64x2.splat", [a])]), exact: true, doubt: never };
		case "ps2pd":
			return {
				value: simd("f64x2.promote_low_f32x4", [simd("i64x2.splat", [a])]),
				exact: true,
				doubt: () => {
					const both = simd("i64x2.splat", [a]);
					return singles.holds(singles.or(singles.denormal(both), singles.nan(both)));
				},
			};
		case "pd2ps":
			return {
				value: simd("i64x2.extract_lane", [simd("f32x4.demote_f64x2_zero", [a])], [0]),
				exact: false,
				doubt: (result) => {
					const zero = doubles.zero(a);
					const zeros = simd("i8x16.shuffle", [zero, zero], EVEN_WORDS);
					const right = singles.or(singles.plain(simd("i64x2.splat", [result])), zeros);
					return singles.holds(singles.not(right));
				},
			};
		case "ps2dq":
			if (truncate?.constant !== 1) return undefined;
			return {
				value: simd("i32x4.trunc_sat_f32x4_s", [a]),
				exact: false,
				doubt: () => singles.holds(singles.not(singles.below(a, BigInt(31 + F32.bias) << BigInt(F32.fraction)))),
			};
		default:
			return undefined;
	}
}
