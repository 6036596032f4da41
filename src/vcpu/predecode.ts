import { type Decoded, RIP_RELATIVE } from "../isa/decoder.ts";
import type { Operand } from "../isa/operand.ts";
import { handlerIndex, SPECIAL_HANDLERS } from "./core/handlers.ts";
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
	if (status === "ok" && instance) {
		handler = handlerIndex(instance);
		rm = registerOffset(decoded.rm);
		reg = registerOffset(decoded.reg);
		for (const operand of instance.operands) {
			const { kind, bank } = operand;
			if (kind === "vvvv") immediate2 = operandOffset(bank, decoded.vvvv);
			else if (kind === "selector") immediate = operandOffset(bank, decoded.immediate);
			else if (bank !== "general") {
				if (kind === "reg") reg = operandOffset(bank, decoded.reg);
				else if (kind === "rm") rm = operandOffset(bank, decoded.rm);
			} else if (operand.kind === "sreg" || operand.kind === "creg" || operand.kind === "dreg") reg = decoded.reg;
			else if (operand.width === 8 && operand.kind === "reg") reg = byteRegister(decoded.reg, decoded.rex);
			else if (operand.width === 8 && (operand.kind === "rm" || operand.kind === "opcodeReg"))
				rm = byteRegister(decoded.rm, decoded.rex);
		}
		if (instance.form.family.repeat) immediate2 = decoded.repeat;
		const { map, opcode } = instance.form.encoding;
		if (map === 0 && (opcode & 0xf8) === 0xd8) immediate = ((opcode & 7) << 8) | decoded.modrm;
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
	if (decoded.form?.options.vsib) {
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
