import type { AccessSize, Clock, Device, IrqLine } from "../bus/device.ts";
import { HPET_TICK_NS, HpetTimer, type HpetTimerState } from "./hpet-timer.ts";

/** Where an HPET is on a PC. */
export const HPET_ADDRESS = 0xfed0_0000;
const HPET_TIMERS = 3;
/** Revision 1, three timers, 64 bits, legacy replacement, vendor 8086. */
export const HPET_ID = 0x8086_a201;

const FEMTOSECONDS_PER_NS = 1_000_000;
/** Inputs of the I/O APIC that timers may be routed to, as on QEMU's `pc`: 2. */
const ROUTES = 1 << 2;

/** Offsets (IA-PC HPET 1.0a, 2.3). */
const CAPABILITIES = 0x000;
const PERIOD = 0x004;
const CONFIGURATION = 0x010;
const STATUS = 0x020;
const COUNTER = 0x0f0;
const TIMERS = 0x100;
const TIMER_BYTES = 0x20;

const RUNNING = 1 << 0;
const LEGACY = 1 << 1;
const LOW = 0xffff_ffffn;

export interface HpetState {
	configuration: number;
	status: number;
	/** The counter while it stands, and what it is ahead of guest time's ticks while it runs; decimal. */
	counter: string;
	ahead: string;
	/** Levels of the timers' edges, a bit each. */
	edges: number;
	/** Levels of the interrupts that pass through: bit 0 the PIT's, bit 1 the RTC's. */
	passing: number;
	timers: HpetTimerState[];
}

/** Where an HPET's interrupts go. */
export interface HpetLines {
	/** ISA interrupt 0: timer 0 in legacy replacement, otherwise the PIT. */
	readonly timer: IrqLine;
	/** ISA interrupt 8: timer 1 in legacy replacement, otherwise the real-time clock. */
	readonly rtc: IrqLine;
	/** Input 2 of the I/O APIC. */
	readonly pin: IrqLine;
}

const PIN = 2;
const OUTPUTS = ["timer", "rtc", "pin"] as const;

/**
 * A high precision event timer (IA-PC HPET 1.0a): a 64-bit counter of 10 ns ticks and three timers, each one-shot or periodic, edge or
 * level. In legacy replacement, timers 0 and 1 take the place of the PIT and the real-time clock, whose interrupts pass through here.
 * An edge stays high until the next one, so that the 8259 sees it whenever it is asked.
 */
export class Hpet implements Device<HpetState> {
	readonly name = "hpet";
	readonly sizes: readonly AccessSize[] = [4];
	/** Inputs: what legacy replacement silences. */
	readonly pit: IrqLine = { set: (high) => this.pass(1, high) };
	readonly rtc: IrqLine = { set: (high) => this.pass(2, high) };
	private readonly clock: Clock;
	private readonly lines: HpetLines;
	private readonly timers: readonly HpetTimer[];
	private configuration = 0;
	private status = 0;
	private counter = 0n;
	private ahead = 0n;
	private edges = 0;
	private passing = 0;

	constructor({ clock, lines }: { clock: Clock; lines: HpetLines }) {
		this.clock = clock;
		this.lines = lines;
		const hpet = this;
		const counter = {
			get value(): bigint {
				return hpet.count();
			},
			get running(): boolean {
				return hpet.running;
			},
		};
		this.timers = Array.from({ length: HPET_TIMERS }, (_, n) => new HpetTimer(clock, counter, () => this.matched(n)));
	}

	read(offset: number): number {
		if (offset >= TIMERS) return this.readTimer(offset - TIMERS);
		switch (offset) {
			case CAPABILITIES:
				return HPET_ID;
			case PERIOD:
				return HPET_TICK_NS * FEMTOSECONDS_PER_NS;
			case CONFIGURATION:
				return this.configuration;
			case STATUS:
				return this.status;
			case COUNTER:
				return Number(this.count() & LOW);
			case COUNTER + 4:
				return Number(this.count() >> 32n);
			default:
				return 0;
		}
	}

	write(offset: number, _size: AccessSize, value: number): void {
		if (offset >= TIMERS) this.writeTimer(offset - TIMERS, value);
		else if (offset === CONFIGURATION) this.configure(value & (RUNNING | LEGACY));
		else if (offset === STATUS) this.status &= ~value;
		else if (offset === COUNTER && !this.running) this.counter = (this.counter & ~LOW) | BigInt(value);
		else if (offset === COUNTER + 4 && !this.running) this.counter = (this.counter & LOW) | (BigInt(value) << 32n);
		this.drive();
	}

	reset(): void {
		for (const timer of this.timers) timer.reset();
		this.configuration = 0;
		this.status = 0;
		this.counter = 0n;
		this.ahead = 0n;
		this.edges = 0;
		this.drive();
	}

	save(): HpetState {
		const { configuration, status, edges, passing } = this;
		return {
			...{ configuration, status, edges, passing },
			counter: this.counter.toString(),
			ahead: this.ahead.toString(),
			timers: this.timers.map((timer) => timer.save()),
		};
	}

	load(state: HpetState): void {
		this.configuration = state.configuration;
		this.status = state.status;
		this.counter = BigInt(state.counter);
		this.ahead = BigInt(state.ahead);
		this.edges = state.edges;
		this.passing = state.passing;
		state.timers.forEach((timer, n) => {
			this.timers[n]?.load(timer);
		});
		this.drive();
	}

	private get running(): boolean {
		return (this.configuration & RUNNING) !== 0;
	}

	private get legacy(): boolean {
		return (this.configuration & LEGACY) !== 0;
	}

	private count(): bigint {
		return this.running ? BigInt.asUintN(64, this.ticks() + this.ahead) : this.counter;
	}

	private ticks(): bigint {
		return BigInt(Math.floor(this.clock.now() / HPET_TICK_NS));
	}

	private configure(value: number): void {
		const starts = (value & RUNNING) !== 0 && !this.running;
		const stops = (value & RUNNING) === 0 && this.running;
		if (starts) this.ahead = this.counter - this.ticks();
		if (stops) this.counter = this.count();
		this.configuration = value;
		if (starts || stops) for (const timer of this.timers) timer.arm();
	}

	private readTimer(offset: number): number {
		const timer = this.timers[Math.floor(offset / TIMER_BYTES)];
		const register = (offset % TIMER_BYTES) >> 2;
		if (timer === undefined) return 0;
		return register === 1 ? ROUTES : timer.read(register);
	}

	private writeTimer(offset: number, value: number): void {
		const n = Math.floor(offset / TIMER_BYTES);
		const timer = this.timers[n];
		if (timer === undefined) return;
		timer.write((offset % TIMER_BYTES) >> 2, value);
		// Only the level-triggered have a status, and what is not enabled or no edge any more is not high.
		if (!timer.level || !timer.enabled) this.status &= ~(1 << n);
		if (timer.level || !timer.enabled) this.edges &= ~(1 << n);
	}

	private matched(n: number): void {
		const bit = 1 << n;
		if (this.timers[n]!.level) this.status |= bit;
		else {
			this.edges &= ~bit;
			this.drive();
			this.edges |= bit;
		}
		this.drive();
	}

	private pass(bit: number, high: boolean): void {
		this.passing = high ? this.passing | bit : this.passing & ~bit;
		this.drive();
	}

	/** The output of a timer, or undefined where its route leads nowhere. */
	private outputOf(n: number): (typeof OUTPUTS)[number] | undefined {
		if (this.legacy && n < 2) return n === 0 ? "timer" : "rtc";
		return this.timers[n]?.pin === PIN ? "pin" : undefined;
	}

	private drive(): void {
		const high = this.status | this.edges;
		const levels = {
			timer: !this.legacy && (this.passing & 1) !== 0,
			rtc: !this.legacy && (this.passing & 2) !== 0,
			pin: false,
		};
		this.timers.forEach((_, n) => {
			const output = this.outputOf(n);
			if (output !== undefined && (high & (1 << n)) !== 0) levels[output] = true;
		});
		for (const output of OUTPUTS) this.lines[output].set(levels[output]);
	}
}
