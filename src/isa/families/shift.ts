import type { Expr, Flag, Width } from "../expr.ts";
import { family } from "../family.ts";
import type { Semantics } from "../semantics.ts";
import { shiftForms, shiftOperands } from "./shift-operands.ts";

/** CF in bit 0 and OF in bit 11, from truth in the low bit of two 32-bit values. */
function carryAndOverflow(carry: Expr, overflow: Expr): Expr {
	return carry.and(1).or(overflow.and(1).shl(11));
}

function topBit(value: Expr): Expr {
	return value.shrU(value.width - 1).cast(32);
}

/** OF is defined for single shifts only, AF never, CF of logical shifts only for counts below the width. */
function undefinedAfterShift(carryEnds: boolean) {
	return (width: Width, count: number): readonly Flag[] => {
		const masked = count & (width === 64 ? 63 : 31);
		if (masked === 0) return [];
		return ["af", ...(masked > 1 ? (["of"] as const) : []), ...(carryEnds && masked >= width ? (["cf"] as const) : [])];
	};
}

export const SHL = family("SHL", "Shift left", {
	forms: [...shiftForms(4), ...shiftForms(6)],
	aliases: ["SAL"],
	undefined: undefinedAfterShift(true),
	meaning: (x) => {
		const { value, width, count, wide, changes } = shiftOperands(x);
		const shifted = value.zext(wide).shl(count);
		const carry = width < 32 ? shifted.shrU(width) : value.shrU(count.neg().and(wide - 1)).cast(32);
		const result = shifted.trunc(width);
		x.write(0, result);
		x.flags("result", result, carryAndOverflow(carry, topBit(result).xor(carry)), changes);
	},
});

export const SHR = family("SHR", "Shift right, logical", {
	forms: shiftForms(5),
	undefined: undefinedAfterShift(true),
	meaning: (x) => {
		const { value, width, count, before, wide, changes } = shiftOperands(x);
		const last = value.zext(wide).shrU(before);
		const result = value.zext(wide).shrU(count).trunc(width);
		x.write(0, result);
		x.flags("result", result, carryAndOverflow(last.cast(32), last.shrU(width - 1).cast(32)), changes);
	},
});

export const SAR = family("SAR", "Shift right, arithmetic", {
	forms: shiftForms(7),
	undefined: undefinedAfterShift(false),
	meaning: (x) => {
		const { value, width, count, before, wide, changes } = shiftOperands(x);
		const extended = value.sext(wide);
		const result = extended.shrS(count).trunc(width);
		x.write(0, result);
		x.flags("result", result, extended.shrS(before).cast(32).and(1), changes);
	},
});

/** Beyond the width (16 bits by 17 to 31), result and flags are undefined. */
function undefinedAfterDouble(width: Width, count: number): readonly Flag[] {
	const masked = count & (width === 64 ? 63 : 31);
	if (masked === 0) return [];
	if (masked > width) return ["cf", "pf", "af", "zf", "sf", "of"];
	return masked > 1 ? ["af", "of"] : ["af"];
}

/** Of 16 bits, counts above 16 go on with the destination behind the source, as Intel's processors do. */
function shiftDouble(left: boolean) {
	return (x: Semantics): void => {
		const { value, width, count, before, wide, changes } = shiftOperands(x);
		const source = x.read(1);
		let result: Expr;
		let carry: Expr;
		if (width === 16) {
			const [outer, inner] = [value.zext(64), source.zext(64)];
			const chain = outer.shl(32).or(inner.shl(16)).or(outer);
			const shifted = left ? chain.shl(count.zext(64)) : chain.shrU(count.zext(64));
			result = (left ? shifted.shrU(32) : shifted).trunc(16);
			carry = (left ? shifted.shrU(48) : chain.shrU(before.zext(64))).trunc(32);
		} else {
			// The source arrives in two steps, so that each shift stays below the width; by 0 it must not arrive at all.
			const rest = count.xor(wide - 1);
			const arriving = left ? source.shrU(1).shrU(rest) : source.shl(1).shl(rest);
			result = (left ? value.shl(count) : value.shrU(count)).or(arriving);
			carry = (left ? value.shrU(count.neg().and(wide - 1)) : value.shrU(before)).cast(32);
		}
		x.write(0, result);
		x.flags("result", result, carryAndOverflow(carry, topBit(result.xor(value))), changes);
	};
}

export const SHLD = family("SHLD", "Double-precision shift left", {
	forms: [
		["0F A4 /r ib", "Ev, Gv, Ib"],
		["0F A5 /r", "Ev, Gv, CL"],
	],
	undefined: undefinedAfterDouble,
	meaning: shiftDouble(true),
});

export const SHRD = family("SHRD", "Double-precision shift right", {
	forms: [
		["0F AC /r ib", "Ev, Gv, Ib"],
		["0F AD /r", "Ev, Gv, CL"],
	],
	undefined: undefinedAfterDouble,
	meaning: shiftDouble(false),
});
