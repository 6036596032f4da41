import { PAGE_SIZE, type VmMemory } from "../vcpu/vm-memory.ts";
import type { Errno, KvmResult } from "./errno.ts";
import { KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY, type MemSlots, type Slot } from "./memslots.ts";
import { isU32, isU64 } from "./unsigned.ts";

/** The argument of KVM_PRE_FAULT_MEMORY; on return, what is left to do. */
export interface PreFaultMemory {
	/** u64, multiples of 4096: guest-physical address and bytes. */
	gpa: bigint;
	size: bigint;
	/** Must be 0. */
	flags?: number;
}

/** Flags of {@link MapMemory}: the access whose fault is taken beforehand. */
export const MAP_MEMORY_FLAG = { write: 1, exec: 2, user: 4, private: 8 } as const;
const MAP_MEMORY_FLAGS = Object.values(MAP_MEMORY_FLAG).reduce((all, bit) => all | bit, 0);
/** Pages of one call of mapMemory. */
const BATCH_PAGES = 512n;

/** The argument of KVM_MAP_MEMORY in its first form (RFC v1 of what became KVM_PRE_FAULT_MEMORY); on return, what is left to do. */
export interface MapMemory {
	/** u64: number of the first guest page, and pages. */
	baseGfn: bigint;
	nrPages: bigint;
	/** Bits of {@link MAP_MEMORY_FLAG}. */
	flags: number;
	/** u64: user-space address of the content to begin with; 0: what is there stays. */
	source: bigint;
}

const PAGE = BigInt(PAGE_SIZE);
const LARGE = 0x20_0000;
const TWO_64 = 1n << 64n;

/** Whether the 2 MiB around `gpa` may be mapped at once: the slot holds all of them, its two addresses agree in the low 21 bits, and it does not log. */
function isLarge(slot: Slot, gpa: number): boolean {
	if ((slot.flags & KVM_MEM_LOG_DIRTY_PAGES) !== 0 || slot.host === 0) return false;
	if (BigInt(slot.first % LARGE) !== slot.userspaceAddr % BigInt(LARGE)) return false;
	const first = gpa - (gpa % LARGE);
	return first >= slot.first && first + LARGE - 1 <= slot.last;
}

/** Makes guest memory present before the guest touches it: the host's pages behind it are read once. */
export class PreFault {
	private readonly slots: MemSlots;
	private readonly memory: VmMemory;
	/** Sum of the bytes touched: reading them must not be optimized away. */
	touched = 0;

	constructor(slots: MemSlots, memory: VmMemory) {
		this.slots = slots;
		this.memory = memory;
	}

	/**
	 * KVM_PRE_FAULT_MEMORY (Linux virt/kvm/api, 4.143): as reads would, so that nothing becomes dirty or accessed.
	 * @param interrupted whether user space wants the vCPU back at once
	 * @returns 0 where at least one page was done, though `range` may have a rest; EINVAL: flags, alignment, size 0 or a range
	 *   beyond 2^64; EINTR; ENOENT: no slot; EFAULT: a slot without backing.
	 */
	preFault(range: PreFaultMemory, interrupted: () => boolean): KvmResult {
		const { gpa, size, flags = 0 } = range;
		if (flags !== 0 || !isU64(gpa) || !isU64(size) || ((gpa | size) & (PAGE - 1n)) !== 0n) return "EINVAL";
		if (size === 0n || gpa + size >= TWO_64) return "EINVAL";
		let progress = false;
		while (range.size > 0n) {
			const step = interrupted() ? "EINTR" : this.map(range.gpa, range.size, false);
			if (typeof step === "string") return progress ? 0 : step;
			range.gpa += step;
			range.size -= step;
			progress = true;
		}
		return 0;
	}

	/**
	 * The first form, in pages and with the access in mind; `copy` puts one page of content in place.
	 * @returns 0: all done; EAGAIN: some done, call again with the rest; EINVAL: unknown flags, no pages, a range beyond
	 *   2^64; EOPNOTSUPP: private memory; EINTR; ENOENT: no slot; EFAULT: a slot without backing, a readonly slot to be written, or a
	 *   source that is no buffer.
	 */
	mapMemory(
		range: MapMemory,
		interrupted: () => boolean,
		copy: (gpa: number, from: bigint, size: number) => boolean,
	): KvmResult {
		const { baseGfn, nrPages, flags, source } = range;
		if (!isU64(baseGfn) || !isU64(nrPages) || !isU64(source)) return "EINVAL";
		if (!isU32(flags) || (flags & ~MAP_MEMORY_FLAGS) !== 0) return "EINVAL";
		if (nrPages === 0n || (baseGfn + nrPages) * PAGE >= TWO_64) return "EINVAL";
		if ((flags & MAP_MEMORY_FLAG.private) !== 0) return "EOPNOTSUPP";
		const write = (flags & MAP_MEMORY_FLAG.write) !== 0;
		for (let done = 0n; range.nrPages > 0n; ) {
			const most = BATCH_PAGES - done;
			if (most === 0n) return "EAGAIN";
			const gpa = range.baseGfn * PAGE;
			const rest = (range.nrPages < most ? range.nrPages : most) * PAGE;
			let step = interrupted() ? ("EINTR" as const) : this.map(gpa, rest, write);
			if (typeof step !== "string" && range.source !== 0n && !copy(Number(gpa), range.source, Number(step)))
				step = "EFAULT";
			if (typeof step === "string") return done > 0n ? "EAGAIN" : step;
			range.baseGfn += step / PAGE;
			range.nrPages -= step / PAGE;
			if (range.source !== 0n) range.source += step;
			done += step / PAGE;
		}
		return 0;
	}

	/** Maps one unit, 4 KiB or up to the end of 2 MiB. @returns the bytes of it inside the range. */
	private map(gpa: bigint, size: bigint, write: boolean): bigint | Errno {
		if (gpa >= 1n << 52n) return "ENOENT";
		const at = Number(gpa);
		const slot = this.slots.find(at);
		if (slot === undefined) return "ENOENT";
		if (write && (slot.flags & KVM_MEM_READONLY) !== 0) return "EFAULT";
		const host = this.slots.hostOffset(slot, at);
		if (host === 0 || (write && !this.slots.isWritable(slot, at))) return "EFAULT";
		const unit = isLarge(slot, at) ? LARGE - (at % LARGE) : PAGE_SIZE;
		const bytes = Math.min(unit, Number(size < BigInt(unit) ? size : BigInt(unit)));
		const memory = this.memory.bytes(host, bytes);
		for (let n = 0; n < bytes; n += PAGE_SIZE) this.touched += memory[n]!;
		return BigInt(bytes);
	}
}
