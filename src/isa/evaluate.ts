import { assert } from "../base/errors.ts";
import { binaryValue, compareValues, unaryValue } from "./arithmetic.ts";
import { type Decoded, isHighByte, RIP_RELATIVE } from "./decoder.ts";
import { Expr, FLAG_BITS, type Flag, type StateName, type Width } from "./expr.ts";
import { conditionRule, type FlagValues, flagRule, packFlags } from "./flags.ts";
import type { Operand } from "./operand.ts";
import { PURE } from "./pure.ts";
import { RBP, RSP, SEGMENT } from "./registers.ts";
import type { FlagUpdate, Load, Meaning, Store } from "./semantics.ts";
import { vectorValue } from "./vector-value.ts";

/** What an instruction sees of a processor, and changes. Values are unsigned. */
export interface EvaluatorState {
	/** The general registers by number, 64 bits each. */
	readonly registers: bigint[];
	/** YMM registers by number, 256 bits each, and MMX registers; needed where an instruction has such operands. */
	readonly vectors?: bigint[];
	readonly mmx?: bigint[];
	/** EFLAGS; only the six arithmetic flags are looked at and changed. */
	flags: number;
	/** Offset of the instruction in its code segment, then of the next. */
	ip: bigint;
	/** Selectors by segment number. */
	readonly selectors: readonly number[];
	/** Width of the stack pointer, bits. */
	readonly stackSize: 16 | 32 | 64;
	state(name: StateName): bigint;
	/**
	 * `bytes` at `offset` of segment number `segment`, little-endian; with `modify` they must be writable too. May throw
	 * what the caller of {@link evaluate} takes for a fault: nothing has changed then.
	 */
	load(segment: number, offset: bigint, bytes: number, modify: boolean): bigint;
	/** May throw likewise, at the first store of an instruction. */
	store(segment: number, offset: bigint, bytes: number, value: bigint): void;
}

/** How an instruction ended: done, an exception before anything changed, or a helper left to call. */
export type Outcome =
	| { readonly kind: "done" }
	| { readonly kind: "fault"; readonly vector: number; readonly errorCode: number | undefined }
	| { readonly kind: "helper"; readonly name: string; readonly args: readonly bigint[] };

const FLAGS_BEFORE = Object.fromEntries(
	(Object.keys(FLAG_BITS) as Flag[]).map((flag) => [flag, new Expr(1, { kind: "flag", flag })]),
) as unknown as FlagValues;

const ARITHMETIC_FLAGS = 0x8d5;

/**
 * Does what one decoded instruction means, by walking its expressions: slow, and the plainest reading of them there is.
 * Tests hold the engines against it. A `helper` outcome leaves state as it was.
 */
export function evaluate(decoded: Decoded, state: EvaluatorState): Outcome {
	assert(decoded.status === "ok" && decoded.instance, "only whole instructions mean something");
	const { meaning } = decoded.instance;
	const evaluation = new Evaluation(decoded, state);
	for (const load of meaning.loads) evaluation.load(load);
	for (const { when, vector, errorCode } of meaning.faults)
		if (!when || evaluation.value(when)) return { kind: "fault", vector, errorCode };
	// SSE arithmetic is the core's alone: host vectors say whether it is right.
	const [float] = meaning.floats;
	if (float?.node.kind === "float")
		return { kind: "helper", name: float.node.name, args: float.node.args.map((arg) => evaluation.value(arg)) };
	if (meaning.helper)
		return { kind: "helper", name: meaning.helper.name, args: meaning.helper.args.map((arg) => evaluation.value(arg)) };
	evaluation.commit(meaning);
	return { kind: "done" };
}

/** One instruction under way: every value is worked out from the state before it. */
class Evaluation {
	private readonly decoded: Decoded;
	private readonly state: EvaluatorState;
	private readonly loaded: bigint[] = [];
	private readonly known = new Map<Expr, bigint>();

	constructor(decoded: Decoded, state: EvaluatorState) {
		this.decoded = decoded;
		this.state = state;
	}

	private get operands(): readonly Operand[] {
		return this.decoded.instance?.operands ?? [];
	}

	private get addressMask(): bigint {
		return (1n << BigInt(this.decoded.addressSize)) - 1n;
	}

	private get stackMask(): bigint {
		return (1n << BigInt(this.state.stackSize)) - 1n;
	}

	/** Where a register operand is: its number, and whether it is the high byte of one of the first four. */
	private place(operand: number): { register: number; high: boolean } {
		const { kind, width, register, bank } = this.operands[operand]!;
		let number = register;
		if (kind === "reg") number = this.decoded.reg;
		else if (kind === "vvvv") number = this.decoded.vvvv;
		else if (kind === "selector") number = this.decoded.immediate;
		else if (kind === "rm" || kind === "opcodeReg") number = this.decoded.rm;
		const high = width === 8 && kind !== "fixed" && bank === "general" && isHighByte(number, this.decoded.rex);
		return { register: high ? number - 4 : number, high };
	}

	private readRegister(register: number, width: Width, high: boolean): bigint {
		return BigInt.asUintN(width, this.state.registers[register]! >> (high ? 8n : 0n));
	}

	private writeRegister(register: number, value: bigint, width: Width, high: boolean): void {
		const { registers } = this.state;
		const shift = high ? 8n : 0n;
		const mask = ((1n << BigInt(width)) - 1n) << shift;
		registers[register] = width >= 32 ? value : (registers[register]! & ~mask) | (value << shift);
	}

	/** The registers that an operand outside the general ones is one of. */
	private bank(bank: "vector" | "mmx"): bigint[] {
		const registers = bank === "vector" ? this.state.vectors : this.state.mmx;
		assert(registers, `${bank} registers`);
		return registers;
	}

	/** Number of a vector or MMX register operand. */
	private bankPlace(operand: number): { registers: bigint[]; register: number } | undefined {
		const { bank } = this.operands[operand]!;
		if (bank === "general") return undefined;
		const { register } = this.place(operand);
		return { registers: this.bank(bank), register: bank === "mmx" ? register & 7 : register };
	}

	private isMemory(operand: number): boolean {
		const { kind } = this.operands[operand]!;
		return kind === "offset" || (kind === "rm" && this.decoded.instance?.rm === "memory");
	}

	private segment(segment: number | "operand"): number {
		return segment === "operand" ? this.decoded.segment : segment;
	}

	private effectiveAddress(): bigint {
		const { base, index, scale, displacement, immediate, immediateHigh } = this.decoded;
		if (this.operands.some(({ kind }) => kind === "offset"))
			return (BigInt(immediate >>> 0) | (BigInt(immediateHigh >>> 0) << 32n)) & this.addressMask;
		let address = BigInt(displacement);
		if (base === RIP_RELATIVE) address += this.nextIp();
		else if (base >= 0) address += this.state.registers[base]!;
		if (index >= 0) address += this.state.registers[index]! << BigInt(scale);
		return address & this.addressMask;
	}

	private nextIp(): bigint {
		return this.state.ip + BigInt(this.decoded.length);
	}

	load(load: Load): void {
		const bytes = load.width / 8;
		let value: bigint;
		if (load.kind === "operand") {
			const { kind, register } = this.operands[load.operand]!;
			if (kind === "sreg" || kind === "fixedSegment")
				value = BigInt(this.state.selectors[kind === "sreg" ? this.decoded.reg : register] ?? 0);
			else if (this.isMemory(load.operand))
				value = this.state.load(this.decoded.segment, this.effectiveAddress(), bytes, load.modify);
			else {
				const other = this.bankPlace(load.operand);
				const { register: number, high } = this.place(load.operand);
				if (other) value = BigInt.asUintN(load.width, other.registers[other.register]!);
				else value = this.readRegister(number, load.width as Width, high);
			}
		} else if (load.kind === "memory")
			value = this.state.load(this.segment(load.segment), this.value(load.offset), bytes, load.modify);
		else {
			const start = load.kind === "frame" ? RBP : RSP;
			const delta = load.kind === "frame" ? 0 : load.delta;
			value = this.state.load(
				SEGMENT.ss,
				(this.state.registers[start]! + BigInt(delta)) & this.stackMask,
				bytes,
				false,
			);
		}
		this.loaded.push(value);
	}

	commit(meaning: Meaning): void {
		const { state } = this;
		const stores = meaning.stores
			.filter((store) => store.kind !== "operand" || !store.when || this.value(store.when))
			.map((store) => this.stored(store));
		const done = meaning.writes.filter(({ when }) => !when || this.value(when));
		const writes = done.map(({ operand, value, high }) => ({
			...this.place(operand),
			value: this.value(value),
			width: value.width,
			bank: this.bankPlace(operand),
			upper: high && this.value(high),
		}));
		const registers = meaning.registers.map(({ register, high, value }) => ({
			register,
			high,
			value: this.value(value),
			width: value.width,
		}));
		const flags = meaning.flags && this.flagsAfter(meaning.flags);
		const { jump } = meaning;
		const taken = jump && (!jump.when || this.value(jump.when));
		const ip =
			jump && taken ? this.value(jump.target) : BigInt.asUintN(state.stackSize === 64 ? 64 : 32, this.nextIp());
		const pointer = this.stackPointer(meaning);

		for (const { segment, offset, bytes, value } of stores) state.store(segment, offset, bytes, value);
		if (pointer !== undefined) state.registers[RSP] = pointer;
		for (const { register, value, width, high } of registers) this.writeRegister(register, value, width, high);
		for (const { register, value, width, high, bank, upper } of writes) {
			if (!bank) {
				this.writeRegister(register, value, width, high);
				continue;
			}
			let whole = (bank.registers[bank.register]! & ~((1n << BigInt(width)) - 1n)) | value;
			if (upper !== undefined) whole = BigInt.asUintN(128, whole) | (upper << 128n);
			bank.registers[bank.register] = whole;
		}
		if (flags !== undefined) state.flags = (state.flags & ~ARITHMETIC_FLAGS) | flags;
		state.ip = ip;
	}

	private stored(store: Store): { segment: number; offset: bigint; bytes: number; value: bigint } {
		const high = store.kind === "operand" ? store.high : undefined;
		const bytes = high ? 32 : store.value.width / 8;
		const value = this.value(store.value) | (high ? this.value(high) << 128n : 0n);
		if (store.kind === "operand")
			return { segment: this.decoded.segment, offset: this.effectiveAddress(), bytes, value };
		if (store.kind === "memory")
			return { segment: this.segment(store.segment), offset: this.value(store.offset), bytes, value };
		const offset = (this.state.registers[RSP]! + BigInt(store.delta)) & this.stackMask;
		return { segment: SEGMENT.ss, offset, bytes, value };
	}

	private stackPointer(meaning: Meaning): bigint | undefined {
		const { stackDelta, stackDeltaOperand, stackFromFrame } = meaning;
		if (stackDelta === 0 && stackDeltaOperand === undefined) return undefined;
		const extra = stackDeltaOperand === undefined ? 0 : this.decoded.immediate;
		const start = this.state.registers[stackFromFrame ? RBP : RSP]!;
		const moved = (start + BigInt(stackDelta) + BigInt(extra)) & this.stackMask;
		return (this.state.registers[RSP]! & ~this.stackMask) | moved;
	}

	private flagsAfter({ kind, width, a, b, when, mask }: FlagUpdate): number {
		if (when && !this.value(when)) return this.state.flags & ARITHMETIC_FLAGS;
		const values = flagRule(kind, width, a, b ?? a);
		return (Number(this.value(packFlags(values))) & mask) | (this.state.flags & ARITHMETIC_FLAGS & ~mask);
	}

	value(expr: Expr): bigint {
		let value = this.known.get(expr);
		if (value === undefined) {
			value = BigInt.asUintN(expr.width, this.work(expr));
			this.known.set(expr, value);
		}
		return value;
	}

	private signed(expr: Expr): bigint {
		return BigInt.asIntN(expr.width, this.value(expr));
	}

	private flag(flag: Flag): bigint {
		return BigInt((this.state.flags >> FLAG_BITS[flag]) & 1);
	}

	private number(operand: number): number {
		const { kind } = this.operands[operand]!;
		return kind === "rm" || kind === "opcodeReg" ? this.decoded.rm : this.decoded.reg;
	}

	private immediate(operand: number): bigint {
		const first = this.operands.findIndex(({ immediateBytes }) => immediateBytes > 0);
		const { immediate, immediateHigh, immediate2 } = this.decoded;
		return operand === first ? BigInt(immediate >>> 0) | (BigInt(immediateHigh >>> 0) << 32n) : BigInt(immediate2);
	}

	private work({ node, width }: Expr): bigint {
		switch (node.kind) {
			case "const":
				return node.value;
			case "load":
				return node.half ? this.loaded[node.index]! >> 128n : this.loaded[node.index]!;
			case "register":
				return this.readRegister(node.register, width, node.high);
			case "immediate":
				return this.immediate(node.operand);
			case "flag":
				return this.flag(node.flag);
			case "condition":
				return this.value(conditionRule(node.code, FLAGS_BEFORE));
			case "nextIp":
				return this.nextIp();
			case "effectiveAddress":
				return this.effectiveAddress();
			case "segment":
				return BigInt(this.decoded.segment);
			case "registerNumber":
				return BigInt(this.number(node.operand));
			case "addressSize":
				return BigInt(this.decoded.addressSize / 8);
			case "addressMask":
				return this.addressMask;
			case "state":
				return this.state.state(node.name);
			case "repeat":
				return BigInt(this.decoded.repeat);
			case "select":
				return this.value(this.value(node.condition) ? node.a : node.b);
			case "zext":
			case "trunc":
				return this.value(node.a);
			case "sext":
				return this.signed(node.a);
			case "unary":
				return unaryValue(node.op, this.value(node.a), width);
			case "vector":
				return vectorValue(
					node.op,
					node.args.map((arg) => this.value(arg)),
					node.lanes,
				);
			case "pure": {
				const value: (...args: bigint[]) => bigint = PURE[node.name].value;
				return value(...node.args.map((arg) => this.value(arg)));
			}
			case "float":
				// Only among the arguments of others: evaluate() leaves these instructions to the core.
				return 0n;
			case "compare":
				return compareValues(node.op, this.value(node.a), this.value(node.b), node.a.width) ? 1n : 0n;
			case "binary":
				return binaryValue(node.op, this.value(node.a), this.value(node.b), width);
		}
	}
}
