import { family } from "../family.ts";

export const MOV = family("MOV", "Move", {
	forms: [
		["88 /r", "Eb, Gb"],
		["89 /r", "Ev, Gv"],
		["8A /r", "Gb, Eb"],
		["8B /r", "Gv, Ev"],
		["A0 mo", "AL, Ob"],
		["A1 mo", "rAX, Ov"],
		["A2 mo", "Ob, AL"],
		["A3 mo", "Ov, rAX"],
		["B0+r ib", "Zb, Ib"],
		["B8+r iv", "Zv, Iv"],
		["C6 /0 ib", "Eb, Ib"],
		["C7 /0 iz", "Ev, Iz"],
	],
	meaning: (x) => x.write(0, x.read(1)),
});

export const MOVNTI = family("MOVNTI", "Store without caching", {
	forms: [["NP 0F C3 /r", "My, Gy"]],
	feature: "sse2",
	meaning: (x) => x.write(0, x.read(1)),
});

export const MOVBE = family("MOVBE", "Move with bytes in reverse order", {
	forms: [
		["NFx 0F 38 F0 /r", "Gv, Mv"],
		["NFx 0F 38 F1 /r", "Mv, Gv"],
	],
	feature: "movbe",
	meaning: (x) => x.write(0, x.read(1).bswap()),
});

export const LEA = family("LEA", "Load effective address", {
	forms: [["8D /r", "Gv, M"]],
	meaning: (x) => x.write(0, x.effectiveAddress(x.width(0))),
});
