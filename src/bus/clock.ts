import type { Alarm, Clock } from "./device.ts";

class QueuedAlarm implements Alarm {
	deadline: number | undefined;
	readonly fire: () => void;
	private readonly queue: AlarmQueue;
	/** Order of arming breaks ties, so that runs repeat exactly. */
	order = 0;

	constructor(queue: AlarmQueue, fire: () => void) {
		this.queue = queue;
		this.fire = fire;
	}

	at(deadline: number): void {
		this.deadline = deadline;
		this.queue.arm(this);
	}

	cancel(): void {
		this.deadline = undefined;
		this.queue.disarm(this);
	}
}

/** Armed alarms in deadline order. The run loop asks for {@link next} and calls {@link fireDue}. */
export class AlarmQueue {
	private armed: QueuedAlarm[] = [];
	private orders = 0;

	alarm(fire: () => void): Alarm {
		return new QueuedAlarm(this, fire);
	}

	/** The earliest deadline in guest nanoseconds, or undefined when nothing is armed. */
	next(): number | undefined {
		return this.armed[0]?.deadline;
	}

	/** Fires every alarm whose deadline is at or before `now`; alarms armed meanwhile count too. */
	fireDue(now: number): void {
		for (let first = this.armed[0]; first?.deadline !== undefined && first.deadline <= now; first = this.armed[0]) {
			first.cancel();
			first.fire();
		}
	}

	arm(alarm: QueuedAlarm): void {
		this.disarm(alarm);
		alarm.order = this.orders++;
		const deadline = alarm.deadline ?? 0;
		let at = this.armed.length;
		while (at > 0 && (this.armed[at - 1]?.deadline ?? 0) > deadline) at--;
		this.armed.splice(at, 0, alarm);
	}

	disarm(alarm: QueuedAlarm): void {
		const at = this.armed.indexOf(alarm);
		if (at >= 0) this.armed.splice(at, 1);
	}
}

/** A clock that moves only when told to: for tests and tools. */
export class ManualClock implements Clock {
	private readonly queue = new AlarmQueue();
	private time = 0;

	now(): number {
		return this.time;
	}

	alarm(fire: () => void): Alarm {
		return this.queue.alarm(fire);
	}

	/** Moves time forward by `ns`, firing alarms on the way, each at its own deadline. */
	advance(ns: number): void {
		const end = this.time + ns;
		for (let next = this.queue.next(); next !== undefined && next <= end; next = this.queue.next()) {
			this.time = Math.max(this.time, next);
			this.queue.fireDue(this.time);
		}
		this.time = end;
	}
}
