import type { FormLine } from "../family.ts";
import { KIND, stackNumber, x87 } from "./x87.ts";

const hex = (value: number): string => value.toString(16).toUpperCase();

export const FLD = x87("FLD", "Load floating point", {
	forms: [
		["D9 /0", "Md"],
		["DD /0", "Mq"],
		["D9 /0", "STi"],
	],
	meaning: (x) => {
		if (x.operands[0]?.kind === "sti") x.helper("fpuLoadRegister", stackNumber(x, 0));
		else {
			const kind = x.width(0) === 32 ? KIND.float32 : KIND.float64;
			x.helper("fpuLoad", x.effectiveAddress(), kind, x.read(0).zext(64));
		}
	},
});

export const FLD80 = x87("FLD", "Load extended precision", {
	forms: [["DB /5", "M"]],
	meaning: (x) => x.helper("fpuLoadExtended", x.effectiveAddress()),
});

export const FILD = x87("FILD", "Load integer", {
	forms: [
		["DF /0", "Mw"],
		["DB /0", "Md"],
		["DF /5", "Mq"],
	],
	meaning: (x) => {
		const kind = { 16: KIND.int16, 32: KIND.int32 }[x.width(0) as number] ?? KIND.int64;
		x.helper("fpuLoad", x.effectiveAddress(), kind, x.read(0).zext(64));
	},
});

export const FBLD = x87("FBLD", "Load packed decimal", {
	forms: [["DF /4", "M"]],
	meaning: (x) => x.helper("fpuLoadDecimal", x.effectiveAddress()),
});

/** FLD1 and so on: D9 E8 to D9 EE. */
export const CONSTANTS = ["FLD1", "FLDL2T", "FLDL2E", "FLDPI", "FLDLG2", "FLDLN2", "FLDZ"].map((name, number) =>
	x87(name, "Load constant", {
		forms: [[`D9 ${hex(0xe8 + number)}`, ""]],
		meaning: (x) => x.helper("fpuConstant", number),
	}),
);

function store(name: string, title: string, pop: 0 | 1 | 2, truncate: 0 | 1, forms: readonly FormLine[]) {
	return x87(name, title, {
		forms,
		meaning: (x) => {
			if (x.operands[0]?.kind === "sti") {
				x.helper("fpuStoreRegister", stackNumber(x, 0), pop);
				return;
			}
			const width = x.width(0);
			const kind = name.startsWith("FI")
				? ({ 16: KIND.int16, 32: KIND.int32 }[width as number] ?? KIND.int64)
				: width === 32
					? KIND.float32
					: KIND.float64;
			x.helper("fpuStore", x.effectiveAddress(), kind, truncate, pop);
		},
	});
}

export const FST = store("FST", "Store floating point", 0, 0, [
	["D9 /2", "Md"],
	["DD /2", "Mq"],
	["DD /2", "STi"],
]);

/** D9 /3 and DF /2 and /3 are undocumented doubles of DD /3. */
export const FSTP = store("FSTP", "Store floating point and pop", 1, 0, [
	["D9 /3", "Md"],
	["DD /3", "Mq"],
	["DD /3", "STi"],
	["DF /2", "STi"],
	["DF /3", "STi"],
]);

/** The double of FSTP that only pops an empty register. */
export const FSTPNCE = store("FSTPNCE", "Store floating point and pop", 2, 0, [["D9 /3", "STi"]]);

export const FIST = store("FIST", "Store integer", 0, 0, [
	["DF /2", "Mw"],
	["DB /2", "Md"],
]);

export const FISTP = store("FISTP", "Store integer and pop", 1, 0, [
	["DF /3", "Mw"],
	["DB /3", "Md"],
	["DF /7", "Mq"],
]);

export const FISTTP = store("FISTTP", "Store integer with truncation and pop", 1, 1, [
	["DF /1", "Mw", { feature: "pni" }],
	["DB /1", "Md", { feature: "pni" }],
	["DD /1", "Mq", { feature: "pni" }],
]);

export const FSTP80 = x87("FSTP", "Store extended precision and pop", {
	forms: [["DB /7", "M"]],
	meaning: (x) => x.helper("fpuStoreExtended", x.effectiveAddress()),
});

export const FBSTP = x87("FBSTP", "Store packed decimal and pop", {
	forms: [["DF /6", "M"]],
	meaning: (x) => x.helper("fpuStoreDecimal", x.effectiveAddress()),
});

/** DD /1 and DF /1 with ST(i) are undocumented doubles. */
export const FXCH = x87("FXCH", "Exchange registers", {
	forms: [
		["D9 /1", "ST, STi"],
		["DD /1", "ST, STi"],
		["DF /1", "ST, STi"],
	],
	meaning: (x) => x.helper("fpuExchange", stackNumber(x, 1)),
});

export const FCHS = x87("FCHS", "Change sign", {
	forms: [["D9 E0", ""]],
	meaning: (x) => x.helper("fpuSign", 1, 1),
});

export const FABS = x87("FABS", "Absolute value", {
	forms: [["D9 E1", ""]],
	meaning: (x) => x.helper("fpuSign", 0, 0),
});

/** FCMOVcc: DA where the condition (of Jcc) holds, DB where it does not. */
export const FCMOVCC = [
	["FCMOVB", "DA /0", 2],
	["FCMOVE", "DA /1", 4],
	["FCMOVBE", "DA /2", 6],
	["FCMOVU", "DA /3", 10],
	["FCMOVNB", "DB /0", 3],
	["FCMOVNE", "DB /1", 5],
	["FCMOVNBE", "DB /2", 7],
	["FCMOVNU", "DB /3", 11],
].map(([name, code, condition]) =>
	x87(`${name}`, "Conditional move", {
		forms: [[`${code}`, "ST, STi", { feature: "cmov" }]],
		meaning: (x) => x.helper("fpuMoveIf", x.condition(Number(condition)).zext(32), stackNumber(x, 1)),
	}),
);

export const FFREE = x87("FFREE", "Free register", {
	forms: [["DD /0", "STi"]],
	meaning: (x) => x.helper("fpuFree", stackNumber(x, 0), 0),
});

export const FFREEP = x87("FFREEP", "Free register and pop", {
	forms: [["DF /0", "STi"]],
	meaning: (x) => x.helper("fpuFree", stackNumber(x, 0), 1),
});

/** FNOP, FDECSTP and FINCSTP: how far TOP goes. */
export const TURNS = [
	["FNOP", "No operation", "D9 D0", 0],
	["FDECSTP", "Decrement stack-top pointer", "D9 F6", -1],
	["FINCSTP", "Increment stack-top pointer", "D9 F7", 1],
].map(([name, title, code, turn]) =>
	x87(`${name}`, `${title}`, { forms: [[`${code}`, ""]], meaning: (x) => x.helper("fpuTurn", Number(turn)) }),
);
