import { assert } from "../../base/errors.ts";
import { type Decoded, RIP_RELATIVE } from "../../isa/decoder.ts";
import type { Expr, Flag, StateName, Width } from "../../isa/expr.ts";
import type { Check } from "../../isa/family.ts";
import { conditionFor, type FlagKind, flagRule, packFlags } from "../../isa/flags.ts";
import type { FloatFunction } from "../../isa/float.ts";
import type { Operand } from "../../isa/operand.ts";
import type { PureName } from "../../isa/pure.ts";
import { RBP, RSP, SEGMENT } from "../../isa/registers.ts";
import type { AccessWidth, FlagUpdate } from "../../isa/semantics.ts";
import { type Callee, type Ex, i32, i64, type Local } from "../../wasm/expression.ts";
import type { FunctionBuilder } from "../../wasm/function.ts";
import { flagInputs, printFlagExpr } from "../core/flags.ts";
import { loadWidth, storeWidth } from "../core/handlers.ts";
import type { FlagValuesPrinter, Loaded, Place, Target } from "../emitter.ts";
import { ARITHMETIC_FLAGS, EXPLICIT_FLAGS, flagNumber, flagNumbers } from "../flag-state.ts";
import { ACCESS, F, KEY, SEG, segmentOffset } from "../layout.ts";
import { passes, type UnitInstruction } from "./discover.ts";
import { changesFlags, type FlagKnowledge, narrowed, readsFlags } from "./flag-knowledge.ts";
import { operandNumber, registerPlace } from "./register-use.ts";
import { UnitFloat } from "./unit-float.ts";
import type { UnitFrame } from "./unit-frame.ts";
import { UnitMemory } from "./unit-memory.ts";

/** Kind and width behind each flag number. */
const KINDS = new Map([...flagNumbers()].map((entry) => [entry.number, entry]));

/** Most kinds that code for reading flags tells apart. */
const MOST_KINDS = 5;

/** Upper bits of a 48-bit address that repeat the one below; of 57-bit addresses beyond, the interpreter knows. */
const UNCANONICAL_BITS = 16;

/** Bytes of a vector register in the state. */
const YMM_BYTES = 32;

/** Registers live in locals, immediates are constants, and what is not the common case leaves for the interpreter. */
export class CompiledTarget implements Target {
	readonly f: FunctionBuilder;
	flagsKnown: FlagKnowledge;
	loads: Local[] = [];
	/** Upper halves of {@link loads}. */
	highs: (Local | undefined)[] = [];
	private readonly memory: UnitMemory;
	private readonly frame: UnitFrame;
	private instruction: UnitInstruction | undefined;
	/** EFLAGS bits that matter behind the instruction in hand. */
	private flagsWanted: () => number = () => ARITHMETIC_FLAGS;
	/** SSE arithmetic of the current instruction. */
	private arithmetic: UnitFloat | undefined;
	/** Values that only this instruction uses, given back behind it. */
	private temporaries: Local[] = [];

	constructor(frame: UnitFrame, flagsKnown: FlagKnowledge) {
		this.frame = frame;
		this.f = frame.f;
		this.memory = new UnitMemory(frame);
		this.flagsKnown = flagsKnown;
	}

	/** Makes `instruction` the current one. */
	start(instruction: UnitInstruction, flagsWanted: () => number): void {
		this.instruction = instruction;
		this.flagsWanted = flagsWanted;
		this.temporaries = [];
		const known = this.flagsKnown;
		const { instance } = instruction.decoded;
		if (known.kind === "dynamic" && known.others && instance && readsFlags(instance)) {
			const { fk } = this.frame;
			const kinds = known.known.filter((number) => number !== EXPLICIT_FLAGS).slice(0, MOST_KINDS - 1);
			kinds.push(EXPLICIT_FLAGS);
			const told = kinds.map((number) => fk.eq(number)).reduce<Ex>((all, one) => all.or(one), i32(0));
			this.f.if(told.eqz(), () => this.frame.spellFlags());
			this.flagsKnown = { kind: "dynamic", known: kinds, others: false };
		}
	}

	/** 64-bit mode: registers and addresses are of 64 bits. */
	private get long(): boolean {
		return (this.frame.key & KEY.long) !== 0;
	}

	private get decoded(): Decoded {
		assert(this.instruction, "an instruction");
		return this.instruction.decoded;
	}

	private leaveIf(condition: Ex): void {
		this.f.if(condition, () => this.frame.leave());
	}

	/** What is checked holds in the mode that the unit is for: {@link passes}. */
	check(check: Check): void {
		assert(passes(check, this.frame.key), "instructions that may fail a check are interpreted");
	}

	/** Offset of a vector register in the state, where they stay. */
	private vectorOffset(operand: Operand): number {
		const { decoded } = this;
		return (
			F.ymm.offset + YMM_BYTES * (operand.kind === "selector" ? decoded.immediate : operandNumber(decoded, operand))
		);
	}

	readRegister(operand: Operand, width: Width, half?: 1): Ex {
		if (operand.bank === "vector")
			return loadWidth(this.frame.st, width, this.vectorOffset(operand) + (half ? YMM_BYTES / 2 : 0));
		const { register, high } = registerPlace(this.decoded, operand);
		return this.register(register, width, high);
	}

	writeRegister(operand: Operand, value: Ex, width: Width, high: Ex | undefined): void {
		if (operand.bank === "vector") {
			const offset = this.vectorOffset(operand);
			storeWidth(this.f, this.frame.st, width, value, offset);
			if (high) storeWidth(this.f, this.frame.st, 128, high, offset + YMM_BYTES / 2);
			return;
		}
		const place = registerPlace(this.decoded, operand);
		this.setRegister(place.register, width, place.high, value);
	}

	register(register: number, width: Width, high: boolean): Ex {
		return this.frame.registers.read(register, width, high);
	}

	setRegister(register: number, width: Width, high: boolean, value: Ex): void {
		this.frame.registers.write(register, width, high, value);
	}

	load(index: number, _width: Width, half?: 1): Ex {
		const local = half ? this.highs[index] : this.loads[index];
		assert(local, "load");
		return local;
	}

	immediate(operand: number, width: Width): Ex {
		const operands = this.decoded.instance?.operands ?? [];
		const first = operands.findIndex((candidate) => candidate.immediateBytes > 0) === operand;
		const value = first ? this.decoded.immediate : this.decoded.immediate2;
		if (width === 64) return first ? this.wideImmediate() : i64(value);
		return i32(width === 32 ? value : value & (width === 8 ? 0xff : 0xffff));
	}

	immediateValue(operand: number): bigint {
		const operands = this.decoded.instance?.operands ?? [];
		const first = operands.findIndex((candidate) => candidate.immediateBytes > 0) === operand;
		return BigInt(first ? this.decoded.immediate : this.decoded.immediate2);
	}

	private wideImmediate(): Ex {
		const { immediate, immediateHigh } = this.decoded;
		return i64(
			immediate >>> 0 === 0 && immediateHigh === 0 ? 0 : (BigInt(immediateHigh) << 32n) | BigInt(immediate >>> 0),
		);
	}

	/** Prints `read` for the kind in force; {@link start} has made sure that it is one that is told apart. */
	private withFlags(read: (number: number) => Ex): Ex {
		const known = this.flagsKnown;
		if (known.kind === "static") return read(known.number);
		const { f } = this;
		const result = f.local("i32");
		const chain = (n: number): void => {
			const number = known.known[n];
			if (number === undefined) f.unreachable();
			else if (n === known.known.length - 1) f.set(result, read(number));
			else
				f.if(
					this.frame.fk.eq(number),
					() => f.set(result, read(number)),
					() => chain(n + 1),
				);
		};
		chain(0);
		return result;
	}

	private readonly kindOf = (number: number): { kind: FlagKind; width: Width; a: Expr; b: Expr } => {
		const { kind, width } = KINDS.get(number)!;
		const [a, b] = flagInputs(kind, width);
		return { kind, width, a, b };
	};

	private printFlags(expr: Expr): Ex {
		return printFlagExpr(this.f, expr, this.frame.fa.value, this.frame.fb.value);
	}

	flag(flag: Flag): Ex {
		return this.withFlags((number) => {
			const { kind, width, a, b } = this.kindOf(number);
			return this.printFlags(flagRule(kind, width, a, b)[flag]);
		});
	}

	condition(code: number): Ex {
		return this.withFlags((number) => {
			const { kind, width, a, b } = this.kindOf(number);
			return this.printFlags(conditionFor(kind, width, a, b, code));
		});
	}

	private packedFlags(): Ex {
		return this.withFlags((number) => {
			const { kind, width, a, b } = this.kindOf(number);
			return this.printFlags(kind === "explicit" ? a : packFlags(flagRule(kind, width, a, b)));
		});
	}

	nextIp(width: Width): Ex {
		assert(this.instruction, "next IP");
		if (width === 64) return i64(BigInt(this.instruction.next));
		return i32(width === 16 ? this.instruction.next & 0xffff : this.instruction.next);
	}

	/** Effective address, of the registers' type. */
	private address(): Ex {
		const { registers } = this.frame;
		const { base, index, scale, displacement, addressSize } = this.decoded;
		// Relative to the next instruction: a constant.
		const fixed = base === RIP_RELATIVE ? this.instruction!.next + displacement : displacement;
		let sum: Ex | undefined = base >= 0 ? registers.whole(base) : undefined;
		if (index >= 0) {
			const scaled = registers.whole(index).shl(scale);
			sum = sum ? sum.add(scaled) : scaled;
		}
		sum = sum ? sum.add(fixed) : registers.constant(fixed);
		if (addressSize === 16) return sum.and(0xffff);
		return this.long && addressSize === 32 ? sum.and(0xffffffffn) : sum;
	}

	effectiveAddress(): Ex {
		return this.address().extU();
	}

	segment(): Ex {
		return i32(this.decoded.segment);
	}

	registerNumber(operand: number): Ex {
		return i32(operandNumber(this.decoded, this.decoded.instance!.operands[operand]!));
	}

	addressSize(): Ex {
		return i32(this.decoded.addressSize / 8);
	}

	addressMask(): Ex {
		return i64({ 16: 0xffffn, 32: 0xffffffffn, 64: -1n }[this.decoded.addressSize]);
	}

	repeat(): Ex {
		return i32(this.decoded.repeat);
	}

	state(_name: StateName, _width: Width): Ex {
		const { st } = this.frame;
		switch (_name) {
			case "cr0":
				return this.narrow(F.cr0.of(st).wrap(), _width);
			case "cpl":
				return F.cpl.of(st);
			case "mxcsr":
				return F.mxcsr.of(st);
			case "ldtrSelector":
				return this.narrow(st.load("i32", segmentOffset(SEGMENT.ldtr) + SEG.selector.offset), _width);
			case "trSelector":
				return this.narrow(st.load("i32", segmentOffset(SEGMENT.tr) + SEG.selector.offset), _width);
		}
	}

	private narrow(value: Ex, width: Width): Ex {
		return width === 64 ? value.extU() : width === 16 ? value.and(0xffff) : value;
	}

	operandOffset(operand: Operand): Ex {
		return operand.kind === "offset" ? this.wideImmediate() : this.effectiveAddress();
	}

	private temporary(value: Ex): Local {
		const local = this.f.let(value);
		this.temporaries.push(local);
		return local;
	}

	/** VM memory offset of an access that hits, and its linear address; leaves for any other. */
	private access(segment: number | "operand", offset: Ex, bytes: number, access: number, aligned: boolean): Place {
		const n = segment === "operand" ? this.decoded.segment : segment;
		const linear = this.temporary(this.memory.linear(n, offset, bytes, access !== ACCESS.read));
		if (aligned) this.leaveIf(linear.wrap().and(bytes - 1));
		return { linear, host: this.temporary(this.memory.lookup(linear, bytes, access)) };
	}

	loadMemory(segment: number | "operand", offset: Ex, width: AccessWidth, modify: boolean, aligned = false): Loaded {
		const { f } = this;
		const place = this.access(segment, offset, width / 8, modify ? ACCESS.modify : ACCESS.read, aligned);
		if (width === 256) {
			return { value: f.let(loadWidth(place.host, 128, 0)), high: f.let(loadWidth(place.host, 128, 16)) };
		}
		const value = f.let(loadWidth(place.host, width, 0));
		return modify ? { value, place } : { value };
	}

	storeMemory(segment: number | "operand", offset: Ex, width: Width, value: Ex, aligned = false, high?: Ex): void {
		const { host } = this.access(segment, offset, (high ? 256 : width) / 8, ACCESS.write, aligned);
		storeWidth(this.f, host, width, value);
		if (high) storeWidth(this.f, host, 128, high, 16);
	}

	storePlace(place: Place, width: Width, value: Ex): void {
		storeWidth(this.f, place.host, width, value);
	}

	private get wideStack(): boolean {
		return (this.frame.key & (KEY.stack32 | KEY.long)) !== 0;
	}

	stackOffset(delta: number): Ex {
		const sp = this.frame.registers.whole(RSP).add(delta);
		return (this.wideStack ? sp : sp.and(0xffff)).extU();
	}

	frameOffset(): Ex {
		const bp = this.frame.registers.whole(RBP);
		return (this.wideStack ? bp : bp.and(0xffff)).extU();
	}

	probeStack(): void {
		assert(false, "instructions with several stores are interpreted");
	}

	moveStack(delta: number, extra: Ex | undefined, fromFrame: boolean): void {
		const { registers } = this.frame;
		const sp = registers.whole(RSP);
		let moved = (fromFrame ? registers.whole(RBP) : sp).add(delta);
		if (extra) moved = moved.add(registers.typed(extra));
		registers.setWhole(RSP, this.wideStack ? moved : sp.and(~0xffff).or(moved.and(0xffff)));
	}

	setFlags(update: FlagUpdate, values: FlagValuesPrinter): void {
		const { f, frame } = this;
		const number = flagNumber(update.kind, update.kind === "explicit" ? 32 : update.width);
		const changes = changesFlags(this.decoded, update);
		if (changes === false) return;
		const when = changes === undefined && update.when ? values.print(update.when) : undefined;
		if (!when) {
			this.storeFlags(update, values);
			this.flagsKnown = { kind: "static", number };
			return;
		}
		const before = this.flagsKnown;
		const partial = update.kind === "explicit" && update.mask !== ARITHMETIC_FLAGS;
		const old = partial ? f.let(this.packedFlags()) : undefined;
		f.if(
			when,
			() => {
				values.conditional(() => this.storeFlags(update, values, old));
				f.set(frame.fk, number);
			},
			() => {
				if (before.kind === "static") f.set(frame.fk, before.number);
			},
		);
		this.flagsKnown = {
			kind: "dynamic",
			known: [...new Set([number, ...(before.kind === "static" ? [before.number] : before.known)])],
			others: before.kind === "dynamic" && before.others,
		};
	}

	private storeFlags({ kind, a, b, mask }: FlagUpdate, values: FlagValuesPrinter, packed?: Local): void {
		const { f, frame } = this;
		const partial = kind === "explicit" && mask !== ARITHMETIC_FLAGS;
		const wanted = partial && !packed ? this.flagsWanted() : ARITHMETIC_FLAGS;
		const kept = partial && (wanted & ~mask) !== 0;
		let valueA = values.print(partial && !kept ? narrowed(a, wanted) : a);
		const valueB = b && f.let(values.print(b));
		if (kept) valueA = (packed ?? this.packedFlags()).and(~mask).or(valueA);
		frame.fa.set(valueA);
		if (valueB) {
			frame.fb.set(valueB);
			f.release(valueB);
		}
	}

	enterMmx(): void {
		assert(false, "MMX instructions are interpreted");
	}

	pure(name: PureName): Callee {
		return this.frame.imports.get(`pure_${name}`);
	}

	beginFloat(): void {
		this.arithmetic = new UnitFloat(this.frame);
	}

	float(name: FloatFunction, args: readonly Ex[]): Ex {
		assert(this.arithmetic, "an instruction of SSE arithmetic");
		return this.arithmetic.operation(name, args);
	}

	endFloat(): void {
		this.arithmetic?.end();
	}

	/** Nothing that may leave comes behind the arithmetic: its end has done it. */
	commitFloat(): void {}

	fault(_vector: number, _errorCode: number | undefined, when: Ex | undefined): void {
		assert(when, "instructions that always fault are interpreted");
		this.leaveIf(when);
	}

	jump(target: Ex, _width: Width, when: Ex | undefined, commit: () => void): void {
		const { frame } = this;
		const to = frame.registers.typed(target);
		// Targets beyond the limit of CS, or not canonical: the interpreter raises the fault.
		if (target.constant === undefined) {
			if (this.long) this.leaveIf(to.shl(UNCANONICAL_BITS).shrS(UNCANONICAL_BITS).ne(to));
			else if ((frame.key & KEY.flat) === 0) this.leaveIf(to.gtU(frame.csHigh));
		}
		commit();
		frame.branch(to, when);
	}

	helper(): void {
		assert(false, "helpers are interpreted");
	}

	done(): void {
		this.f.release(...this.temporaries.splice(0));
	}
}
