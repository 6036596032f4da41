import { type FormLine, family } from "../family.ts";

/** A register that holds how SSE arithmetic rounds, as a doubleword in memory. */
const controlForms = (digit: number): FormLine[] => [
	[`NP 0F AE /${digit}`, "Md", { feature: "sse", state: "sse" }],
	[`VEX.LZ.0F.WIG AE /${digit}`, "Md", { feature: "avx", state: "avx" }],
];

/** Bits that do not exist are #GP(0). */
export const LDMXCSR = family("LDMXCSR", "Load MXCSR", {
	forms: controlForms(2),
	aliases: ["VLDMXCSR"],
	meaning: (x) => {
		const value = x.read(0);
		x.fault("GP", value.and(0xffff0000).ne(0), 0);
		x.helper("ldmxcsr", value);
	},
});

export const STMXCSR = family("STMXCSR", "Store MXCSR", {
	forms: controlForms(3),
	aliases: ["VSTMXCSR"],
	meaning: (x) => x.write(0, x.state("mxcsr", 32)),
});

/** Of sixteen registers in 64-bit mode, else of eight. */
export const VZEROUPPER = family("VZEROUPPER", "Clear upper halves of YMM registers", {
	forms: [["VEX.128.0F.WIG 77", "", { state: "avx" }]],
	feature: "avx",
	meaning: (x) => x.helper("clearVectors", 0),
});
export const VZEROALL = family("VZEROALL", "Clear YMM registers", {
	forms: [["VEX.256.0F.WIG 77", "", { state: "avx" }]],
	feature: "avx",
	meaning: (x) => x.helper("clearVectors", 1),
});
