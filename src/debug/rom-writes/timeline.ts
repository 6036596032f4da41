/** Nanoseconds of a slot at the start. */
const FIRST_WIDTH = 1000;

/** How many stores there were in each slot of guest time since power-on; slots get wider as time goes on, so that their number stays. */
export class Timeline {
	/** Nanoseconds of a slot. */
	width = FIRST_WIDTH;
	private readonly counts: Float64Array;

	constructor(slots: number) {
		this.counts = new Float64Array(slots);
	}

	/** `ns`: since power-on. */
	add(ns: number, count = 1): void {
		const { counts } = this;
		let slot = Math.floor(ns / this.width);
		while (slot >= counts.length) {
			this.widen();
			slot = Math.floor(ns / this.width);
		}
		counts[slot] = counts[slot]! + count;
	}

	/** Counts by slot, up to the last one that has any. */
	slots(): number[] {
		return Array.from(this.counts.subarray(0, this.counts.findLastIndex((count) => count > 0) + 1));
	}

	private widen(): void {
		const { counts } = this;
		const half = counts.length >> 1;
		for (let n = 0; n < half; n++) counts[n] = counts[2 * n]! + counts[2 * n + 1]!;
		counts.fill(0, half);
		this.width *= 2;
	}
}
