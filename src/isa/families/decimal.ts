import { constant } from "../expr.ts";
import { family } from "../family.ts";
import { packFlags } from "../flags.ts";
import { RAX } from "../registers.ts";
import type { Semantics } from "../semantics.ts";

/** DAA and DAS (SDM 2A): each decimal digit out of range, or with a carry, is corrected by 6. */
function decimalAdjust(subtract: boolean) {
	return (x: Semantics): void => {
		const [al, cf] = [x.register(RAX, 8), x.flag("cf")];
		const low = constant(8, 9).ltU(al.and(15)).or(x.flag("af"));
		const high = constant(8, 0x99).ltU(al).or(cf);
		const correction = low.select(constant(8, 6), 0).add(high.select(constant(8, 0x60), 0));
		const result = subtract ? al.sub(correction) : al.add(correction);
		// A borrow of the low correction alone counts as well.
		const carry = subtract ? high.or(low.and(al.ltU(6))) : high;
		x.setRegister(RAX, result);
		x.flags("result", result, packFlags({ cf: carry, af: low }));
	};
}

export const DAA = family("DAA", "Decimal adjust AL after addition", {
	forms: [["27", "", { mode: "i64" }]],
	undefined: ["of"],
	meaning: decimalAdjust(false),
});

export const DAS = family("DAS", "Decimal adjust AL after subtraction", {
	forms: [["2F", "", { mode: "i64" }]],
	undefined: ["of"],
	meaning: decimalAdjust(true),
});

/** AAA and AAS (SDM 2A): `correction` is added to AX. */
function asciiAdjust(correction: number) {
	return (x: Semantics): void => {
		const ax = x.register(RAX, 16);
		const adjust = constant(16, 9).ltU(ax.and(15)).or(x.flag("af"));
		const result = adjust.select(ax.add(correction), ax).and(0xff0f);
		x.setRegister(RAX, result);
		x.flags("result", result.trunc(8), packFlags({ cf: adjust, af: adjust }));
	};
}

export const AAA = family("AAA", "ASCII adjust AL after addition", {
	forms: [["37", "", { mode: "i64" }]],
	undefined: ["of", "sf", "zf", "pf"],
	meaning: asciiAdjust(0x106),
});

export const AAS = family("AAS", "ASCII adjust AL after subtraction", {
	forms: [["3F", "", { mode: "i64" }]],
	undefined: ["of", "sf", "zf", "pf"],
	meaning: asciiAdjust(-0x106),
});

export const AAM = family("AAM", "ASCII adjust AX after multiply", {
	forms: [["D4 ib", "Ib", { mode: "i64" }]],
	undefined: ["of", "af", "cf"],
	meaning: (x) => {
		const [al, base] = [x.register(RAX, 8), x.read(0)];
		const zero = base.eq(0);
		x.fault("DE", zero);
		const safe = zero.select(constant(8, 1), base);
		const low = al.remU(safe);
		x.setRegister(RAX, al.divU(safe).zext(16).shl(8).or(low.zext(16)));
		x.flags("logic", low);
	},
});

export const AAD = family("AAD", "ASCII adjust AX before division", {
	forms: [["D5 ib", "Ib", { mode: "i64" }]],
	undefined: ["of", "af", "cf"],
	meaning: (x) => {
		const result = x.register(RAX, 8).add(x.register(RAX, 8, true).mul(x.read(0)));
		x.setRegister(RAX, result.zext(16));
		x.flags("logic", result);
	},
});
