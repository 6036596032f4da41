import { PAGE_SIZE } from "../vcpu/vm-memory.ts";
import type { MemSlots, Slot } from "./memslots.ts";

/** A piece of guest-physical memory in one piece of VM memory. */
export interface PhysicalPiece {
	readonly slot: Slot;
	readonly gpa: number;
	readonly host: number;
	readonly bytes: number;
}

/**
 * The hypervisor's own access to guest-physical memory: the pieces of VM memory behind `size` bytes at `gpa`, in order.
 * undefined where a byte is in no slot, has no backing, or is to be written in ROM: the hypervisor makes no exits.
 */
export function physicalPieces(
	slots: MemSlots,
	gpa: number,
	size: number,
	write: boolean,
	addressSpace = 0,
): PhysicalPiece[] | undefined {
	const pieces: PhysicalPiece[] = [];
	for (let done = 0; done < size; ) {
		const at = gpa + done;
		const slot = slots.find(at, addressSpace);
		if (slot === undefined || (write && !slots.isWritable(slot, at))) return undefined;
		const host = slots.hostOffset(slot, at);
		if (host === 0) return undefined;
		const whole = slot.host !== 0 ? slot.last + 1 - at : PAGE_SIZE - (at % PAGE_SIZE);
		const bytes = Math.min(size - done, whole);
		pieces.push({ slot, gpa: at, host, bytes });
		done += bytes;
	}
	return pieces;
}
