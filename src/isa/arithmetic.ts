import { assert } from "../base/errors.ts";
import type { BinaryOp, CompareOp, UnaryOp, Width } from "./expr.ts";

/** Whether a comparison holds for two unsigned values of `width` bits. */
export function compareValues(op: CompareOp, a: bigint, b: bigint, width: Width): boolean {
	const [x, y] = op === "ltS" || op === "leS" ? [BigInt.asIntN(width, a), BigInt.asIntN(width, b)] : [a, b];
	switch (op) {
		case "eq":
			return x === y;
		case "ne":
			return x !== y;
		case "ltU":
		case "ltS":
			return x < y;
		case "leU":
		case "leS":
			return x <= y;
	}
}

/** Result of an operation on an unsigned value of `width` bits. */
export function unaryValue(op: UnaryOp, a: bigint, width: Width): bigint {
	const bits = a.toString(2).padStart(width, "0");
	switch (op) {
		case "not":
			return BigInt.asUintN(width, ~a);
		case "neg":
			return BigInt.asUintN(width, -a);
		case "ctz":
			return BigInt(a === 0n ? width : width - 1 - bits.lastIndexOf("1"));
		case "clz":
			return BigInt(a === 0n ? width : bits.indexOf("1"));
		case "popcnt":
			return BigInt(bits.replaceAll("0", "").length);
		case "bswap": {
			const bytes =
				a
					.toString(16)
					.padStart(width / 4, "0")
					.match(/../g) ?? [];
			return BigInt(`0x${bytes.reverse().join("")}`);
		}
	}
}

/** Result of an operation on two unsigned values of `width` bits; counts must be below the width, divisors not 0. */
export function binaryValue(op: BinaryOp, a: bigint, b: bigint, width: Width): bigint {
	return BigInt.asUintN(width, exactValue(op, a, b, width));
}

function exactValue(op: BinaryOp, a: bigint, b: bigint, width: Width): bigint {
	switch (op) {
		case "add":
			return a + b;
		case "sub":
			return a - b;
		case "mul":
			return a * b;
		case "mulHighU":
			return (a * b) >> BigInt(width);
		case "mulHighS":
			return (BigInt.asIntN(width, a) * BigInt.asIntN(width, b)) >> BigInt(width);
		case "and":
			return a & b;
		case "or":
			return a | b;
		case "xor":
			return a ^ b;
		case "divU":
		case "remU":
			assert(b !== 0n, "a guarded divisor");
			return op === "divU" ? a / b : a % b;
		case "divS":
		case "remS": {
			assert(b !== 0n, "a guarded divisor");
			const [x, y] = [BigInt.asIntN(width, a), BigInt.asIntN(width, b)];
			return op === "divS" ? x / y : x % y;
		}
		default: {
			const size = BigInt(width);
			assert(b < size, `a count below ${width} for ${op}, not ${b}`);
			if (op === "shl") return a << b;
			if (op === "shrU") return a >> b;
			if (op === "shrS") return BigInt.asIntN(width, a) >> b;
			return op === "rotl" ? (a << b) | (a >> (size - b)) : (a >> b) | (a << (size - b));
		}
	}
}
