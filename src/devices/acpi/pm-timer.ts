import type { Clock } from "../../bus/device.ts";
import { Frequency } from "../../bus/frequency.ts";

/** A quarter of the 14.31818 MHz crystal (ACPI 4.8.2.1). */
const CRYSTAL = new Frequency(3_579_545);
/** TMR_STS is set whenever the most significant of the counter's 24 bits changes. */
const HALF_PERIOD = 1 << 23;
const COUNTER_MASK = 0xff_ffff;

/** The 24-bit ACPI power management timer: free running, a function of the clock alone. */
export class PmTimer {
	private readonly clock: Clock;

	constructor(clock: Clock) {
		this.clock = clock;
	}

	/** The guest reads the register. */
	read(): number {
		this.clock.polled?.();
		return this.value;
	}

	/** The register; bits 31:24 are 0. */
	get value(): number {
		return this.counts & COUNTER_MASK;
	}

	/** Counts since power-on, not wrapped. */
	get counts(): number {
		return CRYSTAL.ticks(this.clock.now());
	}

	/** The count at which the most significant bit changes next. */
	get nextCarry(): number {
		return (Math.floor(this.counts / HALF_PERIOD) + 1) * HALF_PERIOD;
	}

	/** The first nanosecond at which {@link counts} is at least `count`. */
	deadline(count: number): number {
		return CRYSTAL.time(count);
	}
}
