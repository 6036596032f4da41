import { type Decoded, isHighByte } from "../../isa/decoder.ts";
import { children, type Expr } from "../../isa/expr.ts";
import { meaningValues } from "../../isa/meaning-values.ts";
import type { Operand } from "../../isa/operand.ts";
import { RBP, RSP } from "../../isa/registers.ts";
import type { Instance } from "../../isa/table.ts";
import { inMemory } from "../emitter.ts";

/** General registers as bits: 1 << number. */
export interface RegisterUse {
	/** Those whose old value counts; a write of less than a register keeps the rest of it. */
	readonly reads: number;
	readonly writes: number;
}

const implied = new WeakMap<Instance, RegisterUse>();

/** Registers that every instruction of an instance uses, whatever its operands are. */
function impliedUse(instance: Instance): RegisterUse {
	const known = implied.get(instance);
	if (known) return known;
	const { meaning } = instance;
	let reads = 0;
	let writes = 0;
	const visit = (expr: Expr): void => {
		if (expr.node.kind === "register") reads |= 1 << expr.node.register;
		for (const child of children(expr)) visit(child);
	};
	for (const value of meaningValues(meaning)) visit(value);
	for (const { register } of meaning.registers) writes |= 1 << register;
	for (const { kind } of [...meaning.loads, ...meaning.stores])
		if (kind === "stack" || kind === "frame") reads |= 1 << (kind === "stack" ? RSP : RBP);
	if (meaning.stackDelta !== 0 || meaning.stackDeltaOperand !== undefined || meaning.stackFromFrame) {
		reads |= 1 << (meaning.stackFromFrame ? RBP : RSP);
		writes |= 1 << RSP;
	}
	const use = { reads: reads | writes, writes };
	implied.set(instance, use);
	return use;
}

/** Number of a register operand of any bank, -1 where the operand is none that an instruction names. */
export function operandNumber(decoded: Decoded, operand: Operand): number {
	switch (operand.kind) {
		case "rm":
		case "opcodeReg":
			return decoded.rm;
		case "reg":
			return decoded.reg;
		case "vvvv":
			return decoded.vvvv;
		case "fixed":
			return operand.register;
		default:
			return -1;
	}
}

/** Register and whether it is its high byte, of a general register operand; -1 where it is none. */
export function registerPlace(decoded: Decoded, operand: Operand): { register: number; high: boolean } {
	const n = operand.bank === "general" ? operandNumber(decoded, operand) : -1;
	const high = operand.width === 8 && operand.kind !== "fixed" && isHighByte(n, decoded.rex);
	return { register: high ? n - 4 : n, high };
}

/** General registers that an instruction reads and writes, helpers aside. */
export function registerUse(decoded: Decoded): RegisterUse {
	const { instance } = decoded;
	if (!instance) return { reads: 0, writes: 0 };
	let { reads, writes } = impliedUse(instance);
	if (decoded.base >= 0) reads |= 1 << decoded.base;
	if (decoded.index >= 0) reads |= 1 << decoded.index;
	instance.operands.forEach((operand, index) => {
		const { register } = registerPlace(decoded, operand);
		if (register < 0 || inMemory(instance, operand)) return;
		const bit = 1 << register;
		reads |= bit;
		if (instance.meaning.writes.some((write) => write.operand === index)) writes |= bit;
	});
	return { reads, writes };
}
