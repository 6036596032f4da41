import type { FormLine } from "../family.ts";
import { KIND, stackNumber, x87 } from "./x87.ts";

/**
 * FADD and its kin: `digit` in ModRM.reg of D8, DA, DC and DE. With ST(i) as destination, SUB and SUBR, DIV and DIVR change
 * places: there the digit says what ST(0) does with ST(i), whichever of them takes the result.
 */
function operation(digit: number, name: string, title: string) {
	const turned = digit < 4 ? digit : digit ^ 1;
	const forms: FormLine[] = [
		[`D8 /${digit}`, "Md"],
		[`DC /${digit}`, "Mq"],
		[`D8 /${digit}`, "ST, STi"],
		[`DC /${turned}`, "STi, ST"],
	];
	return [
		x87(`F${name}`, title, {
			forms,
			meaning: (x) => {
				if (x.operands.length === 1) {
					const kind = x.width(0) === 32 ? KIND.float32 : KIND.float64;
					x.helper("fpuOperateMemory", x.effectiveAddress(), digit, kind, x.read(0).zext(64));
				} else if (x.operands[0]?.kind === "st0") x.helper("fpuOperate", digit, stackNumber(x, 1), 0, 0);
				else x.helper("fpuOperate", turned, stackNumber(x, 0), 1, 0);
			},
		}),
		x87(`F${name}P`, `${title} and pop`, {
			forms: [[`DE /${turned}`, "STi, ST"]],
			meaning: (x) => x.helper("fpuOperate", turned, stackNumber(x, 0), 1, 1),
		}),
		x87(`FI${name}`, `${title} integer`, {
			forms: [
				[`DA /${digit}`, "Md"],
				[`DE /${digit}`, "Mw"],
			],
			meaning: (x) => {
				const kind = x.width(0) === 32 ? KIND.int32 : KIND.int16;
				x.helper("fpuOperateMemory", x.effectiveAddress(), digit, kind, x.read(0).zext(64));
			},
		}),
	];
}

export const FADD = operation(0, "ADD", "Add");
export const FMUL = operation(1, "MUL", "Multiply");
export const FSUB = operation(4, "SUB", "Subtract");
export const FSUBR = operation(5, "SUBR", "Reverse subtract");
export const FDIV = operation(6, "DIV", "Divide");
export const FDIVR = operation(7, "DIVR", "Reverse divide");

export const FSQRT = x87("FSQRT", "Square root", { forms: [["D9 FA", ""]], meaning: (x) => x.helper("fpuRoot") });

export const FRNDINT = x87("FRNDINT", "Round to integer", {
	forms: [["D9 FC", ""]],
	meaning: (x) => x.helper("fpuRoundInteger"),
});

export const FPREM = x87("FPREM", "Partial remainder", {
	forms: [["D9 F8", ""]],
	meaning: (x) => x.helper("fpuRemainder", 0),
});

export const FPREM1 = x87("FPREM1", "IEEE partial remainder", {
	forms: [["D9 F5", ""]],
	meaning: (x) => x.helper("fpuRemainder", 1),
});

export const FSCALE = x87("FSCALE", "Scale", { forms: [["D9 FD", ""]], meaning: (x) => x.helper("fpuScale") });

export const FXTRACT = x87("FXTRACT", "Extract exponent and significand", {
	forms: [["D9 F4", ""]],
	meaning: (x) => x.helper("fpuExtract"),
});
