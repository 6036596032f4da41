import { assert } from "../base/errors.ts";
import { binaryValue, compareValues, unaryValue } from "./arithmetic.ts";
import type { FloatFunction } from "./float.ts";
import type { PureName } from "./pure.ts";
import type { VectorOp } from "./vector.ts";

/**
 * Widths of values in bits; 1 is a truth value. Values are unsigned, modulo 2^width. Of arithmetic, 128 bits know `and`,
 * `or`, `xor`, `not`, `select`, and resizing from and to 32 and 64 bits; the rest is in vector.ts.
 */
export type Width = 1 | 8 | 16 | 32 | 64 | 128;

export type UnaryOp = "not" | "neg" | "ctz" | "clz" | "popcnt" | "bswap";
export type BinaryOp =
	| "add"
	| "sub"
	| "mul"
	/** The high half of the product, of 64-bit values. */
	| "mulHighU"
	| "mulHighS"
	| "and"
	| "or"
	| "xor"
	| "shl"
	| "shrU"
	| "shrS"
	| "rotl"
	| "rotr"
	| "divU"
	| "remU"
	| "divS"
	| "remS";
export type CompareOp = "eq" | "ne" | "ltU" | "ltS" | "leU" | "leS";

/** EFLAGS bits that arithmetic touches (SDM 1 3.4.3.1), by bit number. */
export const FLAG_BITS = { cf: 0, pf: 2, af: 4, zf: 6, sf: 7, of: 11 } as const;
export type Flag = keyof typeof FLAG_BITS;

/** State that expressions may read: system registers, and selectors of the table registers. */
export type StateName = "cr0" | "ldtrSelector" | "trSelector" | "mxcsr" | "cpl";

export type Node =
	| { readonly kind: "const"; readonly value: bigint }
	/** The n-th value that the instruction loads: a register or memory operand, a popped word; `half`: bits 255:128 of it. */
	| { readonly kind: "load"; readonly index: number; readonly half?: 1 }
	/** A register named by the instruction itself; `high` picks AH, CH, DH, BH. */
	| { readonly kind: "register"; readonly register: number; readonly high: boolean }
	/** An immediate operand, extended to the node's width; of a far pointer the offset, and as operand + 1 the selector. */
	| { readonly kind: "immediate"; readonly operand: number; readonly signed: boolean }
	/** Arithmetic flag before the instruction. */
	| { readonly kind: "flag"; readonly flag: Flag }
	/** Condition 0..15 of SDM 2 appendix B.1.4.7 on the flags before the instruction. */
	| { readonly kind: "condition"; readonly code: number }
	/** The instruction pointer behind this instruction (not linear). */
	| { readonly kind: "nextIp" }
	/** Offset of the memory operand within its segment, after address-size wrap. */
	| { readonly kind: "effectiveAddress" }
	/** Number (ES 0 … GS 5) of the memory operand's segment. */
	| { readonly kind: "segment" }
	/** Register field of an operand (for control, debug and segment registers): its number. */
	| { readonly kind: "registerNumber"; readonly operand: number }
	/** Bytes of this instruction's address size: 2, 4 or 8. */
	| { readonly kind: "addressSize" }
	/** All ones of this instruction's address size, 64 bits wide. */
	| { readonly kind: "addressMask" }
	/** Processor state that an instruction shows as it is. */
	| { readonly kind: "state"; readonly name: StateName }
	/** Prefix in force: 0 none, 0xF2 or 0xF3. */
	| { readonly kind: "repeat" }
	| { readonly kind: "unary"; readonly op: UnaryOp; readonly a: Expr }
	| { readonly kind: "binary"; readonly op: BinaryOp; readonly a: Expr; readonly b: Expr }
	| { readonly kind: "compare"; readonly op: CompareOp; readonly a: Expr; readonly b: Expr }
	| { readonly kind: "select"; readonly condition: Expr; readonly a: Expr; readonly b: Expr }
	| { readonly kind: "zext" | "sext" | "trunc"; readonly a: Expr }
	/** WebAssembly's operation of that name; `lanes` are its immediates (vector.ts). */
	| {
			readonly kind: "vector";
			readonly op: VectorOp;
			readonly args: readonly Expr[];
			readonly lanes: readonly number[];
	  }
	/** A function of values alone that the core has (pure.ts). */
	| { readonly kind: "pure"; readonly name: PureName; readonly args: readonly Expr[] }
	/** Arithmetic that rounds as MXCSR says and raises its flags (float.ts); {@link Meaning.floats} has its order. */
	| { readonly kind: "float"; readonly name: FloatFunction; readonly args: readonly Expr[] };

export type ExprArg = Expr | number | bigint;

/** Operations that leave a value as it is where the other side is 0. */
const KEEP_BY_ZERO: ReadonlySet<BinaryOp> = new Set(["add", "sub", "or", "xor", "shl", "shrU", "shrS", "rotl", "rotr"]);

/**
 * A pure value of a fixed width. Shared nodes are evaluated once. Shift and rotate counts have the width of the value
 * and must be below it; divisors must not be 0.
 */
export class Expr {
	readonly node: Node;
	readonly width: Width;
	constructor(width: Width, node: Node) {
		this.width = width;
		this.node = node;
	}

	private arg(other: ExprArg): Expr {
		const expr = typeof other === "object" ? other : constant(this.width, other);
		assert(expr.width === this.width, `widths differ: ${this.width} and ${expr.width}`);
		return expr;
	}
	/** The value, where it is known as the table is built; constants are folded so that no engine has to. */
	private get known(): bigint | undefined {
		return this.node.kind === "const" ? this.node.value : undefined;
	}
	private binary(op: BinaryOp, other: ExprArg): Expr {
		const b = this.arg(other);
		if (this.known !== undefined && b.known !== undefined)
			return constant(this.width, binaryValue(op, this.known, b.known, this.width));
		if (b.known === 0n && KEEP_BY_ZERO.has(op)) return this;
		if (this.known === 0n && (op === "or" || op === "xor" || op === "add")) return b;
		return new Expr(this.width, { kind: "binary", op, a: this, b });
	}
	private compare(op: CompareOp, other: ExprArg): Expr {
		const b = this.arg(other);
		if (this.known !== undefined && b.known !== undefined)
			return constant(1, compareValues(op, this.known, b.known, this.width) ? 1 : 0);
		return new Expr(1, { kind: "compare", op, a: this, b });
	}
	private unary(op: UnaryOp): Expr {
		if (this.known !== undefined) return constant(this.width, unaryValue(op, this.known, this.width));
		return new Expr(this.width, { kind: "unary", op, a: this });
	}
	add(other: ExprArg): Expr {
		return this.binary("add", other);
	}
	sub(other: ExprArg): Expr {
		return this.binary("sub", other);
	}
	/** The low half of the product. */
	mul(other: ExprArg): Expr {
		return this.binary("mul", other);
	}
	/** The high half of the product of two 64-bit values. */
	mulHigh(other: ExprArg, signed: boolean): Expr {
		assert(this.width === 64, "narrower products fit into an expression");
		return this.binary(signed ? "mulHighS" : "mulHighU", other);
	}
	and(other: ExprArg): Expr {
		return this.binary("and", other);
	}
	or(other: ExprArg): Expr {
		return this.binary("or", other);
	}
	xor(other: ExprArg): Expr {
		return this.binary("xor", other);
	}
	shl(other: ExprArg): Expr {
		return this.binary("shl", other);
	}
	shrU(other: ExprArg): Expr {
		return this.binary("shrU", other);
	}
	shrS(other: ExprArg): Expr {
		return this.binary("shrS", other);
	}
	rotl(other: ExprArg): Expr {
		return this.binary("rotl", other);
	}
	rotr(other: ExprArg): Expr {
		return this.binary("rotr", other);
	}
	divU(other: ExprArg): Expr {
		return this.binary("divU", other);
	}
	remU(other: ExprArg): Expr {
		return this.binary("remU", other);
	}
	divS(other: ExprArg): Expr {
		return this.binary("divS", other);
	}
	remS(other: ExprArg): Expr {
		return this.binary("remS", other);
	}
	eq(other: ExprArg): Expr {
		return this.compare("eq", other);
	}
	ne(other: ExprArg): Expr {
		return this.compare("ne", other);
	}
	ltU(other: ExprArg): Expr {
		return this.compare("ltU", other);
	}
	ltS(other: ExprArg): Expr {
		return this.compare("ltS", other);
	}
	leU(other: ExprArg): Expr {
		return this.compare("leU", other);
	}
	leS(other: ExprArg): Expr {
		return this.compare("leS", other);
	}
	not(): Expr {
		return this.unary("not");
	}
	neg(): Expr {
		return this.unary("neg");
	}
	/** Number of trailing zeros; the width for 0. */
	ctz(): Expr {
		return this.unary("ctz");
	}
	clz(): Expr {
		return this.unary("clz");
	}
	popcnt(): Expr {
		return this.unary("popcnt");
	}
	/** Byte order reversed. */
	bswap(): Expr {
		return this.unary("bswap");
	}
	/** `a` where this truth value holds, else `b`. Both are evaluated. */
	select(a: Expr, b: ExprArg): Expr {
		assert(this.width === 1, "select on a truth value");
		const other = a.arg(b);
		if (this.known !== undefined) return this.known ? a : other;
		return new Expr(a.width, { kind: "select", condition: this, a, b: other });
	}
	/** To a width not smaller, with zeros. */
	zext(width: Width): Expr {
		return this.resize(width, "zext");
	}
	/** To a width not smaller, with the sign. */
	sext(width: Width): Expr {
		return this.resize(width, "sext");
	}
	/** To a width not larger. */
	trunc(width: Width): Expr {
		return this.resize(width, "trunc");
	}
	private resize(width: Width, kind: "zext" | "sext" | "trunc"): Expr {
		if (width === this.width) return this;
		assert(width > this.width === (kind !== "trunc"), `${kind} from ${this.width} to ${width}`);
		if (this.known !== undefined)
			return constant(width, kind === "sext" ? BigInt.asIntN(this.width, this.known) : this.known);
		return new Expr(width, { kind, a: this });
	}
	/** Bit `n` as a truth value. */
	bit(n: number): Expr {
		return this.and(1n << BigInt(n)).ne(0);
	}
	/** The top bit as a truth value. */
	sign(): Expr {
		return this.bit(this.width - 1);
	}
	/** Zero- or sign-extended or truncated to `width`. */
	cast(width: Width, signed = false): Expr {
		if (width < this.width) return this.trunc(width);
		return signed ? this.sext(width) : this.zext(width);
	}
}

export function constant(width: Width, value: number | bigint): Expr {
	return new Expr(width, { kind: "const", value: BigInt.asUintN(width, BigInt(value)) });
}

export const TRUE = constant(1, 1);
export const FALSE = constant(1, 0);

/** Direct operands of a node. */
export function children({ node }: Expr): readonly Expr[] {
	switch (node.kind) {
		case "unary":
		case "zext":
		case "sext":
		case "trunc":
			return [node.a];
		case "binary":
		case "compare":
			return [node.a, node.b];
		case "select":
			return [node.condition, node.a, node.b];
		case "vector":
		case "pure":
		case "float":
			return node.args;
		default:
			return [];
	}
}
