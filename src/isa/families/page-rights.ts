import { family } from "../family.ts";

/** Above CPL 0: #UD, the helper's. */
export const CLAC = family("CLAC", "Clear AC flag in EFLAGS", {
	forms: [["NP 0F 01 CA", ""]],
	feature: "smap",
	ends: true,
	meaning: (x) => x.helper("setAlignmentCheck", 0),
});

export const STAC = family("STAC", "Set AC flag in EFLAGS", {
	forms: [["NP 0F 01 CB", ""]],
	feature: "smap",
	ends: true,
	meaning: (x) => x.helper("setAlignmentCheck", 1),
});

/** CR4.PKE is the helper's to look at: #UD without it. */
export const RDPKRU = family("RDPKRU", "Read protection key rights for user pages", {
	forms: [["NP 0F 01 EE", ""]],
	feature: "pku",
	meaning: (x) => x.helper("rdpkru"),
});

export const WRPKRU = family("WRPKRU", "Write protection key rights for user pages", {
	forms: [["NP 0F 01 EF", ""]],
	feature: "pku",
	ends: true,
	meaning: (x) => x.helper("wrpkru"),
});
