import { assert } from "../base/errors.ts";
import { constant, Expr, type ExprArg, FLAG_BITS, type Flag, type StateName, type Width } from "./expr.ts";
import type { FlagKind } from "./flags.ts";
import { type FloatFunction, floatExpr } from "./float.ts";
import type { Operand, OperandSize, VectorLength } from "./operand.ts";
import { RSP, SEGMENT, VECTOR, type VectorName } from "./registers.ts";
import { withLane } from "./vector.ts";

/** Keys of upper halves in a read cache, above all operand numbers. */
const HIGH = 16;

/** Bits of an access; one of 256 yields two values of 128. */
export type AccessWidth = Width | 256;

/** Values that an instruction fetches before it does anything else; each may fault. */
export type Load =
	/** Operand `operand`; `modify`: the same memory is stored to later, so it must be writable now. */
	| { readonly kind: "operand"; readonly operand: number; readonly width: AccessWidth; modify: boolean }
	/** `width` bits at `offset` of segment `segment` (number or the memory operand's own). */
	| {
			readonly kind: "memory";
			readonly segment: number | "operand";
			readonly offset: Expr;
			readonly width: Width;
			modify: boolean;
	  }
	/** `width` bits on the stack, `delta` bytes above SP. */
	| { readonly kind: "stack"; readonly delta: number; readonly width: Width }
	/** `width` bits at the top of the frame: at (R)BP as the stack's size wraps it (LEAVE). */
	| { readonly kind: "frame"; readonly width: Width };

export type Store =
	/** With `when`, memory is only touched where it holds (ARPL). `high`: bits 255:128. */
	| {
			readonly kind: "operand";
			readonly operand: number;
			readonly value: Expr;
			readonly high?: Expr | undefined;
			readonly when: Expr | undefined;
	  }
	| {
			readonly kind: "memory";
			readonly segment: number | "operand";
			readonly offset: Expr;
			readonly value: Expr;
			readonly modify: boolean;
	  }
	| { readonly kind: "stack"; readonly delta: number; readonly value: Expr };

export interface FlagUpdate {
	readonly kind: FlagKind;
	readonly width: Width;
	readonly a: Expr;
	readonly b: Expr | undefined;
	/** Flags stay as they are where this does not hold. */
	readonly when: Expr | undefined;
	/** With kind `explicit`: EFLAGS positions that `a` gives; the others keep their value. */
	readonly mask: number;
}

/** What an instruction does, in the order in which engines do it: faults, loads, faults on values, stores, commits. */
export interface Meaning {
	readonly loads: Load[];
	/** Checked after the loads, in order. */
	readonly faults: {
		readonly when: Expr | undefined;
		readonly vector: number;
		readonly errorCode: number | undefined;
	}[];
	/** SSE arithmetic in its order. An unmasked exception in any of it leaves everything as it was, but for MXCSR. */
	readonly floats: Expr[];
	readonly stores: Store[];
	/**
	 * Register operands. Of a vector register, a value narrower than 128 bits leaves the bits above alone; `high` goes into
	 * bits 255:128, which without it stay as they are.
	 */
	readonly writes: {
		readonly operand: number;
		readonly value: Expr;
		readonly high?: Expr | undefined;
		/** All of the register stays as it is where this does not hold. */
		readonly when?: Expr | undefined;
	}[];
	readonly registers: { readonly register: number; readonly high: boolean; readonly value: Expr }[];
	flags: FlagUpdate | undefined;
	jump: { readonly target: Expr; readonly when: Expr | undefined } | undefined;
	helper: { readonly name: string; readonly args: readonly Expr[] } | undefined;
	/** Bytes added to the stack pointer at the end. */
	stackDelta: number;
	/** Operand whose immediate is added to the stack pointer as well (RET iw). */
	stackDeltaOperand: number | undefined;
	/** The stack pointer starts from (R)BP instead of its own value (LEAVE). */
	stackFromFrame: boolean;
}

/**
 * The vocabulary in which a family says what it does. Reading faults before anything is stored; storing faults before
 * any register changes: that is what makes every instruction restartable.
 */
export class Semantics {
	/** Operand size in force, bits. */
	readonly size: OperandSize;
	readonly operands: readonly Operand[];
	/** `rm` operands are registers in this variant, or memory. */
	readonly rm: "register" | "memory" | "none";
	/** Encoded with VEX: writing a vector register clears its bits above the result. */
	readonly vex: boolean;
	/** 2 where vectors have 256 bits. */
	readonly halves: 1 | 2;
	/** What VEX.L says, bits; 128 without VEX. */
	readonly length: VectorLength;
	readonly result: Meaning = {
		loads: [],
		faults: [],
		floats: [],
		stores: [],
		writes: [],
		registers: [],
		flags: undefined,
		jump: undefined,
		helper: undefined,
		stackDelta: 0,
		stackDeltaOperand: undefined,
		stackFromFrame: false,
	};
	private readonly readCache = new Map<number, Expr>();

	/** @param length what VEX.L says; absent without VEX. */
	constructor(
		size: OperandSize,
		operands: readonly Operand[],
		rm: "register" | "memory" | "none",
		length?: VectorLength,
	) {
		this.size = size;
		this.operands = operands;
		this.rm = rm;
		this.vex = length !== undefined;
		this.length = length ?? 128;
		this.halves = operands.some(({ halves }) => halves === 2) ? 2 : 1;
	}

	private operand(index: number): Operand {
		const operand = this.operands[index];
		assert(operand !== undefined, `operand ${index}`);
		return operand;
	}

	/** Whether operand `index` lies in memory. */
	isMemory(index: number): boolean {
		const { kind } = this.operand(index);
		return kind === "offset" || (kind === "rm" && this.rm === "memory");
	}

	/** Width of operand `index`, bits. */
	width(index: number): Width {
		const { width } = this.operand(index);
		assert(width !== 0, `operand ${index} has no width`);
		return width;
	}

	/** Value of operand `index`; of one of 256 bits, its lower half. */
	read(index: number): Expr {
		const known = this.readCache.get(index);
		if (known) return known;
		const operand = this.operand(index);
		const width = this.width(index);
		let value: Expr;
		if (operand.kind === "immediate")
			value = new Expr(width, { kind: "immediate", operand: index, signed: operand.signed });
		else if (operand.kind === "relative")
			value = this.nextIp().add(new Expr(width, { kind: "immediate", operand: index, signed: true }));
		else if (operand.kind === "one") value = constant(8, 1);
		else if (operand.halves === 2) return this.readHalf(index, 0);
		else value = this.load({ kind: "operand", operand: index, width, modify: false });
		this.readCache.set(index, value);
		return value;
	}

	/** Bits 127:0 or 255:128 of vector operand `index`. */
	readHalf(index: number, half: number): Expr {
		if (this.operand(index).halves === 1) {
			assert(half === 0, `operand ${index} has one half`);
			return this.read(index);
		}
		const low = this.once(~index, () => this.load({ kind: "operand", operand: index, width: 256, modify: false }));
		if (half === 0) return low;
		assert(low.node.kind === "load", "a load");
		const { index: number } = low.node;
		return this.once(HIGH + index, () => new Expr(128, { kind: "load", index: number, half: 1 }));
	}

	/** Bits 127:0 of vector register operand `index`, whatever its code says. */
	readWhole(index: number): Expr {
		const { width, halves } = this.operand(index);
		if (width === 128 || halves === 2) return this.readHalf(index, 0);
		assert(!this.isMemory(index), `operand ${index} is a register`);
		return this.once(~index, () => this.load({ kind: "operand", operand: index, width: 128, modify: false }));
	}

	private once(key: number, make: () => Expr): Expr {
		const value = this.readCache.get(key) ?? make();
		this.readCache.set(key, value);
		return value;
	}

	private load(load: Load): Expr {
		this.result.loads.push(load);
		assert(load.width !== 1, "width of a load");
		const width = load.width === 256 ? 128 : load.width;
		return new Expr(width, { kind: "load", index: this.result.loads.length - 1 });
	}

	/** Immediate operand, zero-extended to `width` whatever its code says. */
	immediate(index: number, width: Width): Expr {
		return new Expr(width, { kind: "immediate", operand: index, signed: false });
	}

	/** Selector of far pointer operand `index`; {@link immediate} gives its offset. */
	farSelector(index: number): Expr {
		return new Expr(16, { kind: "immediate", operand: index + 1, signed: false });
	}

	/**
	 * Gives operand `index` a new value; where `when` does not hold, a register stays as it is, and memory is not stored to and need
	 * not be writable.
	 */
	write(index: number, value: Expr, when?: Expr): void {
		assert(value.width === this.width(index), `operand ${index} takes ${this.width(index)} bits, not ${value.width}`);
		if (!this.isMemory(index)) {
			this.result.writes.push({ operand: index, value, when });
			return;
		}
		for (const load of this.result.loads)
			if (load.kind === "operand" && load.operand === index && !when) load.modify = true;
		this.result.stores.push({ kind: "operand", operand: index, value, when });
	}

	/**
	 * Gives vector operand `index` a new value: lower half, upper half. A register written with VEX is cleared above the
	 * value, which is then of 128 bits; without VEX the bits above stay.
	 */
	writeVector(index: number, value: Expr, high?: Expr): void {
		const operand = this.operand(index);
		if (this.isMemory(index)) {
			assert(value.width === operand.width && (high !== undefined) === (operand.halves === 2), `operand ${index}`);
			this.result.stores.push({ kind: "operand", operand: index, value, high, when: undefined });
			return;
		}
		assert(value.width === 128 || !this.vex, `operand ${index} is written as a whole`);
		const upper = high ?? (this.vex && operand.bank === "vector" ? constant(128, 0) : undefined);
		this.result.writes.push({ operand: index, value, high: upper });
	}

	/**
	 * A result for each half of vectors: without VEX the destination is the first of two sources (`add a, b`), with VEX they
	 * are operands 1 and 2. MMX operands come widened to 128 bits; of the result the low 64 count.
	 */
	packed(result: (a: Expr, b: Expr, half: number) => Expr): void {
		const first = this.vex ? 1 : 0;
		this.lanewise((half, read) => result(read(first), read(first + 1), half));
	}

	/** The same of one source, operand 1. */
	packedUnary(result: (a: Expr, half: number) => Expr): void {
		this.lanewise((half, read) => result(read(1), half));
	}

	private lanewise(result: (half: number, read: (index: number) => Expr) => Expr): void {
		const mmx = this.operand(0).bank === "mmx";
		const one = (half: number): Expr =>
			result(half, (index) => {
				const { halves, width } = this.operand(index);
				if (halves === 2) return this.readHalf(index, half);
				return width === 128 ? this.read(index) : this.read(index).zext(128);
			});
		if (mmx) this.writeVector(0, one(0).trunc(64));
		else this.writeVector(0, one(0), this.operand(0).halves === 2 ? one(1) : undefined);
	}

	/** Writes a scalar to the low bits of destination 0: the rest of it stays, with VEX it comes from operand 1. */
	writeScalar(value: Expr): void {
		if (!this.vex) this.writeVector(0, value);
		else {
			assert(value.width === 32 || value.width === 64, "width of a scalar");
			this.writeVector(0, withLane(this.readWhole(1), value.width, 0, value));
		}
	}

	/** SSE arithmetic; numbers among the arguments are integers of 32 bits. */
	float(name: FloatFunction, ...args: readonly (Expr | number)[]): Expr {
		const value = floatExpr(name, ...args);
		this.result.floats.push(value);
		return value;
	}

	/** {@link writeScalar} of a number from two others, found as in {@link packed}. */
	scalar(result: (a: Expr, b: Expr) => Expr): void {
		const first = this.vex ? 1 : 0;
		this.writeScalar(result(this.read(first), this.read(first + 1)));
	}

	/** A register that the instruction names itself; 8 bits: AL, CL, DL, BL, or AH … BH with `high`. */
	register(register: number, width: Width, high = false): Expr {
		return new Expr(width, { kind: "register", register, high });
	}

	setRegister(register: number, value: Expr, high = false): void {
		this.result.registers.push({ register, high, value });
	}

	flag(flag: Flag): Expr {
		return new Expr(1, { kind: "flag", flag });
	}

	/** Condition 0..15 as in Jcc opcodes. */
	condition(code: number): Expr {
		return new Expr(1, { kind: "condition", code });
	}

	/** All six arithmetic flags by a rule of flags.ts; unchanged where `when` does not hold. */
	flags(kind: Exclude<FlagKind, "explicit">, a: Expr, b?: Expr, when?: Expr): void {
		assert(!this.result.flags, "flags are set once");
		this.result.flags = { kind, width: a.width, a, b, when, mask: 0x8d5 };
	}

	/** Single flags by value; the others keep theirs. */
	setFlags(values: Partial<Record<Flag, Expr>>, when?: Expr): void {
		assert(!this.result.flags, "flags are set once");
		let bits: Expr = constant(32, 0);
		let mask = 0;
		for (const flag of Object.keys(values) as Flag[]) {
			const value = values[flag];
			if (!value) continue;
			bits = bits.or(value.zext(32).shl(FLAG_BITS[flag]));
			mask |= 1 << FLAG_BITS[flag];
		}
		this.result.flags = { kind: "explicit", width: 32, a: bits, b: undefined, when, mask };
	}

	/** Offset of the memory operand in its segment. */
	effectiveAddress(width: Width = 64): Expr {
		return new Expr(64, { kind: "effectiveAddress" }).cast(width);
	}

	/** Number of the memory operand's segment register, 32 bits wide. */
	segment(): Expr {
		return new Expr(32, { kind: "segment" });
	}

	/** Number of a segment, control, debug or general register operand, 32 bits wide. */
	registerNumber(index: number): Expr {
		return new Expr(32, { kind: "registerNumber", operand: index });
	}

	addressSize(): Expr {
		return new Expr(32, { kind: "addressSize" });
	}

	/** Wraps a 64-bit offset to the address size. */
	wrapAddress(offset: Expr): Expr {
		return offset.and(this.addressMask());
	}

	/** All ones of the address size, 64 bits wide. */
	addressMask(): Expr {
		return new Expr(64, { kind: "addressMask" });
	}

	state(name: StateName, width: Width): Expr {
		return new Expr(width, { kind: "state", name });
	}

	/** The repeat prefix: 0, 0xF2 or 0xF3, 32 bits wide. */
	repeat(): Expr {
		return new Expr(32, { kind: "repeat" });
	}

	/** Instruction pointer behind this instruction, at operand size. */
	nextIp(): Expr {
		return new Expr(this.size, { kind: "nextIp" });
	}

	/** Memory at `offset` (64 bits wide, already wrapped) of a segment. */
	loadMemory(segment: number | "operand", offset: Expr, width: Width, modify = false): Expr {
		return this.load({ kind: "memory", segment, offset, width, modify });
	}

	/** `modify`: to the place of an earlier load with `modify`. */
	storeMemory(segment: number | "operand", offset: Expr, value: Expr, modify = false): void {
		this.result.stores.push({ kind: "memory", segment, offset, value, modify });
	}

	/** Pushes `value`, taking `slot` bytes of stack (default: its width); stores only the value's own bytes. */
	push(value: Expr, slot = value.width / 8): void {
		this.result.stackDelta -= slot;
		this.result.stores.push({ kind: "stack", delta: this.result.stackDelta, value });
	}

	/** Pops a word of `width` bits, taking `slot` bytes of stack. */
	pop(width: Width = this.size, slot = width / 8): Expr {
		const value = this.load({ kind: "stack", delta: this.result.stackDelta, width });
		this.result.stackDelta += slot;
		return value;
	}

	/** Frees `bytes` of stack. */
	release(bytes: number): void {
		this.result.stackDelta += bytes;
	}

	/** Frees as many bytes of stack as immediate operand `index` says. */
	releaseImmediate(index: number): void {
		this.result.stackDeltaOperand = index;
	}

	/** Moves the stack pointer to `register`'s value and pops `register` from there. */
	popFrame(register: number): void {
		const value = this.load({ kind: "frame", width: this.size });
		this.result.stackFromFrame = true;
		this.result.stackDelta = this.size / 8;
		this.setRegister(register, value);
	}

	/** Continues at `target` in the same code segment; a target beyond the limit is #GP(0). */
	jump(target: Expr, when?: Expr): void {
		this.result.jump = { target, when };
	}

	/** Raises an exception, always or where `when` holds, before anything is stored. */
	fault(vector: VectorName, when?: Expr, errorCode?: number): void {
		this.result.faults.push({ when, vector: VECTOR[vector], errorCode });
	}

	/**
	 * Leaves the rest to a function of the core, called after the loads. It does all its own storing and committing.
	 * Arguments up to 32 bits arrive as i32, wider ones as i64.
	 */
	helper(name: string, ...args: ExprArg[]): void {
		assert(!this.result.helper, "one helper");
		this.result.helper = { name, args: args.map((arg) => (typeof arg === "object" ? arg : constant(32, arg))) };
	}

	static readonly SP = RSP;
	static readonly SS = SEGMENT.ss;
}
