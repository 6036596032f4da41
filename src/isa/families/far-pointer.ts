import type { Expr } from "../expr.ts";
import type { Semantics } from "../semantics.ts";

/** Offset (64 bits wide) and selector (32 bits wide) of a far pointer operand, immediate or in memory. */
export function farPointer(x: Semantics, operand: number): { selector: Expr; offset: Expr } {
	if (!x.isMemory(operand))
		return { selector: x.farSelector(operand).zext(32), offset: x.immediate(operand, x.size).zext(64) };
	const address = x.effectiveAddress();
	const offset = x.loadMemory("operand", address, x.size).zext(64);
	const selector = x.loadMemory("operand", x.wrapAddress(address.add(x.size / 8)), 16).zext(32);
	return { selector, offset };
}
