import type { Expr, Width } from "../expr.ts";
import type { FormLine } from "../family.ts";
import type { Semantics } from "../semantics.ts";

/** Forms of group 2 for ModRM.reg `digit`: shifts and rotates by an immediate, by 1 and by CL. */
export function shiftForms(digit: number): FormLine[] {
	return [
		[`C0 /${digit} ib`, "Eb, Ib"],
		[`C1 /${digit} ib`, "Ev, Ib"],
		[`D0 /${digit}`, "Eb, 1"],
		[`D1 /${digit}`, "Ev, 1"],
		[`D2 /${digit}`, "Eb, CL"],
		[`D3 /${digit}`, "Ev, CL"],
	];
}

/** What the shifts of a value have in common. */
interface Shift {
	readonly value: Expr;
	readonly width: Width;
	/** Count masked to 5 bits (6 for 64-bit operands), of the width in which shifts are computed: 32 or 64 bits. */
	readonly count: Expr;
	/** The count before, modulo 32 or 64: shifts out all but the last bit. */
	readonly before: Expr;
	readonly wide: 32 | 64;
	/** The count is not 0, so flags change; absent where it is 1. */
	readonly changes: Expr | undefined;
}

/** Reads operand 0 and the count in the last operand. */
export function shiftOperands(x: Semantics): Shift {
	const value = x.read(0);
	const { width } = value;
	const wide = width === 64 ? 64 : 32;
	const last = x.operands.length - 1;
	const count = x
		.read(last)
		.zext(wide)
		.and(wide - 1);
	const changes = x.operands[last]?.kind === "one" ? undefined : count.ne(0);
	return { value, width, count, before: count.sub(1).and(wide - 1), wide, changes };
}
