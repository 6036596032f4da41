import { instructionTable } from "../../../src/isa/index.ts";
import type { Instance } from "../../../src/isa/table.ts";

/** What the lanes of its operands are filled as: single, double, or bits of any kind. */
export type Lanes = "s" | "d" | "h";

/** One encoding of an SSE or AVX floating-point instruction with fixed registers, as the recorder runs it. */
export interface FloatForm {
	readonly name: string;
	/** Exists in 64-bit mode only. */
	readonly wide: boolean;
	readonly lanes: Lanes;
	/** The last byte is an immediate, to be chosen at random. */
	readonly immediate: boolean;
	readonly bytes: readonly number[];
}

const PREFIX_CLASS = [-1, 0x66, 0xf3, 0xf2];
/** [rDI + 96]: where the third vector is. */
const MEMORY = [0x47, 0x60];

function lanesOf({ meaning }: Instance): Lanes {
	const [first] = meaning.floats;
	const name = first?.node.kind === "float" ? first.node.name : "";
	if (/^(dq|si|ph)2/.test(name)) return "h";
	return /^(pd|sd)2|_[ps]d$/.test(name) ? "d" : "s";
}

function encode({ form, size, rm, operands }: Instance): number[] {
	const { prefix, map, opcode, vex } = form.encoding;
	const wide = size === 64 && form.sized ? 1 : 0;
	const bytes: number[] = [];
	if (vex) {
		const vvvv = form.usesVvvv ? 14 : 15;
		const w = vex.w ?? wide;
		const pp = PREFIX_CLASS.indexOf(prefix);
		bytes.push(0xc4, 0xe0 | map, (w << 7) | (vvvv << 3) | ((vex.l ?? 0) << 2) | pp, opcode);
	} else {
		if (prefix > 0) bytes.push(prefix);
		if (wide) bytes.push(0x48);
		bytes.push(0x0f, ...(map === 2 ? [0x38] : map === 3 ? [0x3a] : []), opcode);
	}
	// The last register is number 2; the only general one is EAX.
	if (rm === "memory") bytes.push(...MEMORY);
	else bytes.push(operands.some(({ kind, bank }) => kind === "rm" && bank === "general") ? 0xc0 : 0xc2);
	if (operands.some(({ kind }) => kind === "immediate")) bytes.push(0);
	return bytes;
}

/** Every form with floating-point arithmetic that the instruction set has. */
export function floatForms(): FloatForm[] {
	return instructionTable()
		.instances.filter(({ meaning }) => meaning.floats.length > 0 && meaning.stores.length === 0)
		.map((instance) => {
			const { form, size, operands, rm } = instance;
			const wide = size === 64 && form.sized;
			const place = rm === "memory" ? "memory" : "register";
			return {
				name: `${form.family.name} ${form.encoding.text} ${place}${wide ? " 64" : ""}`,
				wide,
				lanes: lanesOf(instance),
				immediate: operands.some(({ kind }) => kind === "immediate"),
				bytes: encode(instance),
			};
		});
}
