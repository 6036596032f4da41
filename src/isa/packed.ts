import type { Expr } from "./expr.ts";
import { type Family, type FamilyOptions, type FormLine, type FormOptions, family } from "./family.ts";
import type { Feature } from "./features.ts";
import type { Semantics } from "./semantics.ts";

/** Encodings of one instruction that exists on vectors with and without VEX, and perhaps on MMX registers. */
export interface VectorForms {
	/** Opcode with its map and what follows: `0F FC /r`, `0F 38 1C /r`, `0F 3A 0F /r ib`. */
	readonly opcode: string;
	/** Mandatory prefix, also VEX.pp; 66 if absent. */
	readonly prefix?: "NP" | "66" | "F3" | "F2";
	/** Feature of the MMX form (no prefix); none if absent. */
	readonly mmx?: Feature;
	/** Feature of the form without VEX; `none`: there is no such form. */
	readonly sse: Feature | "none";
	/** Features with VEX, of 128 and 256 bits; AVX and AVX2 if absent, `none`: there is no such form. */
	readonly avx?: Feature | "none";
	readonly avx2?: Feature | "none";
	/** The one form with VEX takes any VEX.L. */
	readonly ignoresLength?: boolean;
	/** VEX.W; ignored if absent. */
	readonly w?: "W0" | "W1";
	/** Operand codes; `H` first among the sources is there with VEX only. */
	readonly operands?: string;
	/** Operand codes of the form of 256 bits where x does not say it. */
	readonly operands256?: string;
	readonly options?: FormOptions;
	/** Options of VEX forms, where they are others. */
	readonly vexOptions?: FormOptions;
}

/** The lines that {@link VectorForms} stands for. */
export function vectorForms(forms: VectorForms): FormLine[] {
	const { opcode, prefix = "66", mmx, sse, avx = "avx", avx2 = "avx2", w = "WIG", options = {} } = forms;
	const { operands = "Vx, Hx, Wx", operands256 = operands, vexOptions = options } = forms;
	const lines: FormLine[] = [];
	const withoutVvvv = operands.replace(/, H\w+/, "");
	if (mmx)
		lines.push([`NP ${opcode}`, withoutVvvv.replace("Vx", "Pq").replace(/W\w+/, "Qq"), { ...options, feature: mmx }]);
	if (sse !== "none") lines.push([`${prefix} ${opcode}`, withoutVvvv, { ...options, feature: sse }]);
	const [, map = "", rest = ""] = /^(0F(?: 38| 3A)?) (\w\w .*|\w\w)$/.exec(opcode) ?? [];
	const vex = (length: string): string =>
		`VEX.${length}.${prefix === "NP" ? "" : `${prefix}.`}${map.replace(" ", "")}.${w} ${rest}`;
	if (avx !== "none") lines.push([vex(forms.ignoresLength ? "LIG" : "128"), operands, { ...vexOptions, feature: avx }]);
	if (avx2 !== "none") lines.push([vex("256"), operands256, { ...vexOptions, feature: avx2 }]);
	return lines;
}

/** Declares an instruction by its {@link VectorForms}; with VEX its name begins with V. */
export function vectorFamily(
	name: string,
	title: string,
	{ forms, ...options }: Omit<FamilyOptions, "forms"> & { readonly forms: readonly VectorForms[] },
): Family {
	return family(name, title, { forms: forms.flatMap(vectorForms), aliases: [`V${name}`], ...options });
}

/** Two vectors, lane by lane: `forms` with `Vx, Hx, Wx`. MMX registers come widened; the low half of the result counts. */
export function packed(
	name: string,
	title: string,
	forms: VectorForms,
	result: (a: Expr, b: Expr, x: Semantics) => Expr,
): Family {
	return vectorFamily(name, title, { forms: [forms], meaning: (x) => x.packed((a, b) => result(a, b, x)) });
}

/** One vector, lane by lane. */
export function packedUnary(name: string, title: string, forms: VectorForms, result: (a: Expr) => Expr): Family {
	return vectorFamily(name, title, {
		forms: [{ operands: "Vx, Wx", ...forms }],
		meaning: (x) => x.packedUnary((a) => result(a)),
	});
}
