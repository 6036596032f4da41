import { assert } from "../base/errors.ts";
import { constant, Expr, type Width } from "./expr.ts";
import { PURE, type PureName } from "./pure.ts";
import { vectorValue } from "./vector-value.ts";

type Shape = "i8x16" | "i16x8" | "i32x4" | "i64x2";
type Narrow = "i8x16" | "i16x8";
type Below64 = Narrow | "i32x4";
type Signs = "s" | "u";
type Wider = "i16x8.@_i8x16" | "i32x4.@_i16x8" | "i64x2.@_i32x4";
type Widening<Op extends string> = Wider extends infer W
	? W extends `${infer A}@${infer B}`
		? `${A}${Op}${B}_${Signs}`
		: never
	: never;

/** v128 → v128. */
export type VectorUnary =
	| `${Shape}.${"abs" | "neg"}`
	| `i16x8.extadd_pairwise_i8x16_${Signs}`
	| `i32x4.extadd_pairwise_i16x8_${Signs}`
	| "i8x16.popcnt"
	| Widening<"extend_low" | "extend_high">;
/** v128, v128 → v128. Comparisons give lanes of all ones or zeros. */
export type VectorBinary =
	| "i8x16.swizzle"
	| "v128.andnot"
	| `${Shape}.${"add" | "sub" | "eq" | "gt_s"}`
	| `${Below64}.gt_u`
	| `${Narrow}.${"add_sat" | "sub_sat"}_${Signs}`
	| `${Narrow}.avgr_u`
	| `${Below64}.${"min" | "max"}_${Signs}`
	| "i16x8.mul"
	| "i32x4.mul"
	| "i64x2.mul"
	| `i8x16.narrow_i16x8_${Signs}`
	| `i16x8.narrow_i32x4_${Signs}`
	| "i32x4.dot_i16x8_s"
	| "i16x8.q15mulr_sat_s"
	| Widening<"extmul_low" | "extmul_high">;
/** v128, 32-bit count → v128; the count is taken modulo the lane's width. */
export type VectorShift = `${Shape}.${"shl" | "shr_s" | "shr_u"}`;
/** v128 → 32 bits. */
export type VectorMask = `${Shape}.${"all_true" | "bitmask"}` | "v128.any_true";
/** v128, v128, v128 → v128: bits of the first where the third has ones, else of the second. */
export type VectorTernary = "v128.bitselect";
/** Scalar → v128. */
export type VectorSplat = `${Shape}.splat`;
/** v128 → scalar, zero-extended lane number `lanes[0]`. */
export type VectorExtract = `${Narrow}.extract_lane_u` | "i32x4.extract_lane" | "i64x2.extract_lane";
/** v128, scalar → v128. */
export type VectorReplace = `${Shape}.replace_lane`;

/** Operations on 128-bit values, named and defined as in WebAssembly's fixed-width SIMD. */
export type VectorOp =
	| VectorUnary
	| VectorBinary
	| VectorShift
	| VectorMask
	| VectorTernary
	| VectorSplat
	| VectorExtract
	| VectorReplace
	| "i8x16.shuffle";

function make(width: Width, op: VectorOp, args: readonly Expr[], lanes: readonly number[] = []): Expr {
	const values: bigint[] = [];
	for (const { node } of args) if (node.kind === "const") values.push(node.value);
	if (values.length === args.length) return constant(width, vectorValue(op, values, lanes));
	return new Expr(width, { kind: "vector", op, args, lanes });
}

function check(args: readonly Expr[]): void {
	for (const { width } of args) assert(width === 128, `a vector of ${width} bits`);
}

/** A lane-wise operation, or one between lanes, on 128-bit values. */
export function vector(op: VectorUnary, a: Expr): Expr;
export function vector(op: VectorBinary, a: Expr, b: Expr): Expr;
export function vector(op: VectorTernary, a: Expr, b: Expr, mask: Expr): Expr;
export function vector(op: VectorUnary | VectorBinary | VectorTernary, ...args: Expr[]): Expr {
	check(args);
	return make(128, op, args);
}

/** Lanes shifted by a 32-bit count, which must be below the lane's width. */
export function shiftLanes(op: VectorShift, a: Expr, count: Expr | number): Expr {
	check([a]);
	return make(128, op, [a, typeof count === "number" ? constant(32, count) : count]);
}

/** Truth values and sign masks of a vector, 32 bits wide. */
export function laneMask(op: VectorMask, a: Expr): Expr {
	check([a]);
	return make(32, op, [a]);
}

const SHAPES = { 8: "i8x16", 16: "i16x8", 32: "i32x4", 64: "i64x2" } as const;
export type LaneWidth = keyof typeof SHAPES;

const EXTRACT = {
	8: "i8x16.extract_lane_u",
	16: "i16x8.extract_lane_u",
	32: "i32x4.extract_lane",
	64: "i64x2.extract_lane",
} as const;

function scalar(value: Expr, width: LaneWidth): Expr {
	return value.cast(width === 64 ? 64 : 32);
}

/** Every lane of `width` bits is `value` (of any width; its low bits count). */
export function splat(width: LaneWidth, value: Expr): Expr {
	return make(128, `${SHAPES[width]}.splat`, [scalar(value, width)]);
}

/** Lane `n` of `width` bits. */
export function lane(a: Expr, width: LaneWidth, n: number): Expr {
	check([a]);
	return make(width === 64 ? 64 : 32, EXTRACT[width], [a], [n]).cast(width);
}

/** `a` with lane `n` replaced by `value` of `width` bits. */
export function withLane(a: Expr, width: LaneWidth, n: number, value: Expr): Expr {
	check([a]);
	assert(value.width === width, `a lane of ${width} bits, not ${value.width}`);
	return make(128, `${SHAPES[width]}.replace_lane`, [a, scalar(value, width)], [n]);
}

/** Bytes of `a` (0–15) and `b` (16–31) by number. */
export function shuffle(a: Expr, b: Expr, bytes: readonly number[]): Expr {
	check([a, b]);
	assert(bytes.length === 16 && bytes.every((n) => n >= 0 && n < 32), "sixteen bytes of two vectors");
	return make(128, "i8x16.shuffle", [a, b], bytes);
}

/** Lanes of `width` bits of `a` and, counted on, of `b` by number. */
export function shuffleLanes(width: LaneWidth, a: Expr, b: Expr, lanes: readonly number[]): Expr {
	const bytes = width / 8;
	return shuffle(
		a,
		b,
		lanes.flatMap((n) => Array.from({ length: bytes }, (_, byte) => n * bytes + byte)),
	);
}

/** A constant of lanes of `width` bits, lowest first. */
export function lanes(width: LaneWidth, values: readonly (number | bigint)[]): Expr {
	assert(values.length * width === 128, "lanes of 128 bits");
	return constant(
		128,
		values.reduceRight<bigint>((all, value) => (all << BigInt(width)) | BigInt.asUintN(width, BigInt(value)), 0n),
	);
}

/** The low half of `low`, and of `high` above it: 64 bits each. */
export function join(low: Expr, high: Expr): Expr {
	return withLane(low.zext(128), 64, 1, high);
}

/** The result of one of the core's functions of values. */
export function pure(name: PureName, ...args: readonly Expr[]): Expr {
	const { params, result } = PURE[name];
	assert(
		args.length === params.length && args.every(({ width }, n) => width === params[n]),
		`${name} of (${args.map(({ width }) => width).join()})`,
	);
	return new Expr(result, { kind: "pure", name, args });
}
