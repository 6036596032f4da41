import { assert } from "../../base/errors.ts";
import { type Decoded, RIP_RELATIVE } from "../../isa/decoder.ts";
import type { Expr, Flag, StateName, Width } from "../../isa/expr.ts";
import type { Check } from "../../isa/family.ts";
import { conditionFor, type FlagKind, flagRule, packFlags } from "../../isa/flags.ts";
import type { Operand } from "../../isa/operand.ts";
import { RBP, RSP, SEGMENT } from "../../isa/registers.ts";
import type { FlagUpdate } from "../../isa/semantics.ts";
import { type Callee, type Ex, i32, i64, type Local } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import { flagInputs, printFlagExpr } from "../core/flags.ts";
import { loadWidth, storeWidth } from "../core/handlers.ts";
import type { FlagValuesPrinter, Place, Target } from "../emitter.ts";
import { ARITHMETIC_FLAGS, EXPLICIT_FLAGS, flagNumber, flagNumbers } from "../flag-state.ts";
import { ACCESS, F, KEY, SEG, segmentOffset, TLB, TLB_BYTES, TLB_TABLE } from "../layout.ts";
import type { UnitInstruction } from "./discover.ts";
import { changesFlags, type FlagKnowledge, readsFlags } from "./flag-knowledge.ts";
import { registerNumber, registerPlace } from "./register-use.ts";
import type { UnitRegisters } from "./unit-registers.ts";

/** Kind and width behind each flag number. */
const KINDS = new Map([...flagNumbers()].map((entry) => [entry.number, entry]));

/** Most kinds that code for reading flags tells apart. */
const MOST_KINDS = 5;

/** Upper bits of a 48-bit address that repeat the one below; of 57-bit addresses beyond, the interpreter knows. */
const UNCANONICAL_BITS = 16;

/** What all instructions of a unit share. */
export interface UnitFrame {
	readonly f: FunctionBuilder;
	readonly st: Local;
	readonly registers: UnitRegisters;
	readonly fa: Local;
	readonly fb: Local;
	readonly fk: Local;
	/** Mode that the unit is compiled for. */
	readonly key: number;
	/** Base and last offset of CS, where it is not flat. */
	readonly csHigh: number;
	/** Address of the TLBs of this processor. */
	readonly tlbArea: number;
	/** What every TLB entry must have as its addend; undefined: whatever it has. */
	readonly addend: number | undefined;
	/** Leaves for the interpreter in front of the current instruction; `missed`: because of the TLB. */
	leave(missed?: boolean): void;
	/** The core's `touch`, for units that miss the TLB often; the others leave. */
	readonly touch: Callee | undefined;
	/** Makes flags of a kind that is not told apart here explicit ones. */
	spellFlags(): void;
	/** Ends the block: a jump of the current instruction. `target` has the registers' type. */
	branch(target: Ex, when: Ex | undefined): void;
}

/** Registers live in locals, immediates are constants, and what is not the common case leaves for the interpreter. */
export class CompiledTarget implements Target {
	readonly f: FunctionBuilder;
	flagsKnown: FlagKnowledge;
	loads: Local[] = [];
	private readonly frame: UnitFrame;
	private instruction: UnitInstruction | undefined;
	/** Values that only this instruction uses, given back behind it. */
	private temporaries: Local[] = [];

	constructor(frame: UnitFrame, flagsKnown: FlagKnowledge) {
		this.frame = frame;
		this.f = frame.f;
		this.flagsKnown = flagsKnown;
	}

	/** Makes `instruction` the current one. */
	start(instruction: UnitInstruction): void {
		this.instruction = instruction;
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

	check(check: Check): void {
		assert(check === "protected", "instructions with other checks are interpreted");
		if (this.frame.key & KEY.real) this.leaveIf(i32(1));
	}

	readRegister(operand: Operand): Ex {
		const { register, high } = registerPlace(this.decoded, operand);
		return this.register(register, operand.width as Width, high);
	}

	writeRegister(operand: Operand, value: Ex): void {
		const { register, high } = registerPlace(this.decoded, operand);
		this.setRegister(register, operand.width as Width, high, value);
	}

	register(register: number, width: Width, high: boolean): Ex {
		return this.frame.registers.read(register, width, high);
	}

	setRegister(register: number, width: Width, high: boolean, value: Ex): void {
		this.frame.registers.write(register, width, high, value);
	}

	load(index: number): Ex {
		return this.loads[index]!;
	}

	immediate(operand: number, width: Width): Ex {
		const operands = this.decoded.instance?.operands ?? [];
		const first = operands.findIndex((candidate) => candidate.immediateBytes > 0) === operand;
		const value = first ? this.decoded.immediate : this.decoded.immediate2;
		if (width === 64) return first ? this.wideImmediate() : i64(value);
		return i32(width === 32 ? value : value & (width === 8 ? 0xff : 0xffff));
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
		return printFlagExpr(this.f, expr, this.frame.fa, this.frame.fb);
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
		return i32(registerNumber(this.decoded, this.decoded.instance!.operands[operand]!));
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

	/**
	 * Linear address of an access, of the registers' type; leaves where a limit or right might be violated. In 64-bit mode
	 * only FS and GS have a base (SDM 3A 3.2.4), and no page that is not canonical is in the TLB.
	 */
	private linear(segment: number | "operand", offset: Ex, bytes: number, write: boolean): Local {
		const { f, frame } = this;
		const n = segment === "operand" ? this.decoded.segment : segment;
		if (this.long) {
			const based = n === SEGMENT.fs || n === SEGMENT.gs;
			return this.temporary(based ? offset.add(SEG.start.of(frame.st, segmentOffset(n))) : offset);
		}
		const off = this.temporary(offset.wrap());
		// ES, CS, SS and DS are flat in flat units, but CS cannot be written.
		if ((frame.key & KEY.flat) !== 0 && n < 4 && !(n === SEGMENT.cs)) return off;
		const at = segmentOffset(n);
		const { st } = frame;
		const wide = off.extU();
		const high = (write ? SEG.writeHigh : SEG.readHigh).of(st, at);
		this.leaveIf(
			SEG.low
				.of(st, at)
				.gtS(wide)
				.or(wide.add(bytes - 1).gtS(high)),
		);
		f.set(off, off.add(st.load("i32", at + SEG.base.offset)));
		return off;
	}

	private temporary(value: Ex): Local {
		const local = this.f.let(value);
		this.temporaries.push(local);
		return local;
	}

	/** VM memory offset of an access, and the check that all of it lies in a cached page. */
	private lookup(linear: Local, bytes: number, table: number, access: number): Ex {
		const { f, frame } = this;
		const { touch, addend } = frame;
		const entry = this.temporary(linear.wrap().shrU(8).and(0xfff0));
		const page = bytes === 1 ? linear.and(-4096) : linear.add(bytes - 1).and(-4096);
		// Where 64-bit code has run there may be entries that differ in the upper half only.
		const wide = (frame.key & (KEY.long | KEY.compatibility)) !== 0;
		const hits = wide
			? entry.load("i64", table + TLB.tag.offset).eq(page.extU())
			: entry.load("i32", table + TLB.tag.offset).eq(page);
		const near = (expected: number): Ex =>
			wide
				? hits.and(entry.load("i32", table + TLB.addend.offset).eq(expected))
				: entry.load("i64", table + TLB.addend.offset).eq(
						page
							.extU()
							.shl(32)
							.or(BigInt(expected >>> 0)),
					);
		const misses = (addend === undefined ? hits : near(addend)).eqz();
		f.if(misses, () => {
			if (touch) f.if(call(touch, frame.st, linear.extU(), bytes, access).eqz(), () => frame.leave(true));
			else frame.leave(true);
		});
		return linear.wrap().add(addend ?? entry.load("i32", table + TLB.addend.offset));
	}

	private tlb(write: boolean): number {
		const { key, tlbArea } = this.frame;
		const table = key & KEY.user ? TLB_TABLE.user : key & KEY.opened ? TLB_TABLE.opened : TLB_TABLE.supervisor;
		return tlbArea + (table + (write ? 1 : 0)) * TLB_BYTES;
	}

	loadMemory(segment: number | "operand", offset: Ex, width: Width, modify: boolean): { value: Local; place?: Place } {
		const { f } = this;
		const bytes = width / 8;
		const linear = this.linear(segment, offset, bytes, modify);
		const table = this.tlb(modify);
		const host = this.lookup(linear, bytes, table, modify ? ACCESS.modify : ACCESS.read);
		if (!modify) return { value: f.let(loadWidth(host, width, 0)) };
		const place = this.temporary(host);
		return { value: f.let(loadWidth(place, width, 0)), place: { host: place, linear } };
	}

	storeMemory(segment: number | "operand", offset: Ex, width: Width, value: Ex): void {
		const bytes = width / 8;
		const linear = this.linear(segment, offset, bytes, true);
		const table = this.tlb(true);
		storeWidth(this.f, this.lookup(linear, bytes, table, ACCESS.write), width, value);
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
		let valueA = values.print(a);
		const valueB = b && f.let(values.print(b));
		if (kind === "explicit" && mask !== ARITHMETIC_FLAGS) {
			valueA = (packed ?? this.packedFlags()).and(~mask).or(valueA);
		}
		f.set(frame.fa, frame.registers.typed(valueA));
		if (valueB) {
			f.set(frame.fb, frame.registers.typed(valueB));
			f.release(valueB);
		}
	}

	enterMmx(): void {
		assert(false, "MMX instructions are interpreted");
	}

	pure(): Callee {
		assert(false, "vectors are interpreted");
	}

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
