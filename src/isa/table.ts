import { assert } from "../base/errors.ts";
import { type Encoding, parseEncoding } from "./encoding.ts";
import type { Check, Family, FormOptions } from "./family.ts";
import type { Feature } from "./features.ts";
import { OpcodeSet } from "./opcode-set.ts";
import { isSized, type Operand, type OperandSize, parseOperand, type VectorLength } from "./operand.ts";
import { type Meaning, Semantics } from "./semantics.ts";

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
	/** Position in {@link InstructionTable.instances}. */
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
			parseOperand(code, this.size, this.rm, vectorLength(this.form)),
		);
		return this.knownOperands;
	}

	get meaning(): Meaning {
		if (this.knownMeaning === undefined) {
			const semantics = new Semantics(
				this.size,
				this.operands,
				this.rm,
				this.form.encoding.vex && vectorLength(this.form),
			);
			this.form.family.meaning(semantics);
			this.knownMeaning = semantics.result;
		}
		return this.knownMeaning;
	}
}

/** Every instruction there is, from the families: encodings for the decoder, instances for the engines. */
export class InstructionTable {
	readonly families: readonly Family[];
	readonly forms: Form[] = [];
	readonly instances: Instance[] = [];
	private readonly sets = new Map<string, OpcodeSet>();

	constructor(families: readonly Family[], sizes: readonly OperandSize[]) {
		this.families = families;
		for (const family of families) {
			for (const [encoding, operands, options = {}] of family.forms)
				this.addForm(family, encoding, operands, options, sizes);
		}
	}

	/**
	 * What opcodes mean in 64-bit mode (`long`) or outside of it.
	 * @param features those that exist; absent: all. A form without its feature is as if it were not declared.
	 */
	opcodes(long: boolean, features?: ReadonlySet<Feature>): OpcodeSet {
		const key = `${long}${features ? [...features].sort().join() : "*"}`;
		let set = this.sets.get(key);
		if (!set) {
			set = new OpcodeSet(this.forms, long, features);
			this.sets.set(key, set);
		}
		return set;
	}

	private addForm(
		family: Family,
		text: string,
		operands: string,
		options: FormOptions,
		sizes: readonly OperandSize[],
	): void {
		const encoding = parseEncoding(text);
		const operandCodes = operands === "" ? [] : operands.split(", ");
		const parsed = operandCodes.map((code) => parseOperand(code, 32, undefined, encoding.vex?.l === 1 ? 256 : 128));
		const usesRm = parsed.find(
			(operand) => operand.kind === "rm" || operand.kind === "creg" || operand.kind === "dreg",
		);
		const hasModrm = encoding.modrm !== undefined || encoding.exact !== undefined;
		assert(!usesRm || encoding.modrm !== undefined, `${family.name} ${text}: operand needs ModRM`);
		for (const { kind } of parsed) {
			const needs = kind === "reg" || kind === "sreg" || kind === "creg" || kind === "dreg";
			assert(!needs || encoding.modrm === "r", `${family.name} ${text}: operand needs /r`);
			assert(kind !== "opcodeReg" || encoding.plusRegister, `${family.name} ${text}: operand needs +r`);
		}
		const rmOperand = parsed.find((operand) => operand.mod !== "any") ?? usesRm;
		const form: Form = {
			family,
			encoding,
			operandCodes,
			options,
			sized: options.sized !== undefined || operandCodes.some(isSized),
			checks: [...stateChecks(encoding, parsed, options), ...(family.checks ?? [])],
			aligned: options.aligned ?? encoding.vex === undefined,
			usesVvvv: parsed.some(({ kind }) => kind === "vvvv"),
			mod: hasModrm ? (rmOperand?.mod ?? (encoding.exact === undefined ? "any" : "register")) : "none",
			registers: parsed.some(({ kind }) => kind === "creg" || kind === "dreg")
				? "system"
				: parsed.some(({ kind }) => kind === "sreg")
					? "segment"
					: parsed.some(({ kind, bank }) => kind === "reg" && bank === "mmx")
						? "mmx"
						: "general",
			mmxRm: parsed.some(({ kind, bank }) => kind === "rm" && bank === "mmx"),
			instances: {},
		};
		this.forms.push(form);
		const needsRm = parsed.some((operand) => operand.kind === "rm");
		// Nothing but y: 32 or 64 bits, whatever 66 says.
		const halfSized =
			options.sized === "y" ||
			(form.sized && !options.sized && operandCodes.every((code) => !isSized(code) || isHalfSized(code)));
		const known = sizes.filter((size) => {
			if (size === 64) return options.mode !== "i64";
			return !encoding.rexW && !(halfSized && size === 16);
		});
		for (const size of form.sized ? known : [sizes.includes(32) ? 32 : (sizes[0] ?? 32)]) {
			const variants = !needsRm
				? (["none"] as const)
				: form.mod === "any"
					? (["register", "memory"] as const)
					: form.mod === "memory"
						? (["memory"] as const)
						: (["register"] as const);
			const list: (Instance | undefined)[] = [undefined, undefined];
			for (const rm of variants) {
				const instance = new TableInstance(this.instances.length, form, size, rm);
				this.instances.push(instance);
				if (rm !== "memory") list[0] = instance;
				if (rm !== "register") list[1] = instance;
			}
			form.instances[size] = list;
			if (halfSized && size === 32) form.instances[16] = list;
			if (!form.sized) {
				form.instances[16] = list;
				form.instances[32] = list;
				form.instances[64] = list;
			}
		}
	}
}

function vectorLength({ encoding }: Form): VectorLength {
	return encoding.vex?.l === 1 ? 256 : 128;
}

/** Operands of y alone are 32 or 64 bits wide. */
function isHalfSized(code: string): boolean {
	return /^[A-Z]y$|^RyM[bwd]$/.test(code);
}

/** VEX is #UD in real and virtual-8086 mode (SDM 2 2.3.1); the rest follows from the registers that a form has. */
function stateChecks({ vex }: Encoding, operands: readonly Operand[], { state }: FormOptions): Check[] {
	const checks: Check[] = vex ? ["protected"] : [];
	const has = (bank: Operand["bank"]): boolean => operands.some((operand) => operand.bank === bank);
	if (state ? state === "avx" : has("vector") && vex) checks.push("avx");
	if (state ? state === "sse" : has("vector") && !vex) checks.push("sse");
	if (state ? state === "mmx" : has("mmx")) checks.push("mmx");
	return checks;
}
