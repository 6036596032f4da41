import type { Expr } from "./expr.ts";
import { type Family, type FamilyOptions, type FormLine, type FormOptions, family } from "./family.ts";
import type { Feature } from "./features.ts";
import type { Semantics } from "./semantics.ts";
import { join } from "./vector.ts";

type Features = Feature | readonly Feature[];

/** Encodings of one instruction that exists on vectors with and without VEX, and perhaps on MMX registers. */
export interface VectorForms {
	/** Opcode with its map and what follows: `0F FC /r`, `0F 38 1C /r`, `0F 3A 0F /r ib`. */
	readonly opcode: string;
	/** The same with VEX, where it is another one. */
	readonly vexOpcode?: string;
	/** Mandatory prefix, also VEX.pp; 66 if absent. */
	readonly prefix?: "NP" | "66" | "F3" | "F2";
	/** Feature of the MMX form (no prefix); none if absent. */
	readonly mmx?: Feature;
	/** Feature of the form without VEX; `none`: there is no such form. */
	readonly sse: Feature | "none";
	/** Features with VEX, of 128 and 256 bits; AVX and AVX2 if absent, `none`: there is no such form. */
	readonly avx?: Features | "none";
	readonly avx2?: Features | "none";
	/** The one form with VEX takes any VEX.L. */
	readonly ignoresLength?: boolean;
	/** VEX.W; ignored if absent, or the operand size where operands are of that. */
	readonly w?: "W0" | "W1";
	/** Operand codes; `Vx, Hx, Wx` if absent. `H` among the sources is there with VEX only. */
	readonly operands?: string;
	/** Operand codes of the form of 256 bits where x does not say it. */
	readonly operands256?: string;
	/** Operand codes of the MMX form where they are not those without VEX, with P and Qq. */
	readonly operandsMmx?: string;
	readonly options?: FormOptions;
	/** Options of VEX forms, where they are others. */
	readonly vexOptions?: FormOptions;
}

/** Vectors of single precision: `0F opcode`, without a prefix, SSE and AVX. */
export function singleForms(opcode: string): VectorForms {
	return { opcode: `0F ${opcode} /r`, prefix: "NP", sse: "sse", avx2: "avx", operands: "Vps, Hps, Wps" };
}

/** Vectors of double precision: `66 0F opcode`, SSE2 and AVX. */
export function doubleForms(opcode: string): VectorForms {
	return { opcode: `0F ${opcode} /r`, sse: "sse2", avx2: "avx", operands: "Vpd, Hpd, Wpd" };
}

/** What follows from operand codes; many instructions have the same. */
interface Spellings {
	readonly withoutVvvv: string;
	readonly mmxOperands: string;
	/** An operand is of 32 or 64 bits, which VEX.W then says. */
	readonly ofOperandSize: boolean;
}

const spellings = new Map<string, Spellings>();

function spellingsOf(operands: string): Spellings {
	let known = spellings.get(operands);
	if (!known) {
		const withoutVvvv = operands.replace(/, H\w+/, "");
		const mmxOperands = withoutVvvv.replace(/V\w+/, "Pq").replace(/W\w+/, "Qq");
		known = { withoutVvvv, mmxOperands, ofOperandSize: /\b[A-Z]y/.test(operands) };
		spellings.set(operands, known);
	}
	return known;
}

/** The lines that {@link VectorForms} stands for. */
export function vectorForms(forms: VectorForms): FormLine[] {
	const { opcode, vexOpcode = opcode, prefix = "66", mmx, sse, avx = "avx", avx2 = "avx2", w, options = {} } = forms;
	const { operands = "Vx, Hx, Wx", operands256 = operands, vexOptions = options } = forms;
	const lines: FormLine[] = [];
	const { withoutVvvv, mmxOperands, ofOperandSize } = spellingsOf(operands);
	const operandsMmx = forms.operandsMmx ?? mmxOperands;
	if (mmx) lines.push([`NP ${opcode}`, operandsMmx, { ...options, feature: mmx }]);
	if (sse !== "none") lines.push([`${prefix} ${opcode}`, withoutVvvv, { ...options, feature: sse }]);
	const behindMap = vexOpcode.startsWith("38 ", 3) || vexOpcode.startsWith("3A ", 3) ? 6 : 3;
	const map = behindMap === 3 ? "0F" : `0F${vexOpcode.slice(3, 5)}`;
	const pp = prefix === "NP" ? "" : `.${prefix}`;
	const vexW = w !== undefined ? `.${w}` : ofOperandSize ? "" : ".WIG";
	const vex = (length: string): string => `VEX.${length}${pp}.${map}${vexW} ${vexOpcode.slice(behindMap)}`;
	if (avx !== "none") lines.push([vex(forms.ignoresLength ? "LIG" : "128"), operands, { ...vexOptions, feature: avx }]);
	if (avx2 !== "none") lines.push([vex("256"), operands256, { ...vexOptions, feature: avx2 }]);
	return lines;
}

export interface VectorFamilyOptions extends Omit<FamilyOptions, "forms"> {
	readonly forms: readonly VectorForms[];
}

/** Declares an instruction by its {@link VectorForms}; with VEX its name begins with V. */
export function vectorFamily(name: string, title: string, { forms, ...options }: VectorFamilyOptions): Family {
	const aliases = [name, ...(options.aliases ?? [])].flatMap((one) => (one === name ? [`V${one}`] : [one, `V${one}`]));
	return family(name, title, { ...options, forms: forms.flatMap(vectorForms), aliases });
}

/** Declares an instruction that there is with VEX only. */
export function vexFamily(name: string, title: string, { forms, ...options }: VectorFamilyOptions): Family {
	return family(name, title, { ...options, forms: forms.flatMap(vectorForms) });
}

/** Two vectors, lane by lane. MMX registers come widened; the low half of the result counts. */
export function packed(
	name: string,
	title: string,
	forms: VectorForms,
	result: (a: Expr, b: Expr, x: Semantics, half: number) => Expr,
): Family {
	return (forms.sse === "none" ? vexFamily : vectorFamily)(name, title, {
		forms: [forms],
		meaning: (x) => x.packed((a, b, half) => result(a, b, x, half)),
	});
}

/** One vector, lane by lane. */
export function packedUnary(
	name: string,
	title: string,
	forms: VectorForms,
	result: (a: Expr, x: Semantics, half: number) => Expr,
): Family {
	return (forms.sse === "none" ? vexFamily : vectorFamily)(name, title, {
		forms: [{ operands: "Vx, Wx", ...forms }],
		meaning: (x) => x.packedUnary((a, half) => result(a, x, half)),
	});
}

/** Two vectors whose elements come one after the other in the result; as MMX registers they are the halves of one. */
export function packedAcross(
	name: string,
	title: string,
	forms: VectorForms,
	result: (a: Expr, b: Expr) => Expr,
): Family {
	return packed(name, title, forms, (a, b, x) => {
		if (x.operands[0]?.bank !== "mmx") return result(a, b);
		const both = join(a.trunc(64), b.trunc(64));
		return result(both, both);
	});
}

/** The immediate byte of an instruction, which is its last operand, widened. */
export function immediateOf(x: Semantics): Expr {
	return x.read(x.operands.length - 1).zext(32);
}
