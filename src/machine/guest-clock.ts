import { AlarmQueue } from "../bus/clock.ts";
import type { Alarm, Clock } from "../bus/device.ts";

/**
 * Guest time in nanoseconds: instructions retired, plus what is added for device accesses and for sleeping. With a host
 * time source, that instead.
 */
export class GuestClock implements Clock {
	readonly alarms = new AlarmQueue();
	private readonly retired: () => number;
	private readonly hostTime: (() => number) | undefined;
	/** Nanoseconds that no instruction accounts for. */
	private extra = 0;

	/** `retired`: instructions so far. `hostTime`: nanoseconds since the start, for `--clock host`. */
	constructor(retired: () => number, hostTime?: () => number) {
		this.retired = retired;
		this.hostTime = hostTime;
	}

	now(): number {
		return this.hostTime ? Math.floor(this.hostTime()) : this.retired() + this.extra;
	}

	alarm(fire: () => void): Alarm {
		return this.alarms.alarm(fire);
	}

	/** Moves guest time forward by `ns`; with host time there is nothing to move. */
	add(ns: number): void {
		this.extra += ns;
	}
}
