import { assert } from "../base/errors.ts";
import { type Encoding, parseEncoding } from "./encoding.ts";
import type { Family, FormOptions } from "./family.ts";
import { isSized, type Operand, type OperandSize, parseOperand } from "./operand.ts";
import { type Meaning, Semantics } from "./semantics.ts";

/** One line of a family: an encoding with its operands. */
export interface Form {
	readonly family: Family;
	readonly encoding: Encoding;
	readonly operandCodes: readonly string[];
	readonly options: FormOptions;
	/** The meaning depends on the operand size. */
	readonly sized: boolean;
	/** What ModRM.mod must be; `none` without ModRM. */
	readonly mod: "any" | "register" | "memory" | "none";
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

/**
 * Candidates of one opcode byte, indexed by prefix class (0 none, 1 66, 2 F3, 3 F2) * 16 + (mod is 3) * 8 + ModRM.reg;
 * without ModRM, by prefix class * 16.
 */
export interface OpcodeSlot {
	hasModrm: boolean;
	readonly forms: (Form | undefined)[];
	exact: Map<number, Form> | undefined;
}

const PREFIX_CLASS = { 0: 0, 102: 1, 243: 2, 242: 3 } as const;

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
		this.knownOperands ??= this.form.operandCodes.map((code) => parseOperand(code, this.size, this.rm));
		return this.knownOperands;
	}

	get meaning(): Meaning {
		if (this.knownMeaning === undefined) {
			const semantics = new Semantics(this.size, this.operands, this.rm);
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
	/** By opcode map and opcode byte. */
	readonly opcodes: (OpcodeSlot | undefined)[][] = [[], [], [], []];

	constructor(families: readonly Family[], sizes: readonly OperandSize[]) {
		this.families = families;
		for (const family of families) {
			for (const [encoding, operands, options = {}] of family.forms)
				this.addForm(family, encoding, operands, options, sizes);
		}
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
		const parsed = operandCodes.map((code) => parseOperand(code, 32));
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
			sized: options.sized === true || operandCodes.some(isSized),
			mod: hasModrm ? (rmOperand?.mod ?? (encoding.exact === undefined ? "any" : "register")) : "none",
			instances: {},
		};
		this.forms.push(form);
		this.claim(form);
		const needsRm = parsed.some((operand) => operand.kind === "rm");
		for (const size of form.sized ? sizes : [sizes.includes(32) ? 32 : (sizes[0] ?? 32)]) {
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
			if (!form.sized) {
				form.instances[16] = list;
				form.instances[32] = list;
				form.instances[64] = list;
			}
		}
	}

	private claim(form: Form): void {
		const { encoding } = form;
		// MOV to and from control and debug registers takes ModRM.rm as a register whatever mod says (SDM 2B MOV).
		const ignoresMod = form.operandCodes.some((code) => /^[CD][dqy]$/.test(code));
		const classes = encoding.prefix === 0 ? [0, 1, 2, 3] : [encoding.prefix === -1 ? 0 : PREFIX_CLASS[encoding.prefix]];
		for (let r = 0; r < (encoding.plusRegister ? 8 : 1); r++) {
			const opcodes = this.opcodes[encoding.map] ?? [];
			const opcode = encoding.opcode + r;
			const slot: OpcodeSlot = opcodes[opcode] ?? {
				hasModrm: form.mod !== "none",
				forms: new Array(64).fill(undefined),
				exact: undefined,
			};
			opcodes[opcode] = slot;
			assert(slot.hasModrm === (form.mod !== "none"), `${form.family.name} ${encoding.text}: ModRM or not?`);
			if (encoding.exact !== undefined) {
				slot.exact ??= new Map();
				assert(!slot.exact.has(encoding.exact), `${encoding.text} is claimed twice`);
				slot.exact.set(encoding.exact, form);
				continue;
			}
			for (const prefixClass of classes) {
				for (const mod3 of [0, 8]) {
					if (mod3 === 8 ? form.mod === "memory" : form.mod === "register" && !ignoresMod) continue;
					for (let reg = 0; reg < 8; reg++) {
						if (typeof encoding.modrm === "number" && encoding.modrm !== reg) continue;
						if (form.options.reg?.includes(reg) === false) continue;
						const index = prefixClass * 16 + (form.mod === "none" ? 0 : mod3 + reg);
						const other = slot.forms[index];
						if (other && other !== form) {
							const order = precedence(form) - precedence(other);
							assert(
								order !== 0,
								`${form.family.name} ${encoding.text}: claimed by ${other.family.name} ${other.encoding.text}`,
							);
							if (order < 0) continue;
						}
						slot.forms[index] = form;
						if (form.mod === "none") break;
					}
				}
			}
		}
	}
}

/** Of two forms for the same bytes the higher wins: one with a mandatory prefix, then one whose opcode names no register. */
function precedence({ encoding }: Form): number {
	return (encoding.prefix === 0 ? 0 : 2) + (encoding.plusRegister ? 0 : 1);
}
