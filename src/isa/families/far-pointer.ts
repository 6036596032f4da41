import type { Expr } from "../expr.ts";
import type { Semantics } from "../semantics.ts";

/** Offset (64 bits wide) and selector (32 bits wide) of an immediate far pointer operand. */
export function farPointer(x: Semantics, operand: number): { selector: Expr; offset: Expr } {
	return { selector: x.farSelector(operand).zext(32), offset: x.immediate(operand, x.size).zext(64) };
}
