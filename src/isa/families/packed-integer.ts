import { constant, type Expr } from "../expr.ts";
import type { Feature } from "../features.ts";
import { immediateOf, packed, packedAcross, packedUnary, type VectorForms } from "../packed.ts";
import {
	lane,
	lanes,
	shiftLanes,
	shuffle,
	shuffleLanes,
	splat,
	type VectorBinary,
	type VectorUnary,
	vector,
} from "../vector.ts";

const ZERO = constant(128, 0);

const by =
	(op: VectorBinary) =>
	(a: Expr, b: Expr): Expr =>
		vector(op, a, b);
const one =
	(op: VectorUnary) =>
	(a: Expr): Expr =>
		vector(op, a);

/** MMX (or SSE on MMX registers), SSE2, AVX, AVX2. */
const old = (opcode: string, mmx: Feature = "mmx"): VectorForms => ({ opcode: `0F ${opcode} /r`, mmx, sse: "sse2" });
/** SSSE3 on both kinds of registers, AVX, AVX2. */
const third = (opcode: string): VectorForms => ({ opcode: `0F 38 ${opcode} /r`, mmx: "ssse3", sse: "ssse3" });
/** SSE4, AVX, AVX2. */
const fourth = (opcode: string, sse: Feature = "sse4.1"): VectorForms => ({ opcode: `0F 38 ${opcode} /r`, sse });

export const PADDB = packed("PADDB", "Add packed bytes", old("FC"), by("i8x16.add"));
export const PADDW = packed("PADDW", "Add packed words", old("FD"), by("i16x8.add"));
export const PADDD = packed("PADDD", "Add packed doublewords", old("FE"), by("i32x4.add"));
export const PADDQ = packed("PADDQ", "Add packed quadwords", old("D4", "sse2"), by("i64x2.add"));
export const PSUBB = packed("PSUBB", "Subtract packed bytes", old("F8"), by("i8x16.sub"));
export const PSUBW = packed("PSUBW", "Subtract packed words", old("F9"), by("i16x8.sub"));
export const PSUBD = packed("PSUBD", "Subtract packed doublewords", old("FA"), by("i32x4.sub"));
export const PSUBQ = packed("PSUBQ", "Subtract packed quadwords", old("FB", "sse2"), by("i64x2.sub"));

export const PADDSB = packed("PADDSB", "Add signed bytes, saturated", old("EC"), by("i8x16.add_sat_s"));
export const PADDSW = packed("PADDSW", "Add signed words, saturated", old("ED"), by("i16x8.add_sat_s"));
export const PADDUSB = packed("PADDUSB", "Add unsigned bytes, saturated", old("DC"), by("i8x16.add_sat_u"));
export const PADDUSW = packed("PADDUSW", "Add unsigned words, saturated", old("DD"), by("i16x8.add_sat_u"));
export const PSUBSB = packed("PSUBSB", "Subtract signed bytes, saturated", old("E8"), by("i8x16.sub_sat_s"));
export const PSUBSW = packed("PSUBSW", "Subtract signed words, saturated", old("E9"), by("i16x8.sub_sat_s"));
export const PSUBUSB = packed("PSUBUSB", "Subtract unsigned bytes, saturated", old("D8"), by("i8x16.sub_sat_u"));
export const PSUBUSW = packed("PSUBUSW", "Subtract unsigned words, saturated", old("D9"), by("i16x8.sub_sat_u"));

export const PAVGB = packed("PAVGB", "Average of packed bytes", old("E0", "sse"), by("i8x16.avgr_u"));
export const PAVGW = packed("PAVGW", "Average of packed words", old("E3", "sse"), by("i16x8.avgr_u"));

export const PMINUB = packed("PMINUB", "Minimum of unsigned bytes", old("DA", "sse"), by("i8x16.min_u"));
export const PMINSW = packed("PMINSW", "Minimum of signed words", old("EA", "sse"), by("i16x8.min_s"));
export const PMAXUB = packed("PMAXUB", "Maximum of unsigned bytes", old("DE", "sse"), by("i8x16.max_u"));
export const PMAXSW = packed("PMAXSW", "Maximum of signed words", old("EE", "sse"), by("i16x8.max_s"));
export const PMINSB = packed("PMINSB", "Minimum of signed bytes", fourth("38"), by("i8x16.min_s"));
export const PMINSD = packed("PMINSD", "Minimum of signed doublewords", fourth("39"), by("i32x4.min_s"));
export const PMINUW = packed("PMINUW", "Minimum of unsigned words", fourth("3A"), by("i16x8.min_u"));
export const PMINUD = packed("PMINUD", "Minimum of unsigned doublewords", fourth("3B"), by("i32x4.min_u"));
export const PMAXSB = packed("PMAXSB", "Maximum of signed bytes", fourth("3C"), by("i8x16.max_s"));
export const PMAXSD = packed("PMAXSD", "Maximum of signed doublewords", fourth("3D"), by("i32x4.max_s"));
export const PMAXUW = packed("PMAXUW", "Maximum of unsigned words", fourth("3E"), by("i16x8.max_u"));
export const PMAXUD = packed("PMAXUD", "Maximum of unsigned doublewords", fourth("3F"), by("i32x4.max_u"));

export const PCMPEQB = packed("PCMPEQB", "Compare packed bytes for equal", old("74"), by("i8x16.eq"));
export const PCMPEQW = packed("PCMPEQW", "Compare packed words for equal", old("75"), by("i16x8.eq"));
export const PCMPEQD = packed("PCMPEQD", "Compare packed doublewords for equal", old("76"), by("i32x4.eq"));
export const PCMPEQQ = packed("PCMPEQQ", "Compare packed quadwords for equal", fourth("29"), by("i64x2.eq"));
export const PCMPGTB = packed("PCMPGTB", "Compare signed bytes for greater than", old("64"), by("i8x16.gt_s"));
export const PCMPGTW = packed("PCMPGTW", "Compare signed words for greater than", old("65"), by("i16x8.gt_s"));
export const PCMPGTD = packed("PCMPGTD", "Compare signed doublewords for greater than", old("66"), by("i32x4.gt_s"));
export const PCMPGTQ = packed(
	"PCMPGTQ",
	"Compare signed quadwords for greater than",
	fourth("37", "sse4.2"),
	by("i64x2.gt_s"),
);

export const PABSB = packedUnary("PABSB", "Absolute value of bytes", third("1C"), one("i8x16.abs"));
export const PABSW = packedUnary("PABSW", "Absolute value of words", third("1D"), one("i16x8.abs"));
export const PABSD = packedUnary("PABSD", "Absolute value of doublewords", third("1E"), one("i32x4.abs"));

/** `a` negated where `b` is negative, 0 where it is 0. */
function withSign(width: 8 | 16 | 32): (a: Expr, b: Expr) => Expr {
	const shape = ({ 8: "i8x16", 16: "i16x8", 32: "i32x4" } as const)[width];
	return (a, b) => {
		const negative = vector(`${shape}.gt_s`, ZERO, b);
		return vector("v128.andnot", vector(`${shape}.sub`, a.xor(negative), negative), vector(`${shape}.eq`, b, ZERO));
	};
}

export const PSIGNB = packed("PSIGNB", "Negate bytes by sign", third("08"), withSign(8));
export const PSIGNW = packed("PSIGNW", "Negate words by sign", third("09"), withSign(16));
export const PSIGND = packed("PSIGND", "Negate doublewords by sign", third("0A"), withSign(32));

export const PMULLW = packed("PMULLW", "Multiply words, low halves", old("D5"), by("i16x8.mul"));
export const PMULLD = packed("PMULLD", "Multiply doublewords, low halves", fourth("40"), by("i32x4.mul"));

/** Words 31:16 of the products of words. */
function highProduct(sign: "s" | "u"): (a: Expr, b: Expr) => Expr {
	return (a, b) => {
		const [low, high] = [
			vector(`i32x4.extmul_low_i16x8_${sign}`, a, b),
			vector(`i32x4.extmul_high_i16x8_${sign}`, a, b),
		];
		return shuffleLanes(16, low, high, [1, 3, 5, 7, 9, 11, 13, 15]);
	};
}

export const PMULHW = packed("PMULHW", "Multiply signed words, high halves", old("E5"), highProduct("s"));
export const PMULHUW = packed("PMULHUW", "Multiply unsigned words, high halves", old("E4", "sse"), highProduct("u"));

/** WebAssembly saturates the one product that the processor lets wrap. */
export const PMULHRSW = packed("PMULHRSW", "Multiply signed words, high halves rounded", third("0B"), (a, b) => {
	const least = splat(16, constant(16, 0x8000));
	const wrapped = vector("i16x8.eq", a, least).and(vector("i16x8.eq", b, least));
	return vector("i16x8.q15mulr_sat_s", a, b).xor(wrapped);
});

/** Products of the even doublewords. */
function evenProduct(sign: "s" | "u"): (a: Expr, b: Expr) => Expr {
	const even = (value: Expr): Expr => shuffleLanes(32, value, value, [0, 2, 0, 2]);
	return (a, b) => vector(`i64x2.extmul_low_i32x4_${sign}`, even(a), even(b));
}

export const PMULUDQ = packed("PMULUDQ", "Multiply unsigned doublewords", old("F4", "sse2"), evenProduct("u"));
export const PMULDQ = packed("PMULDQ", "Multiply signed doublewords", fourth("28"), evenProduct("s"));

export const PMADDWD = packed("PMADDWD", "Multiply signed words and add pairs", old("F5"), by("i32x4.dot_i16x8_s"));

export const PMADDUBSW = packed("PMADDUBSW", "Multiply unsigned by signed bytes and add pairs", third("04"), (a, b) => {
	const even = vector(
		"i16x8.mul",
		a.and(splat(16, constant(16, 0xff))),
		shiftLanes("i16x8.shr_s", shiftLanes("i16x8.shl", b, 8), 8),
	);
	const odd = vector("i16x8.mul", shiftLanes("i16x8.shr_u", a, 8), shiftLanes("i16x8.shr_s", b, 8));
	return vector("i16x8.add_sat_s", even, odd);
});

const EVEN = { 16: [0, 2, 4, 6, 8, 10, 12, 14], 32: [0, 2, 4, 6] } as const;

/** An operation on neighbours, even and odd lanes, of the first and then of the second vector. */
function horizontal(width: 16 | 32, op: VectorBinary): (a: Expr, b: Expr) => Expr {
	const odd = EVEN[width].map((n) => n + 1);
	return (a, b) => vector(op, shuffleLanes(width, a, b, EVEN[width]), shuffleLanes(width, a, b, odd));
}

export const PHADDW = packedAcross("PHADDW", "Add neighbouring words", third("01"), horizontal(16, "i16x8.add"));
export const PHADDD = packedAcross("PHADDD", "Add neighbouring doublewords", third("02"), horizontal(32, "i32x4.add"));
export const PHADDSW = packedAcross(
	"PHADDSW",
	"Add neighbouring signed words, saturated",
	third("03"),
	horizontal(16, "i16x8.add_sat_s"),
);
export const PHSUBW = packedAcross("PHSUBW", "Subtract neighbouring words", third("05"), horizontal(16, "i16x8.sub"));
export const PHSUBD = packedAcross(
	"PHSUBD",
	"Subtract neighbouring doublewords",
	third("06"),
	horizontal(32, "i32x4.sub"),
);
export const PHSUBSW = packedAcross(
	"PHSUBSW",
	"Subtract neighbouring signed words, saturated",
	third("07"),
	horizontal(16, "i16x8.sub_sat_s"),
);

export const PSADBW = packed("PSADBW", "Sum of absolute differences", old("F6", "sse"), (a, b) => {
	const difference = vector("i8x16.sub_sat_u", a, b).or(vector("i8x16.sub_sat_u", b, a));
	const words = vector("i16x8.extadd_pairwise_i8x16_u", difference);
	const sums = vector("i32x4.extadd_pairwise_i16x8_u", words);
	return vector("i64x2.add", sums.and(lanes(64, [0xffffffffn, 0xffffffffn])), shiftLanes("i64x2.shr_u", sums, 32));
});

const IOTA = lanes(8, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);

/** Eight sums of four absolute differences: a block of `b` against blocks of `a` one byte apart; bits 5:3 are for the upper half. */
export const MPSADBW = packed(
	"MPSADBW",
	"Sums of absolute differences",
	{ opcode: "0F 3A 42 /r ib", sse: "sse4.1", operands: "Vx, Hx, Wx, Ib" },
	(a, b, x, half) => {
		const control = immediateOf(x).shrU(half * 3);
		const from = vector("i8x16.swizzle", a, vector("i8x16.add", IOTA, splat(8, control.and(4))));
		const block = vector("i8x16.swizzle", b, vector("i8x16.add", IOTA, splat(8, control.and(3).shl(2))));
		let sum = ZERO;
		for (let n = 0; n < 4; n++) {
			const bytes = [0, 1, 2, 3, 4, 5, 6, 7].map((at) => at + n);
			const words = vector("i16x8.extend_low_i8x16_u", shuffle(from, from, [...bytes, ...bytes]));
			const other = splat(16, lane(block, 8, n).zext(16));
			sum = vector("i16x8.add", sum, vector("i16x8.abs", vector("i16x8.sub", words, other)));
		}
		return sum;
	},
);

/** The least word with its number above it; of equal ones the first. */
export const PHMINPOSUW = packedUnary(
	"PHMINPOSUW",
	"Minimum of words and its position",
	{ ...fourth("41"), avx2: "none" },
	(a) => {
		const numbered = (op: VectorUnary, first: number): Expr =>
			shiftLanes("i32x4.shl", vector(op, a), 16).or(lanes(32, [first, first + 1, first + 2, first + 3]));
		const four = vector(
			"i32x4.min_u",
			numbered("i32x4.extend_low_i16x8_u", 0),
			numbered("i32x4.extend_high_i16x8_u", 4),
		);
		const two = vector("i32x4.min_u", four, shuffleLanes(32, four, four, [2, 3, 2, 3]));
		const least = lane(vector("i32x4.min_u", two, shuffleLanes(32, two, two, [1, 1, 1, 1])), 32, 0);
		return least.rotl(16).zext(128);
	},
);
