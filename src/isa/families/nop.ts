import { family } from "../family.ts";
import type { Semantics } from "../semantics.ts";

const nothing = (_: Semantics): void => {};

/** 0F 18 to 0F 1F are hints: where a processor does not know one, it does nothing, and its memory is not touched. */
export const NOP = family("NOP", "No operation", {
	forms: [
		["90", ""],
		["0F 1F /r", "Ev"],
		["0F 18 /r", "Rv", { reg: [0, 1, 2, 3] }],
		["0F 18 /r", "Ev", { reg: [4, 5, 6, 7] }],
		["0F 19 /r", "Ev"],
		["0F 1A /r", "Ev"],
		["0F 1B /r", "Ev"],
		["0F 1C /r", "Ev"],
		["0F 1D /r", "Ev"],
		["0F 1E /r", "Ev"],
	],
	meaning: nothing,
});

export const PAUSE = family("PAUSE", "Spin loop hint", { forms: [["F3 90", ""]], meaning: nothing });

export const PREFETCH = ["NTA", "T0", "T1", "T2"].map((level, digit) =>
	family(`PREFETCH${level}`, "Prefetch data into caches", { forms: [[`0F 18 /${digit}`, "Mb"]], meaning: nothing }),
);

/** There is no cache. */
export const CLFLUSH = family("CLFLUSH", "Flush a cache line", { forms: [["NP 0F AE /7", "Mb"]], meaning: nothing });

export const UD0 = family("UD0", "Undefined instruction", {
	forms: [["0F FF /r", "Gv, Ev"]],
	ends: true,
	meaning: (x) => x.fault("UD"),
});

export const UD1 = family("UD1", "Undefined instruction", {
	forms: [["0F B9 /r", "Gv, Ev"]],
	ends: true,
	meaning: (x) => x.fault("UD"),
});

export const UD2 = family("UD2", "Undefined instruction", {
	forms: [["0F 0B", ""]],
	ends: true,
	meaning: (x) => x.fault("UD"),
});
