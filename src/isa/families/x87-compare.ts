import { KIND, stackNumber, x87 } from "./x87.ts";

/** FCOM, FCOMP and FCOMPP: D8 /2, /3 and their kin; the forms of DC and DE with ST(i) are their undocumented doubles. */
export const FCOM = [0, 1].flatMap((pops) => {
	const digit = 2 + pops;
	const suffix = pops ? "P" : "";
	const also = pops ? " and pop" : "";
	return [
		x87(`FCOM${suffix}`, `Compare${also}`, {
			forms: [
				[`D8 /${digit}`, "Md"],
				[`DC /${digit}`, "Mq"],
				[`D8 /${digit}`, "ST, STi"],
				[`DC /${digit}`, "ST, STi"],
			],
			meaning: (x) => {
				if (x.operands.length === 1) {
					const kind = x.width(0) === 32 ? KIND.float32 : KIND.float64;
					x.helper("fpuCompareMemory", x.effectiveAddress(), pops, kind, x.read(0).zext(64));
				} else x.helper("fpuCompare", stackNumber(x, 1), 0, pops);
			},
		}),
		x87(`FICOM${suffix}`, `Compare integer${also}`, {
			forms: [
				[`DA /${digit}`, "Md"],
				[`DE /${digit}`, "Mw"],
			],
			meaning: (x) => {
				const kind = x.width(0) === 32 ? KIND.int32 : KIND.int16;
				x.helper("fpuCompareMemory", x.effectiveAddress(), pops, kind, x.read(0).zext(64));
			},
		}),
		x87(`FUCOM${suffix}`, `Unordered compare${also}`, {
			forms: [[`DD /${4 + pops}`, "ST, STi"]],
			meaning: (x) => x.helper("fpuCompare", stackNumber(x, 1), 1, pops),
		}),
	];
});

export const FCOMP5 = x87("FCOMP", "Compare and pop", {
	forms: [["DE /2", "ST, STi"]],
	meaning: (x) => x.helper("fpuCompare", stackNumber(x, 1), 0, 1),
});

export const FCOMPP = x87("FCOMPP", "Compare and pop twice", {
	forms: [["DE D9", ""]],
	meaning: (x) => x.helper("fpuCompare", 1, 0, 2),
});

export const FUCOMPP = x87("FUCOMPP", "Unordered compare and pop twice", {
	forms: [["DA E9", ""]],
	meaning: (x) => x.helper("fpuCompare", 1, 1, 2),
});

/** Flags by comparison: DB for FCOMI, DF with a pop; /6 ordered, /5 unordered. */
export const FCOMI = [
	["FCOMI", "DB /6", 0, 0],
	["FCOMIP", "DF /6", 0, 1],
	["FUCOMI", "DB /5", 1, 0],
	["FUCOMIP", "DF /5", 1, 1],
].map(([name, code, quiet, pops]) =>
	x87(`${name}`, "Compare and set EFLAGS", {
		forms: [[`${code}`, "ST, STi", { feature: "cmov" }]],
		helperFlags: { writes: ["cf", "pf", "af", "zf", "sf", "of"] },
		meaning: (x) => x.helper("fpuCompareFlags", stackNumber(x, 1), Number(quiet), Number(pops)),
	}),
);

export const FTST = x87("FTST", "Compare with 0", { forms: [["D9 E4", ""]], meaning: (x) => x.helper("fpuTest") });

export const FXAM = x87("FXAM", "Examine", { forms: [["D9 E5", ""]], meaning: (x) => x.helper("fpuExamine") });
