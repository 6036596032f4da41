import { AlarmQueue } from "../bus/clock.ts";
import type { Alarm, Clock } from "../bus/device.ts";

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
	private readonly hostTime: (() => number) | undefined;

	/** `hostTime`: nanoseconds since the start, for `--clock host`. */
	constructor(counter: InstructionCounter, hostTime?: () => number) {
		this.counter = counter;
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
