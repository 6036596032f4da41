import { constant, type Expr } from "../expr.ts";
import { family } from "../family.ts";
import {
	doubleForms,
	immediateOf,
	packed,
	packedAcross,
	packedUnary,
	singleForms,
	type VectorForms,
	vectorFamily,
	vectorForms,
	vexFamily,
} from "../packed.ts";
import type { Semantics } from "../semantics.ts";
import {
	join,
	type LaneWidth,
	lane,
	lanes,
	shiftLanes,
	shuffle,
	shuffleLanes,
	splat,
	type VectorBinary,
	vector,
} from "../vector.ts";

const ZERO = constant(128, 0);
const IOTA = lanes(8, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);

const swizzle = (a: Expr, bytes: Expr): Expr => vector("i8x16.swizzle", a, bytes);
const broadcast = (width: LaneWidth, value: number | bigint): Expr => splat(width, constant(width, value));

// Unpack and pack.

/** Lanes of `width` bits of the low or high halves in turn. */
function interleave(width: LaneWidth, high: boolean): (a: Expr, b: Expr, x: Semantics) => Expr {
	const count = 128 / width;
	const low = Array.from({ length: count }, (_, n) => (n >> 1) + (n & 1) * count);
	const numbers = low.map((n) => n + count / 2);
	return (a, b, x) => {
		if (!high) return shuffleLanes(width, a, b, low);
		if (x.operands[0]?.bank !== "mmx") return shuffleLanes(width, a, b, numbers);
		// What is in the upper half of an MMX register comes out in the upper half of the vector.
		const both = shuffleLanes(width, a, b, low);
		return shuffleLanes(64, both, both, [1, 1]);
	};
}

const unpackLow = (opcode: string): VectorForms => ({
	opcode: `0F ${opcode} /r`,
	mmx: "mmx",
	sse: "sse2",
	operandsMmx: "Pq, Qd",
});
const unpackHigh = (opcode: string): VectorForms => ({ opcode: `0F ${opcode} /r`, mmx: "mmx", sse: "sse2" });
const sse2 = (opcode: string): VectorForms => ({ opcode: `0F ${opcode} /r`, sse: "sse2" });

export const PUNPCKLBW = packed("PUNPCKLBW", "Interleave low bytes", unpackLow("60"), interleave(8, false));
export const PUNPCKLWD = packed("PUNPCKLWD", "Interleave low words", unpackLow("61"), interleave(16, false));
export const PUNPCKLDQ = packed("PUNPCKLDQ", "Interleave low doublewords", unpackLow("62"), interleave(32, false));
export const PUNPCKLQDQ = packed("PUNPCKLQDQ", "Interleave low quadwords", sse2("6C"), interleave(64, false));
export const PUNPCKHBW = packed("PUNPCKHBW", "Interleave high bytes", unpackHigh("68"), interleave(8, true));
export const PUNPCKHWD = packed("PUNPCKHWD", "Interleave high words", unpackHigh("69"), interleave(16, true));
export const PUNPCKHDQ = packed("PUNPCKHDQ", "Interleave high doublewords", unpackHigh("6A"), interleave(32, true));
export const PUNPCKHQDQ = packed("PUNPCKHQDQ", "Interleave high quadwords", sse2("6D"), interleave(64, true));

export const UNPCKLPS = packed("UNPCKLPS", "Interleave low singles", singleForms("14"), interleave(32, false));
export const UNPCKHPS = packed("UNPCKHPS", "Interleave high singles", singleForms("15"), interleave(32, true));
export const UNPCKLPD = packed("UNPCKLPD", "Interleave low doubles", doubleForms("14"), interleave(64, false));
export const UNPCKHPD = packed("UNPCKHPD", "Interleave high doubles", doubleForms("15"), interleave(64, true));

const by =
	(op: VectorBinary) =>
	(a: Expr, b: Expr): Expr =>
		vector(op, a, b);

export const PACKSSWB = packedAcross(
	"PACKSSWB",
	"Pack words to signed bytes",
	unpackHigh("63"),
	by("i8x16.narrow_i16x8_s"),
);
export const PACKUSWB = packedAcross(
	"PACKUSWB",
	"Pack words to unsigned bytes",
	unpackHigh("67"),
	by("i8x16.narrow_i16x8_u"),
);
export const PACKSSDW = packedAcross(
	"PACKSSDW",
	"Pack doublewords to signed words",
	unpackHigh("6B"),
	by("i16x8.narrow_i32x4_s"),
);
export const PACKUSDW = packedAcross(
	"PACKUSDW",
	"Pack doublewords to unsigned words",
	{ opcode: "0F 38 2B /r", sse: "sse4.1" },
	by("i16x8.narrow_i32x4_u"),
);

// Shuffles within 128 bits.

/** Numbers of bytes that pick lanes of `width` bits by the numbers in the lanes of `numbers`, plus `base`. */
function byteNumbers(width: 16 | 32, numbers: Expr, base = lanes(width, new Array(128 / width).fill(0))): Expr {
	const bytes = width / 8;
	const first = lanes(
		8,
		Array.from({ length: 16 }, (_, n) => n % bytes),
	);
	const op = width === 16 ? "i16x8.mul" : "i32x4.mul";
	const each = vector(op, numbers, broadcast(width, width === 16 ? 0x0202 : 0x04040404));
	return vector("i8x16.add", each, vector("i8x16.add", first, base));
}

/** The four two-bit numbers of an immediate byte in lanes of doublewords. */
function fourNumbers(immediate: Expr): Expr {
	const moved = vector("i32x4.mul", splat(32, immediate), lanes(32, [64, 16, 4, 1]));
	return shiftLanes("i32x4.shr_u", moved, 6).and(broadcast(32, 3));
}

/** Words of one half by an immediate; those of the other stay. */
function shuffleWords(high: boolean): (a: Expr, x: Semantics) => Expr {
	const factors = high ? [0, 0, 0, 0, 64, 16, 4, 1] : [64, 16, 4, 1, 0, 0, 0, 0];
	const base = high
		? lanes(8, [0, 0, 2, 2, 4, 4, 6, 6, 8, 8, 8, 8, 8, 8, 8, 8])
		: lanes(8, [0, 0, 0, 0, 0, 0, 0, 0, 8, 8, 10, 10, 12, 12, 14, 14]);
	return (a, x) => {
		const moved = vector("i16x8.mul", splat(16, immediateOf(x)), lanes(16, factors));
		const numbers = shiftLanes("i16x8.shr_u", moved, 6).and(broadcast(16, 3));
		return swizzle(a, byteNumbers(16, numbers, base));
	};
}

const shuffleForms = (prefix: "66" | "F2" | "F3"): VectorForms => ({
	opcode: "0F 70 /r ib",
	prefix,
	sse: "sse2",
	operands: "Vx, Wx, Ib",
});
const byFour = (a: Expr, x: Semantics): Expr => swizzle(a, byteNumbers(32, fourNumbers(immediateOf(x))));

export const PSHUFD = packedUnary("PSHUFD", "Shuffle doublewords", shuffleForms("66"), byFour);
export const PSHUFLW = packedUnary("PSHUFLW", "Shuffle low words", shuffleForms("F2"), shuffleWords(false));
export const PSHUFHW = packedUnary("PSHUFHW", "Shuffle high words", shuffleForms("F3"), shuffleWords(true));
export const PSHUFW = family("PSHUFW", "Shuffle words of an MMX register", {
	forms: [["NP 0F 70 /r ib", "Pq, Qq, Ib"]],
	feature: "sse",
	meaning: (x) => x.packedUnary((a) => shuffleWords(false)(a, x)),
});

export const PSHUFB = packed(
	"PSHUFB",
	"Shuffle bytes",
	{ opcode: "0F 38 00 /r", mmx: "ssse3", sse: "ssse3" },
	(a, b, x) => swizzle(a, b.and(broadcast(8, x.operands[0]?.bank === "mmx" ? 0x87 : 0x8f))),
);

/** Bytes of the second vector and above them the first, from a byte number on. */
export const PALIGNR = packed(
	"PALIGNR",
	"Align bytes of two vectors",
	{ opcode: "0F 3A 0F /r ib", mmx: "ssse3", sse: "ssse3", operands: "Vx, Hx, Wx, Ib" },
	(a, b, x) => {
		const from = vector("i8x16.add_sat_u", IOTA, splat(8, immediateOf(x)));
		if (x.operands[0]?.bank === "mmx") return swizzle(join(b.trunc(64), a.trunc(64)), from);
		return swizzle(b, from).or(swizzle(a, vector("i8x16.sub", from, broadcast(8, 16))));
	},
);

export const SHUFPS = packed(
	"SHUFPS",
	"Shuffle singles of two vectors",
	{ ...singleForms("C6"), opcode: "0F C6 /r ib", operands: "Vps, Hps, Wps, Ib" },
	(a, b, x) => {
		const bytes = byteNumbers(32, fourNumbers(immediateOf(x)));
		return shuffleLanes(64, swizzle(a, bytes), swizzle(b, bytes), [0, 3]);
	},
);

/** The low or high quadword of a vector by a bit of the immediate. */
function quadword(a: Expr, immediate: Expr, bit: number): Expr {
	return immediate.bit(bit).select(lane(a, 64, 1), lane(a, 64, 0));
}

export const SHUFPD = packed(
	"SHUFPD",
	"Shuffle doubles of two vectors",
	{ ...doubleForms("C6"), opcode: "0F C6 /r ib", operands: "Vpd, Hpd, Wpd, Ib" },
	(a, b, x, half) => join(quadword(a, immediateOf(x), half * 2), quadword(b, immediateOf(x), half * 2 + 1)),
);

export const VPERMILPS = vexFamily("VPERMILPS", "Permute singles within 128 bits", {
	forms: [
		{ opcode: "0F 38 0C /r", sse: "none", avx2: "avx", w: "W0", operands: "Vps, Hps, Wps" },
		{ opcode: "0F 3A 04 /r ib", sse: "none", avx2: "avx", w: "W0", operands: "Vps, Wps, Ib" },
	],
	meaning: (x) => {
		if (x.operands[2]?.kind === "immediate") x.packedUnary((a) => byFour(a, x));
		else x.packed((a, b) => swizzle(a, byteNumbers(32, b.and(broadcast(32, 3)))));
	},
});

export const VPERMILPD = vexFamily("VPERMILPD", "Permute doubles within 128 bits", {
	forms: [
		{ opcode: "0F 38 0D /r", sse: "none", avx2: "avx", w: "W0", operands: "Vpd, Hpd, Wpd" },
		{ opcode: "0F 3A 05 /r ib", sse: "none", avx2: "avx", w: "W0", operands: "Vpd, Wpd, Ib" },
	],
	meaning: (x) => {
		if (x.operands[2]?.kind === "immediate") {
			const immediate = immediateOf(x);
			x.packedUnary((a, half) => join(quadword(a, immediate, half * 2), quadword(a, immediate, half * 2 + 1)));
		} else
			x.packed((a, b) => {
				const high = shiftLanes("i64x2.shr_s", shiftLanes("i64x2.shl", b, 62), 63);
				return vector("v128.bitselect", shuffleLanes(64, a, a, [1, 1]), shuffleLanes(64, a, a, [0, 0]), high);
			});
	},
});

// Blends.

/** Lanes of the second vector where the immediate has ones, from bit `from` on. */
function blend(width: LaneWidth, fromBit: (half: number) => number) {
	const bits = lanes(
		width,
		Array.from({ length: 128 / width }, (_, n) => 1 << n),
	);
	const eq = ({ 8: "i8x16.eq", 16: "i16x8.eq", 32: "i32x4.eq", 64: "i64x2.eq" } as const)[width];
	return (a: Expr, b: Expr, x: Semantics, half: number): Expr => {
		const chosen = splat(width, immediateOf(x).shrU(fromBit(half))).and(bits);
		return vector("v128.bitselect", b, a, vector(eq, chosen, bits));
	};
}

const blendForms = (opcode: string): VectorForms => ({
	opcode: `0F 3A ${opcode} /r ib`,
	sse: "sse4.1",
	operands: "Vx, Hx, Wx, Ib",
});

export const PBLENDW = packed(
	"PBLENDW",
	"Blend words",
	blendForms("0E"),
	blend(16, () => 0),
);
export const BLENDPS = packed(
	"BLENDPS",
	"Blend singles",
	{ ...blendForms("0C"), avx2: "avx" },
	blend(32, (half) => half * 4),
);
export const BLENDPD = packed(
	"BLENDPD",
	"Blend doubles",
	{ ...blendForms("0D"), avx2: "avx" },
	blend(64, (half) => half * 2),
);
export const VPBLENDD = packed(
	"VPBLENDD",
	"Blend doublewords",
	{ ...blendForms("02"), sse: "none", avx: "avx2", w: "W0" },
	blend(32, (half) => half * 4),
);

/** Lanes of the second vector where those of a third are negative: XMM0, or with VEX a register in the last byte. */
function blendBySign(
	name: string,
	title: string,
	opcode: string,
	vexOpcode: string,
	width: 8 | 32 | 64,
	avx2: "avx" | "avx2",
) {
	const shape = ({ 8: "i8x16", 32: "i32x4", 64: "i64x2" } as const)[width];
	return family(name, title, {
		forms: [
			[`66 0F 38 ${opcode} /r`, "Vdq, Wdq, XMM0", { feature: "sse4.1" }],
			...vectorForms({ opcode: `0F 3A ${vexOpcode} /r is4`, sse: "none", avx2, w: "W0", operands: "Vx, Hx, Wx, Lx" }),
		],
		aliases: [`V${name}`],
		meaning: (x) => {
			const last = x.operands.length - 1;
			x.packed((a, b, half) => vector("v128.bitselect", b, a, vector(`${shape}.gt_s`, ZERO, x.readHalf(last, half))));
		},
	});
}

export const PBLENDVB = blendBySign("PBLENDVB", "Blend bytes by signs", "10", "4C", 8, "avx2");
export const BLENDVPS = blendBySign("BLENDVPS", "Blend singles by signs", "14", "4A", 32, "avx");
export const BLENDVPD = blendBySign("BLENDVPD", "Blend doubles by signs", "15", "4B", 64, "avx");

// Duplicates.

export const MOVSLDUP = packedUnary(
	"MOVSLDUP",
	"Duplicate even singles",
	{ opcode: "0F 12 /r", prefix: "F3", sse: "pni", avx2: "avx" },
	(a) => shuffleLanes(32, a, a, [0, 0, 2, 2]),
);
export const MOVSHDUP = packedUnary(
	"MOVSHDUP",
	"Duplicate odd singles",
	{ opcode: "0F 16 /r", prefix: "F3", sse: "pni", avx2: "avx" },
	(a) => shuffleLanes(32, a, a, [1, 1, 3, 3]),
);
export const MOVDDUP = packedUnary(
	"MOVDDUP",
	"Duplicate even doubles",
	{ opcode: "0F 12 /r", prefix: "F2", sse: "pni", avx2: "avx", operands: "Vx, Wq", operands256: "Vqq, Wqq" },
	(a) => shuffleLanes(64, a, a, [0, 0]),
);

// Widening.

/** Elements of `from` bits made `to` bits wide; as many as fit. */
function extend(from: 8 | 16 | 32, to: 16 | 32 | 64, sign: "s" | "u"): (x: Semantics) => void {
	const steps: ((a: Expr) => Expr)[] = [];
	if (from <= 8) steps.push((a) => vector(`i16x8.extend_low_i8x16_${sign}`, a));
	if (from <= 16 && to >= 32) steps.push((a) => vector(`i32x4.extend_low_i16x8_${sign}`, a));
	if (to === 64) steps.push((a) => vector(`i64x2.extend_low_i32x4_${sign}`, a));
	return (x) => {
		const source = x.width(1) === 128 ? x.read(1) : x.read(1).zext(128);
		const all = (a: Expr): Expr => steps.reduce((value, step) => step(value), a);
		const taken = (16 * from) / to;
		const bytes = Array.from({ length: 16 }, (_, n) => (n + taken) % 16);
		x.writeVector(0, all(source), x.halves === 2 ? all(shuffle(source, source, bytes)) : undefined);
	};
}

const EXTENSIONS = {
	BW: [8, 16, "q"],
	BD: [8, 32, "d"],
	BQ: [8, 64, "w"],
	WD: [16, 32, "q"],
	WQ: [16, 64, "d"],
	DQ: [32, 64, "q"],
} as const;
const TWICE = { q: "dq", d: "q", w: "d" } as const;

function extension(sign: "s" | "u", kind: keyof typeof EXTENSIONS, opcode: string) {
	const [from, to, width] = EXTENSIONS[kind];
	const name = `PMOV${sign === "s" ? "SX" : "ZX"}${kind}`;
	return vectorFamily(name, `Widen ${from} to ${to} bits with ${sign === "s" ? "the sign" : "zeros"}`, {
		forms: [
			{
				opcode: `0F 38 ${opcode} /r`,
				sse: "sse4.1",
				operands: `Vx, W${width}`,
				operands256: `Vx, W${TWICE[width]}`,
			},
		],
		meaning: extend(from, to, sign),
	});
}

export const PMOVSXBW = extension("s", "BW", "20");
export const PMOVSXBD = extension("s", "BD", "21");
export const PMOVSXBQ = extension("s", "BQ", "22");
export const PMOVSXWD = extension("s", "WD", "23");
export const PMOVSXWQ = extension("s", "WQ", "24");
export const PMOVSXDQ = extension("s", "DQ", "25");
export const PMOVZXBW = extension("u", "BW", "30");
export const PMOVZXBD = extension("u", "BD", "31");
export const PMOVZXBQ = extension("u", "BQ", "32");
export const PMOVZXWD = extension("u", "WD", "33");
export const PMOVZXWQ = extension("u", "WQ", "34");
export const PMOVZXDQ = extension("u", "DQ", "35");
