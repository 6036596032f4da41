import { family } from "../family.ts";
import { RBP } from "../registers.ts";

export const PUSH = family("PUSH", "Push onto the stack", {
	forms: [
		["50+r", "Zv", { size64: "d64" }],
		["FF /6", "Ev", { size64: "d64" }],
		["6A ib", "sIb", { size64: "d64" }],
		["68 iz", "Iz", { size64: "d64" }],
	],
	meaning: (x) => x.push(x.read(0)),
});

export const POP = family("POP", "Pop from the stack", {
	forms: [
		["58+r", "Zv", { size64: "d64" }],
		["8F /0", "Ev", { size64: "d64", popsFirst: true }],
	],
	meaning: (x) => x.write(0, x.pop()),
});

export const LEAVE = family("LEAVE", "High-level procedure exit", {
	forms: [["C9", "", { sized: true, size64: "d64" }]],
	meaning: (x) => x.popFrame(RBP),
});
