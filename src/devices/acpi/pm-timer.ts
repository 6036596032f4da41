import type { Clock } from "../../bus/device.ts";

/** Counts per second (ACPI 4.8.2.1): a third of the 14.31818 MHz crystal. */
export const PM_TIMER_HZ = 3_579_545;
/** TMR_STS is set whenever the most significant of the counter's 24 bits changes. */
const HALF_PERIOD = 1 << 23;
const COUNTER_MASK = 0xff_ffff;
const NS = 1_000_000_000;

/** Whole timer counts in `ns` nanoseconds, exact for every guest time. */
export function pmTimerCounts(ns: number): number {
	return Math.floor(ns / NS) * PM_TIMER_HZ + Math.floor(((ns % NS) * PM_TIMER_HZ) / NS);
}

/** The first nanosecond at which {@link pmTimerCounts} reaches `counts`. */
export function pmTimerDeadline(counts: number): number {
	return Math.floor(counts / PM_TIMER_HZ) * NS + Math.ceil(((counts % PM_TIMER_HZ) * NS) / PM_TIMER_HZ);
}

/** The 24-bit ACPI power management timer: free running, a function of the clock alone. */
export class PmTimer {
	private readonly clock: Clock;

	constructor(clock: Clock) {
		this.clock = clock;
	}

	/** The register as the guest reads it; bits 31:24 are 0. */
	get value(): number {
		return pmTimerCounts(this.clock.now()) & COUNTER_MASK;
	}

	/** Counts since power-on, not wrapped. */
	get counts(): number {
		return pmTimerCounts(this.clock.now());
	}

	/** The count at which the most significant bit changes next. */
	get nextCarry(): number {
		return (Math.floor(this.counts / HALF_PERIOD) + 1) * HALF_PERIOD;
	}
}
