import type { Alarm, Clock } from "../bus/device.ts";

/** Divide configuration: bits 0, 1 and 3 (SDM 3A 11.5.4). */
const DIVIDE_BITS = 0x0b;
/** Periods shorter than this interrupt at this rate only, so that a guest cannot stop the machine with its own timer. */
const SHORTEST_PERIOD_NS = 1000;

export interface LapicTimerState {
	initial: number;
	divide: number;
	periodic: boolean;
	masked: boolean;
	/** Guest nanosecond at which the count was `initial`. */
	start: number;
	/** Guest nanosecond of the next expiry, or null when none is to come. */
	due: number | null;
}

function powerOn(): LapicTimerState {
	return { initial: 0, divide: 0, periodic: false, masked: true, start: 0, due: null };
}

/** The local APIC's timer: one tick of the bus is one nanosecond (1 GHz, as QEMU's). */
export class LapicTimer {
	private readonly clock: Clock;
	private readonly alarm: Alarm;
	private readonly expired: () => void;
	private state: LapicTimerState = powerOn();

	/** @param expired called at each expiry while the timer is not masked */
	constructor(clock: Clock, expired: () => void) {
		this.clock = clock;
		this.expired = expired;
		this.alarm = clock.alarm(() => this.fire());
	}

	get initial(): number {
		return this.state.initial;
	}

	/** Starts a count of `initial`; 0 stops. */
	set initial(value: number) {
		this.state.initial = value >>> 0;
		this.state.start = this.clock.now();
		this.state.due = value === 0 ? null : this.state.start + this.period;
		this.arm();
	}

	get divide(): number {
		return this.state.divide;
	}

	set divide(value: number) {
		const count = this.current;
		const { state } = this;
		state.divide = value & DIVIDE_BITS;
		if (count === 0) return;
		// The count goes on from where it is, at the new rate.
		state.start = this.clock.now() - (state.initial - count) * this.divisor;
		state.due = state.start + this.period;
		this.arm();
	}

	/** The current count. */
	get current(): number {
		const { initial, periodic, start } = this.state;
		if (initial === 0) return 0;
		const ticks = Math.floor((this.clock.now() - start) / this.divisor);
		return periodic ? initial - (ticks % initial) : Math.max(0, initial - ticks);
	}

	/** The parts of the LVT entry that the timer obeys. */
	configure(periodic: boolean, masked: boolean): void {
		const { state } = this;
		const wasMasked = state.masked;
		const wasPeriodic = state.periodic;
		state.periodic = periodic;
		state.masked = masked;
		// Nobody saw the expiries while it was masked; a one-shot that expired then stays so.
		if ((wasMasked || periodic !== wasPeriodic) && state.initial !== 0) {
			const now = this.clock.now();
			state.due = periodic || state.start + this.period > now ? this.expiryAfter(now) : null;
		}
		this.arm();
	}

	reset(): void {
		this.load(powerOn());
	}

	save(): LapicTimerState {
		return { ...this.state };
	}

	load(state: LapicTimerState): void {
		this.state = { ...state };
		this.arm();
	}

	private get divisor(): number {
		const { divide } = this.state;
		return 1 << (((divide & 3) + ((divide & 8) >> 1) + 1) & 7);
	}

	/** From one expiry to the next, in nanoseconds. */
	private get period(): number {
		return this.state.initial * this.divisor;
	}

	private expiryAfter(now: number): number {
		const { start } = this.state;
		return start + (Math.floor((now - start) / this.period) + 1) * this.period;
	}

	private fire(): void {
		const { state } = this;
		const now = this.clock.now();
		state.due = state.periodic ? Math.max(this.expiryAfter(now), now + SHORTEST_PERIOD_NS) : null;
		this.arm();
		this.expired();
	}

	private arm(): void {
		const { due, masked } = this.state;
		if (due === null || masked) this.alarm.cancel();
		else this.alarm.at(due);
	}
}
