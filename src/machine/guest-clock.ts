import { AlarmQueue } from "../bus/clock.ts";
import type { Alarm, Clock } from "../bus/device.ts";

/** What counts instructions and has a time-stamp counter: the processor. */
export interface InstructionCounter {
	/** Instructions retired so far; each also moves the time-stamp counter by one. */
	retired(): number;
	/** Moves the time-stamp counter by `ticks` more. */
	addTsc(ticks: number): void;
}

/**
 * Guest time in nanoseconds: one for each instruction, plus what {@link pass} adds for device accesses and for sleeping. With a
 * host time source, that instead. The time-stamp counter runs at 1 GHz of guest time.
 */
export class GuestClock implements Clock {
	readonly alarms = new AlarmQueue();
	private readonly counter: InstructionCounter;
	private readonly hostTime: (() => number) | undefined;
	/** Nanoseconds that no instruction accounts for. */
	private extra = 0;

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
		return this.hostTime === undefined ? this.counter.retired() + this.extra : Math.floor(this.hostTime());
	}

	alarm(fire: () => void): Alarm {
		return this.alarms.alarm(fire);
	}

	/** Guest time passes that no instruction accounts for; the host's passes by itself. */
	pass(ns: number): void {
		if (this.hostTime === undefined) this.move(ns);
	}

	/**
	 * What the time is now, for the run loop. With host time, the time-stamp counter catches up; it never goes back, so after a burst
	 * of more than 10^9 instructions a second it waits for the time.
	 */
	tick(): number {
		const now = this.now();
		if (this.hostTime !== undefined) this.move(Math.max(0, now - this.counter.retired() - this.extra));
		return now;
	}

	private move(ns: number): void {
		this.extra += ns;
		this.counter.addTsc(ns);
	}
}
