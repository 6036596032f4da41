import { family } from "../family.ts";

/** CR0.EM makes it #UD, unlike x87 instructions: the helper's to look at. */
export const EMMS = family("EMMS", "Empty MMX technology state", {
	forms: [["NP 0F 77", ""]],
	feature: "mmx",
	meaning: (x) => x.helper("emms"),
});
