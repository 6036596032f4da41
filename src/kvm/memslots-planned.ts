import { assert } from "../base/errors.ts";
import { diffPlans, planKey, type SlotPlan } from "../memory/slot-plan.ts";
import { KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY, type MemSlots } from "./memslots.ts";

/** Keeps the slots of an address space equal to a plan, and hands out their ids. Other slots in it are somebody else's. */
export class PlannedSlots {
	private readonly slots: MemSlots;
	private readonly addressSpace: number;
	private readonly logDirty: boolean;
	private plan: readonly SlotPlan[] = [];
	private readonly ids = new Map<SlotPlan, number>();

	/** `logDirty`: writable slots log dirty pages. */
	constructor(slots: MemSlots, { addressSpace = 0, logDirty = false } = {}) {
		this.slots = slots;
		this.addressSpace = addressSpace;
		this.logDirty = logDirty;
	}

	/** Deletes the slots that are not in `plan` any more, then creates the new ones. What stays is not touched. */
	apply(plan: readonly SlotPlan[]): void {
		const { remove, add } = diffPlans(this.plan, plan);
		for (const gone of remove) {
			this.set(this.idOf(gone), gone, 0n);
			this.ids.delete(gone);
		}
		const used = new Set(this.ids.values());
		let id = 0;
		for (const slot of add) {
			while (used.has(id)) id++;
			this.set(id, slot, slot.memorySize);
			this.ids.set(slot, id++);
		}
		this.adopt(plan);
		this.plan = plan;
	}

	/** Slots that stayed are known by the plan's own objects from now on, so that the next comparison is quick. */
	private adopt(plan: readonly SlotPlan[]): void {
		const { ids } = this;
		const fresh = plan.filter((each) => !ids.has(each));
		if (fresh.length === 0) return;
		const wanted = new Set(plan);
		const stale = new Map([...ids.keys()].flatMap((each) => (wanted.has(each) ? [] : [[planKey(each), each]])));
		for (const each of fresh) {
			const before = stale.get(planKey(each));
			assert(before !== undefined, "a slot that stayed");
			ids.set(each, this.idOf(before));
			ids.delete(before);
		}
	}

	private idOf(plan: SlotPlan): number {
		const id = this.ids.get(plan);
		assert(id !== undefined, "a slot that was never created");
		return id;
	}

	private set(id: number, { guestPhysAddr, userspaceAddr, readonly }: SlotPlan, memorySize: bigint): void {
		const result = this.slots.setUserMemoryRegion({
			slot: (this.addressSpace << 16) | id,
			flags: readonly ? KVM_MEM_READONLY : this.logDirty ? KVM_MEM_LOG_DIRTY_PAGES : 0,
			guestPhysAddr,
			memorySize,
			userspaceAddr,
		});
		assert(result === 0, `slot ${id} at ${guestPhysAddr.toString(16)}: ${result}`);
	}
}
