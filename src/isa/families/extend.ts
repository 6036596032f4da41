import { constant, type Width } from "../expr.ts";
import { family } from "../family.ts";
import { RAX, RBX, RDX } from "../registers.ts";
import type { Semantics } from "../semantics.ts";

export const MOVZX = family("MOVZX", "Move with zero-extension", {
	forms: [
		["0F B6 /r", "Gv, Eb"],
		["0F B7 /r", "Gv, Ew"],
	],
	meaning: (x) => x.write(0, x.read(1).zext(x.width(0))),
});

export const MOVSX = family("MOVSX", "Move with sign-extension", {
	forms: [
		["0F BE /r", "Gv, Eb"],
		["0F BF /r", "Gv, Ew"],
	],
	meaning: (x) => x.write(0, x.read(1).sext(x.width(0))),
});

function half(x: Semantics): Width {
	return x.size === 16 ? 8 : x.size === 32 ? 16 : 32;
}

/** Without REX.W it moves 32 or 16 bits as they are. */
export const MOVSXD = family("MOVSXD", "Move doubleword with sign-extension", {
	forms: [["63 /r", "Gv, Ez", { mode: "o64" }]],
	meaning: (x) => x.write(0, x.read(1).sext(x.width(0))),
});

export const CBW = family("CBW", "Convert to twice the size in the accumulator", {
	forms: [["98", "", { sized: true }]],
	aliases: ["CWDE", "CDQE"],
	meaning: (x) => x.setRegister(RAX, x.register(RAX, half(x)).sext(x.size)),
});

export const CWD = family("CWD", "Convert to twice the size into rDX", {
	forms: [["99", "", { sized: true }]],
	aliases: ["CDQ", "CQO"],
	meaning: (x) => x.setRegister(RDX, x.register(RAX, x.size).shrS(x.size - 1)),
});

export const BSWAP = family("BSWAP", "Byte swap", {
	forms: [["0F C8+r", "Zv"]],
	// Of 16 bits the result is undefined (SDM 2A BSWAP); Intel's processors give 0.
	meaning: (x) => x.write(0, x.size === 16 ? constant(16, 0) : x.read(0).bswap()),
});

export const XLAT = family("XLAT", "Table look-up translation", {
	forms: [["D7", ""]],
	aliases: ["XLATB"],
	meaning: (x) => {
		const offset = x.wrapAddress(x.register(RBX, 64).add(x.register(RAX, 8).zext(64)));
		x.setRegister(RAX, x.loadMemory("operand", offset, 8));
	},
});
