import { constant, FALSE, type Flag, TRUE } from "../expr.ts";
import { family } from "../family.ts";
import { packFlags } from "../flags.ts";
import { RAX } from "../registers.ts";

const ALL: readonly Flag[] = ["cf", "pf", "af", "zf", "sf", "of"];

export const CLC = family("CLC", "Clear carry flag", {
	forms: [["F8", ""]],
	meaning: (x) => x.setFlags({ cf: FALSE }),
});

export const STC = family("STC", "Set carry flag", { forms: [["F9", ""]], meaning: (x) => x.setFlags({ cf: TRUE }) });

export const CMC = family("CMC", "Complement carry flag", {
	forms: [["F5", ""]],
	meaning: (x) => x.setFlags({ cf: x.flag("cf").xor(1) }),
});

export const CLD = family("CLD", "Clear direction flag", {
	forms: [["FC", ""]],
	meaning: (x) => x.helper("setDirection", 0),
});

export const STD = family("STD", "Set direction flag", {
	forms: [["FD", ""]],
	meaning: (x) => x.helper("setDirection", 1),
});

/** Rights depend on IOPL, VME and PVI: the helper's (SDM 2A CLI, table 3-7). */
export const CLI = family("CLI", "Clear interrupt flag", { forms: [["FA", ""]], meaning: (x) => x.helper("cli") });

export const STI = family("STI", "Set interrupt flag", {
	forms: [["FB", ""]],
	ends: true,
	meaning: (x) => x.helper("sti"),
});

export const LAHF = family("LAHF", "Load status flags into AH", {
	forms: [
		["9F", "", { mode: "i64" }],
		["9F", "", { mode: "o64", feature: "lahf-lm" }],
	],
	meaning: (x) => {
		const flags = { cf: x.flag("cf"), pf: x.flag("pf"), af: x.flag("af"), zf: x.flag("zf"), sf: x.flag("sf") };
		x.setRegister(RAX, packFlags(flags).or(2).trunc(8), true);
	},
});

export const SAHF = family("SAHF", "Store AH into status flags", {
	forms: [
		["9E", "", { mode: "i64" }],
		["9E", "", { mode: "o64", feature: "lahf-lm" }],
	],
	meaning: (x) => {
		const ah = x.register(RAX, 8, true);
		x.setFlags({ cf: ah.bit(0), pf: ah.bit(2), af: ah.bit(4), zf: ah.bit(6), sf: ah.bit(7) });
	},
});

/** Undocumented, on every processor since the 8086. */
export const SALC = family("SALC", "Set AL from carry flag", {
	forms: [["D6", "", { mode: "i64" }]],
	meaning: (x) => x.setRegister(RAX, x.flag("cf").select(constant(8, 0xff), 0)),
});

/** Rights in virtual-8086 mode depend on IOPL and VME: the helper's (SDM 2B PUSHF). */
export const PUSHF = family("PUSHF", "Push EFLAGS", {
	forms: [["9C", "", { sized: true, size64: "d64" }]],
	aliases: ["PUSHFD", "PUSHFQ"],
	helperFlags: { reads: ALL },
	meaning: (x) => x.helper("pushFlags", x.size / 8),
});

/** What it may change depends on CPL, IOPL and VME: the helper's (SDM 2B POPF, table 4-16). */
export const POPF = family("POPF", "Pop EFLAGS", {
	forms: [["9D", "", { sized: true, size64: "d64" }]],
	aliases: ["POPFD", "POPFQ"],
	helperFlags: { writes: ALL },
	ends: true,
	meaning: (x) => x.helper("popFlags", x.size / 8),
});
