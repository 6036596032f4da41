import { setTimeout as sleep } from "node:timers/promises";

/** The host sleeps while the guest has nothing to do, until somebody wakes it. */
export class Sleep {
	private alarm: AbortController | undefined;

	/** Sleeps for at most `ms` milliseconds, at least one turn of the event loop. */
	async for(ms: number): Promise<void> {
		const alarm = new AbortController();
		this.alarm = alarm;
		await sleep(Math.max(1, Math.ceil(ms)), undefined, { signal: alarm.signal }).catch(() => {});
		this.alarm = undefined;
	}

	/** Ends the sleep, if there is one. */
	wake(): void {
		this.alarm?.abort();
	}
}
