import { assert } from "../base/errors.ts";
import { type Encoding, parseEncoding } from "./encoding.ts";
import type { Check, Family, FormLine, FormOptions } from "./family.ts";
import type { Feature } from "./features.ts";
import { indexOpcodes, type OpcodeIndex } from "./opcode-index.ts";
import { OpcodeSet } from "./opcode-set.ts";
import { isSized, type Operand, type OperandSize, parseOperand, type VectorLength } from "./operand.ts";
import type { Meaning } from "./semantics.ts";
import * as semantics from "./semantics.ts"; // deferred

/** One line of a family: an encoding with its operands. */
export interface Form {
	readonly family: Family;
	readonly encoding: Encoding;
	readonly operandCodes: readonly string[];
	readonly options: FormOptions;
	/** The meaning depends on the operand size. */
	readonly sized: boolean;
	/** What is checked before anything else, in this order: the family's own checks behind those of its registers. */
	readonly checks: readonly Check[];
	/** Vectors in memory must be aligned to their size. */
	readonly aligned: boolean;
	/** Uses VEX.vvvv, which must otherwise be 1111b. */
	readonly usesVvvv: boolean;
	/** What ModRM.mod must be; `none` without ModRM. */
	readonly mod: "any" | "register" | "memory" | "none";
	/**
	 * What ModRM.reg names beside general and vector registers. REX.R does not reach segment and MMX registers, and few of the
	 * others there are.
	 */
	readonly registers: "general" | "segment" | "system" | "mmx";
	/** ModRM.rm names an MMX register, which REX.B does not reach. */
	readonly mmxRm: boolean;
	/** Variants by [operand size][register 0, memory 1]. */
	readonly instances: Partial<Record<OperandSize, (Instance | undefined)[]>>;
}

/** A form at one operand size, with its ModRM operand in a register or in memory: what an engine has code for. */
export interface Instance {
	/** Its own; not every number is taken. */
	readonly id: number;
	readonly form: Form;
	readonly size: OperandSize;
	readonly rm: "register" | "memory" | "none";
	readonly operands: readonly Operand[];
	readonly meaning: Meaning;
}

/** Operands and meaning are worked out when somebody asks: a run needs those of the instructions that it meets. */
class TableInstance implements Instance {
	readonly id: number;
	readonly form: Form;
	readonly size: OperandSize;
	readonly rm: Instance["rm"];
	private knownOperands: readonly Operand[] | undefined;
	private knownMeaning: Meaning | undefined;

	constructor(id: number, form: Form, size: OperandSize, rm: Instance["rm"]) {
		this.id = id;
		this.form = form;
		this.size = size;
		this.rm = rm;
	}

	get operands(): readonly Operand[] {
		this.knownOperands ??= this.form.operandCodes.map((code) =>
			parseOperand(code, this.size, this.rm, vectorLengthOf(this.form.encoding)),
		);
		return this.knownOperands;
	}

	get meaning(): Meaning {
		if (this.knownMeaning === undefined) {
			const recorder = new semantics.Semantics(
				this.size,
				this.operands,
				this.rm,
				this.form.encoding.vex && vectorLengthOf(this.form.encoding),
			);
			this.form.family.meaning(recorder);
			this.knownMeaning = recorder.result;
		}
		return this.knownMeaning;
	}
}

const RM = ["register", "memory"] as const;

/** Every instruction there is, from the families: encodings for the decoder, instances for the engines. */
export class InstructionTable {
	private readonly files: readonly (() => readonly Family[])[];
	private readonly sizes: readonly OperandSize[];
	private readonly index: OpcodeIndex;
	/** The lines of the files that somebody has asked for; a form is worked out when it is first asked for. */
	private readonly lines: (readonly [Family, FormLine])[] = [];
	private readonly known: (Form | undefined)[] = [];
	private readonly sets = new Map<string, OpcodeSet>();

	/** @param index of the files; absent: worked out, for which all of them are loaded. */
	constructor(
		files: readonly (() => readonly Family[])[],
		sizes: readonly OperandSize[],
		index: OpcodeIndex = indexOpcodes(files),
	) {
		this.files = files;
		this.sizes = sizes;
		this.index = index;
	}

	get families(): readonly Family[] {
		return this.files.flatMap((file) => file());
	}

	get forms(): readonly Form[] {
		return Array.from({ length: this.index.starts.at(-1) ?? 0 }, (_, number) => this.form(number));
	}

	/** All of them, by growing id. */
	get instances(): readonly Instance[] {
		const all = new Set(this.forms.flatMap(({ instances }) => Object.values(instances).flat()));
		return [...all].filter((one) => one !== undefined).sort((a, b) => a.id - b.id);
	}

	/**
	 * What opcodes mean in 64-bit mode (`long`) or outside of it.
	 * @param features those that exist; absent: all. A form without its feature is as if it were not declared.
	 */
	opcodes(long: boolean, features?: ReadonlySet<Feature>): OpcodeSet {
		const key = `${long}${features ? [...features].sort().join() : "*"}`;
		let set = this.sets.get(key);
		if (!set) {
			const forms = (opcode: number): Form[] => this.index.lines(opcode).map((number) => this.form(number));
			set = new OpcodeSet(forms, long, features);
			this.sets.set(key, set);
		}
		return set;
	}

	private form(number: number): Form {
		let form = this.known[number];
		if (!form) {
			form = this.makeForm(number, ...this.line(number));
			this.known[number] = form;
		}
		return form;
	}

	/** Loads the file of a line. */
	private line(number: number): readonly [Family, FormLine] {
		if (this.lines[number] === undefined) {
			const file = this.index.starts.findLastIndex((start) => start <= number);
			let at = this.index.starts[file] ?? 0;
			for (const family of this.files[file]?.() ?? []) {
				for (const line of family.forms) this.lines[at++] = [family, line];
			}
		}
		const found = this.lines[number];
		assert(found, "a line that the index has");
		return found;
	}

	private makeForm(number: number, family: Family, [text, operands, options = {}]: FormLine): Form {
		const { sizes } = this;
		const encoding = parseEncoding(text);
		const shape = shapeOf(operands, vectorLengthOf(encoding));
		const hasModrm = encoding.modrm !== undefined || encoding.exact !== undefined;
		const name = `${family.name} ${text}`;
		assert(!shape.usesRm || encoding.modrm !== undefined, `${name}: operand needs ModRM`);
		assert(!shape.usesReg || encoding.modrm === "r", `${name}: operand needs /r`);
		assert(!shape.usesOpcode || encoding.plusRegister, `${name}: operand needs +r`);
		const form: Form = {
			family,
			encoding,
			operandCodes: shape.codes,
			options,
			sized: options.sized !== undefined || shape.sized,
			checks: [...stateChecks(encoding, shape, options), ...(family.checks ?? [])],
			aligned: options.aligned ?? encoding.vex === undefined,
			usesVvvv: shape.usesVvvv,
			mod: hasModrm ? (shape.mod ?? (encoding.exact === undefined ? "any" : "register")) : "none",
			registers: shape.registers,
			mmxRm: shape.mmxRm,
			instances: {},
		};
		// Nothing but y: 32 or 64 bits, whatever 66 says.
		const halfSized = options.sized === "y" || (options.sized === undefined && shape.halfSized);
		const known = sizes.filter((size) => {
			if (size === 64) return options.mode !== "i64";
			return !encoding.rexW && !(halfSized && size === 16);
		});
		for (const size of form.sized ? known : [sizes.includes(32) ? 32 : (sizes[0] ?? 32)]) {
			const id = (number * sizes.length + sizes.indexOf(size)) * RM.length;
			const list = shape.needsRm
				? RM.map((rm, at) =>
						form.mod === "any" || form.mod === rm ? new TableInstance(id + at, form, size, rm) : undefined,
					)
				: new Array<Instance>(RM.length).fill(new TableInstance(id, form, size, "none"));
			form.instances[size] = list;
			if (halfSized && size === 32) form.instances[16] = list;
			if (!form.sized) {
				form.instances[16] = list;
				form.instances[32] = list;
				form.instances[64] = list;
			}
		}
		return form;
	}
}

/** What a list of operands says of its form, whatever the encoding is. */
interface Shape {
	readonly codes: readonly string[];
	/** One is in ModRM.rm, and may be in memory. */
	readonly needsRm: boolean;
	/** One is in ModRM.rm at all, in ModRM.reg, in the opcode. */
	readonly usesRm: boolean;
	readonly usesReg: boolean;
	readonly usesOpcode: boolean;
	readonly usesVvvv: boolean;
	readonly usesVectors: boolean;
	readonly usesMmx: boolean;
	readonly mmxRm: boolean;
	readonly mod: "any" | "register" | "memory" | undefined;
	readonly registers: Form["registers"];
	readonly sized: boolean;
	/** Sized by nothing but y. */
	readonly halfSized: boolean;
}

/** Many forms have the same operands. */
const shapes = new Map<string, Shape>();

function shapeOf(operands: string, length: VectorLength): Shape {
	const key = `${length} ${operands}`;
	let shape = shapes.get(key);
	if (!shape) {
		shape = readShape(operands === "" ? [] : operands.split(", "), length);
		shapes.set(key, shape);
	}
	return shape;
}

function readShape(codes: readonly string[], length: VectorLength): Shape {
	const parsed = codes.map((code) => parseOperand(code, 32, undefined, length));
	const has = (...kinds: Operand["kind"][]): boolean => parsed.some(({ kind }) => kinds.includes(kind));
	const hasBank = (bank: Operand["bank"], kind?: Operand["kind"]): boolean =>
		parsed.some((operand) => operand.bank === bank && (kind === undefined || operand.kind === kind));
	const system = has("creg", "dreg");
	const sized = codes.some(isSized);
	const general = hasBank("mmx", "reg") ? "mmx" : "general";
	return {
		codes,
		needsRm: has("rm"),
		usesRm: has("rm") || system,
		usesReg: has("reg", "sreg") || system,
		usesOpcode: has("opcodeReg"),
		usesVvvv: has("vvvv"),
		usesVectors: hasBank("vector"),
		usesMmx: hasBank("mmx"),
		mmxRm: hasBank("mmx", "rm"),
		mod: (parsed.find(({ mod }) => mod !== "any") ?? parsed.find(({ kind }) => kind === "rm"))?.mod,
		registers: system ? "system" : has("sreg") ? "segment" : general,
		sized,
		halfSized: sized && codes.every((code) => !isSized(code) || isHalfSized(code)),
	};
}

function vectorLengthOf({ vex }: Encoding): VectorLength {
	return vex?.l === 1 ? 256 : 128;
}

/** Operands of y alone are 32 or 64 bits wide. */
function isHalfSized(code: string): boolean {
	return /^[A-Z]y$|^RyM[bwd]$/.test(code);
}

/** VEX is #UD in real and virtual-8086 mode (SDM 2 2.3.1); the rest follows from the registers that a form has. */
function stateChecks({ vex }: Encoding, { usesVectors, usesMmx }: Shape, { state }: FormOptions): Check[] {
	const checks: Check[] = vex ? ["protected"] : [];
	if (state ? state === "avx" : usesVectors && vex) checks.push("avx");
	if (state ? state === "sse" : usesVectors && !vex) checks.push("sse");
	if (state ? state === "mmx" : usesMmx) checks.push("mmx");
	return checks;
}
