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

export const PUSHA = family("PUSHA", "Push all general registers", {
	forms: [["60", "", { sized: true, mode: "i64" }]],
	aliases: ["PUSHAD"],
	meaning: (x) => x.helper("pushAll", x.size / 8),
});

export const POPA = family("POPA", "Pop all general registers", {
	forms: [["61", "", { sized: true, mode: "i64" }]],
	aliases: ["POPAD"],
	meaning: (x) => x.helper("popAll", x.size / 8),
});

export const ENTER = family("ENTER", "Make stack frame for procedure parameters", {
	forms: [["C8 iw ib", "Iw, Ib", { sized: true, size64: "d64" }]],
	meaning: (x) => x.helper("enter", x.immediate(0, 32), x.immediate(1, 32).and(31), x.size / 8),
});
