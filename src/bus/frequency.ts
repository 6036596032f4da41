import { assert } from "../base/errors.ts";

const NS_PER_SECOND = 1_000_000_000;

/** Exact conversion between guest nanoseconds and ticks of a crystal: no drift however long the guest runs. */
export class Frequency {
	readonly hertz: number;

	/** @param hertz integral, 1 .. 9,000,000 (products stay below 2^53) */
	constructor(hertz: number) {
		assert(Number.isInteger(hertz) && hertz >= 1 && hertz <= 9_000_000, `frequency ${hertz} Hz is out of range`);
		this.hertz = hertz;
	}

	/** Whole ticks within `ns` nanoseconds, rounded down. */
	ticks(ns: number): number {
		const seconds = Math.floor(ns / NS_PER_SECOND);
		return seconds * this.hertz + Math.floor(((ns - seconds * NS_PER_SECOND) * this.hertz) / NS_PER_SECOND);
	}

	/** The first nanosecond at which {@link ticks} is at least `tick`. */
	time(tick: number): number {
		const seconds = Math.floor(tick / this.hertz);
		return seconds * NS_PER_SECOND + Math.ceil(((tick - seconds * this.hertz) * NS_PER_SECOND) / this.hertz);
	}
}
