import { assert } from "../../base/errors.ts";
import type { Expr } from "../expr.ts";
import { FLOAT_KINDS, floatBinary, floatUnary } from "../float-families.ts";
import { vectorFamily } from "../packed.ts";
import type { Semantics } from "../semantics.ts";
import { type LaneWidth, lanes, shuffleLanes, splat, vector } from "../vector.ts";

const binary = (op: "add" | "sub" | "mul" | "div" | "min" | "max", title: string, opcode: string) =>
	FLOAT_KINDS.map((kind) =>
		floatBinary(kind, op.toUpperCase(), title, { opcode: `0F ${opcode} /r` }, (x, a, b) =>
			x.float(`${op}_${kind}`, a, b),
		),
	);

export const ADD = binary("add", "Add", "58");
export const MUL = binary("mul", "Multiply", "59");
export const SUB = binary("sub", "Subtract", "5C");
export const MIN = binary("min", "Smaller of", "5D");
export const DIV = binary("div", "Divide", "5E");
export const MAX = binary("max", "Larger of", "5F");

export const SQRT = FLOAT_KINDS.map((kind) =>
	floatUnary(kind, "SQRT", "Square roots of", { opcode: "0F 51 /r" }, (x, a) => x.float(`sqrt_${kind}`, a)),
);
export const RSQRT = (["ps", "ss"] as const).map((kind) =>
	floatUnary(kind, "RSQRT", "Nearly reciprocal square roots of", { opcode: "0F 52 /r" }, (x, a) =>
		x.float(`rsqrt_${kind}`, a),
	),
);
export const RCP = (["ps", "ss"] as const).map((kind) =>
	floatUnary(kind, "RCP", "Nearly reciprocals of", { opcode: "0F 53 /r" }, (x, a) => x.float(`rcp_${kind}`, a)),
);

/** SSE3: both formats with a prefix of their own. */
const horizontal = (opcode: string, kind: "ps" | "pd") =>
	({ opcode: `0F ${opcode} /r`, prefix: kind === "ps" ? "F2" : "66", feature: "pni" }) as const;

export const ADDSUB = (["ps", "pd"] as const).map((kind) =>
	floatBinary(kind, "ADDSUB", "Subtract and add", horizontal("D0", kind), (x, a, b) => x.float(`addsub_${kind}`, a, b)),
);

/** Lanes of even and of odd number of `a` and, behind them, `b`. */
function neighbours(kind: "ps" | "pd", a: Expr, b: Expr): [Expr, Expr] {
	const width: LaneWidth = kind === "ps" ? 32 : 64;
	const even = Array.from({ length: 128 / width }, (_, n) => n * 2);
	const pick = (lanes: number[]): Expr => shuffleLanes(width, a, b, lanes);
	return [pick(even), pick(even.map((n) => n + 1))];
}

export const HADD = (["ps", "pd"] as const).map((kind) =>
	floatBinary(kind, "HADD", "Add horizontally", horizontal("7C", kind), (x, a, b) =>
		x.float(`add_${kind}`, ...neighbours(kind, a, b)),
	),
);
export const HSUB = (["ps", "pd"] as const).map((kind) =>
	floatBinary(kind, "HSUB", "Subtract horizontally", horizontal("7D", kind), (x, a, b) =>
		x.float(`sub_${kind}`, ...neighbours(kind, a, b)),
	),
);

/** The immediate byte, the last operand. */
function immediate(x: Semantics): Expr {
	return x.read(x.operands.length - 1).zext(32);
}

const sse41 = (opcode: string) =>
	({ opcode: `0F 3A ${opcode} /r ib`, more: ", Ib", prefix: "66", feature: "sse4.1" }) as const;

const ROUND_OPCODES = { ps: "08", pd: "09", ss: "0A", sd: "0B" } as const;
export const ROUND = FLOAT_KINDS.map((kind) =>
	floatUnary(kind, "ROUND", "Round to integers", sse41(ROUND_OPCODES[kind]), (x, a) =>
		x.float(`round_${kind}`, a, immediate(x)),
	),
);

/** All ones in lane k of `width` bits where bit `first` + k of the immediate is set. */
function lanesByBits(x: Semantics, width: 32 | 64, first: number): Expr {
	const bits = lanes(
		width,
		Array.from({ length: 128 / width }, (_, k) => 1 << (first + k)),
	);
	const chosen = splat(width, immediate(x).zext(width)).and(bits);
	return vector(width === 32 ? "i32x4.eq" : "i64x2.eq", chosen, bits);
}

/**
 * Products that imm8[7:4] leaves out are +0, imm8[3:0] says where the sum goes. Each result is a sum of its own, in an order
 * that shows where NaNs meet; an exception that is unmasked keeps the next step from raising any (both measured).
 */
function dotProduct(x: Semantics, kind: "ps" | "pd"): void {
	const width = kind === "ps" ? 32 : 64;
	const first = x.vex ? 1 : 0;
	let parts = Array.from({ length: x.halves }, (_, half) => {
		const chosen = lanesByBits(x, width, 4);
		return x.float(`mul_${kind}`, x.readHalf(first, half).and(chosen), x.readHalf(first + 1, half).and(chosen));
	});
	const addSwapped = (order: readonly number[], swappedFirst: boolean): void => {
		const go = x.float("endStep").eq(0);
		parts = parts.map((part) => {
			const kept = go.select(part, 0);
			const swapped = shuffleLanes(width, kept, kept, order);
			return x.float(`add_${kind}`, ...((swappedFirst ? [swapped, kept] : [kept, swapped]) as [Expr, Expr]));
		});
	};
	if (kind === "pd") addSwapped([1, 0], false);
	else {
		addSwapped([1, 0, 3, 2], true);
		addSwapped([2, 3, 0, 1], false);
	}
	const [low, high] = parts.map((part) => part.and(lanesByBits(x, width, 0)));
	assert(low, "a result");
	x.writeVector(0, low, high);
}

export const DPPS = vectorFamily("DPPS", "Dot product of packed single-precision values", {
	forms: [{ opcode: "0F 3A 40 /r ib", sse: "sse4.1", avx2: "avx", operands: "Vx, Hx, Wx, Ib" }],
	meaning: (x) => dotProduct(x, "ps"),
});
export const DPPD = vectorFamily("DPPD", "Dot product of packed double-precision values", {
	forms: [{ opcode: "0F 3A 41 /r ib", sse: "sse4.1", avx2: "none", operands: "Vx, Hx, Wx, Ib" }],
	meaning: (x) => dotProduct(x, "pd"),
});
