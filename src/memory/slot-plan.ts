import { type Gpa, gpa } from "../base/gpa.ts";
import type { FlatRange } from "./flat-view.ts";

/** What the processor may touch directly: one memory slot. */
export interface SlotPlan {
	/** A multiple of 4096, as are the other two. */
	readonly guestPhysAddr: Gpa;
	/** Bytes. */
	readonly memorySize: bigint;
	readonly userspaceAddr: bigint;
	/** Stores leave the processor as MMIO exits. */
	readonly readonly: boolean;
}

const PAGE = 4096n;

/**
 * The slots for flat views: writable for ram, readonly for rom, readonly views of ram and romd in array mode, none for the
 * rest. Ranges shrink to whole pages; what is cut off, or backed by memory that lies across page boundaries, stays MMIO.
 */
export class SlotPlanner {
	private readonly splits: readonly bigint[];
	/** What was planned for a range: views share the ranges that have not changed. */
	private readonly known = new WeakMap<FlatRange, readonly SlotPlan[]>();

	/**
	 * @param splits multiples of 4096, ascending: no slot crosses one, so that what changes on one side leaves the slots on the other
	 *   side, and what the processor has learnt of them, alone.
	 */
	constructor(splits: readonly bigint[] = []) {
		this.splits = splits;
	}

	plan(flat: readonly FlatRange[]): SlotPlan[] {
		return flat.flatMap((range) => {
			const known = this.known.get(range);
			if (known !== undefined) return known;
			const plans = planRange(range, this.splits);
			this.known.set(range, plans);
			return plans;
		});
	}
}

function planRange(range: FlatRange, splits: readonly bigint[]): SlotPlan[] {
	const { first, last, region, offset, readonly, direct } = range;
	const { body } = region;
	if (!direct || !("userspaceAddr" in body)) return [];
	const start = ((first + PAGE - 1n) / PAGE) * PAGE;
	const end = ((last + 1n) / PAGE) * PAGE;
	const toHost = body.userspaceAddr + offset - first;
	if ((start + toHost) % PAGE !== 0n) return [];
	const plans: SlotPlan[] = [];
	const cuts = [start, ...splits.filter((split) => split > start && split < end), end];
	for (let i = 0; i + 1 < cuts.length; i++) {
		const from = cuts[i]!;
		const size = cuts[i + 1]! - from;
		if (size <= 0n) continue;
		plans.push({
			guestPhysAddr: gpa(from),
			memorySize: size,
			userspaceAddr: from + toHost,
			readonly: readonly || body.kind !== "ram",
		});
	}
	return plans;
}

/** The same for plans of the same slot. */
export function planKey({ guestPhysAddr, memorySize, userspaceAddr, readonly }: SlotPlan): string {
	return `${guestPhysAddr} ${memorySize} ${userspaceAddr} ${readonly}`;
}

export interface PlanChange {
	readonly remove: SlotPlan[];
	readonly add: SlotPlan[];
}

/** What leads from one plan to another. Removals come first: an added slot may lie where a removed one was. */
export function diffPlans(before: readonly SlotPlan[], after: readonly SlotPlan[]): PlanChange {
	const kept = new Set(before);
	const next = new Set(after);
	// Most plans are the very same; only the rest is compared.
	const gone = before.filter((plan) => !next.has(plan));
	const come = after.filter((plan) => !kept.has(plan));
	const old = new Set(gone.map(planKey));
	const coming = new Set(come.map(planKey));
	return {
		remove: gone.filter((plan) => !coming.has(planKey(plan))),
		add: come.filter((plan) => !old.has(planKey(plan))),
	};
}
