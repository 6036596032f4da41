import type { Expr } from "../expr.ts";
import type { Feature } from "../features.ts";
import { packed } from "../packed.ts";
import { type VectorBinary, vector } from "../vector.ts";

const by =
	(op: VectorBinary) =>
	(a: Expr, b: Expr): Expr =>
		vector(op, a, b);

/** MMX since the beginning, SSE2, AVX, AVX2. */
const old = (opcode: string, mmx: Feature = "mmx") => ({ opcode: `0F ${opcode} /r`, mmx, sse: "sse2" }) as const;

export const PADDB = packed("PADDB", "Add packed bytes", old("FC"), by("i8x16.add"));
export const PADDW = packed("PADDW", "Add packed words", old("FD"), by("i16x8.add"));
export const PADDD = packed("PADDD", "Add packed doublewords", old("FE"), by("i32x4.add"));
export const PADDQ = packed("PADDQ", "Add packed quadwords", old("D4", "sse2"), by("i64x2.add"));
export const PSUBB = packed("PSUBB", "Subtract packed bytes", old("F8"), by("i8x16.sub"));
export const PSUBW = packed("PSUBW", "Subtract packed words", old("F9"), by("i16x8.sub"));
export const PSUBD = packed("PSUBD", "Subtract packed doublewords", old("FA"), by("i32x4.sub"));
export const PSUBQ = packed("PSUBQ", "Subtract packed quadwords", old("FB", "sse2"), by("i64x2.sub"));
