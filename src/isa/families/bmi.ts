import { constant, type Expr } from "../expr.ts";
import { type FamilyOptions, type FormLine, family } from "../family.ts";
import { RDX } from "../registers.ts";
import type { Semantics } from "../semantics.ts";

/** An instruction with a VEX prefix on general registers: without state of its own, but not in real mode. */
function vexFamily(name: string, title: string, options: Omit<FamilyOptions, "checks">) {
	return family(name, title, { ...options, checks: ["protected"] });
}

/** CF beside the flags of a result: OF is 0. */
function resultFlags(x: Semantics, result: Expr, carry: Expr): void {
	x.flags("result", result, carry.zext(32));
}

/** All ones below bit `count`, which is at most the width. */
function onesBelow(count: Expr): Expr {
	const { width } = count;
	return constant(width, 1)
		.shl(count.and(width - 1))
		.sub(1)
		.or(count.eq(width).select(constant(width, -1), 0));
}

export const ANDN = vexFamily("ANDN", "Bitwise and with an inverted operand", {
	forms: [["VEX.LZ.0F38 F2 /r", "Gy, By, Ey"]],
	feature: "bmi1",
	undefined: ["af", "pf"],
	meaning: (x) => {
		const result = x.read(1).not().and(x.read(2));
		x.write(0, result);
		x.flags("logic", result);
	},
});

/** Start and length are bytes of the last operand; bits beyond the source are 0. */
export const BEXTR = vexFamily("BEXTR", "Extract a field of bits", {
	forms: [["VEX.LZ.0F38 F7 /r", "Gy, Ey, By"]],
	feature: "bmi1",
	undefined: ["af", "sf", "pf"],
	meaning: (x) => {
		const [source, control] = [x.read(1), x.read(2)];
		const { width } = source;
		const [start, length] = [control.and(0xff), control.shrU(8).and(0xff)];
		const moved = start.ltU(width).select(source.shrU(start.and(width - 1)), 0);
		const result = moved.and(onesBelow(length.ltU(width).select(length, width)));
		x.write(0, result);
		x.flags("logic", result);
	},
});

/** The three that work around the lowest bit set. */
function lowestBit(digit: number, change: (source: Expr) => Expr, carry: (isZero: Expr) => Expr) {
	return {
		forms: [[`VEX.LZ.0F38 F3 /${digit}`, "By, Ey"]] satisfies FormLine[],
		feature: "bmi1",
		undefined: ["af", "pf"],
		meaning: (x: Semantics) => {
			const source = x.read(1);
			const result = change(source);
			x.write(0, result);
			resultFlags(x, result, carry(source.eq(0)));
		},
	} as const;
}

export const BLSR = vexFamily("BLSR", "Reset the lowest bit set", {
	...lowestBit(
		1,
		(source) => source.sub(1).and(source),
		(isZero) => isZero,
	),
});

export const BLSMSK = vexFamily("BLSMSK", "Mask up to the lowest bit set", {
	...lowestBit(
		2,
		(source) => source.sub(1).xor(source),
		(isZero) => isZero,
	),
});

export const BLSI = vexFamily("BLSI", "Isolate the lowest bit set", {
	...lowestBit(
		3,
		(source) => source.neg().and(source),
		(isZero) => isZero.xor(1),
	),
});

export const BZHI = vexFamily("BZHI", "Zero the bits from a position on", {
	forms: [["VEX.LZ.0F38 F5 /r", "Gy, Ey, By"]],
	feature: "bmi2",
	undefined: ["af", "pf"],
	meaning: (x) => {
		const [source, position] = [x.read(1), x.read(2).and(0xff)];
		const inside = position.ltU(source.width);
		const result = source.and(onesBelow(inside.select(position, source.width)));
		x.write(0, result);
		resultFlags(x, result, inside.xor(1));
	},
});

/** Where both destinations are one register, it gets the upper half. */
export const MULX = vexFamily("MULX", "Unsigned multiply without flags", {
	forms: [["VEX.LZ.F2.0F38 F6 /r", "Gy, By, Ey"]],
	feature: "bmi2",
	meaning: (x) => {
		const width = x.width(0);
		const [a, b] = [x.register(RDX, width), x.read(2)];
		if (width === 64) {
			x.write(1, a.mul(b));
			x.write(0, a.mulHigh(b, false));
			return;
		}
		const product = a.zext(64).mul(b.zext(64));
		x.write(1, product.trunc(32));
		x.write(0, product.shrU(32).trunc(32));
	},
});

/** Bits of the second operand and places in the third. */
function bitsAndMask(helper: "pdep" | "pext") {
	return (x: Semantics): void => {
		x.helper(helper, x.registerNumber(0), x.read(1).zext(64), x.read(2).zext(64), x.width(0) / 8);
	};
}

export const PDEP = vexFamily("PDEP", "Deposit bits in the places of a mask", {
	forms: [["VEX.LZ.F2.0F38 F5 /r", "Gy, By, Ey"]],
	feature: "bmi2",
	meaning: bitsAndMask("pdep"),
});

export const PEXT = vexFamily("PEXT", "Extract bits from the places of a mask", {
	forms: [["VEX.LZ.F3.0F38 F5 /r", "Gy, By, Ey"]],
	feature: "bmi2",
	meaning: bitsAndMask("pext"),
});

/** Shifts and rotates that leave the flags alone. */
function shiftWithoutFlags(operation: "shl" | "shrU" | "shrS" | "rotr") {
	return (x: Semantics): void => {
		const source = x.read(1);
		x.write(
			0,
			source[operation](
				x
					.read(2)
					.cast(source.width)
					.and(source.width - 1),
			),
		);
	};
}

export const RORX = vexFamily("RORX", "Rotate right without flags", {
	forms: [["VEX.LZ.F2.0F3A F0 /r ib", "Gy, Ey, Ib"]],
	feature: "bmi2",
	meaning: shiftWithoutFlags("rotr"),
});

export const SARX = vexFamily("SARX", "Shift right, arithmetic, without flags", {
	forms: [["VEX.LZ.F3.0F38 F7 /r", "Gy, Ey, By"]],
	feature: "bmi2",
	meaning: shiftWithoutFlags("shrS"),
});

export const SHLX = vexFamily("SHLX", "Shift left without flags", {
	forms: [["VEX.LZ.66.0F38 F7 /r", "Gy, Ey, By"]],
	feature: "bmi2",
	meaning: shiftWithoutFlags("shl"),
});

export const SHRX = vexFamily("SHRX", "Shift right, logical, without flags", {
	forms: [["VEX.LZ.F2.0F38 F7 /r", "Gy, Ey, By"]],
	feature: "bmi2",
	meaning: shiftWithoutFlags("shrU"),
});
