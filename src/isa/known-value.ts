import { binaryValue, compareValues, unaryValue } from "./arithmetic.ts";
import type { Expr } from "./expr.ts";
import { vectorValue } from "./vector-value.ts";

/**
 * Value of an expression that depends on nothing but constants and immediates, or `undefined`. An engine that knows an
 * instruction's immediates settles with it whether a shift by one changes the flags.
 * @param immediate value of an immediate operand; the expression takes as many of its bits as it is wide.
 */
export function knownValue(expr: Expr, immediate: (operand: number) => bigint): bigint | undefined {
	const { node, width } = expr;
	switch (node.kind) {
		case "const":
			return node.value;
		case "immediate":
			return BigInt.asUintN(width, immediate(node.operand));
		case "unary": {
			const a = knownValue(node.a, immediate);
			return a === undefined ? undefined : unaryValue(node.op, a, width);
		}
		case "binary":
		case "compare": {
			// The first that is not known settles it: shared values are not gone through time and again.
			const a = knownValue(node.a, immediate);
			if (a === undefined) return undefined;
			const b = knownValue(node.b, immediate);
			if (b === undefined) return undefined;
			if (node.kind === "binary") return binaryValue(node.op, a, b, width);
			return compareValues(node.op, a, b, node.a.width) ? 1n : 0n;
		}
		case "select": {
			const condition = knownValue(node.condition, immediate);
			return condition === undefined ? undefined : knownValue(condition ? node.a : node.b, immediate);
		}
		case "vector": {
			const args: bigint[] = [];
			for (const arg of node.args) {
				const value = knownValue(arg, immediate);
				if (value === undefined) return undefined;
				args.push(value);
			}
			return vectorValue(node.op, args, node.lanes);
		}
		case "zext":
		case "sext":
		case "trunc": {
			const a = knownValue(node.a, immediate);
			if (a === undefined) return undefined;
			return BigInt.asUintN(width, node.kind === "sext" ? BigInt.asIntN(node.a.width, a) : a);
		}
		default:
			return undefined;
	}
}
