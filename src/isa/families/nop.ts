import { family } from "../family.ts";
import type { Semantics } from "../semantics.ts";

const nothing = (_: Semantics): void => {};

/** 0F 18 to 0F 1F are hints: where a processor does not know one, it does nothing, and its memory is not touched. */
export const NOP = family("NOP", "No operation", {
	forms: [
		["90", ""],
		["0F 1F /r", "Ev"],
		["0F 0D /r", "Rv", { feature: "3dnowprefetch" }],
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

/** There is no cache to fetch into. */
export const PREFETCHW = family("PREFETCHW", "Prefetch data in anticipation of a write", {
	forms: [["0F 0D /1", "Mb"]],
	feature: "3dnowprefetch",
	meaning: nothing,
});

/** The reserved ones are hints as well. */
export const PREFETCH_DATA = family("PREFETCH", "Prefetch data", {
	forms: [["0F 0D /r", "Mb", { reg: [0, 2, 3, 4, 5, 6, 7] }]],
	feature: "3dnowprefetch",
	meaning: nothing,
});

/** Nor is there one to flush. */
export const CLFLUSH = family("CLFLUSH", "Flush a cache line", {
	forms: [["NP 0F AE /7", "Mb"]],
	feature: "clflush",
	meaning: nothing,
});

export const CLFLUSHOPT = family("CLFLUSHOPT", "Flush a cache line, weakly ordered", {
	forms: [["66 0F AE /7", "Mb"]],
	feature: "clflushopt",
	meaning: nothing,
});

export const CLWB = family("CLWB", "Write a cache line back", {
	forms: [["66 0F AE /6", "Mb"]],
	feature: "clwb",
	meaning: nothing,
});

/** Eight encodings of each: the lowest three bits do not count (SDM 2A, table A-6). */
const fence = (name: string, title: string, first: number, feature: "sse" | "sse2") =>
	family(name, title, {
		forms: Array.from({ length: 8 }, (_, n) => [`NP 0F AE ${(first + n).toString(16).toUpperCase()}`, ""] as const),
		feature,
		meaning: nothing,
	});

/** One processor sees its own accesses in order. */
export const LFENCE = fence("LFENCE", "Order loads", 0xe8, "sse2");
export const MFENCE = fence("MFENCE", "Order loads and stores", 0xf0, "sse2");
export const SFENCE = fence("SFENCE", "Order stores", 0xf8, "sse");

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
