import { assert } from "../base/errors.ts";
import type { ByteWriter } from "./bytes.ts";
import {
	BINARY,
	COMPARE,
	LOADS,
	type LoadKind,
	OP,
	SIMD_PREFIX,
	STORES,
	type StoreKind,
	UNARY,
	type ValueType,
} from "./opcodes.ts";
import { SIMD, type SimdOp } from "./simd.ts";

/** What an argument may be: an expression, or a literal of the other operand's type. */
export type Arg = Ex | number | bigint;

/** A value expression. It is evaluated where a statement uses it, as often as it is used: share through a local. */
export abstract class Ex {
	abstract readonly type: ValueType;
	abstract emit(out: ByteWriter): void;
	/** The value when it is a constant. */
	get constant(): number | bigint | undefined {
		return undefined;
	}

	/** Of an i64: its lower 32 bits, where they cost less than cutting it. */
	get half(): Ex | undefined {
		return undefined;
	}

	/** Of an i64 that is an i32 extended by zeros: the i32. */
	get zeroExtended(): Ex | undefined {
		return undefined;
	}

	private binary(op: keyof typeof BINARY, other: Arg): Ex {
		assert(this.type === "i32" || this.type === "i64", `${op} of ${this.type}`);
		const right = literal(this.type, other);
		const b = right.constant;
		if (
			b !== undefined &&
			BigInt(b) === 0n &&
			op !== "mul" &&
			op !== "and" &&
			!op.startsWith("div") &&
			!op.startsWith("rem")
		)
			return this;
		if (op === "and" && this.type === "i32" && Number(b) === -1) return this;
		const a = this.constant;
		if (typeof a === "number" && typeof b === "number" && this.type === "i32") {
			if (op === "add") return i32((a + b) | 0);
			if (op === "sub") return i32((a - b) | 0);
			if (op === "and") return i32(a & b);
			if (op === "or") return i32(a | b);
			if (op === "shl") return i32(a << (b & 31));
		}
		return new Two(this.type, BINARY[op][this.type === "i32" ? 0 : 1], this, right);
	}
	private compare(op: keyof typeof COMPARE, other: Arg): Ex {
		const [a, b] = [this.constant, typeof other === "object" ? other.constant : other];
		if (a !== undefined && b !== undefined && (op === "eq" || op === "ne")) {
			return i32(Number((BigInt(a) === BigInt(b)) === (op === "eq")));
		}
		return new Two("i32", COMPARE[op][this.type === "i32" ? 0 : 1], this, literal(this.type, other));
	}
	private unary(op: keyof typeof UNARY): Ex {
		return new One(this.type, UNARY[op][this.type === "i32" ? 0 : 1], this);
	}

	add(other: Arg): Ex {
		return this.binary("add", other);
	}
	sub(other: Arg): Ex {
		return this.binary("sub", other);
	}
	mul(other: Arg): Ex {
		return this.binary("mul", other);
	}
	divS(other: Arg): Ex {
		return this.binary("divS", other);
	}
	divU(other: Arg): Ex {
		return this.binary("divU", other);
	}
	remS(other: Arg): Ex {
		return this.binary("remS", other);
	}
	remU(other: Arg): Ex {
		return this.binary("remU", other);
	}
	and(other: Arg): Ex {
		return this.binary("and", other);
	}
	or(other: Arg): Ex {
		return this.binary("or", other);
	}
	xor(other: Arg): Ex {
		return this.binary("xor", other);
	}
	shl(other: Arg): Ex {
		return this.binary("shl", other);
	}
	shrS(other: Arg): Ex {
		return this.binary("shrS", other);
	}
	shrU(other: Arg): Ex {
		return this.binary("shrU", other);
	}
	rotl(other: Arg): Ex {
		return this.binary("rotl", other);
	}
	rotr(other: Arg): Ex {
		return this.binary("rotr", other);
	}
	eq(other: Arg): Ex {
		return this.compare("eq", other);
	}
	ne(other: Arg): Ex {
		return this.compare("ne", other);
	}
	ltS(other: Arg): Ex {
		return this.compare("ltS", other);
	}
	ltU(other: Arg): Ex {
		return this.compare("ltU", other);
	}
	gtS(other: Arg): Ex {
		return this.compare("gtS", other);
	}
	gtU(other: Arg): Ex {
		return this.compare("gtU", other);
	}
	leS(other: Arg): Ex {
		return this.compare("leS", other);
	}
	leU(other: Arg): Ex {
		return this.compare("leU", other);
	}
	geS(other: Arg): Ex {
		return this.compare("geS", other);
	}
	geU(other: Arg): Ex {
		return this.compare("geU", other);
	}
	clz(): Ex {
		return this.unary("clz");
	}
	ctz(): Ex {
		return this.unary("ctz");
	}
	popcnt(): Ex {
		return this.unary("popcnt");
	}
	sext8(): Ex {
		return this.unary("sext8");
	}
	sext16(): Ex {
		return this.unary("sext16");
	}
	/** i64 only: sign-extends the low 32 bits. */
	sext32(): Ex {
		assert(this.type === "i64", "sext32 of an i64");
		return new One("i64", OP.i64Extend32S, this);
	}
	not(): Ex {
		return this.xor(-1);
	}
	neg(): Ex {
		return literal(this.type, 0).sub(this);
	}
	eqz(): Ex {
		return new One("i32", this.type === "i32" ? OP.i32Eqz : OP.i64Eqz, this);
	}
	/** i64 → i32, the low half. */
	wrap(): Ex {
		if (this.type === "i32") return this;
		return this.half ?? new One("i32", OP.i32WrapI64, this);
	}
	/** i32 → i64, zero-extended. */
	extU(): Ex {
		if (this.type === "i64") return this;
		const value = this.constant;
		if (value !== undefined) return i64(BigInt(Number(value) >>> 0));
		return new One("i64", OP.i64ExtendI32U, this);
	}
	/** i32 → i64, sign-extended. */
	extS(): Ex {
		if (this.type === "i64") return this;
		const value = this.constant;
		if (value !== undefined) return i64(BigInt(Number(value) | 0));
		return new One("i64", OP.i64ExtendI32S, this);
	}
	/** This expression where `condition` is not 0, else `other`. Both are evaluated. */
	when(condition: Ex, other: Arg): Ex {
		return new Select(this, literal(this.type, other), condition);
	}
	/** Loads through this i32 address. */
	load(kind: LoadKind, offset = 0): Ex {
		return new Load(kind, this, offset);
	}
}

class Const extends Ex {
	readonly type: "i32" | "i64";
	readonly value: number | bigint;
	constructor(type: "i32" | "i64", value: number | bigint) {
		super();
		this.type = type;
		this.value = value;
	}
	override get constant(): number | bigint {
		return this.value;
	}
	override get half(): Ex {
		return i32(Number(BigInt.asIntN(32, BigInt(this.value))));
	}
	emit(out: ByteWriter): void {
		if (this.type === "i32") {
			out.u8(OP.i32Const);
			out.s32(Number(this.value));
		} else {
			out.u8(OP.i64Const);
			if (typeof this.value === "number" && this.value === (this.value | 0)) out.s32(this.value);
			else out.s64(BigInt(this.value));
		}
	}
}

class One extends Ex {
	readonly type: ValueType;
	private readonly op: number;
	readonly a: Ex;
	constructor(type: ValueType, op: number, a: Ex) {
		super();
		this.type = type;
		this.op = op;
		this.a = a;
	}
	override get half(): Ex | undefined {
		return this.op === OP.i64ExtendI32U || this.op === OP.i64ExtendI32S ? this.a : undefined;
	}
	override get zeroExtended(): Ex | undefined {
		return this.op === OP.i64ExtendI32U ? this.a : undefined;
	}
	emit(out: ByteWriter): void {
		this.a.emit(out);
		out.u8(this.op);
	}
}

/** Operations whose lower 32 bits follow from those of their operands. */
const HALVABLE = ["add", "sub", "mul", "and", "or", "xor"] as const;

class Two extends Ex {
	readonly type: ValueType;
	private readonly op: number;
	private readonly a: Ex;
	private readonly b: Ex;
	constructor(type: ValueType, op: number, a: Ex, b: Ex) {
		super();
		assert(a.type === b.type, `operands of opcode ${op.toString(16)} differ: ${a.type}, ${b.type}`);
		this.type = type;
		this.op = op;
		this.a = a;
		this.b = b;
	}
	override get half(): Ex | undefined {
		const a = this.type === "i64" ? this.a.half : undefined;
		if (a === undefined) return undefined;
		const name = HALVABLE.find((one) => BINARY[one][1] === this.op);
		const b = this.b.half;
		if (name !== undefined) return b && a[name](b);
		const count = this.op === BINARY.shl[1] ? this.b.constant : undefined;
		return count !== undefined && count < 32 ? a.shl(Number(count)) : undefined;
	}
	emit(out: ByteWriter): void {
		this.a.emit(out);
		this.b.emit(out);
		out.u8(this.op);
	}
}

class Select extends Ex {
	readonly type: ValueType;
	private readonly a: Ex;
	private readonly b: Ex;
	private readonly condition: Ex;
	constructor(a: Ex, b: Ex, condition: Ex) {
		super();
		assert(a.type === b.type && condition.type === "i32", "operand types of select");
		this.type = a.type;
		this.a = a;
		this.b = b;
		this.condition = condition;
	}
	emit(out: ByteWriter): void {
		this.a.emit(out);
		this.b.emit(out);
		this.condition.emit(out);
		out.u8(OP.select);
	}
}

class Load extends Ex {
	readonly type: ValueType;
	private readonly kind: LoadKind;
	private readonly address: Ex;
	private readonly offset: number;
	constructor(kind: LoadKind, address: Ex, offset: number) {
		super();
		assert(address.type === "i32", "load address is an i32");
		this.type = LOADS[kind][1];
		this.kind = kind;
		this.address = address;
		this.offset = offset;
	}
	emit(out: ByteWriter): void {
		this.address.emit(out);
		emitOpcode(out, LOADS[this.kind][0]);
		out.u8(0);
		out.u32(this.offset);
	}
}

/** A local variable or parameter; as an expression it is its value. */
export class Local extends Ex {
	readonly type: ValueType;
	readonly index: number;
	constructor(type: ValueType, index: number) {
		super();
		this.type = type;
		this.index = index;
	}
	emit(out: ByteWriter): void {
		out.u8(OP.localGet);
		out.u32(this.index);
	}
	/** Assigns and yields the value. */
	tee(value: Arg): Ex {
		const given = literal(this.type, value);
		assert(given.type === this.type, `local ${this.index} is ${this.type}, not ${given.type}`);
		return new Tee(this, given);
	}
}

class Tee extends Ex {
	readonly type: ValueType;
	private readonly local: Local;
	private readonly value: Ex;
	constructor(local: Local, value: Ex) {
		super();
		this.type = local.type;
		this.local = local;
		this.value = value;
	}
	emit(out: ByteWriter): void {
		this.value.emit(out);
		out.u8(OP.localTee);
		out.u32(this.local.index);
	}
}

/** A function signature. */
export interface Signature {
	readonly params: readonly ValueType[];
	readonly results: readonly ValueType[];
}

/** Something callable: a defined or imported function. */
export interface Callee extends Signature {
	readonly index: number;
	readonly name: string;
}

export class Call extends Ex {
	private readonly callee: Callee;
	private readonly args: readonly Ex[];
	constructor(callee: Callee, args: readonly Ex[]) {
		super();
		assert(
			args.length === callee.params.length && args.every((arg, i) => arg.type === callee.params[i]),
			`call of ${callee.name}(${callee.params.join()}) with (${args.map((arg) => arg.type).join()})`,
		);
		this.callee = callee;
		this.args = args;
	}
	get type(): ValueType {
		const [result] = this.callee.results;
		assert(result !== undefined, `${this.callee.name} returns nothing`);
		return result;
	}
	emit(out: ByteWriter): void {
		for (const arg of this.args) arg.emit(out);
		out.u8(OP.call);
		out.u32(this.callee.index);
	}
}

export class CallIndirect extends Ex {
	private readonly typeIndex: number;
	private readonly signature: Signature;
	private readonly args: readonly Ex[];
	private readonly element: Ex;
	constructor(typeIndex: number, signature: Signature, element: Ex, args: readonly Ex[]) {
		super();
		assert(
			args.every((arg, i) => arg.type === signature.params[i]),
			"operand types of call_indirect",
		);
		this.typeIndex = typeIndex;
		this.signature = signature;
		this.element = element;
		this.args = args;
	}
	get type(): ValueType {
		return this.signature.results[0] ?? "i32";
	}
	emit(out: ByteWriter): void {
		for (const arg of this.args) arg.emit(out);
		this.element.emit(out);
		out.u8(OP.callIndirect);
		out.u32(this.typeIndex);
		out.u8(0);
	}
}

/** Writes a store instruction. */
export function emitStore(out: ByteWriter, kind: StoreKind, address: Ex, value: Arg, offset: number): void {
	const [op, type] = STORES[kind];
	const given = literal(type, value);
	assert(address.type === "i32" && given.type === type, `store ${kind} of ${given.type}`);
	address.emit(out);
	given.emit(out);
	emitOpcode(out, op);
	out.u8(0);
	out.u32(offset);
}

function emitOpcode(out: ByteWriter, op: number): void {
	if (op < SIMD_PREFIX) out.u8(op);
	else {
		out.u8(SIMD_PREFIX >> 16);
		out.u32(op - SIMD_PREFIX);
	}
}

class Simd extends Ex {
	private readonly op: SimdOp;
	private readonly args: readonly Ex[];
	private readonly lanes: readonly number[];
	constructor(op: SimdOp, args: readonly Ex[], lanes: readonly number[]) {
		super();
		const { params, lanes: count } = SIMD[op];
		assert(
			args.length === params.length && args.every((arg, n) => arg.type === params[n]) && lanes.length === count,
			`${op} of (${args.map((arg) => arg.type).join()}), ${lanes.length} lanes`,
		);
		this.op = op;
		this.args = args;
		this.lanes = lanes;
	}
	get type(): ValueType {
		return SIMD[this.op].result;
	}
	emit(out: ByteWriter): void {
		for (const arg of this.args) arg.emit(out);
		emitOpcode(out, SIMD_PREFIX | SIMD[this.op].code);
		for (const lane of this.lanes) out.u8(lane);
	}
}

/** A SIMD instruction on values; `lanes` are its immediates: a lane number, or the sixteen of a shuffle. */
export function simd(op: SimdOp, args: readonly Ex[], lanes: readonly number[] = []): Ex {
	return new Simd(op, args, lanes);
}

class VectorConst extends Ex {
	readonly type = "v128";
	private readonly value: bigint;
	constructor(value: bigint) {
		super();
		this.value = value;
	}
	emit(out: ByteWriter): void {
		emitOpcode(out, SIMD_PREFIX | 0x0c);
		for (let n = 0n; n < 128n; n += 8n) out.u8(Number((this.value >> n) & 0xffn));
	}
}

/** A v128 of 128 bits, unsigned. */
export function v128(value: bigint): Ex {
	return new VectorConst(value);
}

export function i32(value: number): Ex {
	return new Const("i32", value | 0);
}

export function i64(value: number | bigint): Ex {
	return new Const("i64", value);
}

/** The argument as an expression; literals take the given type. */
export function literal(type: ValueType, arg: Arg): Ex {
	if (typeof arg === "object") return arg;
	return type === "i64" ? i64(arg) : i32(Number(arg));
}
