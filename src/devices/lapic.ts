import type { AccessSize, Clock, Device, IrqLine } from "../bus/device.ts";
import {
	type ApicBus,
	type ApicMessage,
	type ApicNode,
	FIXED,
	INIT,
	LOWEST_PRIORITY,
	NMI,
	SMI,
	STARTUP,
} from "./lapic-bus.ts";
import { commandOf } from "./lapic-command.ts";
import { ApicInterrupts, type ApicInterruptsState } from "./lapic-interrupts.ts";
import {
	type LocalEffects,
	type LocalVectorState,
	LocalVectors,
	LVT_ERROR,
	LVT_LINT0,
	LVT_LINT1,
	LVT_TIMER,
} from "./lapic-local-vectors.ts";
import type { ApicProcessor, ExternalInterrupts } from "./lapic-processor.ts";
import {
	APR,
	BASE_ENABLE,
	CURRENT_COUNT,
	DFR,
	DIVIDE,
	EOI,
	ESR,
	FIRST_VECTOR,
	ICR_HIGH,
	ICR_LOW,
	ICR_WRITABLE,
	ID,
	ILLEGAL_REGISTER,
	INITIAL_COUNT,
	isReadOnly,
	LAPIC_ADDRESS,
	LDR,
	LVT,
	PAGE_BYTES,
	PPR,
	RECEIVE_ILLEGAL_VECTOR,
	SELF_IPI,
	SEND_ILLEGAL_VECTOR,
	SVR,
	SVR_ENABLE,
	SVR_SUPPRESS_BROADCAST,
	SVR_WRITABLE,
	TPR,
	VERSION,
	VERSION_VALUE,
} from "./lapic-registers.ts";
import { isAddressed, isExtended, type LapicRegisters, lapicPowerOn, logicalId } from "./lapic-state.ts";
import { LapicTimer, type LapicTimerState, type TimeStamp } from "./lapic-timer.ts";
import { isReadableInX2apic, writableInX2apic, X2APIC_FIRST_MSR } from "./lapic-x2apic.ts";

export interface LapicState extends LapicRegisters, ApicInterruptsState {
	local: LocalVectorState;
	timer: LapicTimerState;
}

/**
 * A processor's local APIC (SDM 3A chapter 11), in xAPIC mode behind its register page, in x2APIC mode behind model-specific registers:
 * its timer, LINT0 and LINT1, and the choice between its own interrupts and the 8259's.
 * Stores beyond the page, in 0xFEExxxxx, are message-signalled interrupts.
 * As with QEMU and KVM, the bootstrap processor's LINT0 passes the 8259's interrupts after reset.
 */
export class LocalApic implements Device<LapicState>, ApicNode {
	readonly name = "lapic";
	readonly sizes: readonly AccessSize[] = [4];
	/** The 8259's INTR. */
	readonly lint0: IrqLine = { set: (high) => this.setPin(LVT_LINT0, high) };
	/** NMI. */
	readonly lint1: IrqLine = { set: (high) => this.setPin(LVT_LINT1, high) };

	private readonly initialId: number;
	private readonly bootstrap: boolean;
	private readonly bus: ApicBus;
	private readonly cpu: ApicProcessor;
	private readonly pic: ExternalInterrupts | undefined;
	private readonly moved: ((address: number | undefined) => void) | undefined;
	private readonly local: LocalVectors;
	private readonly timer: LapicTimer;
	private readonly interrupts = new ApicInterrupts();
	private state: LapicRegisters;

	/**
	 * @param parts `moved` is told where the register page is when software moves it or switches it off (undefined)
	 */
	constructor(parts: {
		id: number;
		bootstrap: boolean;
		clock: Clock;
		timeStamp: TimeStamp;
		bus: ApicBus;
		cpu: ApicProcessor;
		pic?: ExternalInterrupts;
		moved?: (address: number | undefined) => void;
	}) {
		this.initialId = parts.id;
		this.bootstrap = parts.bootstrap;
		this.bus = parts.bus;
		this.cpu = parts.cpu;
		this.pic = parts.pic;
		this.moved = parts.moved;
		const effects: LocalEffects = {
			accept: (vector, level) => this.accept(vector, level),
			smi: () => this.cpu.smi(),
			nmi: () => this.cpu.nmi(),
			init: () => this.initialiseAll(),
		};
		this.local = new LocalVectors(effects, parts.bootstrap);
		this.timer = new LapicTimer(parts.clock, parts.timeStamp, () => this.local.strike(LVT_TIMER));
		this.state = this.powerOn();
		parts.bus.attach(this);
	}

	/** Whether the processor shall be interrupted when it can be: by the 8259 or by this APIC. */
	hasInterrupt(): boolean {
		return this.externalPending() || this.deliverable() >= 0;
	}

	/**
	 * The processor takes the interrupt: the 8259's first, as its line bypasses priorities.
	 * @returns the vector; the spurious vector when none is pending any more
	 */
	acknowledge(): number {
		if (this.pic !== undefined && this.externalPending()) return this.pic.acknowledge();
		const vector = this.deliverable();
		if (vector < 0) return this.state.svr & 0xff;
		this.interrupts.serve(vector);
		this.updateInterrupt();
		return vector;
	}

	/** IA32_APIC_BASE. */
	get base(): number {
		return this.state.base;
	}

	/** Sets IA32_APIC_BASE; the processor has seen to it that the value is one (SDM 3A 11.4.4, 11.12.5). */
	set base(value: number) {
		const { enabled: wasEnabled, extended: wasExtended } = this;
		this.state.base = value;
		// Once off, the APIC comes back as after reset (SDM 3A 11.4.3); x2APIC mode has the ID of the start (11.12.5.1).
		if (wasEnabled && !this.enabled) this.initialise();
		if (!this.enabled || (this.extended && !wasExtended)) this.state.id = this.initialId;
		this.moved?.(this.address);
		this.updateInterrupt();
	}

	/** IA32_TSC_DEADLINE. */
	get deadline(): bigint {
		return this.timer.deadline;
	}

	set deadline(value: bigint) {
		this.timer.deadline = value;
	}

	/** The guest has set its time-stamp counter. */
	timeStampSet(): void {
		this.timer.timeStampSet();
	}

	/** Reads a register of x2APIC mode; undefined where RDMSR faults. */
	readMsr(index: number): bigint | undefined {
		const register = index - X2APIC_FIRST_MSR;
		if (!this.extended || !isReadableInX2apic(register)) return undefined;
		const high = register === ICR_LOW ? BigInt(this.state.icrHigh) << 32n : 0n;
		return high | BigInt((this.readRegister(register) ?? 0) >>> 0);
	}

	/** Writes a register of x2APIC mode; false where WRMSR faults. */
	writeMsr(index: number, value: bigint): boolean {
		const register = index - X2APIC_FIRST_MSR;
		const writable = writableInX2apic(register);
		if (!this.extended || writable === undefined) return false;
		const low = Number(value & 0xffff_ffffn);
		const high = Number(value >> 32n);
		if ((low & ~writable) !== 0 || (high !== 0 && register !== ICR_LOW)) return false;
		if (register === ICR_LOW) this.state.icrHigh = high;
		this.writeRegister(register, low);
		return true;
	}

	/** Where the register page is, or undefined while there is none: the APIC is off, or in x2APIC mode. */
	get address(): number | undefined {
		return this.enabled && !this.extended ? this.state.base - (this.state.base % PAGE_BYTES) : undefined;
	}

	/** CR8: task priority bits 7:4. */
	get cr8(): number {
		return this.state.tpr >> 4;
	}

	set cr8(value: number) {
		this.setTaskPriority((value & 15) << 4);
		this.updateInterrupt();
	}

	get priority(): number {
		return this.ppr;
	}

	matches(destination: number, logical: boolean): boolean {
		return this.enabled && isAddressed(this.state, destination, logical);
	}

	deliver(message: ApicMessage): void {
		if (!this.enabled) return;
		switch (message.mode) {
			case FIXED:
			case LOWEST_PRIORITY:
				this.accept(message.vector, message.level);
				break;
			case SMI:
				this.cpu.smi();
				break;
			case NMI:
				this.cpu.nmi();
				break;
			case INIT:
				this.initialiseAll();
				break;
			case STARTUP:
				this.cpu.startup(message.vector);
				break;
			default:
				// ExtINT comes over LINT0 only.
				break;
		}
	}

	read(offset: number): number {
		// Registers are 32 bits at multiples of 16.
		if (offset >= PAGE_BYTES || (offset & 0xc) !== 0) return 0;
		const value = this.readRegister(offset >> 4);
		if (value === undefined) this.raiseError(ILLEGAL_REGISTER);
		return (value ?? 0) >>> 0;
	}

	private readRegister(register: number): number | undefined {
		const { state } = this;
		const word = this.interrupts.read(register);
		if (word !== undefined) return word;
		if (register >= LVT && register < INITIAL_COUNT) return this.local.read(register - LVT);
		switch (register) {
			case ID:
				return this.extended ? state.id : state.id << 24;
			case VERSION:
				return VERSION_VALUE;
			case TPR:
				return state.tpr;
			case APR:
			case PPR:
				return this.ppr;
			case EOI:
				return 0;
			case LDR:
				return this.extended ? logicalId(state) : state.ldr << 24;
			case DFR:
				return state.dfr;
			case SVR:
				return state.svr;
			case ESR:
				return state.esr;
			case ICR_LOW:
				return state.icrLow;
			case ICR_HIGH:
				return state.icrHigh << 24;
			case INITIAL_COUNT:
				return this.timer.initial;
			case CURRENT_COUNT:
				return this.timer.current;
			case DIVIDE:
				return this.timer.divide;
			default:
				return undefined;
		}
	}

	write(offset: number, _size: AccessSize, value: number): void {
		if (offset >= PAGE_BYTES) {
			this.bus.messageSignalled(LAPIC_ADDRESS + offset, value);
			return;
		}
		if ((offset & 0xc) === 0) this.writeRegister(offset >> 4, value);
	}

	private writeRegister(register: number, value: number): void {
		const { state } = this;
		if (register >= LVT && register < INITIAL_COUNT) this.writeLvt(register - LVT, value);
		else {
			switch (register) {
				case ID:
					state.id = value >>> 24;
					break;
				case TPR:
					this.setTaskPriority(value & 0xff);
					break;
				case EOI:
					this.endOfInterrupt();
					break;
				case LDR:
					state.ldr = value >>> 24;
					break;
				case DFR:
					state.dfr = (value | 0x0fff_ffff) >>> 0;
					break;
				case SVR:
					this.writeSvr(value);
					break;
				case ESR:
					state.esr = state.errors;
					state.errors = 0;
					break;
				case ICR_LOW:
					state.icrLow = value & ICR_WRITABLE;
					this.send();
					break;
				case ICR_HIGH:
					state.icrHigh = value >>> 24;
					break;
				case INITIAL_COUNT:
					this.timer.initial = value;
					break;
				case DIVIDE:
					this.timer.divide = value;
					break;
				case SELF_IPI:
					if (this.extended) this.sendToSelf(value & 0xff);
					else this.raiseError(ILLEGAL_REGISTER);
					break;
				default:
					if (!isReadOnly(register)) this.raiseError(ILLEGAL_REGISTER);
					break;
			}
		}
		this.updateInterrupt();
	}

	reset(): void {
		this.state = this.powerOn();
		this.resetParts();
		this.cpu.taskPriority(0);
		this.moved?.(this.address);
		this.updateInterrupt();
	}

	save(): LapicState {
		return {
			...this.state,
			...this.interrupts.save(),
			local: this.local.save(),
			timer: this.timer.save(),
		};
	}

	load(state: LapicState): void {
		const { isr, tmr, irr, local, timer, ...registers } = state;
		this.state = registers;
		this.interrupts.load({ isr, tmr, irr });
		this.local.load(local);
		this.timer.load(timer);
		this.cpu.taskPriority(this.state.tpr >> 4);
		this.moved?.(this.address);
		this.updateInterrupt();
	}

	private powerOn(): LapicRegisters {
		return lapicPowerOn(this.initialId, this.bootstrap);
	}

	/** After INIT: as after reset, but for the ID and where the registers are (SDM 3A 11.4.7.3). */
	private initialise(): void {
		const { id, base } = this.state;
		this.state = { ...this.powerOn(), id, base };
		this.resetParts();
		this.cpu.taskPriority(0);
		this.updateInterrupt();
	}

	/** INIT: the APIC and its processor. */
	private initialiseAll(): void {
		this.initialise();
		this.cpu.init();
	}

	private resetParts(): void {
		this.interrupts.clear();
		this.local.reset();
		this.timer.reset();
	}

	/** x2APIC mode. */
	private get extended(): boolean {
		return isExtended(this.state);
	}

	private setTaskPriority(value: number): void {
		this.state.tpr = value;
		this.cpu.taskPriority(value >> 4);
	}

	/** The global switch in IA32_APIC_BASE. */
	private get enabled(): boolean {
		return (this.state.base & BASE_ENABLE) !== 0;
	}

	private get ppr(): number {
		return this.interrupts.priority(this.state.tpr);
	}

	/** The vector to deliver now, or -1. */
	private deliverable(): number {
		if (!this.enabled || (this.state.svr & SVR_ENABLE) === 0) return -1;
		return this.interrupts.deliverable(this.state.tpr);
	}

	/** Whether the 8259 asks and its line gets through: the APIC is off, or LINT0 is in ExtINT mode and not masked. */
	private externalPending(): boolean {
		if (this.pic === undefined || !this.pic.hasInterrupt()) return false;
		return !this.enabled || this.local.passesExternal;
	}

	private accept(vector: number, level: boolean): void {
		if (vector < FIRST_VECTOR) {
			this.raiseError(RECEIVE_ILLEGAL_VECTOR);
			return;
		}
		// Software-disabled, it takes no interrupts in (SDM 3A 11.4.7.2).
		if ((this.state.svr & SVR_ENABLE) === 0) return;
		this.interrupts.request(vector, level);
		this.updateInterrupt();
	}

	private endOfInterrupt(): void {
		const vector = this.interrupts.end();
		if (vector < 0) return;
		this.local.served(vector);
		if ((this.state.svr & SVR_SUPPRESS_BROADCAST) === 0) this.bus.endOfInterrupt(vector);
	}

	private writeLvt(entry: number, value: number): void {
		this.local.write(entry, value, (this.state.svr & SVR_ENABLE) !== 0);
		if (entry === LVT_TIMER) this.configureTimer();
	}

	private writeSvr(value: number): void {
		this.state.svr = value & SVR_WRITABLE;
		if (this.state.svr & SVR_ENABLE) return;
		this.local.maskAll();
		this.configureTimer();
	}

	private configureTimer(): void {
		const { mode, masked } = this.local.timer;
		this.timer.configure(mode, masked);
	}

	private setPin(pin: typeof LVT_LINT0 | typeof LVT_LINT1, high: boolean): void {
		this.local.setPin(pin, high, this.enabled);
		this.updateInterrupt();
	}

	/** Sends what the interrupt command register says. */
	private send(): void {
		const command = commandOf(this.state.icrLow, this.state.icrHigh, this.extended);
		switch (command.to) {
			case "self":
				this.accept(command.vector, false);
				break;
			case "all":
				this.bus.broadcast(command.message, undefined);
				break;
			case "others":
				this.bus.broadcast(command.message, this);
				break;
			case "destination":
				this.bus.send(command.message);
				break;
			default:
				if (command.error !== 0) this.raiseError(command.error);
				break;
		}
	}

	private sendToSelf(vector: number): void {
		if (vector < FIRST_VECTOR) this.raiseError(SEND_ILLEGAL_VECTOR);
		else this.accept(vector, false);
	}

	private raiseError(error: number): void {
		const isNew = (this.state.errors & error) === 0;
		this.state.errors |= error;
		if (isNew && (this.local.read(LVT_ERROR) & 0xff) >= FIRST_VECTOR) this.local.strike(LVT_ERROR);
	}

	private updateInterrupt(): void {
		this.cpu.interrupt.set(this.hasInterrupt());
	}
}
