import type { KvmResult } from "./errno.ts";
import type { MemSlots, Slot } from "./memslots.ts";
import { isU32, isU64 } from "./unsigned.ts";

/** KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE */
export const MANUAL_PROTECT = 1;
/** KVM_DIRTY_LOG_INITIALLY_SET, only together with {@link MANUAL_PROTECT} */
export const INITIALLY_SET = 2;

/** The argument of KVM_CLEAR_DIRTY_LOG. */
export interface ClearDirtyLog {
	/** u32: slot id, address space in bits 16 and up. */
	readonly slot: number;
	/** u32 */
	readonly numPages: number;
	/** u64 */
	readonly firstPage: bigint;
	/** Bit i set: page firstPage + i becomes clean. At least ceil(numPages / 64) * 8 bytes. */
	readonly bitmap: Uint8Array;
}

/**
 * The dirty bitmaps of a VM's slots: KVM_GET_DIRTY_LOG, KVM_CLEAR_DIRTY_LOG and the capability that goes with them
 * (Linux virt/kvm/api, 4.8, 4.117 and 7.13).
 */
export class DirtyLog {
	private readonly slots: MemSlots;

	constructor(slots: MemSlots) {
		this.slots = slots;
	}

	/** KVM_ENABLE_CAP for KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 with `args[0]`; 0 switches it off again. Bitmaps in use stay as they are. */
	enableManualProtect(value: bigint): KvmResult {
		const known = BigInt(MANUAL_PROTECT | INITIALLY_SET);
		if ((value & ~known) !== 0n || value === BigInt(INITIALLY_SET)) return "EINVAL";
		this.slots.manualProtect = Number(value);
		return 0;
	}

	/**
	 * Copies a slot's bitmap: bit i is page i, the bits after the last page are 0. Unless protection is manual, the pages
	 * returned become clean.
	 * @param bitmap at least ceil(npages / 64) * 8 bytes
	 * @returns 0; EINVAL: no slot can have this number; ENOENT: it is not in use or does not log; EFAULT: `bitmap` is too
	 *   short, and nothing has changed.
	 */
	getDirtyLog(slot: number, bitmap: Uint8Array): KvmResult {
		const target = this.logging(slot);
		if (typeof target === "string") return target;
		const dirty = this.slots.dirtyBitmap(target);
		if (bitmap.length < dirty.length) return "EFAULT";
		bitmap.set(dirty);
		if ((this.slots.manualProtect & MANUAL_PROTECT) !== 0) return 0;
		const pages = new PageRuns(this.slots, target);
		for (let i = 0; i < dirty.length; i++) {
			if (dirty[i] !== 0) pages.add(i * 8, dirty[i]!);
		}
		dirty.fill(0);
		pages.protect();
		return 0;
	}

	/**
	 * Makes pages clean; those that were dirty are logged at their next store. Works in either mode.
	 * @returns 0; EINVAL: bad slot number, `firstPage` no multiple of 64 or past the end, `numPages` too large, or no
	 *   multiple of 64 and not up to the slot's end; ENOENT as above; EFAULT: the bitmap is too short.
	 */
	clearDirtyLog({ slot, numPages, firstPage, bitmap }: ClearDirtyLog): KvmResult {
		if (!isU32(slot) || !isU32(numPages) || !isU64(firstPage)) return "EINVAL";
		const number = this.slots.get(slot);
		if (number === "EINVAL" || (firstPage & 63n) !== 0n) return "EINVAL";
		const target = this.logging(slot);
		if (typeof target === "string") return target;
		if (firstPage > BigInt(target.npages)) return "EINVAL";
		const first = Number(firstPage);
		const rest = target.npages - first;
		if (numPages > rest || (numPages < rest && (numPages & 63) !== 0)) return "EINVAL";
		const bytes = Math.ceil(numPages / 64) * 8;
		if (bitmap.length < bytes) return "EFAULT";
		const dirty = this.slots.dirtyBitmap(target);
		const pages = new PageRuns(this.slots, target);
		for (let i = 0; i < bytes; i++) {
			const at = first / 8 + i;
			const cleaned = bitmap[i]! & dirty[at]!;
			if (cleaned === 0) continue;
			dirty[at]! &= ~cleaned;
			pages.add(at * 8, cleaned);
		}
		pages.protect();
		return 0;
	}

	private logging(slot: number): Slot | "EINVAL" | "ENOENT" {
		const target = isU32(slot) ? this.slots.get(slot) : "EINVAL";
		if (target === "EINVAL") return target;
		return target === undefined || target.dirty === 0 ? "ENOENT" : target;
	}
}

const MAX_RUNS = 32;

/** Pages in ascending order, protected run by run. */
class PageRuns {
	private readonly slots: MemSlots;
	private readonly slot: Slot;
	private readonly runs: { page: number; count: number }[] = [];

	constructor(slots: MemSlots, slot: Slot) {
		this.slots = slots;
		this.slot = slot;
	}

	/** The pages `page` + i for every bit i of `bits`, a byte. */
	add(page: number, bits: number): void {
		for (let i = 0; i < 8; i++) {
			if ((bits & (1 << i)) === 0) continue;
			const run = this.runs.at(-1);
			if (run !== undefined && run.page + run.count === page + i) run.count++;
			else this.runs.push({ page: page + i, count: 1 });
		}
	}

	/** Many runs become one: protecting a page too many costs one slow store. */
	protect(): void {
		const [first, last] = [this.runs[0], this.runs.at(-1)];
		if (first === undefined || last === undefined) return;
		if (this.runs.length > MAX_RUNS) {
			this.slots.protect(this.slot, first.page, last.page + last.count - first.page);
			return;
		}
		for (const { page, count } of this.runs) this.slots.protect(this.slot, page, count);
	}
}
