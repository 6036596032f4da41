import type { Alarm, Clock } from "../bus/device.ts";

/** Divide configuration: bits 0, 1 and 3 (SDM 3A 11.5.4). */
const DIVIDE_BITS = 0x0b;
/** Periods shorter than this interrupt at this rate only, so that a guest cannot stop the machine with its own timer. */
const SHORTEST_PERIOD_NS = 1000;
/** Deadlines further away than this (a hundred days) have no alarm. */
const FARTHEST_NS = 1n << 52n;

/** What makes the timer expire: bits 18:17 of its entry in the local vector table. */
export type TimerMode = "one-shot" | "periodic" | "deadline";

/** The processor's time-stamp counter, 64 bits; one tick is one nanosecond of guest time. */
export type TimeStamp = () => bigint;

export interface LapicTimerState {
	initial: number;
	divide: number;
	mode: TimerMode;
	masked: boolean;
	/** Guest nanosecond at which the count was `initial`; null while nothing is counted. */
	start: number | null;
	/** IA32_TSC_DEADLINE, decimal; 0: none. */
	deadline: string;
	/** Guest nanosecond of the next expiry, or null when none is to come. */
	due: number | null;
}

function powerOn(): LapicTimerState {
	return { initial: 0, divide: 0, mode: "one-shot", masked: true, start: null, deadline: "0", due: null };
}

/** The local APIC's timer: one tick of the bus is one nanosecond (1 GHz, as QEMU's). */
export class LapicTimer {
	private readonly clock: Clock;
	private readonly timeStamp: TimeStamp;
	private readonly alarm: Alarm;
	private readonly expired: () => void;
	private state: LapicTimerState = powerOn();

	/** @param expired called at each expiry while the timer is not masked */
	constructor(clock: Clock, timeStamp: TimeStamp, expired: () => void) {
		this.clock = clock;
		this.timeStamp = timeStamp;
		this.expired = expired;
		this.alarm = clock.alarm(() => this.fire());
	}

	get initial(): number {
		return this.state.initial;
	}

	/** Starts a count of `initial`; 0 stops. Ignored in deadline mode (SDM 3A 11.5.4.1). */
	set initial(value: number) {
		const { state } = this;
		if (state.mode === "deadline") return;
		state.initial = value >>> 0;
		state.start = value === 0 ? null : this.clock.now();
		this.arm();
	}

	get divide(): number {
		return this.state.divide;
	}

	set divide(value: number) {
		const { state } = this;
		const counted = state.initial - this.current;
		state.divide = value & DIVIDE_BITS;
		// The count goes on from where it is, at the new rate.
		if (state.start !== null) state.start = this.clock.now() - counted * this.divisor;
		this.arm();
	}

	/** The current count. */
	get current(): number {
		const { initial, mode, start } = this.state;
		if (start === null) return 0;
		const ticks = Math.floor((this.clock.now() - start) / this.divisor);
		return mode === "periodic" ? initial - (ticks % initial) : Math.max(0, initial - ticks);
	}

	/** IA32_TSC_DEADLINE: the time stamp at which it expires, 0 where none is to come. */
	get deadline(): bigint {
		return BigInt(this.state.deadline);
	}

	/** Arms, or with 0 disarms; a deadline that has passed expires at once. Ignored in other modes. */
	set deadline(value: bigint) {
		if (this.state.mode !== "deadline") return;
		this.state.deadline = value.toString();
		this.timeStampSet();
	}

	/** Somebody has set the time-stamp counter: the deadline comes at another time. */
	timeStampSet(): void {
		if (this.deadline !== 0n && this.timeStamp() >= this.deadline) this.fire();
		else this.arm();
	}

	/** The parts of the LVT entry that the timer obeys. */
	configure(mode: TimerMode, masked: boolean): void {
		const { state } = this;
		if ((mode === "deadline") !== (state.mode === "deadline")) {
			// Either way the timer is disarmed (SDM 3A 11.5.4.1).
			state.initial = 0;
			state.start = null;
			state.deadline = "0";
		} else this.settle();
		state.mode = mode;
		state.masked = masked;
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
		this.setAlarm();
	}

	private get divisor(): number {
		const { divide } = this.state;
		return 1 << (((divide & 3) + ((divide & 8) >> 1) + 1) & 7);
	}

	/** From one expiry to the next, in nanoseconds. */
	private get period(): number {
		return this.state.initial * this.divisor;
	}

	/** Takes over what time has done to the count: a one-shot that has expired counts no more, a period that has passed is over. */
	private settle(): void {
		const { state } = this;
		if (state.start === null) return;
		const passed = this.clock.now() - state.start;
		if (passed < this.period) return;
		state.start = state.mode === "periodic" ? state.start + passed - (passed % this.period) : null;
	}

	private fire(): void {
		const { state } = this;
		if (state.mode === "deadline") {
			// The counter may have been set back meanwhile.
			if (this.timeStamp() < this.deadline) {
				this.arm();
				return;
			}
			state.deadline = "0";
		} else this.settle();
		this.arm();
		if (!state.masked) this.expired();
	}

	/** When the timer expires next, if ever; nobody hears a masked count. */
	private nextExpiry(): number | null {
		const { mode, start, masked } = this.state;
		const now = this.clock.now();
		if (mode === "deadline") {
			const left = this.deadline - this.timeStamp();
			return this.deadline === 0n || left > FARTHEST_NS ? null : now + Number(left);
		}
		if (start === null || masked) return null;
		const expiry = start + (Math.floor((now - start) / this.period) + 1) * this.period;
		if (mode === "one-shot") return now - start >= this.period ? null : expiry;
		return this.period < SHORTEST_PERIOD_NS ? Math.max(expiry, now + SHORTEST_PERIOD_NS) : expiry;
	}

	private arm(): void {
		this.state.due = this.nextExpiry();
		this.setAlarm();
	}

	private setAlarm(): void {
		const { due } = this.state;
		if (due === null) this.alarm.cancel();
		else this.alarm.at(due);
	}
}
