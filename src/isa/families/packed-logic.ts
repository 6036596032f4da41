import { constant, type Expr, FALSE } from "../expr.ts";
import { type Family, family } from "../family.ts";
import { doubleForms, packed, singleForms, type VectorForms, vectorFamily, vectorForms } from "../packed.ts";
import type { Semantics } from "../semantics.ts";
import { laneMask, lanes, type VectorMask, vector } from "../vector.ts";

const AND = (a: Expr, b: Expr): Expr => a.and(b);
const OR = (a: Expr, b: Expr): Expr => a.or(b);
const XOR = (a: Expr, b: Expr): Expr => a.xor(b);
const AND_NOT = (a: Expr, b: Expr): Expr => vector("v128.andnot", b, a);

const integer = (opcode: string): VectorForms => ({ opcode: `0F ${opcode} /r`, mmx: "mmx", sse: "sse2" });

export const PAND = packed("PAND", "And", integer("DB"), AND);
export const PANDN = packed("PANDN", "And with the complement", integer("DF"), AND_NOT);
export const POR = packed("POR", "Or", integer("EB"), OR);
export const PXOR = packed("PXOR", "Exclusive or", integer("EF"), XOR);
export const ANDPS = packed("ANDPS", "And of packed singles", singleForms("54"), AND);
export const ANDNPS = packed("ANDNPS", "And with the complement of packed singles", singleForms("55"), AND_NOT);
export const ORPS = packed("ORPS", "Or of packed singles", singleForms("56"), OR);
export const XORPS = packed("XORPS", "Exclusive or of packed singles", singleForms("57"), XOR);
export const ANDPD = packed("ANDPD", "And of packed doubles", doubleForms("54"), AND);
export const ANDNPD = packed("ANDNPD", "And with the complement of packed doubles", doubleForms("55"), AND_NOT);
export const ORPD = packed("ORPD", "Or of packed doubles", doubleForms("56"), OR);
export const XORPD = packed("XORPD", "Exclusive or of packed doubles", doubleForms("57"), XOR);

/** Of the bits in `mask` of two vectors: ZF where the and, CF where the and with the complement is all zeros. */
function test(mask?: Expr) {
	return (x: Semantics): void => {
		let [both, other] = [constant(128, 0), constant(128, 0)];
		for (let half = 0; half < x.halves; half++) {
			const [a, b] = [x.readHalf(0, half), x.readHalf(1, half)];
			both = both.or(a.and(b));
			other = other.or(AND_NOT(a, b));
		}
		const isZero = (value: Expr): Expr => laneMask("v128.any_true", mask ? value.and(mask) : value).eq(0);
		x.setFlags({ zf: isZero(both), cf: isZero(other), pf: FALSE, af: FALSE, sf: FALSE, of: FALSE });
	};
}

export const PTEST = vectorFamily("PTEST", "Logical compare", {
	forms: [{ opcode: "0F 38 17 /r", sse: "sse4.1", avx2: "avx", operands: "Vx, Wx" }],
	meaning: test(),
});

const signTest = (name: string, opcode: string, operands: string, mask: Expr): Family =>
	family(name, "Packed bit test of signs", {
		forms: vectorForms({ opcode: `0F 38 ${opcode} /r`, sse: "none", avx2: "avx", w: "W0", operands }),
		meaning: test(mask),
	});

const TOP = 1n << 63n;
export const VTESTPS = signTest("VTESTPS", "0E", "Vps, Wps", lanes(32, new Array<number>(4).fill(0x80000000)));
export const VTESTPD = signTest("VTESTPD", "0F", "Vpd, Wpd", lanes(64, [TOP, TOP]));

/** Sign bits of `count` lanes a half, as a number. */
function signs(op: VectorMask, count: number) {
	return (x: Semantics): void => {
		const mmx = x.operands[1]?.bank === "mmx";
		let mask = laneMask(op, mmx ? x.read(1).zext(128) : x.readHalf(1, 0));
		if (x.halves === 2) mask = mask.or(laneMask(op, x.readHalf(1, 1)).shl(count));
		x.write(0, mask.zext(x.width(0)));
	};
}

export const MOVMSKPS = vectorFamily("MOVMSKPS", "Extract signs of packed singles", {
	forms: [{ opcode: "0F 50 /r", prefix: "NP", sse: "sse", avx2: "avx", operands: "Gy, Ups" }],
	meaning: signs("i32x4.bitmask", 4),
});

export const MOVMSKPD = vectorFamily("MOVMSKPD", "Extract signs of packed doubles", {
	forms: [{ opcode: "0F 50 /r", sse: "sse2", avx2: "avx", operands: "Gy, Upd" }],
	meaning: signs("i64x2.bitmask", 2),
});

export const PMOVMSKB = vectorFamily("PMOVMSKB", "Extract signs of packed bytes", {
	forms: [{ opcode: "0F D7 /r", mmx: "sse", sse: "sse2", operands: "Gy, Ux", operandsMmx: "Gy, Nq" }],
	meaning: signs("i8x16.bitmask", 16),
});
