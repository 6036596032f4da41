import { family } from "../family.ts";
import { SEGMENT } from "../registers.ts";
import type { Semantics } from "../semantics.ts";

export const SWAPGS = family("SWAPGS", "Swap GS base register", {
	forms: [["0F 01 F8", "", { mode: "o64" }]],
	checks: ["cpl0"],
	feature: "lm",
	meaning: (x) => x.helper("swapgs"),
});

/** CR4.FSGSBASE is the helper's to look at: #UD without it. */
function readBase(segment: number) {
	return (x: Semantics): void => x.helper("readBase", segment, x.registerNumber(0), x.size / 8);
}

function writeBase(segment: number) {
	return (x: Semantics): void => x.helper("writeBase", segment, x.read(0).zext(64));
}

export const RDFSBASE = family("RDFSBASE", "Read FS segment base", {
	forms: [["F3 0F AE /0", "Ry", { mode: "o64" }]],
	feature: "fsgsbase",
	meaning: readBase(SEGMENT.fs),
});

export const RDGSBASE = family("RDGSBASE", "Read GS segment base", {
	forms: [["F3 0F AE /1", "Ry", { mode: "o64" }]],
	feature: "fsgsbase",
	meaning: readBase(SEGMENT.gs),
});

export const WRFSBASE = family("WRFSBASE", "Write FS segment base", {
	forms: [["F3 0F AE /2", "Ry", { mode: "o64" }]],
	feature: "fsgsbase",
	meaning: writeBase(SEGMENT.fs),
});

export const WRGSBASE = family("WRGSBASE", "Write GS segment base", {
	forms: [["F3 0F AE /3", "Ry", { mode: "o64" }]],
	feature: "fsgsbase",
	meaning: writeBase(SEGMENT.gs),
});
