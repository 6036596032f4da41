import type { Expr } from "./expr.ts";
import type { Family } from "./family.ts";
import type { Feature } from "./features.ts";
import { type VectorForms, vectorFamily } from "./packed.ts";
import type { Semantics } from "./semantics.ts";

/** What the last letters of a mnemonic say: format, packed or scalar; the prefix that belongs to it. */
const KINDS = {
	ps: { prefix: "NP", feature: "sse", scalar: false, words: "packed single-precision values" },
	pd: { prefix: "66", feature: "sse2", scalar: false, words: "packed double-precision values" },
	ss: { prefix: "F3", feature: "sse", scalar: true, words: "scalar single-precision values" },
	sd: { prefix: "F2", feature: "sse2", scalar: true, words: "scalar double-precision values" },
} as const;
export type FloatKind = keyof typeof KINDS;
export const FLOAT_KINDS = ["ps", "pd", "ss", "sd"] as const satisfies FloatKind[];

interface Shape {
	/** With map: `0F 58 /r`. */
	readonly opcode: string;
	/** Behind the first source (without VEX the destination): `W` and what follows. */
	readonly more?: string;
	/** Has no first source but `W` in packed form. */
	readonly unary?: boolean;
	readonly prefix?: VectorForms["prefix"];
	readonly feature?: Feature;
}

/** The encodings of an instruction on numbers of `kind`. */
function formsOf(kind: FloatKind, { opcode, more = "", unary = false, prefix, feature }: Shape): VectorForms {
	const { scalar, prefix: usual, feature: since } = KINDS[kind];
	const letters = scalar ? kind : "x";
	const first = unary && !scalar ? "" : `, H${letters}`;
	return {
		opcode,
		prefix: prefix ?? usual,
		sse: feature ?? since,
		avx2: scalar ? "none" : "avx",
		ignoresLength: scalar,
		operands: `V${letters}${first}, W${letters}${more}`,
	};
}

function familyOf(kind: FloatKind, name: string, title: string, shape: Shape, meaning: (x: Semantics) => void): Family {
	return vectorFamily(`${name}${kind.toUpperCase()}`, `${title} ${KINDS[kind].words}`, {
		forms: [formsOf(kind, shape)],
		meaning,
	});
}

/** An instruction on two vectors or numbers; `immediate` is the last operand, 32 bits wide. */
export function floatBinary(
	kind: FloatKind,
	name: string,
	title: string,
	shape: Shape,
	result: (x: Semantics, a: Expr, b: Expr) => Expr,
): Family {
	return familyOf(kind, name, title, shape, (x) => {
		if (KINDS[kind].scalar) x.scalar((a, b) => result(x, a, b));
		else x.packed((a, b) => result(x, a, b));
	});
}

/** An instruction on one vector or number. */
export function floatUnary(
	kind: FloatKind,
	name: string,
	title: string,
	shape: Shape,
	result: (x: Semantics, a: Expr) => Expr,
): Family {
	return familyOf(kind, name, title, { ...shape, unary: true }, (x) => {
		if (KINDS[kind].scalar) x.scalar((_, b) => result(x, b));
		else x.packedUnary((a) => result(x, a));
	});
}
