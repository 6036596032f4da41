import { constant, type Expr } from "../expr.ts";
import { type Family, family } from "../family.ts";
import type { Feature } from "../features.ts";
import { immediateOf, type VectorForms, vectorForms, vexFamily } from "../packed.ts";
import type { Semantics } from "../semantics.ts";
import { join, type LaneWidth, lane, lanes, shiftLanes, splat, vector } from "../vector.ts";

const ZERO = constant(128, 0);
const IOTA = lanes(8, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);

// Between halves of 256 bits.

const whole = (opcode: string, operands: string, avx2: Feature, w: "W0" | "W1" = "W0"): VectorForms => ({
	opcode: `0F ${opcode}`,
	sse: "none",
	avx: "none",
	avx2,
	w,
	operands,
});

/** Of two vectors' four halves one by two bits of the immediate, or nothing by a third. */
function permuteHalves(x: Semantics): void {
	const immediate = immediateOf(x);
	const pick = (first: number): Expr => {
		const [second, upper, none] = [immediate.bit(first + 1), immediate.bit(first), immediate.bit(first + 3)];
		const of = (index: number): Expr => upper.select(x.readHalf(index, 1), x.readHalf(index, 0));
		return none.select(ZERO, second.select(of(2), of(1)));
	};
	x.writeVector(0, pick(0), pick(4));
}

export const VPERM2F128 = vexFamily("VPERM2F128", "Permute halves of two vectors", {
	forms: [whole("3A 06 /r ib", "Vqq, Hqq, Wqq, Ib", "avx")],
	meaning: permuteHalves,
});
export const VPERM2I128 = vexFamily("VPERM2I128", "Permute halves of two vectors", {
	forms: [whole("3A 46 /r ib", "Vqq, Hqq, Wqq, Ib", "avx2")],
	meaning: permuteHalves,
});

/** Four quadwords by two bits of the immediate each. */
function permuteQuadwords(x: Semantics): void {
	const immediate = immediateOf(x);
	const pick = (bit: number): Expr => {
		const of = (half: number): Expr => {
			const from = x.readHalf(1, half);
			return immediate.bit(bit).select(lane(from, 64, 1), lane(from, 64, 0));
		};
		return immediate.bit(bit + 1).select(of(1), of(0));
	};
	x.writeVector(0, join(pick(0), pick(2)), join(pick(4), pick(6)));
}

export const VPERMQ = vexFamily("VPERMQ", "Permute quadwords", {
	forms: [whole("3A 00 /r ib", "Vqq, Wqq, Ib", "avx2", "W1")],
	meaning: permuteQuadwords,
});
export const VPERMPD = vexFamily("VPERMPD", "Permute doubles", {
	forms: [whole("3A 01 /r ib", "Vqq, Wqq, Ib", "avx2", "W1")],
	meaning: permuteQuadwords,
});

/** Eight doublewords by the numbers in the lanes of operand 1. */
function permuteDoublewords(x: Semantics): void {
	const pick = (half: number): Expr => {
		const numbers = x.readHalf(1, half);
		const low = vector("i32x4.mul", numbers.and(splat(32, constant(32, 3))), splat(32, constant(32, 0x04040404)));
		const bytes = low.or(splat(32, constant(32, 0x03020100)));
		const upper = shiftLanes("i32x4.shr_s", shiftLanes("i32x4.shl", numbers, 29), 31);
		const of = (source: number): Expr => vector("i8x16.swizzle", x.readHalf(2, source), bytes);
		return vector("v128.bitselect", of(1), of(0), upper);
	};
	x.writeVector(0, pick(0), pick(1));
}

export const VPERMD = vexFamily("VPERMD", "Permute doublewords", {
	forms: [whole("38 36 /r", "Vqq, Hqq, Wqq", "avx2")],
	meaning: permuteDoublewords,
});
export const VPERMPS = vexFamily("VPERMPS", "Permute singles", {
	forms: [whole("38 16 /r", "Vqq, Hqq, Wqq", "avx2")],
	meaning: permuteDoublewords,
});

function insertHalf(name: string, opcode: string, avx2: Feature): Family {
	return vexFamily(name, "Insert 128 bits", {
		forms: [whole(`3A ${opcode} /r ib`, "Vqq, Hqq, Wdq, Ib", avx2)],
		meaning: (x) => {
			const upper = immediateOf(x).bit(0);
			const value = x.read(2);
			x.writeVector(0, upper.select(x.readHalf(1, 0), value), upper.select(value, x.readHalf(1, 1)));
		},
	});
}

function extractHalf(name: string, opcode: string, avx2: Feature): Family {
	return vexFamily(name, "Extract 128 bits", {
		forms: [whole(`3A ${opcode} /r ib`, "Wdq, Vqq, Ib", avx2)],
		meaning: (x) => x.writeVector(0, immediateOf(x).bit(0).select(x.readHalf(1, 1), x.readHalf(1, 0))),
	});
}

export const VINSERTF128 = insertHalf("VINSERTF128", "18", "avx");
export const VINSERTI128 = insertHalf("VINSERTI128", "38", "avx2");
export const VEXTRACTF128 = extractHalf("VEXTRACTF128", "19", "avx");
export const VEXTRACTI128 = extractHalf("VEXTRACTI128", "39", "avx2");

// Broadcasts.

function broadcast(x: Semantics): void {
	const value = x.width(1) === 128 ? x.read(1) : splat(x.width(1) as LaneWidth, x.read(1));
	x.writeVector(0, value, x.halves === 2 ? value : undefined);
}

const spread = (name: string, opcode: string, source: string): Family =>
	vexFamily(name, "Broadcast an integer", {
		forms: [{ opcode: `0F 38 ${opcode} /r`, sse: "none", avx: "avx2", w: "W0", operands: `Vx, ${source}` }],
		meaning: broadcast,
	});

export const VPBROADCASTB = spread("VPBROADCASTB", "78", "Wb");
export const VPBROADCASTW = spread("VPBROADCASTW", "79", "Ww");
export const VPBROADCASTD = spread("VPBROADCASTD", "58", "Wd");
export const VPBROADCASTQ = spread("VPBROADCASTQ", "59", "Wq");
/** From a register only with AVX2. */
export const VBROADCASTSS = vexFamily("VBROADCASTSS", "Broadcast a single", {
	forms: [
		{ opcode: "0F 38 18 /r", sse: "none", avx2: "avx", w: "W0", operands: "Vps, Md" },
		{ opcode: "0F 38 18 /r", sse: "none", avx: "avx2", w: "W0", operands: "Vps, Uss" },
	],
	meaning: broadcast,
});
export const VBROADCASTSD = vexFamily("VBROADCASTSD", "Broadcast a double", {
	forms: [whole("38 19 /r", "Vqq, Mq", "avx"), whole("38 19 /r", "Vqq, Usd", "avx2")],
	meaning: broadcast,
});
export const VBROADCASTF128 = vexFamily("VBROADCASTF128", "Broadcast 128 bits", {
	forms: [whole("38 1A /r", "Vqq, Mdq", "avx")],
	meaning: broadcast,
});
export const VBROADCASTI128 = vexFamily("VBROADCASTI128", "Broadcast 128 bits", {
	forms: [whole("38 5A /r", "Vqq, Mdq", "avx2")],
	meaning: broadcast,
});

// Single elements.

const EQUAL = { 8: "i8x16.eq", 16: "i16x8.eq", 32: "i32x4.eq", 64: "i64x2.eq" } as const;

/** `a` with the lane of `width` bits replaced whose number the immediate has in its low bits. */
function insert(width: LaneWidth) {
	const count = 128 / width;
	const numbers = lanes(
		width,
		Array.from({ length: count }, (_, n) => n),
	);
	return (x: Semantics): void => {
		const first = x.vex ? 1 : 0;
		const mmx = x.operands[0]?.bank === "mmx";
		const a = mmx ? x.read(first).zext(128) : x.read(first);
		const number = immediateOf(x).and((mmx ? count / 2 : count) - 1);
		const mask = vector(EQUAL[width], numbers, splat(width, number));
		const result = vector("v128.bitselect", splat(width, x.read(first + 1)), a, mask);
		x.writeVector(0, mmx ? result.trunc(64) : result);
	};
}

export const PINSRB = family("PINSRB", "Insert a byte", {
	forms: vectorForms({ opcode: "0F 3A 20 /r ib", sse: "sse4.1", avx2: "none", operands: "Vdq, Hdq, RyMb, Ib" }),
	aliases: ["VPINSRB"],
	meaning: insert(8),
});
export const PINSRW = family("PINSRW", "Insert a word", {
	forms: vectorForms({
		opcode: "0F C4 /r ib",
		mmx: "sse",
		sse: "sse2",
		avx2: "none",
		operands: "Vdq, Hdq, RyMw, Ib",
	}),
	aliases: ["VPINSRW"],
	meaning: insert(16),
});
export const PINSRD = family("PINSRD", "Insert a doubleword or quadword", {
	forms: vectorForms({ opcode: "0F 3A 22 /r ib", sse: "sse4.1", avx2: "none", operands: "Vdq, Hdq, Ey, Ib" }),
	aliases: ["PINSRQ", "VPINSRD", "VPINSRQ"],
	meaning: (x) => insert(x.width(x.vex ? 2 : 1) === 64 ? 64 : 32)(x),
});

/** The lane of `width` bits whose number the immediate has in its low bits, to a register or memory. */
function extract(width: LaneWidth) {
	return (x: Semantics): void => {
		const mmx = x.operands[1]?.bank === "mmx";
		const a = mmx ? x.read(1).zext(128) : x.read(1);
		const number = immediateOf(x).and((mmx ? 64 : 128) / width - 1);
		const bytes = vector("i8x16.add", IOTA, splat(8, number.shl(Math.log2(width / 8))));
		x.write(0, lane(vector("i8x16.swizzle", a, bytes), width, 0).cast(x.width(0)));
	};
}

export const PEXTRB = family("PEXTRB", "Extract a byte", {
	forms: vectorForms({ opcode: "0F 3A 14 /r ib", sse: "sse4.1", avx2: "none", operands: "RyMb, Vdq, Ib" }),
	aliases: ["VPEXTRB"],
	meaning: extract(8),
});
export const PEXTRW = family("PEXTRW", "Extract a word", {
	forms: [
		...vectorForms({
			opcode: "0F C5 /r ib",
			mmx: "sse",
			sse: "sse2",
			avx2: "none",
			operands: "Gy, Udq, Ib",
			operandsMmx: "Gy, Nq, Ib",
		}),
		...vectorForms({ opcode: "0F 3A 15 /r ib", sse: "sse4.1", avx2: "none", operands: "RyMw, Vdq, Ib" }),
	],
	aliases: ["VPEXTRW"],
	meaning: extract(16),
});
export const PEXTRD = family("PEXTRD", "Extract a doubleword or quadword", {
	forms: vectorForms({ opcode: "0F 3A 16 /r ib", sse: "sse4.1", avx2: "none", operands: "Ey, Vdq, Ib" }),
	aliases: ["PEXTRQ", "VPEXTRD", "VPEXTRQ"],
	meaning: (x) => extract(x.width(0) === 64 ? 64 : 32)(x),
});
export const EXTRACTPS = family("EXTRACTPS", "Extract a single", {
	forms: vectorForms({ opcode: "0F 3A 17 /r ib", sse: "sse4.1", avx2: "none", operands: "RyMd, Vdq, Ib" }),
	aliases: ["VEXTRACTPS"],
	meaning: extract(32),
});

/** The single in memory, or one of a register by immediate bits 7:6, to the lane that bits 5:4 say; bits 3:0 clear lanes. */
export const INSERTPS = family("INSERTPS", "Insert a single", {
	forms: vectorForms({ opcode: "0F 3A 21 /r ib", sse: "sse4.1", avx2: "none", operands: "Vdq, Hdq, UdqMd, Ib" }),
	aliases: ["VINSERTPS"],
	meaning: (x) => {
		const first = x.vex ? 1 : 0;
		const immediate = immediateOf(x);
		const numbers = lanes(32, [0, 1, 2, 3]);
		let value = x.read(first + 1);
		if (value.width === 128) {
			const bytes = vector("i8x16.add", IOTA, splat(8, immediate.shrU(6).shl(2)));
			value = lane(vector("i8x16.swizzle", value, bytes), 32, 0);
		}
		const place = vector("i32x4.eq", numbers, splat(32, immediate.shrU(4).and(3)));
		const placed = vector("v128.bitselect", splat(32, value), x.read(first), place);
		const bits = lanes(32, [1, 2, 4, 8]);
		const cleared = vector("i32x4.eq", splat(32, immediate).and(bits), bits);
		x.writeVector(0, vector("v128.andnot", placed, cleared));
	},
});
