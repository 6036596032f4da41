import { assert } from "../base/errors.ts";
import type { Vex } from "./encoding.ts";
import type { Feature } from "./features.ts";
import type { Form } from "./table.ts";

/** Candidates of one opcode byte, by {@link formIndex}. */
export interface OpcodeSlot {
	readonly hasModrm: boolean;
	readonly forms: (Form | undefined)[];
	/** Forms whose ModRM byte belongs to the opcode, by {@link exactIndex}. */
	exact: Map<number, Form> | undefined;
}

const PREFIX_CLASS = { 0: 0, 102: 1, 243: 2, 242: 3 } as const;
const INDICES = 128;

/** Added to the index of a form with VEX.L set, and to the number of indices. */
export const VEX_256 = INDICES;

/**
 * Place of a form in {@link OpcodeSlot.forms}.
 * @param prefixClass 0 none, 1 66, 2 F3, 3 F2.
 * @param reg ModRM.reg, plus 8 where ModRM.mod is 3; without ModRM, 8 where REX.B is set, else 0.
 * @param wide 64 where REX.W or VEX.W is set, else 0; {@link VEX_256} more where VEX.L is.
 */
export function formIndex(prefixClass: number, reg: number, wide: number): number {
	return wide + prefixClass * 16 + reg;
}

/** Key of a form in {@link OpcodeSlot.exact}. */
export function exactIndex(prefixClass: number, modrm: number): number {
	return prefixClass * 256 + modrm;
}

/**
 * Which form each opcode is, in 64-bit mode or outside of it, where some features exist and others do not. An opcode is
 * worked out when it is first met: a run needs few of them.
 */
export class OpcodeSet {
	private readonly candidates: (opcode: number) => readonly Form[];
	private readonly long: boolean;
	private readonly features: ReadonlySet<Feature> | undefined;
	private readonly slots: (OpcodeSlot | undefined)[] = [];

	/**
	 * @param candidates the forms that have an opcode, map * 256 + byte, in any mode and with any features.
	 * @param features those that exist; absent: all.
	 */
	constructor(
		candidates: (opcode: number) => readonly Form[],
		long: boolean,
		features: ReadonlySet<Feature> | undefined,
	) {
		this.candidates = candidates;
		this.long = long;
		this.features = features;
	}

	/** What an opcode byte of an opcode map ({@link VEX_MAP} added for VEX) means; undefined: no form has it. */
	slot(map: number, opcode: number): OpcodeSlot | undefined {
		return this.slots[map * 256 + opcode] ?? this.resolve(map * 256 + opcode);
	}

	/** All opcodes of a map, by opcode byte. */
	map(map: number): readonly (OpcodeSlot | undefined)[] {
		return Array.from({ length: 256 }, (_, opcode) => this.slot(map, opcode));
	}

	private resolve(at: number): OpcodeSlot | undefined {
		const forms = this.candidates(at).filter((form) => this.exists(form));
		if (forms.length === 0) return undefined;
		const { mod } = forms[0]!;
		const size = forms.some(({ encoding }) => encoding.vex) ? INDICES + VEX_256 : INDICES;
		const slot: OpcodeSlot = {
			hasModrm: mod !== "none",
			forms: new Array(size).fill(undefined),
			exact: undefined,
		};
		for (const form of forms) {
			const { text, exact } = form.encoding;
			assert(slot.hasModrm === (form.mod !== "none"), `${form.family.name} ${text}: ModRM or not?`);
			if (exact === undefined) this.claimIndices(slot, form);
			else {
				slot.exact ??= new Map();
				for (const prefixClass of prefixClasses(form)) {
					const index = exactIndex(prefixClass, exact);
					assert(!slot.exact.has(index), `${text} is claimed twice`);
					slot.exact.set(index, form);
				}
			}
		}
		this.slots[at] = slot;
		return slot;
	}

	private exists({ family, options, encoding }: Form): boolean {
		const { mode, feature = family.feature ?? [] } = options;
		if (mode === (this.long ? "i64" : "o64") || (encoding.rexW && !this.long)) return false;
		const { features } = this;
		return features === undefined || [feature].flat().every((one) => features.has(one));
	}

	private claimIndices(slot: OpcodeSlot, form: Form): void {
		const { encoding } = form;
		for (const wide of encoding.vex ? vexIndices(encoding.vex) : this.long ? (encoding.rexW ? [64] : [0, 64]) : [0]) {
			for (const prefixClass of prefixClasses(form)) {
				for (const reg of registersOf(form, this.long)) {
					const index = formIndex(prefixClass, reg, wide);
					const other = slot.forms[index];
					if (other && other !== form) {
						const extended = !slot.hasModrm && reg === 8;
						const order = precedence(form, extended) - precedence(other, extended);
						assert(
							order !== 0,
							`${form.family.name} ${encoding.text}: claimed by ${other.family.name} ${other.encoding.text}`,
						);
						if (order < 0) continue;
					}
					slot.forms[index] = form;
				}
			}
		}
	}
}

/** Third arguments of {@link formIndex} that a VEX form takes. */
function vexIndices({ l, w }: Vex): number[] {
	const widths = w === undefined ? [0, 64] : [w * 64];
	return (l === undefined ? [0, 1] : [l]).flatMap((bit) => widths.map((wide) => bit * VEX_256 + wide));
}

function prefixClasses({ encoding }: Form): readonly number[] {
	if (encoding.prefix === -2) return [0, 1];
	if (encoding.prefix === -1) return [0];
	return encoding.prefix === 0 ? [0, 1, 2, 3] : [PREFIX_CLASS[encoding.prefix]];
}

/** Second arguments of {@link formIndex} that a form takes. */
function* registersOf(form: Form, long: boolean): Generator<number> {
	const { modrm } = form.encoding;
	if (form.mod === "none") {
		yield 0;
		if (long) yield 8;
		return;
	}
	// MOV to and from control and debug registers takes ModRM.rm as a register whatever mod says (SDM 2B MOV).
	const ignoresMod = form.registers === "system";
	for (const mod3 of [0, 8]) {
		if (mod3 === 8 ? form.mod === "memory" : form.mod === "register" && !ignoresMod) continue;
		for (let reg = 0; reg < 8; reg++) {
			if (typeof modrm === "number" && modrm !== reg) continue;
			if (form.options.reg?.some((one) => (one & 7) === reg) === false) continue;
			yield mod3 + reg;
		}
	}
}

/**
 * Of two forms for the same bytes the higher wins: one with a mandatory prefix or REX.W, then one whose opcode names no
 * register – but with REX.B the opcode does name one (90 is NOP, 41 90 XCHG).
 */
function precedence({ encoding }: Form, extended: boolean): number {
	const named = encoding.plusRegister === extended ? 1 : 0;
	return (encoding.rexW ? 4 : 0) + (encoding.prefix === 0 ? 0 : 2) + named;
}
