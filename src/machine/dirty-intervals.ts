import { KVM_MEM_LOG_DIRTY_PAGES, type Slot } from "../kvm/memslots.ts";
import type { Vm } from "../kvm/vm.ts";

/** Guest nanoseconds of one interval. */
const INTERVAL_NS = 10_000_000;
const PAGE = 4096;

/**
 * Which pages the guest stores to, interval by interval of guest time: one line of JSON for each interval in which there were any.
 * Slots must log. What a slot that goes has logged is fetched before.
 */
export class DirtyIntervals {
	private readonly vm: Vm;
	private readonly say: (line: string) => void;
	private readonly instructions: () => number;
	/** Guest page numbers. */
	private readonly pages = new Set<number>();
	private end = INTERVAL_NS;

	/** `say` takes each line, without its end. */
	constructor(vm: Vm, say: (line: string) => void, instructions: () => number) {
		this.vm = vm;
		this.say = say;
		this.instructions = instructions;
		vm.slots.onSlotsChanged(({ kind }, slot) => {
			if (kind === "delete" && slot.dirty !== 0) this.add(slot, vm.slots.dirtyBitmap(slot));
		});
	}

	/** Guest time at which the interval in hand ends. */
	get until(): number {
		return this.end;
	}

	/** Guest time is `now`: ends the interval if it is over. */
	tick(now: number): void {
		if (now < this.end) return;
		this.report(this.end);
		this.end = (Math.floor(now / INTERVAL_NS) + 1) * INTERVAL_NS;
	}

	/** Ends the last interval early. */
	finish(now: number): void {
		this.tick(now);
		this.report(now);
	}

	private report(guestTimeNs: number): void {
		for (const slot of this.vm.slots.list()) {
			if ((slot.flags & KVM_MEM_LOG_DIRTY_PAGES) === 0) continue;
			const bitmap = new Uint8Array(Math.ceil(slot.npages / 64) * 8);
			if (this.vm.getDirtyLog(slot.slot, bitmap) === 0) this.add(slot, bitmap);
		}
		if (this.pages.size === 0) return;
		const line = { guestTimeNs, instructions: this.instructions(), pages: this.pages.size, ranges: ranges(this.pages) };
		this.pages.clear();
		this.say(JSON.stringify(line));
	}

	private add({ first }: Slot, bitmap: Uint8Array): void {
		for (let n = 0; n < bitmap.length; n++) {
			for (let bits = bitmap[n]!; bits !== 0; bits &= bits - 1) {
				this.pages.add(first / PAGE + n * 8 + (31 - Math.clz32(bits & -bits)));
			}
		}
	}
}

/** Runs of pages as first and last address. */
function ranges(pages: ReadonlySet<number>): [string, string][] {
	const runs: { first: number; last: number }[] = [];
	for (const page of [...pages].sort((a, b) => a - b)) {
		const run = runs.at(-1);
		if (run?.last === page - 1) run.last = page;
		else runs.push({ first: page, last: page });
	}
	const hex = (address: number): string => `0x${address.toString(16)}`;
	return runs.map(({ first, last }) => [hex(first * PAGE), hex((last + 1) * PAGE - 1)]);
}
