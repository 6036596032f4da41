import { F, PENDING } from "../vcpu/layout.ts";
import type { Processor } from "../vcpu/processor.ts";
import { RING_DIRTY, RING_ENTRY, RING_ENTRY_SIZE, RING_RESET } from "../vcpu/slot-table.ts";
import type { MemSlots, Slot } from "./memslots.ts";

/** Entries kept free for what one instruction dirties after the ring is as good as full (KVM_DIRTY_RING_RSVD_ENTRIES). */
const RESERVED = 64;

/** A page that was stored to. */
export interface DirtyGfn {
	/** Slot id, address space in bits 16 and up. */
	readonly slot: number;
	/** Page in the slot. */
	readonly offset: number;
}

/**
 * The dirty ring of a vCPU (Linux virt/kvm/api, 8.29): 16-byte entries that the processor fills, user space harvests and
 * {@link reset} gives back. A page stands in it once until it is given back; other implementations may repeat it.
 */
export class DirtyRing {
	/** The entries as user space maps them: u32 flags, u32 slot, u64 offset each. */
	readonly bytes: Uint8Array;
	readonly entries: number;
	private readonly view: DataView;
	private readonly processor: Processor;
	private readonly slots: MemSlots;
	private harvested = 0;

	/** `bytes`: a power of two, at least 4096. */
	constructor(processor: Processor, slots: MemSlots, bytes: number) {
		const { memory } = processor;
		const at = memory.allocate(bytes);
		this.processor = processor;
		this.slots = slots;
		this.entries = bytes / RING_ENTRY_SIZE;
		this.bytes = memory.bytes(at, bytes);
		this.view = new DataView(this.bytes.buffer, at, bytes);
		processor.set(F.ring, at);
		processor.set(F.ringMask, this.entries - 1);
		processor.set(F.ringSoft, this.entries - RESERVED);
	}

	/** How many entries the processor may still fill. */
	get room(): number {
		const { processor } = this;
		return this.entries - ((processor.get(F.ringPushed) - processor.get(F.ringReset)) >>> 0);
	}

	/** What user space does with the ring: takes the entries that are dirty, in order, and marks them for the reset. */
	harvest(): DirtyGfn[] {
		const found: DirtyGfn[] = [];
		for (;;) {
			const at = (this.harvested % this.entries) * RING_ENTRY_SIZE;
			if ((this.flags(at) & (RING_DIRTY | RING_RESET)) !== RING_DIRTY) return found;
			found.push(this.entry(at));
			this.view.setUint32(at + RING_ENTRY.flags, RING_DIRTY | RING_RESET, true);
			this.harvested++;
		}
	}

	/** This ring's part of KVM_RESET_DIRTY_RINGS: gives back what was harvested, from the oldest on. @returns how many. */
	reset(): number {
		const { processor, slots } = this;
		const start = processor.get(F.ringReset);
		const touched = new Map<Slot, { first: number; last: number }>();
		let count = 0;
		for (; count < this.entries; count++) {
			const at = (((start + count) >>> 0) % this.entries) * RING_ENTRY_SIZE;
			if ((this.flags(at) & RING_RESET) === 0) break;
			const { slot: id, offset } = this.entry(at);
			const slot = slots.get(id);
			if (typeof slot === "object" && slot.dirty !== 0 && offset < slot.npages) {
				slots.dirtyBitmap(slot)[offset >>> 3]! &= ~(1 << (offset & 7));
				const range = touched.get(slot);
				if (range === undefined) touched.set(slot, { first: offset, last: offset });
				else touched.set(slot, { first: Math.min(range.first, offset), last: Math.max(range.last, offset) });
			}
			this.view.setUint32(at + RING_ENTRY.flags, 0, true);
		}
		// Pages in between lose their permission to be written too, which costs a slow store each and no second entry.
		for (const [slot, { first, last }] of touched) slots.protect(slot, first, last - first + 1);
		processor.set(F.ringReset, start + count);
		if (this.entries - this.room < this.entries - RESERVED) {
			processor.set(F.pending, processor.get(F.pending) & ~PENDING.ring);
		}
		return count;
	}

	private flags(at: number): number {
		return this.view.getUint32(at + RING_ENTRY.flags, true);
	}

	private entry(at: number): DirtyGfn {
		return {
			slot: this.view.getUint32(at + RING_ENTRY.slot, true),
			offset: Number(this.view.getBigUint64(at + RING_ENTRY.offset, true)),
		};
	}
}
