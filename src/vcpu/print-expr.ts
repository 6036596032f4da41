import { assert } from "../base/errors.ts";
import {
	type BinaryOp,
	type CompareOp,
	children,
	type Expr,
	type Flag,
	type StateName,
	type UnaryOp,
	type Width,
} from "../isa/expr.ts";
import type { FloatFunction } from "../isa/float.ts";
import { knownValue } from "../isa/known-value.ts";
import type { PureName } from "../isa/pure.ts";
import type { VectorOp } from "../isa/vector.ts";
import { type Callee, type Ex, i32, i64, type Local, simd, v128 } from "../wasm/expression.ts";
import { call, type FunctionBuilder } from "../wasm/function.ts";
import type { ValueType } from "../wasm/opcodes.ts";
import { shuffleOfSelect, shuffleOfSwizzle } from "./static-shuffle.ts";

/** Where the leaves of an expression come from; this is all that an engine adds. */
export interface Leaves {
	/** `half`: bits 255:128 of an access of 256. */
	load(index: number, width: Width, half?: 1): Ex;
	register(register: number, width: Width, high: boolean): Ex;
	immediate(operand: number, width: Width, signed: boolean): Ex;
	/** The bits of an immediate operand, by an engine that knows them. */
	immediateValue?(operand: number): bigint;
	flag(flag: Flag): Ex;
	condition(code: number): Ex;
	nextIp(width: Width): Ex;
	effectiveAddress(): Ex;
	segment(): Ex;
	registerNumber(operand: number): Ex;
	addressSize(): Ex;
	addressMask(): Ex;
	repeat(): Ex;
	state(name: StateName, width: Width): Ex;
	/** The core's function of that name. */
	pure(name: PureName): Callee;
	/** SSE arithmetic. */
	float(name: FloatFunction, args: readonly Ex[]): Ex;
}

/** The WebAssembly type that holds values of a width; below 64 bits they are zero-extended in an i32. */
export function typeOf(width: Width): Exclude<ValueType, "f32" | "f64"> {
	return width === 128 ? "v128" : width === 64 ? "i64" : "i32";
}

function mask(value: Ex, width: Width): Ex {
	return width >= 32 ? value : value.and(width === 1 ? 1 : width === 8 ? 0xff : 0xffff);
}

/** The value sign-extended over its WebAssembly type. */
function signed(value: Ex, width: Width): Ex {
	return width === 8 ? value.sext8() : width === 16 ? value.sext16() : width === 1 ? i32(0).sub(value) : value;
}

/** A scalar in the low bits of a vector of zeros. */
function widen(value: Ex): Ex {
	return simd(value.type === "i64" ? "i64x2.replace_lane" : "i32x4.replace_lane", [v128(0n), value], [0]);
}

/** The low bits of a vector, as many as the type of `width` holds. */
function narrow(value: Ex, width: Width): Ex {
	return simd(width === 64 ? "i64x2.extract_lane" : "i32x4.extract_lane", [value], [0]);
}

/** Prints expressions as WebAssembly. Nodes used more than once are computed once, into a local. */
export class ExprPrinter {
	private readonly f: FunctionBuilder;
	private readonly leaves: Leaves;
	private readonly uses = new Map<Expr, number>();
	private known = new Map<Expr, Local>();
	/** Values that follow from immediates alone. */
	private readonly constants = new Map<Expr, bigint | undefined>();

	constructor(f: FunctionBuilder, leaves: Leaves) {
		this.f = f;
		this.leaves = leaves;
	}

	/** Counts uses, so that shared nodes are known before anything is printed. */
	count(root: Expr | undefined): void {
		if (!root) return;
		const uses = this.uses.get(root) ?? 0;
		this.uses.set(root, uses + 1);
		if (uses > 0) return;
		for (const child of children(root)) this.count(child);
	}

	/** Prints what `body` prints so that values computed in it are not taken for known behind it. */
	conditional(body: () => void): void {
		const before = new Map(this.known);
		body();
		this.known = before;
	}

	print(expr: Expr): Ex {
		const known = this.known.get(expr);
		if (known) return known;
		const value = this.node(expr);
		if (expr.node.kind === "const" || (this.uses.get(expr) ?? 0) < 2) return value;
		const local = this.f.let(value);
		this.known.set(expr, local);
		return local;
	}

	/** Computes `expr` here, whoever uses it later. */
	keep(expr: Expr): void {
		this.known.set(expr, this.f.let(this.print(expr)));
	}

	private node(expr: Expr): Ex {
		const { node, width } = expr;
		switch (node.kind) {
			case "const":
				return this.constant(node.value, width);
			case "load":
				return this.leaves.load(node.index, width, node.half);
			case "register":
				return this.leaves.register(node.register, width, node.high);
			case "immediate":
				return this.leaves.immediate(node.operand, width, node.signed);
			case "flag":
				return this.leaves.flag(node.flag);
			case "condition":
				return this.leaves.condition(node.code);
			case "nextIp":
				return this.leaves.nextIp(width);
			case "effectiveAddress":
				return this.leaves.effectiveAddress();
			case "segment":
				return this.leaves.segment();
			case "registerNumber":
				return this.leaves.registerNumber(node.operand);
			case "addressSize":
				return this.leaves.addressSize();
			case "addressMask":
				return this.leaves.addressMask();
			case "repeat":
				return this.leaves.repeat();
			case "state":
				return this.leaves.state(node.name, width);
			case "unary":
				return this.unary(node.op, node.a, width);
			case "binary":
				if (width === 128) return this.bitwise(node.op, node.a, node.b);
				return this.binary(node.op, this.print(node.a), this.print(node.b), width);
			case "compare":
				return this.compare(node.op, this.print(node.a), this.print(node.b), node.a.width);
			case "select":
				return this.select(node.condition, node.a, node.b);
			case "vector":
				return this.vector(node.op, node.args, node.lanes);
			case "pure":
				return call(this.leaves.pure(node.name), ...node.args.map((arg) => this.print(arg)));
			case "float":
				return this.leaves.float(
					node.name,
					node.args.map((arg) => this.print(arg)),
				);
			case "zext":
				if (width === 128) return widen(this.print(node.a));
				return width === 64 ? this.print(node.a).extU() : this.print(node.a);
			case "sext": {
				const value = signed(this.print(node.a), node.a.width);
				return width === 64 ? value.extS() : mask(value, width);
			}
			case "trunc":
				if (node.a.width === 128) return mask(narrow(this.print(node.a), width), width);
				return mask(this.print(node.a).wrap(), width);
		}
	}

	/** The value of an expression of immediates alone, where the engine knows those. */
	private constantOf(expr: Expr): bigint | undefined {
		const { immediateValue } = this.leaves;
		if (!immediateValue) return undefined;
		if (!this.constants.has(expr))
			this.constants.set(
				expr,
				knownValue(expr, (operand) => immediateValue.call(this.leaves, operand)),
			);
		return this.constants.get(expr);
	}

	private constant(value: bigint, width: Width): Ex {
		if (width === 128) return v128(value);
		return width === 64 ? i64(value) : i32(Number(BigInt.asIntN(32, value)));
	}

	private select(condition: Expr, a: Expr, b: Expr): Ex {
		const known = this.constantOf(condition);
		if (known !== undefined) return this.print(known ? a : b);
		return this.print(a).when(this.print(condition), this.print(b));
	}

	/** Where the immediates are known, so are most controls of shuffles and blends and all counts of shifts by them. */
	private vector(op: VectorOp, args: readonly Expr[], lanes: readonly number[]): Ex {
		const last = args.at(-1);
		const control = last && this.constantOf(last);
		const shuffled =
			control === undefined
				? undefined
				: op === "i8x16.swizzle"
					? shuffleOfSwizzle(control)
					: op === "v128.bitselect"
						? shuffleOfSelect(control)
						: undefined;
		const printed = args.map((arg, n) => {
			const value = this.constantOf(arg);
			if (shuffled && n === args.length - 1) return v128(0n);
			return value === undefined ? this.print(arg) : this.constant(value, arg.width);
		});
		return shuffled ? simd("i8x16.shuffle", printed.slice(0, 2), shuffled) : simd(op, printed, lanes);
	}

	private bitwise(op: BinaryOp, a: Expr, b: Expr): Ex {
		assert(op === "and" || op === "or" || op === "xor", `${op} of 128 bits`);
		return simd(`v128.${op}`, [this.print(a), this.print(b)]);
	}

	private unary(op: UnaryOp, operand: Expr, width: Width): Ex {
		const a = this.print(operand);
		if (width === 128) {
			assert(op === "not", `${op} of 128 bits`);
			return simd("v128.not", [a]);
		}
		switch (op) {
			case "not":
				return mask(a.not(), width);
			case "neg":
				return mask(a.neg(), width);
			case "popcnt":
				return a.popcnt();
			case "ctz":
				return width < 32 ? a.or(1 << width).ctz() : a.ctz();
			case "clz":
				return width < 32 ? a.clz().sub(32 - width) : a.clz();
			case "bswap":
				return this.bswap(a, width);
		}
	}

	private bswap(a: Ex, width: Width): Ex {
		const value = this.f.let(a);
		if (width === 16) return value.shl(8).or(value.shrU(8)).and(0xffff);
		if (width === 32) return value.rotl(8).and(0x00ff00ff).or(value.rotr(8).and(0xff00ff00));
		assert(width === 64, "width of bswap");
		const bytes = value.rotl(8).and(0x000000ff000000ffn).or(value.rotr(8).and(0xff000000ff000000n));
		return bytes.or(value.rotl(24).and(0x0000ff000000ff00n)).or(value.rotr(24).and(0x00ff000000ff0000n));
	}

	private binary(op: BinaryOp, a: Ex, b: Ex, width: Width): Ex {
		switch (op) {
			case "add":
			case "sub":
			case "mul":
			case "shl":
				return mask(a[op](b), width);
			case "and":
			case "or":
			case "xor":
			case "shrU":
			case "divU":
			case "remU":
				return a[op](b);
			case "shrS":
			case "divS":
			case "remS":
				return op === "shrS"
					? mask(signed(a, width).shrS(b), width)
					: mask(signed(a, width)[op](signed(b, width)), width);
			case "mulHighU":
			case "mulHighS":
				return this.mulHigh(a, b, op === "mulHighS");
			case "rotl":
			case "rotr": {
				if (width >= 32) return a[op](b);
				const [value, count] = [this.f.let(a), this.f.let(b)];
				const other = i32(width).sub(count);
				const rotated = op === "rotl" ? value.shl(count).or(value.shrU(other)) : value.shrU(count).or(value.shl(other));
				return mask(rotated, width);
			}
		}
	}

	/** From four products of 32-bit halves; a negative factor counts 2^64 too much of the other one. */
	private mulHigh(first: Ex, second: Ex, isSigned: boolean): Ex {
		const { f } = this;
		const low = 0xffffffffn;
		const [a, b] = [f.let(first), f.let(second)];
		const [a0, a1, b0, b1] = [f.let(a.and(low)), f.let(a.shrU(32)), f.let(b.and(low)), f.let(b.shrU(32))];
		const middle = f.let(a1.mul(b0).add(a0.mul(b0).shrU(32)));
		const carry = f.let(a0.mul(b1).add(middle.and(low)));
		const high = a1.mul(b1).add(middle.shrU(32)).add(carry.shrU(32));
		return isSigned ? high.sub(a.shrS(63).and(b)).sub(b.shrS(63).and(a)) : high;
	}

	private compare(op: CompareOp, a: Ex, b: Ex, width: Width): Ex {
		if (op.endsWith("S")) return signed(a, width)[op](signed(b, width));
		return a[op](b);
	}
}
