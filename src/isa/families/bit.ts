import { constant, type Expr, FALSE } from "../expr.ts";
import { type FormLine, family } from "../family.ts";
import type { Semantics } from "../semantics.ts";

function bitForms(opcode: string, digit: number): FormLine[] {
	return [
		[`0F ${opcode} /r`, "Ev, Gv"],
		[`0F BA /${digit} ib`, "Ev, Ib"],
	];
}

/**
 * Copies the chosen bit to CF and stores what `change` makes of the value and the bit's mask. A bit offset from a
 * register is signed and moves the address in memory by whole operands (SDM 2 3.1.1.9, Bit(BitBase, BitOffset)).
 */
function bitOperation(change?: (value: Expr, mask: Expr) => Expr) {
	return (x: Semantics): void => {
		const width = x.width(0);
		const offset = x.read(1);
		const position = offset.cast(width).and(width - 1);
		if (!x.isMemory(0) || x.operands[1]?.kind === "immediate") {
			const value = x.read(0);
			x.setFlags({ cf: value.shrU(position).bit(0) });
			if (change) x.write(0, change(value, constant(width, 1).shl(position)));
			return;
		}
		const units = offset.sext(64).shrS(Math.log2(width));
		const address = x.wrapAddress(x.effectiveAddress().add(units.shl(Math.log2(width / 8))));
		const value = x.loadMemory("operand", address, width, change !== undefined);
		x.setFlags({ cf: value.shrU(position).bit(0) });
		if (change) x.storeMemory("operand", address, change(value, constant(width, 1).shl(position)), true);
	};
}

export const BT = family("BT", "Bit test", {
	forms: bitForms("A3", 4),
	undefined: ["of", "sf", "af", "pf"],
	meaning: bitOperation(),
});

export const BTS = family("BTS", "Bit test and set", {
	forms: bitForms("AB", 5),
	lock: true,
	undefined: ["of", "sf", "af", "pf"],
	meaning: bitOperation((value, mask) => value.or(mask)),
});

export const BTR = family("BTR", "Bit test and reset", {
	forms: bitForms("B3", 6),
	lock: true,
	undefined: ["of", "sf", "af", "pf"],
	meaning: bitOperation((value, mask) => value.and(mask.not())),
});

export const BTC = family("BTC", "Bit test and complement", {
	forms: bitForms("BB", 7),
	lock: true,
	undefined: ["of", "sf", "af", "pf"],
	meaning: bitOperation((value, mask) => value.xor(mask)),
});

/** Of a source of 0 only ZF tells: all of the destination keeps its value, as newer processors do it (SDM 2A BSF). */
function bitScan(found: (source: Expr) => Expr) {
	return (x: Semantics): void => {
		const source = x.read(1);
		x.write(0, found(source), source.ne(0));
		x.flags("logic", source);
	};
}

export const POPCNT = family("POPCNT", "Count bits that are set", {
	forms: [["F3 0F B8 /r", "Gv, Ev"]],
	feature: "popcnt",
	meaning: (x) => {
		const source = x.read(1);
		x.write(0, source.popcnt());
		x.setFlags({ cf: FALSE, pf: FALSE, af: FALSE, zf: source.eq(0), sf: FALSE, of: FALSE });
	},
});

/** CF: nothing was found; ZF: it was found at once. */
function zeroCount(count: (source: Expr) => Expr) {
	return (x: Semantics): void => {
		const source = x.read(1);
		const zeros = count(source);
		x.write(0, zeros);
		x.setFlags({ cf: source.eq(0), zf: zeros.eq(0) });
	};
}

/** Without the feature it is BSF. */
export const TZCNT = family("TZCNT", "Count trailing zeros", {
	forms: [["F3 0F BC /r", "Gv, Ev"]],
	feature: "bmi1",
	undefined: ["of", "sf", "af", "pf"],
	meaning: zeroCount((source) => source.ctz()),
});

/** Without the feature it is BSR. */
export const LZCNT = family("LZCNT", "Count leading zeros", {
	forms: [["F3 0F BD /r", "Gv, Ev"]],
	feature: "abm",
	undefined: ["of", "sf", "af", "pf"],
	meaning: zeroCount((source) => source.clz()),
});

export const BSF = family("BSF", "Bit scan forward", {
	forms: [["0F BC /r", "Gv, Ev"]],
	undefined: ["cf", "of", "sf", "af", "pf"],
	meaning: bitScan((source) => source.ctz()),
});

export const BSR = family("BSR", "Bit scan reverse", {
	forms: [["0F BD /r", "Gv, Ev"]],
	undefined: ["cf", "of", "sf", "af", "pf"],
	meaning: bitScan((source) => source.clz().xor(source.width - 1)),
});
