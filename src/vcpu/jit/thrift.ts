import { hostMs } from "../../base/host-time.ts";

/** Host milliseconds that compiling may take before shares are looked at: the compiler's own code is cold at first. */
const HEAD_START_MS = 20;
/** A unit may be made anew after it could have run so often, times this for each time that it has been made anew. */
const PATIENCE = 4;
const MOST_DOUBLINGS = 8;
/** Blocks with 1/8 of the heat go into units that others are the reason for. */
const WARM_SHIFT = 3;
/** Instructions that code must live, for each instruction that was compiled from it and each unit of heat, to count as settled. */
const SETTLED = 16;

/** What is remembered of a page whose compiled code was changed. */
interface Unrest {
	times: number;
	/** Count of retired instructions before which nothing there is compiled. */
	until: number;
}

/** Decides when compiling pays: nothing is compiled for ever, and nothing is left out for ever. */
export class Thrift {
	readonly heat: number;
	private readonly share: number;
	private readonly born = hostMs();
	private spentMs = 0;
	private readonly unrest = new Map<number, Unrest>();

	/** `heat`: runs of a block before it is compiled; `share`: most of the host's time that compiling may take, 1: all that it wants. */
	constructor(heat: number, share: number) {
		this.heat = heat;
		this.share = share;
	}

	/** Whether there is time for compiling. */
	get affords(): boolean {
		if (this.share >= 1) return true;
		return this.spentMs <= HEAD_START_MS + this.share * (hostMs() - this.born);
	}

	/** Compiling took so many milliseconds. */
	spend(ms: number): void {
		this.spentMs += ms;
	}

	/** Whether a block whose heat counts down from {@link heat} has run often enough to go along. */
	warm(heatLeft: number): boolean {
		return heatLeft < this.heat - (this.heat >> WARM_SHIFT);
	}

	/** For how many instructions a unit of so many instructions stays as it is before it may take in more; with all the time there is, none. */
	growthDelay(instructions: number, remakes: number): number {
		return this.share >= 1 ? 0 : instructions * this.heat * PATIENCE ** Math.min(remakes, MOST_DOUBLINGS);
	}

	/** The code of a unit on host page `page` was changed after it had lived for `age` instructions. */
	changed(page: number, now: number, instructions: number, age: number): void {
		const { heat } = this;
		const known = this.unrest.get(page);
		const times = age > instructions * heat * SETTLED ? 1 : Math.min((known?.times ?? 0) + 1, 2 * MOST_DOUBLINGS);
		this.unrest.set(page, { times, until: times === 1 ? 0 : now + instructions * heat * 2 ** times });
	}

	/** Whether code on a host page has changed so much that compiling it must wait. */
	restless(page: number, now: number): boolean {
		return (this.unrest.get(page)?.until ?? 0) > now;
	}
}
