import { constant, type Expr } from "../expr.ts";
import { type Family, type FamilyOptions, family } from "../family.ts";
import type { Semantics } from "../semantics.ts";

/** Formats of memory operands, as the helpers take them: 32- and 64-bit floating point, integers of 16, 32 and 64 bits. */
export const KIND = { float32: 0, float64: 1, int16: 2, int32: 3, int64: 4 } as const;

/** An x87 instruction: #NM without an FPU, #MF where an exception waits, both before anything else. */
export function x87(name: string, title: string, options: Omit<FamilyOptions, "checks" | "feature">): Family {
	return family(name, title, { ...options, feature: "fpu", checks: ["fpu"] });
}

/** One that does not wait. */
export function x87NoWait(name: string, title: string, options: Omit<FamilyOptions, "checks" | "feature">): Family {
	return family(name, title, { ...options, feature: "fpu", checks: ["fpuNoWait"] });
}

/** Number of ST(i), the operand at `index`. */
export function stackNumber(x: Semantics, index: number): Expr {
	return x.operands[index]?.kind === "sti" ? x.registerNumber(index).and(7) : constant(32, 0);
}
