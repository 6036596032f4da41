import { family } from "../family.ts";
import { farPointer } from "./far-pointer.ts";

export const JMP_FAR = family("JMP", "Jump far", {
	forms: [
		["EA ap", "Ap", { mode: "i64" }],
		["FF /5", "Mp"],
	],
	ends: true,
	meaning: (x) => {
		if (x.isMemory(0)) {
			x.helper("jumpFarThrough", x.segment(), x.effectiveAddress(), x.size / 8);
			return;
		}
		const { selector, offset } = farPointer(x, 0);
		x.helper("jumpFar", selector, offset, x.size / 8);
	},
});

export const CALL_FAR = family("CALL", "Call far procedure", {
	forms: [
		["9A ap", "Ap", { mode: "i64" }],
		["FF /3", "Mp"],
	],
	ends: true,
	meaning: (x) => {
		if (x.isMemory(0)) {
			x.helper("callFarThrough", x.segment(), x.effectiveAddress(), x.size / 8);
			return;
		}
		const { selector, offset } = farPointer(x, 0);
		x.helper("callFar", selector, offset, x.size / 8);
	},
});

export const RET_FAR = family("RET", "Return from far procedure", {
	forms: [
		["CB", "", { sized: true }],
		["CA iw", "Iw", { sized: true }],
	],
	aliases: ["RETF"],
	ends: true,
	meaning: (x) => x.helper("returnFar", x.operands.length > 0 ? x.immediate(0, 32) : 0, x.size / 8),
});
