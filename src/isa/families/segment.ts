import { family } from "../family.ts";
import { SEGMENT } from "../registers.ts";
import type { Semantics } from "../semantics.ts";

export const MOV_SREG = family("MOV", "Move segment register", {
	forms: [
		["8C /r", "RvMw, Sw", { reg: [0, 1, 2, 3, 4, 5] }],
		// CS is not loaded this way: #UD.
		["8E /r", "Sw, Ew", { reg: [0, 2, 3, 4, 5] }],
	],
	ends: true,
	meaning: (x) => {
		if (x.operands[0]?.kind === "sreg") x.helper("loadSegment", x.registerNumber(0), x.read(1).zext(32));
		else x.write(0, x.read(1).zext(x.width(0)));
	},
});

/** The selector takes a whole slot of the stack; but for 64 bits, only its 16 are stored (SDM 2B PUSH). */
export const PUSH_SREG = family("PUSH", "Push segment register", {
	forms: [
		["06", "ES", { sized: true, mode: "i64" }],
		["0E", "CS", { sized: true, mode: "i64" }],
		["16", "SS", { sized: true, mode: "i64" }],
		["1E", "DS", { sized: true, mode: "i64" }],
		["0F A0", "FS", { sized: true, size64: "d64" }],
		["0F A8", "GS", { sized: true, size64: "d64" }],
	],
	meaning: (x) => x.push(x.size === 64 ? x.read(0).zext(64) : x.read(0), x.size / 8),
});

export const POP_SREG = family("POP", "Pop segment register", {
	forms: [
		["07", "ES", { sized: true, mode: "i64" }],
		["17", "SS", { sized: true, mode: "i64" }],
		["1F", "DS", { sized: true, mode: "i64" }],
		["0F A1", "FS", { sized: true, size64: "d64" }],
		["0F A9", "GS", { sized: true, size64: "d64" }],
	],
	ends: true,
	meaning: (x) => x.helper("popSegment", x.operands[0]?.register ?? 0, x.size / 8),
});

function loadFarPointer(segment: number) {
	return (x: Semantics): void => {
		x.helper("loadFarPointer", segment, x.registerNumber(0), x.segment(), x.effectiveAddress(), x.size / 8);
	};
}

export const LES = family("LES", "Load far pointer into ES", {
	forms: [["C4 /r", "Gv, Mp", { mode: "i64" }]],
	ends: true,
	meaning: loadFarPointer(SEGMENT.es),
});

export const LDS = family("LDS", "Load far pointer into DS", {
	forms: [["C5 /r", "Gv, Mp", { mode: "i64" }]],
	ends: true,
	meaning: loadFarPointer(SEGMENT.ds),
});

export const LSS = family("LSS", "Load far pointer into SS", {
	forms: [["0F B2 /r", "Gv, Mp"]],
	ends: true,
	meaning: loadFarPointer(SEGMENT.ss),
});

export const LFS = family("LFS", "Load far pointer into FS", {
	forms: [["0F B4 /r", "Gv, Mp"]],
	ends: true,
	meaning: loadFarPointer(SEGMENT.fs),
});

export const LGS = family("LGS", "Load far pointer into GS", {
	forms: [["0F B5 /r", "Gv, Mp"]],
	ends: true,
	meaning: loadFarPointer(SEGMENT.gs),
});
