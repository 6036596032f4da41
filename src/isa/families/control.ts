import type { Expr } from "../expr.ts";
import { type FormLine, family } from "../family.ts";
import { RCX } from "../registers.ts";
import type { Semantics } from "../semantics.ts";

const CONDITIONS = ["O", "NO", "B", "AE", "E", "NE", "BE", "A", "S", "NS", "P", "NP", "L", "GE", "LE", "G"] as const;
const CONDITION_ALIASES: Readonly<Record<number, readonly string[]>> = {
	2: ["C", "NAE"],
	3: ["NC", "NB"],
	4: ["Z"],
	5: ["NZ"],
	6: ["NA"],
	7: ["NBE"],
	10: ["PE"],
	11: ["PO"],
	12: ["NGE"],
	13: ["NL"],
	14: ["NG"],
	15: ["NLE"],
};
const hex = (value: number): string => value.toString(16).toUpperCase().padStart(2, "0");

/** Jcc, one family per condition. */
export const JCC = CONDITIONS.map((condition, code) =>
	family(`J${condition}`, "Jump if condition is met", {
		aliases: CONDITION_ALIASES[code]?.map((alias) => `J${alias}`) ?? [],
		forms: [
			[`${hex(0x70 + code)} cb`, "Jb", { size64: "f64" }],
			[`0F ${hex(0x80 + code)} cz`, "Jz", { size64: "f64" }],
		] satisfies FormLine[],
		ends: true,
		meaning: (x) => x.jump(x.read(0), x.condition(code)),
	}),
);

/** SETcc, one family per condition. */
export const SETCC = CONDITIONS.map((condition, code) =>
	family(`SET${condition}`, "Set byte on condition", {
		aliases: CONDITION_ALIASES[code]?.map((alias) => `SET${alias}`) ?? [],
		forms: [[`0F ${hex(0x90 + code)} /r`, "Eb"]],
		meaning: (x) => x.write(0, x.condition(code).zext(8)),
	}),
);

/** CMOVcc, one family per condition: the source is read, and can fault, either way. */
export const CMOVCC = CONDITIONS.map((condition, code) =>
	family(`CMOV${condition}`, "Conditional move", {
		aliases: CONDITION_ALIASES[code]?.map((alias) => `CMOV${alias}`) ?? [],
		forms: [[`0F ${hex(0x40 + code)} /r`, "Gv, Ev"]],
		feature: "cmov",
		meaning: (x) => x.write(0, x.condition(code).select(x.read(1), x.read(0))),
	}),
);

export const JMP = family("JMP", "Jump near", {
	forms: [
		["EB cb", "Jb", { size64: "f64" }],
		["E9 cz", "Jz", { size64: "f64" }],
		["FF /4", "Ev", { size64: "f64" }],
	],
	ends: true,
	meaning: (x) => x.jump(x.read(0)),
});

export const CALL = family("CALL", "Call near procedure", {
	forms: [
		["E8 cz", "Jz", { size64: "f64" }],
		["FF /2", "Ev", { size64: "f64" }],
	],
	ends: true,
	meaning: (x) => {
		const target = x.read(0);
		x.push(x.nextIp());
		x.jump(target);
	},
});

export const RET = family("RET", "Return from near procedure", {
	forms: [
		["C3", "", { sized: true, size64: "f64" }],
		["C2 iw", "Iw", { sized: true, size64: "f64" }],
	],
	ends: true,
	meaning: (x) => {
		x.jump(x.pop());
		if (x.operands.length > 0) x.releaseImmediate(0);
	},
});

/** (R/E)CX, as wide as addresses are. */
function count(x: Semantics): Expr {
	return x.register(RCX, 64).and(x.addressMask());
}

/** Counts down in (R/E)CX and jumps while it is not 0 and `condition` holds; flags stay. */
function loop(condition?: number) {
	return (x: Semantics): void => {
		const left = x.wrapAddress(count(x).sub(1));
		// CX alone leaves the bits above; ECX, as any 32-bit register, clears them.
		const kept = x.addressSize().eq(2).select(x.register(RCX, 64).and(~0xffffn), 0);
		x.setRegister(RCX, kept.or(left));
		x.jump(x.read(0), condition === undefined ? left.ne(0) : left.ne(0).and(x.condition(condition)));
	};
}

export const LOOPNE = family("LOOPNE", "Loop while not 0 and ZF is 0", {
	forms: [["E0 cb", "Jb", { size64: "f64" }]],
	aliases: ["LOOPNZ"],
	ends: true,
	meaning: loop(5),
});

export const LOOPE = family("LOOPE", "Loop while not 0 and ZF is 1", {
	forms: [["E1 cb", "Jb", { size64: "f64" }]],
	aliases: ["LOOPZ"],
	ends: true,
	meaning: loop(4),
});

export const LOOP = family("LOOP", "Loop while not 0", {
	forms: [["E2 cb", "Jb", { size64: "f64" }]],
	ends: true,
	meaning: loop(),
});

export const JCXZ = family("JCXZ", "Jump if (E)CX is 0", {
	forms: [["E3 cb", "Jb", { size64: "f64" }]],
	aliases: ["JECXZ", "JRCXZ"],
	ends: true,
	meaning: (x) => x.jump(x.read(0), count(x).eq(0)),
});
