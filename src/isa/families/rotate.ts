import type { Expr, Flag, Width } from "../expr.ts";
import { family } from "../family.ts";
import type { Semantics } from "../semantics.ts";
import { shiftForms, shiftOperands } from "./shift-operands.ts";

/** OF is defined for single rotations only. */
function undefinedAfterRotation(width: Width, count: number): readonly Flag[] {
	return (count & (width === 64 ? 63 : 31)) > 1 ? ["of"] : [];
}

/** A narrow value repeated over 32 bits rotates by any count below 32. */
function repeated(value: Expr): Expr {
	if (value.width === 8) return value.zext(32).mul(0x01010101);
	if (value.width === 16) return value.zext(32).mul(0x00010001);
	return value;
}

export const ROL = family("ROL", "Rotate left", {
	forms: shiftForms(0),
	undefined: undefinedAfterRotation,
	meaning: (x) => {
		const { value, width, count, changes } = shiftOperands(x);
		const rotated = repeated(value).rotl(count);
		x.write(0, rotated.trunc(width));
		x.setFlags({ cf: rotated.bit(0), of: rotated.bit(width - 1).xor(rotated.bit(0)) }, changes);
	},
});

export const ROR = family("ROR", "Rotate right", {
	forms: shiftForms(1),
	undefined: undefinedAfterRotation,
	meaning: (x) => {
		const { value, width, count, changes } = shiftOperands(x);
		const rotated = repeated(value).rotr(count);
		x.write(0, rotated.trunc(width));
		x.setFlags({ cf: rotated.bit(width - 1), of: rotated.bit(width - 1).xor(rotated.bit(width - 2)) }, changes);
	},
});

/** Value and carry rotated left by `count`, which is 0 to `width`. */
function throughCarry(value: Expr, carry: Expr, count: Expr): { result: Expr; carry: Expr } {
	const { width } = value;
	if (width < 64) {
		// Carry and value side by side in 64 bits: width + 1 bits to rotate.
		const chain = carry.zext(64).shl(width).or(value.zext(64));
		const by = count.zext(64);
		const rotated = chain.shl(by).or(chain.shrU(by.neg().add(width + 1)));
		return { result: rotated.trunc(width), carry: rotated.bit(width) };
	}
	const [none, left] = [count.eq(0), count.and(63)];
	const wrapped = carry
		.zext(64)
		.shl(count.sub(1).and(63))
		.or(value.shrU(1).shrU(count.neg().and(63)));
	return {
		result: none.select(value, count.eq(64).select(wrapped, value.shl(left).or(wrapped))),
		carry: none.select(carry, value.shrU(count.neg().and(63)).bit(0)),
	};
}

function rotateThroughCarry(left: boolean) {
	return (x: Semantics): void => {
		const { value, width, count, changes } = shiftOperands(x);
		const turns = width < 32 ? count.remU(width + 1) : count;
		// To the right is to the left by the rest of a full turn; by 0 the rest would be a full turn too many.
		const rest = turns.eq(0).select(turns, turns.neg().add(width + 1));
		const { result, carry } = throughCarry(value, x.flag("cf"), left ? turns : rest);
		x.write(0, result);
		const other = left ? carry : result.bit(width - 2);
		x.setFlags({ cf: carry, of: result.sign().xor(other) }, changes);
	};
}

export const RCL = family("RCL", "Rotate left through carry", {
	forms: shiftForms(2),
	undefined: undefinedAfterRotation,
	meaning: rotateThroughCarry(true),
});

export const RCR = family("RCR", "Rotate right through carry", {
	forms: shiftForms(3),
	undefined: undefinedAfterRotation,
	meaning: rotateThroughCarry(false),
});
