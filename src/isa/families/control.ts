import { type FormLine, family } from "../family.ts";

const CONDITIONS = ["O", "NO", "B", "AE", "E", "NE", "BE", "A", "S", "NS", "P", "NP", "L", "GE", "LE", "G"] as const;
const hex = (value: number): string => value.toString(16).toUpperCase().padStart(2, "0");

/** Jcc, one family per condition. */
export const JCC = CONDITIONS.map((condition, code) =>
	family(`J${condition}`, "Jump if condition is met", {
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
		forms: [[`0F ${hex(0x90 + code)} /r`, "Eb"]],
		meaning: (x) => x.write(0, x.condition(code).zext(8)),
	}),
);

/** CMOVcc, one family per condition: the source is read, and can fault, either way. */
export const CMOVCC = CONDITIONS.map((condition, code) =>
	family(`CMOV${condition}`, "Conditional move", {
		forms: [[`0F ${hex(0x40 + code)} /r`, "Gv, Ev"]],
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
