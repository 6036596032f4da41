import { type Decoded, RIP_RELATIVE } from "../isa/decoder.ts";
import type { Operand } from "../isa/operand.ts";
import type { Instance } from "../isa/table.ts";
import { handlerIndex, SPECIAL_HANDLERS } from "./handler-index.ts";
import { F, FAR, GPRS, REC, segmentOffset } from "./layout.ts";

/** Offset in the state of a byte register by number; AH … BH without REX. */
function byteRegister(n: number, rex: number): number {
	return rex === 0 && n >= 4 && n < 8 ? GPRS + (n - 4) * 8 + 1 : GPRS + n * 8;
}

/** Offset in the state of a register operand other than a byte register. */
function operandOffset(bank: Operand["bank"], n: number): number {
	if (bank === "vector") return F.ymm.offset + n * 32;
	return bank === "mmx" ? F.fpr.offset + (n & 7) * 16 : GPRS + n * 8;
}

function registerOffset(n: number): number {
	return n < 0 ? F.zero.offset : GPRS + n * 8;
}

/** What a register field of a record holds: a general register, one of 8 bits, or a number as it is. */
type RegisterField = "general" | "byte" | "number" | "vector" | "mmx";

/** How the fields of an instance's records follow from what was decoded. */
interface RecordPlan {
	readonly handler: number;
	readonly rm: RegisterField;
	readonly reg: RegisterField;
	/** Bank of VEX.vvvv, which takes the place of the second immediate. */
	readonly vvvv: Operand["bank"] | undefined;
	/** Bank of a register in an immediate byte. */
	readonly selector: Operand["bank"] | undefined;
	readonly repeat: boolean;
	/** x87: the immediate is the opcode. */
	readonly escape: boolean;
	/** The address has a vector as its index. */
	readonly vsib: boolean;
}

const plans: (RecordPlan | undefined)[] = [];

function planOf(instance: Instance): RecordPlan {
	const known = plans[instance.id];
	if (known) return known;
	let rm: RegisterField = "general";
	let reg: RegisterField = "general";
	let vvvv: Operand["bank"] | undefined;
	let selector: Operand["bank"] | undefined;
	for (const { kind, bank, width } of instance.operands) {
		const field: RegisterField = bank !== "general" ? bank : width === 8 ? "byte" : "general";
		if (kind === "vvvv") vvvv = bank;
		else if (kind === "selector") selector = bank;
		else if (kind === "sreg" || kind === "creg" || kind === "dreg") reg = "number";
		else if (kind === "reg" && field !== "general") reg = field;
		else if ((kind === "rm" || kind === "opcodeReg") && field !== "general") rm = field;
	}
	const { map, opcode } = instance.form.encoding;
	const plan: RecordPlan = {
		handler: handlerIndex(instance),
		rm,
		reg,
		vvvv,
		selector,
		repeat: instance.form.family.repeat === true,
		escape: map === 0 && (opcode & 0xf8) === 0xd8,
		vsib: instance.form.options.vsib === true,
	};
	plans[instance.id] = plan;
	return plan;
}

function registerField(field: RegisterField, n: number, rex: number): number {
	if (field === "general") return registerOffset(n);
	if (field === "byte") return byteRegister(n, rex);
	return field === "number" ? n : operandOffset(field, n);
}

/**
 * Writes one predecoded record at `at` (in 32-bit words of `words`).
 * @param ip distance of the instruction from the block's first byte.
 */
export function writeRecord(words: Int32Array, at: number, decoded: Decoded, ip: number): void {
	const { instance, status } = decoded;
	let handler: number = status === "tooLong" ? SPECIAL_HANDLERS.tooLong : SPECIAL_HANDLERS.undefined;
	let rm = 0;
	let reg = 0;
	let { immediate, immediate2 } = decoded;
	let index = registerOffset(decoded.index);
	let vsib = false;
	if (status === "ok" && instance) {
		const plan = planOf(instance);
		handler = plan.handler;
		rm = registerField(plan.rm, decoded.rm, decoded.rex);
		reg = registerField(plan.reg, decoded.reg, decoded.rex);
		if (plan.vvvv !== undefined) immediate2 = operandOffset(plan.vvvv, decoded.vvvv);
		if (plan.selector !== undefined) immediate = operandOffset(plan.selector, decoded.immediate);
		if (plan.repeat) immediate2 = decoded.repeat;
		if (plan.escape) immediate = ((instance.form.encoding.opcode & 7) << 8) | decoded.modrm;
		vsib = plan.vsib;
	}
	let { displacement } = decoded;
	let base = registerOffset(decoded.base);
	if (decoded.base === RIP_RELATIVE) {
		base = F.blockIp.offset;
		displacement += ip + decoded.length;
		if (displacement > 0x7fffffff) {
			index = F.far.offset;
			displacement -= FAR;
		}
	}
	if (vsib) {
		// The address proper has no index; the helper finds the vector register's offset in place of an immediate.
		immediate = operandOffset("vector", decoded.index);
		index = F.zero.offset;
	}
	const addressSize = decoded.addressSize === 16 ? 0 : decoded.addressSize === 32 ? 8 : 16;
	words[at + REC.handler / 4] = handler | (decoded.length << 16) | (decoded.segment << 24);
	words[at + REC.rm / 4] = rm | (reg << 16);
	words[at + REC.base / 4] = base | (index << 16);
	words[at + REC.scale / 4] = decoded.scale | (addressSize << 8) | (segmentOffset(decoded.segment) << 16);
	words[at + REC.immediate / 4] = immediate;
	words[at + REC.immediate / 4 + 1] = decoded.immediateHigh;
	words[at + REC.displacement / 4] = displacement;
	words[at + REC.ip / 4] = ip | (immediate2 << 16);
}
