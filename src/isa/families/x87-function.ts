import { x87 } from "./x87.ts";

/** Transcendental instructions: D9 F0 to F3, F9, FB, FE and FF. */
export const FUNCTIONS = [
	["F2XM1", "2 to the x, less 1", "F0", "fpuExp"],
	["FYL2X", "y times the logarithm of x to base 2", "F1", "fpuLog"],
	["FPTAN", "Partial tangent", "F2", "fpuTan"],
	["FPATAN", "Partial arctangent", "F3", "fpuAtan"],
	["FYL2XP1", "y times the logarithm of x + 1 to base 2", "F9", "fpuLogPlusOne"],
	["FSINCOS", "Sine and cosine", "FB", "fpuSinCos"],
	["FSIN", "Sine", "FE", "fpuSin"],
	["FCOS", "Cosine", "FF", "fpuCos"],
].map(([name, title, code, helper]) =>
	x87(`${name}`, `${title}`, {
		forms: [[`D9 ${code}`, ""]],
		meaning: (x) => x.helper(`${helper}`),
	}),
);
