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
 * The slots for a flat view: writable for ram, readonly for rom, readonly views of ram and romd in array mode, none for the
 * rest. Ranges shrink to whole pages; what is cut off, or backed by memory that lies across page boundaries, stays MMIO.
 *
 * @param splits multiples of 4096, ascending: no slot crosses one, so that what changes on one side leaves the slots on
 *   the other side, and what the processor has learnt of them, alone.
 */
export function planSlots(flat: readonly FlatRange[], splits: readonly bigint[] = []): SlotPlan[] {
	const plans: SlotPlan[] = [];
	for (const { first, last, region, offset, readonly, direct } of flat) {
		const { body } = region;
		if (!direct || !("userspaceAddr" in body)) continue;
		const start = ((first + PAGE - 1n) / PAGE) * PAGE;
		const end = ((last + 1n) / PAGE) * PAGE;
		const toHost = body.userspaceAddr + offset - first;
		if ((start + toHost) % PAGE !== 0n) continue;
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
	}
	return plans;
}

export interface PlanChange {
	readonly remove: SlotPlan[];
	readonly add: SlotPlan[];
}

/** What leads from one plan to another. Removals come first: an added slot may lie where a removed one was. */
export function diffPlans(before: readonly SlotPlan[], after: readonly SlotPlan[]): PlanChange {
	const key = (plan: SlotPlan): string =>
		`${plan.guestPhysAddr} ${plan.memorySize} ${plan.userspaceAddr} ${plan.readonly}`;
	const old = new Set(before.map(key));
	const next = new Set(after.map(key));
	return { remove: before.filter((plan) => !next.has(key(plan))), add: after.filter((plan) => !old.has(key(plan))) };
}
