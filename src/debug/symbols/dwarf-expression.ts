import { type Bytes, Cursor } from "./bytes.ts";
import { type MemoryReader, wordIn } from "./symbols.ts";

/** More steps than an expression of unwind tables has. */
const MOST_STEPS = 1000;

const OP = {
	deref: 0x06,
	const1u: 0x08,
	const1s: 0x09,
	const2u: 0x0a,
	const2s: 0x0b,
	const4u: 0x0c,
	const4s: 0x0d,
	const8u: 0x0e,
	const8s: 0x0f,
	constu: 0x10,
	consts: 0x11,
	dup: 0x12,
	drop: 0x13,
	over: 0x14,
	pick: 0x15,
	swap: 0x16,
	and: 0x1a,
	minus: 0x1c,
	mul: 0x1e,
	neg: 0x1f,
	not: 0x20,
	or: 0x21,
	plus: 0x22,
	plusUconst: 0x23,
	shl: 0x24,
	shr: 0x25,
	shra: 0x26,
	xor: 0x27,
	bra: 0x28,
	eq: 0x29,
	ge: 0x2a,
	gt: 0x2b,
	le: 0x2c,
	lt: 0x2d,
	ne: 0x2e,
	skip: 0x2f,
	lit0: 0x30,
	reg0: 0x50,
	breg0: 0x70,
	bregx: 0x92,
	derefSize: 0x94,
	nop: 0x96,
} as const;

const BINARY: Readonly<Record<number, (a: bigint, b: bigint, bits: number) => bigint>> = {
	[OP.and]: (a, b) => a & b,
	[OP.minus]: (a, b) => a - b,
	[OP.mul]: (a, b) => a * b,
	[OP.or]: (a, b) => a | b,
	[OP.plus]: (a, b) => a + b,
	[OP.shl]: (a, b, bits) => (b < bits ? a << b : 0n),
	[OP.shr]: (a, b) => a >> b,
	[OP.shra]: (a, b, bits) => BigInt.asIntN(bits, a) >> b,
	[OP.xor]: (a, b) => a ^ b,
};
const COMPARISON: Readonly<Record<number, (a: bigint, b: bigint) => boolean>> = {
	[OP.eq]: (a, b) => a === b,
	[OP.ge]: (a, b) => a >= b,
	[OP.gt]: (a, b) => a > b,
	[OP.le]: (a, b) => a <= b,
	[OP.lt]: (a, b) => a < b,
	[OP.ne]: (a, b) => a !== b,
};

/**
 * Evaluates a DWARF expression (DWARF 5, 2.5) as far as unwind tables use them.
 * @param first what lies on the stack at the start
 * @returns undefined where it needs what is not known, or is none of these
 * @throws Damaged for one that ends in the middle
 */
export function evaluate(
	expression: Bytes,
	registers: readonly (bigint | undefined)[],
	read: MemoryReader,
	wordSize: 4 | 8,
	first?: bigint,
): bigint | undefined {
	const bits = wordSize * 8;
	const stack: bigint[] = first === undefined ? [] : [first];
	const cursor = new Cursor(expression);
	const push = (value: bigint | undefined): boolean => {
		if (value === undefined) return false;
		stack.push(BigInt.asUintN(bits, value));
		return true;
	};
	const load = (size: number): bigint | undefined => {
		const address = stack.pop();
		const bytes = address === undefined ? undefined : read(address, size);
		return bytes && wordIn(bytes);
	};
	const relative = (register: number): bigint | undefined => {
		const offset = BigInt(cursor.sleb());
		const value = registers[register];
		return value === undefined ? undefined : value + offset;
	};
	for (let step = 0; cursor.more; step++) {
		const opcode = cursor.u8();
		if (step >= MOST_STEPS || stack.length > MOST_STEPS) return undefined;
		const binary = BINARY[opcode];
		const comparison = COMPARISON[opcode];
		if (binary !== undefined || comparison !== undefined) {
			const [b, a] = [stack.pop(), stack.pop()];
			if (a === undefined || b === undefined) return undefined;
			if (binary !== undefined) push(binary(a, b, bits));
			else push(comparison?.(BigInt.asIntN(bits, a), BigInt.asIntN(bits, b)) ? 1n : 0n);
			continue;
		}
		if (opcode >= OP.lit0 && opcode < OP.reg0) {
			push(BigInt(opcode - OP.lit0));
			continue;
		}
		if (opcode >= OP.breg0 && opcode < OP.breg0 + 32) {
			if (!push(relative(opcode - OP.breg0))) return undefined;
			continue;
		}
		const top = stack.at(-1);
		let value: bigint | undefined;
		switch (opcode) {
			case OP.nop:
				continue;
			case OP.drop:
				stack.pop();
				continue;
			case OP.swap: {
				const [b, a] = [stack.pop(), stack.pop()];
				if (a === undefined || b === undefined) return undefined;
				stack.push(b, a);
				continue;
			}
			case OP.skip:
			case OP.bra: {
				const distance = (cursor.u16() << 16) >> 16;
				if (opcode === OP.skip || stack.pop() !== 0n) cursor.at += distance;
				if (cursor.at < 0) return undefined;
				continue;
			}
			case OP.dup:
				value = top;
				break;
			case OP.over:
				value = stack.at(-2);
				break;
			case OP.pick:
				value = stack.at(-1 - cursor.u8());
				break;
			case OP.neg:
				value = stack.pop();
				if (value !== undefined) value = -value;
				break;
			case OP.not:
				value = stack.pop();
				if (value !== undefined) value = ~value;
				break;
			case OP.plusUconst:
				value = stack.pop();
				if (value !== undefined) value += BigInt(cursor.uleb());
				break;
			case OP.const1u:
				value = BigInt(cursor.u8());
				break;
			case OP.const1s:
				value = BigInt(cursor.i8());
				break;
			case OP.const2u:
				value = BigInt(cursor.u16());
				break;
			case OP.const2s:
				value = BigInt.asIntN(16, BigInt(cursor.u16()));
				break;
			case OP.const4u:
				value = BigInt(cursor.u32());
				break;
			case OP.const4s:
				value = BigInt.asIntN(32, BigInt(cursor.u32()));
				break;
			case OP.const8u:
			case OP.const8s:
				value = cursor.u64();
				break;
			case OP.constu:
				value = BigInt(cursor.uleb());
				break;
			case OP.consts:
				value = BigInt(cursor.sleb());
				break;
			case OP.bregx:
				value = relative(cursor.uleb());
				break;
			case OP.deref:
				value = load(wordSize);
				break;
			case OP.derefSize:
				value = load(Math.min(Math.max(cursor.u8(), 1), wordSize));
				break;
			default:
				return undefined;
		}
		if (!push(value)) return undefined;
	}
	return stack.at(-1);
}
