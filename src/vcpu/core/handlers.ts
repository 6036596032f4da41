import { assert } from "../../base/errors.ts";
import { FLAG_BITS, type Flag, type StateName, type Width } from "../../isa/expr.ts";
import type { Check } from "../../isa/family.ts";
import type { FloatFunction } from "../../isa/float.ts";
import type { Operand } from "../../isa/operand.ts";
import type { PureName } from "../../isa/pure.ts";
import { RBP, RSP, SEGMENT, VECTOR } from "../../isa/registers.ts";
import type { AccessWidth, FlagUpdate } from "../../isa/semantics.ts";
import type { Instance, InstructionTable } from "../../isa/table.ts";
import { type Callee, type Ex, i32, type Local } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import { emitInstruction, type FlagValuesPrinter, type Loaded, type Place, type Target } from "../emitter.ts";
import { ARITHMETIC_FLAGS, flagNumber } from "../flag-state.ts";
import { handlerIndex, SPECIAL_HANDLERS } from "../handler-index.ts";
import { ACCESS, F, GPRS, KEY, REC, SEG, STATUS, segmentOffset, TLB } from "../layout.ts";
import { typeOf } from "../print-expr.ts";
import { CR4, FSW } from "./control-bits.ts";
import type { Core } from "./core.ts";
import { commitFloatFlags, floatUnmasked } from "./float/exceptions.ts";
import { floatCallee } from "./float/packed.ts";
import { isCanonical, isReal, isV86, segmentAddress } from "./mode.ts";
import { FPU_ABSENT } from "./x87/state.ts";

/** Prints one handler per instance into the core and puts all of them into the table, with gaps where no instance has an id. */
export function defineHandlers(core: Core, table: InstructionTable): void {
	const special = (name: string, vector: number): ReturnType<Core["define"]> =>
		core.define(name, ["i32", "i32"], ["i32"], (f) => f.return(call(core.fn("raise"), f.param(0), vector, 0)));
	core.m.element(SPECIAL_HANDLERS.undefined, [special("undefined", VECTOR.UD), special("tooLong", VECTOR.GP)]);
	for (const instance of table.instances) {
		const handler = core.define(handlerName(instance), ["i32", "i32"], ["i32"], (f) => {
			const target = new InterpreterTarget(core, f, instance);
			emitInstruction(instance, target, (loads, highs) => {
				target.loads = loads;
				target.highs = highs;
			});
		});
		core.m.element(handlerIndex(instance), [handler]);
	}
}

function handlerName({ form, size, rm }: Instance): string {
	return `${form.family.name} ${form.encoding.text} ${form.sized ? size : ""} ${rm === "none" ? "" : rm}`.trim();
}

/** Operands come from the predecoded record; registers, flags and segments from the state. */
class InterpreterTarget implements Target {
	readonly f: FunctionBuilder;
	loads: Local[] = [];
	/** Upper halves of {@link loads}. */
	highs: (Local | undefined)[] = [];
	private readonly core: Core;
	private readonly instance: Instance;
	private readonly st: Local;
	private readonly rec: Local;
	/** stopNext once a store asked for it. */
	private stop: Local | undefined;

	constructor(core: Core, f: FunctionBuilder, instance: Instance) {
		this.core = core;
		this.f = f;
		this.instance = instance;
		this.st = f.param(0);
		this.rec = f.param(1);
	}

	private fn(name: string): ReturnType<Core["fn"]> {
		return this.core.fn(name);
	}

	check(check: Check): void {
		const { f, st } = this;
		const raise = (vector: number): void => f.return(call(this.fn("raise"), st, vector, 0));
		switch (check) {
			case "protected":
				f.if(isReal(st), () => raise(VECTOR.UD));
				return;
			case "cpl0":
				f.if(F.cpl.of(st).ne(0), () => raise(VECTOR.GP));
				return;
			case "v86iopl":
				f.if(isV86(st).and(F.eflags.of(st).and(0x3000).ne(0x3000)), () => raise(VECTOR.GP));
				return;
			case "umip": {
				const kept = F.cr4.of(st).wrap().and(CR4.umip).ne(0);
				f.if(kept.and(F.cpl.of(st).ne(0)), () => raise(VECTOR.GP));
				return;
			}
			case "only64":
			case "not64": {
				const long = F.modeKey.of(st).and(KEY.long);
				f.if(check === "only64" ? long.eqz() : long.ne(0), () => raise(VECTOR.UD));
				return;
			}
			case "fpuNoWait":
				f.if(F.cr0.of(st).wrap().and(FPU_ABSENT).ne(0), () => raise(VECTOR.NM));
				return;
			case "fpu": {
				const absent = F.cr0.of(st).wrap().and(FPU_ABSENT);
				f.if(absent.or(F.fsw.of(st).and(FSW.summary)).ne(0), () => f.check(call(this.fn("fpuWait"), st)));
				return;
			}
			case "sse":
				f.check(call(this.fn("checkSse"), st));
				return;
			case "avx":
				f.check(call(this.fn("checkAvx"), st));
				return;
			case "mmx":
				f.check(call(this.fn("checkMmx"), st));
				return;
		}
	}

	enterMmx(): void {
		this.f.drop(call(this.fn("enterMmx"), this.st));
	}

	float(name: FloatFunction, args: readonly Ex[]): Ex {
		return call(this.fn(floatCallee(name)), this.st, ...args);
	}

	beginFloat(): void {
		F.floatRaised.set(this.f, this.st, 0);
	}

	endFloat(): void {
		this.f.if(floatUnmasked(this.st), () => this.f.return(call(this.fn("floatFault"), this.st)));
	}

	commitFloat(): void {
		commitFloatFlags(this.f, this.st);
	}

	pure(name: PureName): Callee {
		return this.fn(`pure_${name}`);
	}

	private registerAddress(operand: Operand): { address: Ex; offset: number } {
		switch (operand.kind) {
			case "rm":
			case "opcodeReg":
				return { address: this.st.add(this.rec.load("i32_16u", REC.rm)), offset: 0 };
			case "reg":
				return { address: this.st.add(this.rec.load("i32_16u", REC.reg)), offset: 0 };
			case "vvvv":
				return { address: this.st.add(this.rec.load("i32_16u", REC.immediate2)), offset: 0 };
			case "selector":
				return { address: this.st.add(this.rec.load("i32", REC.immediate)), offset: 0 };
			case "fixed":
				return {
					address: this.st,
					offset: operand.bank === "vector" ? F.ymm.offset + operand.register * 32 : GPRS + operand.register * 8,
				};
			default:
				assert(false, `operand ${operand.code} is no register`);
		}
	}

	readRegister(operand: Operand, width: Width, half?: 1): Ex {
		if (operand.kind === "sreg") {
			return SEG.selector.of(segmentAddress(this.st, this.rec.load("i32_16u", REC.reg)));
		}
		if (operand.kind === "fixedSegment") return SEG.selector.of(this.st, segmentOffset(operand.register));
		const { address, offset } = this.registerAddress(operand);
		return loadWidth(address, width, offset + (half ? 16 : 0));
	}

	writeRegister(operand: Operand, value: Ex, width: Width, high: Ex | undefined): void {
		const { f } = this;
		const { address, offset } = this.registerAddress(operand);
		if (operand.bank === "general") {
			storeRegister(f, address, width, value, offset);
			return;
		}
		storeWidth(f, address, width, value, offset);
		// The exponent of an MMX register is all ones (SDM 1 9.2).
		if (operand.bank === "mmx") f.store("i32_16", address, 0xffff, offset + 8);
		if (high) f.store("v128", address, high, offset + 16);
	}

	register(register: number, width: Width, high: boolean): Ex {
		return loadWidth(this.st, width, GPRS + register * 8 + (high ? 1 : 0));
	}

	setRegister(register: number, width: Width, high: boolean, value: Ex): void {
		storeRegister(this.f, this.st, width, value, GPRS + register * 8 + (high ? 1 : 0));
	}

	load(index: number, _width: Width, half?: 1): Ex {
		const local = half ? this.highs[index] : this.loads[index];
		assert(local, "load");
		return local;
	}

	immediate(operand: number, width: Width): Ex {
		const { operands } = this.instance;
		const first = operands.findIndex((candidate) => candidate.immediateBytes > 0) === operand;
		if (!first) return this.rec.load("i32_16u", REC.immediate2);
		if (width === 64) return this.rec.load("i64", REC.immediate);
		return width === 8
			? this.rec.load("i32_8u", REC.immediate)
			: this.rec.load(width === 16 ? "i32_16u" : "i32", REC.immediate);
	}

	flag(flag: Flag): Ex {
		const pair = { of: 0, cf: 1, zf: 2, sf: 4, pf: 5, af: -1 }[flag];
		if (pair >= 0) return call(this.fn(`condition${pair}`), this.st);
		return call(this.fn("arithmeticFlags"), this.st).shrU(FLAG_BITS.af).and(1);
	}

	condition(code: number): Ex {
		const value = call(this.fn(`condition${code >> 1}`), this.st);
		return code & 1 ? value.xor(1) : value;
	}

	nextIp(width: Width): Ex {
		const next = call(this.fn("nextIp"), this.st, this.rec);
		return width === 64 ? next : width === 32 ? next.wrap() : next.wrap().and(0xffff);
	}

	effectiveAddress(): Ex {
		const { st, rec } = this;
		const base = st.add(rec.load("i32_16u", REC.base)).load("i64");
		const index = st.add(rec.load("i32_16u", REC.index)).load("i64");
		return base
			.add(index.shl(rec.load("i64_8u", REC.scale)))
			.add(rec.load("i64_32s", REC.displacement))
			.and(this.addressMask());
	}

	segment(): Ex {
		return this.rec.load("i32_8u", REC.segment);
	}

	registerNumber(operand: number): Ex {
		const found = this.instance.operands[operand];
		assert(found, "operand");
		if (found.kind === "fixed" || found.kind === "fixedSegment") return i32(found.register);
		if (found.bank !== "general") {
			const field = this.rec.load("i32_16u", found.kind === "reg" ? REC.reg : REC.rm);
			return found.bank === "mmx" ? field.sub(F.fpr.offset).shrU(4) : field.sub(F.ymm.offset).shrU(5);
		}
		const isReg = found.kind === "reg" || found.kind === "sreg" || found.kind === "creg" || found.kind === "dreg";
		const field = this.rec.load("i32_16u", isReg ? REC.reg : REC.rm);
		if (found.kind === "sreg" || found.kind === "creg" || found.kind === "dreg") return field;
		const number = field.sub(GPRS).shrU(3);
		// The odd offsets are those of AH, CH, DH and BH: 4 to 7.
		return found.width === 8 ? number.add(field.and(1).shl(2)) : number;
	}

	addressSize(): Ex {
		return i32(2).shl(this.rec.load("i32_8u", REC.addressSize).shrU(3));
	}

	addressMask(): Ex {
		return this.st.add(this.rec.load("i32_8u", REC.addressSize)).load("i64", F.masks.offset);
	}

	repeat(): Ex {
		return this.rec.load("i32_16u", REC.immediate2);
	}

	state(name: StateName, width: Width): Ex {
		const value = {
			cr0: () => F.cr0.of(this.st).wrap(),
			cpl: () => F.cpl.of(this.st),
			mxcsr: () => F.mxcsr.of(this.st),
			ldtrSelector: () => this.st.load("i32", segmentOffset(SEGMENT.ldtr) + SEG.selector.offset),
			trSelector: () => this.st.load("i32", segmentOffset(SEGMENT.tr) + SEG.selector.offset),
		}[name]();
		return width === 64 ? value.extU() : width === 32 ? value : value.and(width === 16 ? 0xffff : 0xff);
	}

	operandOffset(operand: Operand): Ex {
		return operand.kind === "offset" ? this.rec.load("i64", REC.immediate) : this.effectiveAddress();
	}

	/** Checks the segment and gives the linear address. */
	private linear(segment: number | "operand", offset: Ex, bytes: number, write: boolean, aligned = false): Local {
		const { f, st, rec } = this;
		const at = segment === "operand" ? f.let(st.add(rec.load("i32_16u", REC.segmentOffset))) : st;
		const delta = segment === "operand" ? 0 : segmentOffset(segment);
		const off = f.let(offset);
		const high = (write ? SEG.writeHigh : SEG.readHigh).of(at, delta);
		f.if(
			SEG.low
				.of(at, delta)
				.gtS(off)
				.or(off.add(bytes - 1).gtS(high)),
			() => {
				const number = segment === "operand" ? rec.load("i32_8u", REC.segment) : i32(segment);
				f.return(call(this.fn("segmentFault"), st, number));
			},
		);
		const linear = f.let(SEG.start.of(at, delta).add(off).and(F.linearMask.of(st)));
		f.release(off);
		if (aligned)
			f.if(
				linear
					.wrap()
					.and(bytes - 1)
					.ne(0),
				() => f.return(call(this.fn("raise"), st, VECTOR.GP, 0)),
			);
		return linear;
	}

	/** Access bits that say whether it is an access through SS. */
	private accessThrough(segment: number | "operand", access: number): Ex {
		if (segment !== "operand") return i32(segment === SEGMENT.ss ? access | ACCESS.stack : access);
		return this.rec.load("i32_8u", REC.segment).eq(SEGMENT.ss).mul(ACCESS.stack).or(access);
	}

	private entry(linear: Ex, table: Ex): Ex {
		return table.add(linear.wrap().shrU(8).and(0xfff0));
	}

	loadMemory(segment: number | "operand", offset: Ex, width: AccessWidth, modify: boolean, aligned?: boolean): Loaded {
		if (segment === "operand" && width >= 128 && !modify) return this.loadVector(width, aligned === true);
		return this.loadInline(segment, offset, width, modify, aligned);
	}

	/** A vector from the memory operand, by a function that all such handlers share: inline it would be most of their code. */
	private loadVector(width: AccessWidth, aligned: boolean): Loaded {
		const { core, f, st } = this;
		const name = `loadVector${width}${aligned ? "Aligned" : ""}`;
		if (!core.has(name)) {
			core.define(name, ["i32", "i32"], ["i32"], (shared) => {
				const target = new InterpreterTarget(core, shared, this.instance);
				const { value, high } = target.loadInline("operand", target.effectiveAddress(), width, false, aligned);
				shared.store("v128", target.st, value, F.data.offset);
				if (high) shared.store("v128", target.st, high, F.data.offset + 16);
				shared.return(STATUS.next);
			});
		}
		f.check(call(this.fn(name), st, this.rec));
		const value = f.let(loadWidth(st, 128, F.data.offset));
		return width === 256 ? { value, high: f.let(loadWidth(st, 128, F.data.offset + 16)) } : { value };
	}

	private loadInline(
		segment: number | "operand",
		offset: Ex,
		width: AccessWidth,
		modify: boolean,
		aligned?: boolean,
	): Loaded {
		const { f, st, rec } = this;
		const bytes = width / 8;
		const linear = this.linear(segment, offset, bytes, modify, aligned);
		const entry = f.let(this.entry(linear, (modify ? F.tlbWrite : F.tlbRead).of(st)));
		const half = width === 256 ? 128 : width;
		const value = f.local(typeOf(half));
		const high = width === 256 ? f.local("v128") : undefined;
		const host = f.local("i32", 0);
		f.if(
			TLB.tag.of(entry).eq(linear.add(bytes - 1).and(-4096)),
			() => {
				f.set(host, TLB.addend.of(entry).add(linear.wrap()));
				f.set(value, loadWidth(host, half, 0));
				if (high) f.set(high, loadWidth(host, 128, 16));
			},
			() => {
				const access = this.accessThrough(segment, modify ? ACCESS.modify : ACCESS.read);
				f.check(call(this.fn("load"), st, rec, linear, bytes, access));
				f.set(value, loadWidth(st, half, F.data.offset));
				if (high) f.set(high, loadWidth(st, 128, F.data.offset + 16));
			},
		);
		f.release(entry);
		if (high) return { value, high };
		return modify ? { value, place: { host, linear } } : { value };
	}

	private slowStore(segment: number | "operand", linear: Ex, width: Width, value: Ex, high?: Ex): void {
		const { f, st, rec } = this;
		this.stop ??= f.local("i32", 0);
		const stop = this.stop;
		f.store(typeOf(width), st, value, F.data.offset);
		if (high) f.store("v128", st, high, F.data.offset + 16);
		const access = this.accessThrough(segment, ACCESS.write);
		f.set(stop, call(this.fn("store"), st, rec, linear, high ? 32 : width / 8, access));
		f.if(stop.eq(STATUS.stopHere), () => f.return(STATUS.stopHere));
	}

	storeMemory(segment: number | "operand", offset: Ex, width: Width, value: Ex, aligned?: boolean, high?: Ex): void {
		const { f, st } = this;
		const bytes = high ? 32 : width / 8;
		const linear = this.linear(segment, offset, bytes, true, aligned);
		const entry = f.let(this.entry(linear, F.tlbWrite.of(st)));
		this.stop ??= f.local("i32", 0);
		f.if(
			TLB.tag.of(entry).eq(linear.add(bytes - 1).and(-4096)),
			() => {
				const host = TLB.addend.of(entry).add(linear.wrap());
				storeWidth(f, host, width, value);
				if (high) f.store("v128", host, high, 16);
			},
			() => this.slowStore(segment, linear, width, value, high),
		);
		f.release(entry, linear);
	}

	storePlace(place: Place, width: Width, value: Ex): void {
		this.stop ??= this.f.local("i32", 0);
		this.f.if(
			place.host.ne(0),
			() => storeWidth(this.f, place.host, width, value),
			// The load found the address canonical: which segment it came through does not matter any more.
			() => this.slowStore(SEGMENT.ds, place.linear, width, value),
		);
	}

	private gpr(register: number): Ex {
		return this.st.load("i64", GPRS + register * 8);
	}

	stackOffset(delta: number): Ex {
		return this.gpr(RSP).add(delta).and(F.stackMask.of(this.st));
	}

	frameOffset(): Ex {
		return this.gpr(RBP).and(F.stackMask.of(this.st));
	}

	probeStack(bytes: number): void {
		const linear = this.linear(SEGMENT.ss, this.stackOffset(-bytes), bytes, true);
		this.f.check(call(this.fn("probe"), this.st, linear, bytes, ACCESS.write | ACCESS.stack));
		this.f.release(linear);
	}

	moveStack(delta: number, extra: Ex | undefined, fromFrame: boolean): void {
		const { f, st } = this;
		const mask = f.let(F.stackMask.of(st));
		let moved = this.gpr(fromFrame ? RBP : RSP).add(delta);
		if (extra) moved = moved.add(extra.extU());
		f.store("i64", st, this.gpr(RSP).and(mask.not()).or(moved.and(mask)), GPRS + RSP * 8);
		f.release(mask);
	}

	setFlags(update: FlagUpdate, values: FlagValuesPrinter): void {
		const { f } = this;
		const when = update.when && f.let(values.print(update.when));
		if (!when) {
			this.storeFlags(update, values);
			return;
		}
		f.if(when, () => values.conditional(() => this.storeFlags(update, values)));
	}

	private storeFlags({ kind, width, a, b, mask }: FlagUpdate, values: FlagValuesPrinter): void {
		const { f, st } = this;
		let valueA: Ex = f.let(values.print(a));
		const valueB = b && f.let(values.print(b));
		if (kind === "explicit" && mask !== ARITHMETIC_FLAGS) {
			valueA = f.let(call(this.fn("arithmeticFlags"), st).and(~mask).or(valueA));
		}
		f.store(valueA.type === "i64" ? "i64" : "i32", st, valueA, F.flagA.offset);
		if (valueB) f.store(valueB.type === "i64" ? "i64" : "i32", st, valueB, F.flagB.offset);
		F.flagKind.set(f, st, flagNumber(kind, width));
	}

	fault(vector: number, errorCode: number | undefined, when: Ex | undefined): void {
		const raise = (): void => this.f.return(call(this.fn("raise"), this.st, vector, errorCode ?? 0));
		if (when) this.f.if(when, raise);
		else raise();
	}

	jump(target: Ex, width: Width, when: Ex | undefined, commit: () => void): void {
		const { f, st } = this;
		const ip = f.let(width === 64 ? target : target.extU());
		// Jumps of 64 bits are those of 64-bit mode, where targets must be canonical and nothing else.
		const high = st.load("i64", segmentOffset(SEGMENT.cs) + SEG.fetchHigh.offset);
		const beyond = width === 64 ? isCanonical(st, ip).eqz() : ip.gtS(high);
		f.if(when ? beyond.and(when) : beyond, () => f.return(call(this.fn("raise"), st, VECTOR.GP, 0)));
		commit();
		const go = (): void => {
			F.rip.set(f, st, ip);
			f.return(STATUS.branch);
		};
		if (!when) {
			go();
			return;
		}
		f.if(when, go);
		f.return(STATUS.next);
	}

	helper(name: string, args: readonly Ex[]): void {
		this.f.return(call(this.fn(`helper_${name}`), this.st, this.rec, ...args));
	}

	done(stored: boolean): void {
		this.f.return(stored && this.stop ? this.stop : STATUS.next);
	}
}

/** A value of `width` bits from memory, zero-extended over its WebAssembly type. */
export function loadWidth(address: Ex, width: Width, offset: number): Ex {
	if (width === 128) return address.load("v128", offset);
	return address.load(width === 64 ? "i64" : width === 32 ? "i32" : width === 16 ? "i32_16u" : "i32_8u", offset);
}

export function storeWidth(f: FunctionBuilder, address: Ex, width: Width, value: Ex, offset = 0): void {
	if (width === 128) f.store("v128", address, value, offset);
	else f.store(width === 64 ? "i64" : width === 32 ? "i32" : width === 16 ? "i32_16" : "i32_8", address, value, offset);
}

/** Writes to a register: 32 bits clear the upper half (SDM 1 3.4.1.1), fewer leave the rest alone. */
function storeRegister(f: FunctionBuilder, address: Ex, width: Width, value: Ex, offset: number): void {
	if (width === 32) f.store("i64", address, value.extU(), offset);
	else storeWidth(f, address, width, value, offset);
}
