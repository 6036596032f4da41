import { AlarmQueue } from "../bus/clock.ts";
import type { Alarm, Clock } from "../bus/device.ts";

/** A guest that reads a timer again within so many nanoseconds has done nothing in between: a port access, and few instructions. */
const POLL_GAP_NS = 1100;
/** Each further read takes longer by what the guest has waited already, divided by this; at most by so many nanoseconds. */
const WAITED_PER_STEP = 8;
const LONGEST_STEP_NS = 100_000;

/** What counts instructions and has a time-stamp counter: the processor. */
export interface InstructionCounter {
	/** Instructions retired so far; each also moves the time-stamp counter by one. */
	retired(): number;
	/** Nanoseconds that passed without instructions. */
	passed(): number;
	/** Lets `ns` of them pass; the time-stamp counter moves by as many. */
	pass(ns: number): void;
}

/**
 * Guest time in nanoseconds: one for each instruction, plus what {@link pass} adds for device accesses and for sleeping. With a
 * host time source, that instead. The time-stamp counter runs at 1 GHz of guest time.
 */
export class GuestClock implements Clock {
	readonly alarms = new AlarmQueue();
	private readonly counter: InstructionCounter;
	private readonly limitNs: number;
	private readonly hostTime: (() => number) | undefined;
	/** When the guest began to do nothing but read a timer, and when it last did. */
	private waitingSince = 0;
	private lastPoll = Number.NEGATIVE_INFINITY;
	/** Nanoseconds that {@link polled} has let pass, until somebody takes note of them. */
	skipped = 0;

	/** `limitNs`: when the run ends. `hostTime`: nanoseconds since the start, for `--clock host`. */
	constructor(counter: InstructionCounter, limitNs: number, hostTime?: () => number) {
		this.counter = counter;
		this.limitNs = limitNs;
		this.hostTime = hostTime;
	}

	/** Whether guest time is the host's. */
	get followsHost(): boolean {
		return this.hostTime !== undefined;
	}

	now(): number {
		return this.hostTime === undefined ? this.counter.retired() + this.counter.passed() : Math.floor(this.hostTime());
	}

	alarm(fire: () => void): Alarm {
		return this.alarms.alarm(fire);
	}

	/** Guest time passes that no instruction accounts for; the host's passes by itself. */
	pass(ns: number): void {
		if (this.hostTime === undefined) this.counter.pass(ns);
	}

	/** No further than to the next alarm and {@link limitNs}. */
	polled(): void {
		if (this.hostTime !== undefined) return;
		const now = this.now();
		if (now - this.lastPoll > POLL_GAP_NS) this.waitingSince = now;
		const step = Math.min(Math.floor((now - this.waitingSince) / WAITED_PER_STEP), LONGEST_STEP_NS);
		const ns = Math.max(Math.min(step, Math.min(this.alarms.next() ?? this.limitNs, this.limitNs) - now), 0);
		this.lastPoll = now + ns;
		this.pass(ns);
		this.skipped += ns;
	}

	/**
	 * What the time is now, for the run loop. With host time, the time-stamp counter catches up; it never goes back, so after a burst
	 * of more than 10^9 instructions a second it waits for the time.
	 */
	tick(): number {
		const now = this.now();
		if (this.hostTime !== undefined) {
			const behind = now - this.counter.retired() - this.counter.passed();
			if (behind > 0) this.counter.pass(behind);
		}
		return now;
	}
}
