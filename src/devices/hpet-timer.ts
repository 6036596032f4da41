import type { Alarm, Clock } from "../bus/device.ts";

/** Guest nanoseconds of one tick of the main counter: 100 MHz, as QEMU's. */
export const HPET_TICK_NS = 10;
/** Interrupts are at least so many ticks apart, so that a guest cannot stop the machine with its own timer. */
const SHORTEST_PERIOD = 100n;
/** Alarms further away than this many ticks (a hundred days) are not set. */
const FARTHEST = 1n << 50n;

/** Bits of a timer's configuration (IA-PC HPET 1.0a, 2.3.8). */
const LEVEL = 1 << 1;
const ENABLED = 1 << 2;
const PERIODIC = 1 << 3;
const SET_VALUE = 1 << 6;
const NARROW = 1 << 8;
const ROUTE_SHIFT = 9;
const WRITABLE = 0x3f4e;
/** Can be periodic, 64 bits wide. */
const CAPABLE = 0x30;

const LOW = 0xffff_ffffn;

/** The main counter that comparators look at. */
export interface HpetCounter {
	readonly value: bigint;
	readonly running: boolean;
}

export interface HpetTimerState {
	config: number;
	/** 64 bits, decimal. */
	comparator: string;
	period: string;
	/** The next write is the high half of one that sets the comparator. */
	settingHigh: boolean;
	/** The message route register: storage, as no timer can signal by message. */
	route: [low: number, high: number];
	due: number | null;
}

/** One comparator of an HPET: when it matches the main counter, `matched` is called. */
export class HpetTimer {
	private readonly clock: Clock;
	private readonly counter: HpetCounter;
	private readonly matched: () => void;
	private readonly alarm: Alarm;
	private config = 0;
	private comparator = 0n;
	private period = 0n;
	private route: [low: number, high: number] = [0, 0];
	private settingHigh = false;

	constructor(clock: Clock, counter: HpetCounter, matched: () => void) {
		this.clock = clock;
		this.counter = counter;
		this.matched = matched;
		this.alarm = clock.alarm(() => this.fire());
		this.reset();
	}

	get level(): boolean {
		return (this.config & LEVEL) !== 0;
	}

	get enabled(): boolean {
		return (this.config & ENABLED) !== 0;
	}

	/** The input of the I/O APIC it is routed to. */
	get pin(): number {
		return (this.config >> ROUTE_SHIFT) & 0x1f;
	}

	/** Registers by doubleword: configuration, capability of routes (by the owner), comparator, message route. */
	read(register: number): number {
		switch (register) {
			case 0:
				return this.config | CAPABLE;
			case 2:
				return Number(this.comparator & LOW);
			case 3:
				return Number(this.comparator >> 32n);
			case 4:
				return this.route[0];
			case 5:
				return this.route[1];
			default:
				return 0;
		}
	}

	write(register: number, value: number): void {
		const settingHigh = this.settingHigh && register === 3;
		this.settingHigh = false;
		if (register === 0) {
			this.config = value & WRITABLE;
			if (this.narrow) {
				this.comparator &= LOW;
				this.period &= LOW;
			}
		} else if (register === 2) {
			this.settingHigh = (this.config & SET_VALUE) !== 0;
			this.compareWith(LOW, BigInt(value), this.settingHigh);
			this.config &= ~SET_VALUE;
		} else if (register === 3 && !this.narrow) this.compareWith(LOW << 32n, BigInt(value) << 32n, settingHigh);
		else if (register === 4) this.route[0] = value;
		else if (register === 5) this.route[1] = value;
		this.arm();
	}

	/** Sets the alarm anew: the counter has been started, stopped or set, or this timer changed. */
	arm(): void {
		if (!this.counter.running || (this.config & (ENABLED | PERIODIC)) === 0) this.alarm.cancel();
		else this.armIn(this.wrap(this.comparator - this.counter.value));
	}

	reset(): void {
		this.load({
			config: 0,
			comparator: "18446744073709551615",
			period: "0",
			settingHigh: false,
			route: [0, 0],
			due: null,
		});
	}

	save(): HpetTimerState {
		const { config, comparator, period, settingHigh, route, alarm } = this;
		return {
			...{ config, comparator: comparator.toString(), period: period.toString() },
			...{ settingHigh, route: [...route], due: alarm.deadline ?? null },
		};
	}

	load({ config, comparator, period, settingHigh, route, due }: HpetTimerState): void {
		this.config = config;
		this.comparator = BigInt(comparator);
		this.period = BigInt(period);
		this.settingHigh = settingHigh;
		this.route = [...route];
		if (due === null) this.alarm.cancel();
		else this.alarm.at(due);
	}

	private get narrow(): boolean {
		return (this.config & NARROW) !== 0;
	}

	private wrap(value: bigint): bigint {
		return BigInt.asUintN(this.narrow ? 32 : 64, value);
	}

	/**
	 * A periodic timer's comparator register takes its period; with SET_VALUE, also the value to compare with next (IA-PC HPET 1.0a,
	 * 2.3.9.2.2).
	 */
	private compareWith(mask: bigint, value: bigint, set: boolean): void {
		const periodic = (this.config & PERIODIC) !== 0;
		if (!periodic || set) this.comparator = (this.comparator & ~mask) | value;
		if (periodic) this.period = (this.period & ~mask) | value;
	}

	/** A match is so many ticks away. */
	private armIn(ticks: bigint): void {
		if (ticks > FARTHEST) this.alarm.cancel();
		else this.alarm.at((Math.floor(this.clock.now() / HPET_TICK_NS) + Number(ticks)) * HPET_TICK_NS);
	}

	private fire(): void {
		const { period, counter } = this;
		if ((this.config & PERIODIC) !== 0 && period !== 0n) {
			const late = this.wrap(counter.value - this.comparator) / period + 1n;
			const least = (SHORTEST_PERIOD + period - 1n) / period;
			this.comparator = this.wrap(this.comparator + (late > least ? late : least) * period);
			this.arm();
		} else this.armIn(1n << (this.narrow ? 32n : 64n));
		if (this.enabled) this.matched();
	}
}
