import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { constant, Expr, TRUE, type Width } from "../../src/isa/expr.ts";
import { knownValue } from "../../src/isa/known-value.ts";

const WIDTHS = [8, 16, 32, 64] as const;
const BINARY = ["add", "sub", "mul", "and", "or", "xor", "shl", "shrU", "shrS", "rotl", "rotr"] as const;
const DIVISIONS = ["divU", "remU", "divS", "remS"] as const;
const COMPARISONS = ["eq", "ne", "ltU", "ltS", "leU", "leS"] as const;
const UNARY = ["not", "neg", "ctz", "clz", "popcnt"] as const;

/** An operand whose value only an engine knows, so that nothing is folded. */
function immediate(width: Width, operand: number): Expr {
	return new Expr(width, { kind: "immediate", operand, signed: false });
}

/** Two values of a width, with 0, 1, the ends of the range and small ones often among them. */
const operands = fc.constantFrom(...WIDTHS).chain((width) => {
	const top = (1n << BigInt(width)) - 1n;
	const value = fc.oneof(fc.bigInt(0n, top), fc.constantFrom(0n, 1n, 2n, top, top - 1n, top >> 1n, (top >> 1n) + 1n));
	return fc.tuple(fc.constant(width), value, value);
});

describe("expressions of constants", () => {
	it("are folded to what they would be worth", () => {
		fc.assert(
			fc.property(operands, ([width, a, b]) => {
				const worth = (expr: Expr): bigint | undefined => knownValue(expr, (operand) => (operand === 0 ? a : b));
				const [ca, cb, ia, ib] = [constant(width, a), constant(width, b), immediate(width, 0), immediate(width, 1)];
				for (const op of [...BINARY, ...COMPARISONS, ...(b === 0n ? [] : DIVISIONS)]) {
					if (/^(sh|rot)/.test(op) && b >= width) continue;
					const folded = ca[op](cb);
					expect(folded.node.kind).toBe("const");
					// Of half-known operands some operations vanish: the value must not.
					for (const half of [ia[op](cb), ca[op](ib), ia[op](ib)]) expect(worth(half), op).toBe(worth(folded));
				}
				for (const op of UNARY) expect(worth(ia[op]()), op).toBe(worth(ca[op]()));
				expect(worth(ia.sext(64))).toBe(BigInt.asUintN(64, BigInt.asIntN(width, a)));
				expect(worth(ca.sext(64))).toBe(worth(ia.sext(64)));
				expect(worth(ia.trunc(8))).toBe(a & 0xffn);
				expect(worth(ca.trunc(8))).toBe(a & 0xffn);
				expect(worth(ia.ltU(ib).select(constant(width, 1), 2))).toBe(a < b ? 1n : 2n);
			}),
		);
	});

	it.each([
		["32 bits", constant(32, 0x12345678).bswap(), 0x78563412n],
		["64 bits", constant(64, 0x1122334455667788n).bswap(), 0x8877665544332211n],
	])("swap the bytes of %s", (_, expr, expected) => {
		expect(knownValue(expr, () => 0n)).toBe(expected);
	});
});

describe("expressions", () => {
	it("are not known where they depend on the processor", () => {
		const register = new Expr(32, { kind: "register", register: 0, high: false });
		expect(knownValue(register.add(1), () => 0n)).toBeUndefined();
		expect(knownValue(TRUE.select(constant(32, 7), register), () => 0n)).toBe(7n);
	});

	it("of different widths are refused", () => {
		expect(() => constant(8, 1).add(constant(16, 1))).toThrow("widths differ: 8 and 16");
		expect(() => constant(8, 1).select(constant(8, 1), 1)).toThrow("select on a truth value");
		expect(() => constant(16, 1).zext(8)).toThrow("zext from 16 to 8");
	});
});
