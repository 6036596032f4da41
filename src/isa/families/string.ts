import type { Flag } from "../expr.ts";
import { type FamilyOptions, type FormLine, family } from "../family.ts";
import type { Semantics } from "../semantics.ts";

const ARITHMETIC: readonly Flag[] = ["cf", "pf", "af", "zf", "sf", "of"];

/**
 * A string instruction is one helper, with its repetitions: it takes the address size and the REP prefix, works in
 * pieces, and stops between iterations for interrupts, exits and the end of the budget. `number` is its first argument.
 */
function string(number: number, name: string, title: string, forms: FormLine[], compares = false) {
	const flags: Partial<FamilyOptions> = compares ? { helperFlags: { writes: ARITHMETIC } } : {};
	return family(name, title, {
		forms,
		aliases: ["B", "W", "D", "Q"].map((size) => `${name}${size}`),
		repeat: true,
		ends: true,
		...flags,
		meaning: (x: Semantics) => {
			const memory = x.operands.findIndex((operand) => operand.kind === "string");
			x.helper("string", number, x.width(memory) / 8, x.segment(), x.addressSize(), x.repeat());
		},
	});
}

export const MOVS = string(0, "MOVS", "Move string", [
	["A4", "Yb, Xb"],
	["A5", "Yv, Xv"],
]);

export const CMPS = string(
	1,
	"CMPS",
	"Compare strings",
	[
		["A6", "Xb, Yb"],
		["A7", "Xv, Yv"],
	],
	true,
);

export const STOS = string(2, "STOS", "Store string", [
	["AA", "Yb, AL"],
	["AB", "Yv, rAX"],
]);

export const LODS = string(3, "LODS", "Load string", [
	["AC", "AL, Xb"],
	["AD", "rAX, Xv"],
]);

export const SCAS = string(
	4,
	"SCAS",
	"Scan string",
	[
		["AE", "AL, Yb"],
		["AF", "rAX, Yv"],
	],
	true,
);

export const INS = string(5, "INS", "Input from port to string", [
	["6C", "Yb, DX"],
	["6D", "Yz, DX"],
]);

export const OUTS = string(6, "OUTS", "Output string to port", [
	["6E", "DX, Xb"],
	["6F", "DX, Xz"],
]);
