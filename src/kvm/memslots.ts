import { assert } from "../base/errors.ts";
import { KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY } from "../vcpu/slot-table.ts";
import { PAGE_SIZE } from "../vcpu/vm-memory.ts";
import { type Backing, USER_END } from "./backing.ts";
import type { KvmResult } from "./errno.ts";
import type { MemslotsPool } from "./memslots-pool.ts";
import { SlotTable } from "./memslots-table.ts";
import { isU32, isU64 } from "./unsigned.ts";

export { KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY };

/** Slots per address space (KVM_CAP_NR_MEMSLOTS on x86). */
export const SLOT_LIMIT = 32764;
/** Set in {@link MemSlots.generation} while an update is under way. */
export const GENERATION_UPDATING = 1n << 63n;

const PAGE = BigInt(PAGE_SIZE);
const PAGE_MASK = PAGE - 1n;
const MAX_PAGES = (1n << 31n) - 1n;
const TWO_64 = 1n << 64n;

/** The argument of KVM_SET_USER_MEMORY_REGION, with Linux' names and widths. */
export interface UserMemoryRegion {
	/** u32: slot id in bits 0..15, address space in bits 16..31. */
	readonly slot: number;
	/** u32: KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY. */
	readonly flags: number;
	/** u64, as are the next two: bytes. */
	readonly guestPhysAddr: bigint;
	readonly memorySize: bigint;
	readonly userspaceAddr: bigint;
}

/** A slot in use. Addresses are below 2^52, so that numbers hold them. */
export interface Slot {
	/** Id, with the address space in bits 16 and up. */
	readonly slot: number;
	readonly flags: number;
	/** First and last guest-physical address. */
	readonly first: number;
	readonly last: number;
	readonly npages: number;
	readonly userspaceAddr: bigint;
	/** VM memory offset of the first byte where the backing is in one piece, else 0. */
	readonly host: number;
	/** VM memory offset of one u32 per page, its backing or 0, where the backing is in pieces; else 0. */
	readonly pages: number;
	/** VM memory offset of the dirty bitmap, a bit per page in 64-bit words; 0 while dirty pages are not logged. */
	readonly dirty: number;
	/** VM memory offset of the changed bits, a byte per page, 0 where stores set dirty bits themselves. */
	readonly changed: number;
}

/** What a processor has to forget. Cached slot-table entries are stale after every change, whatever its kind. */
export interface SlotsChange {
	/**
	 * - create: a slot appeared; forget that there was nothing.
	 * - delete: a slot goes, or is on its way elsewhere; forget all translations into the range.
	 * - host: other host memory is behind the range; forget all translations into it.
	 * - protect: stores must mark pages dirty again; forget permissions to write.
	 * - flags: stores need not mark pages dirty any more.
	 */
	readonly kind: "create" | "delete" | "host" | "protect" | "flags";
	readonly addressSpace: number;
	/** Guest-physical addresses, inclusive. */
	readonly first: number;
	readonly last: number;
}

/** `slot`: whose change it is; one that goes, as it was. */
export type SlotsListener = (change: SlotsChange, slot: Slot) => void;

export interface MemSlotsOptions {
	/** KVM_CAP_MULTI_ADDRESS_SPACE; default 1. */
	readonly addressSpaces?: number;
	/** Width of guest-physical addresses, at most 52, the default. */
	readonly physicalBits?: number;
	/**
	 * How stores reach the dirty log; what it says is the same. `writeProtect` (default): the first store to a protected page
	 * sets its dirty bit. `changedBits`: it sets a changed bit of the page whether the slot logs or not, as processors with such
	 * a bit in their page tables do, and the log collects these. Not for the dirty ring.
	 */
	readonly dirtyTracking?: "writeProtect" | "changedBits";
}

type MutableSlot = { -readonly [K in keyof Slot]: Slot[K] };

interface Space {
	readonly table: SlotTable;
	readonly byId: Map<number, MutableSlot>;
	generation: bigint;
}

/**
 * The memory slots of a VM: KVM_SET_USER_MEMORY_REGION with Linux' checks, in Linux' order (virt/kvm/kvm_main.c), and the
 * table that the processor reads. Changes are made between instructions.
 */
export class MemSlots {
	readonly backing: Backing;
	/** Bits of KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 in force: 1 manual, 2 initially set. */
	manualProtect = 0;
	private readonly pool: MemslotsPool;
	private readonly spaces: readonly Space[];
	private readonly end: bigint;
	readonly dirtyTracking: "writeProtect" | "changedBits";
	private readonly listeners: SlotsListener[] = [];

	constructor(backing: Backing, pool: MemslotsPool, options: MemSlotsOptions = {}) {
		const { addressSpaces = 1, physicalBits = 52, dirtyTracking = "writeProtect" } = options;
		this.dirtyTracking = dirtyTracking;
		assert(physicalBits >= 32 && physicalBits <= 52, "physical address width");
		this.backing = backing;
		this.pool = pool;
		this.end = 1n << BigInt(physicalBits);
		this.spaces = Array.from({ length: addressSpaces }, (_, i) => ({
			table: new SlotTable(pool),
			byId: new Map(),
			generation: BigInt(i),
		}));
		this.activate(0);
		backing.onChange((first, last) => this.hostChanged(first, last));
	}

	/** Calls `listener` at every change, after the table has changed. Between the two steps of a move it is called twice. */
	onSlotsChanged(listener: SlotsListener): void {
		this.listeners.push(listener);
	}

	/** Gives the processor the slots of an address space. */
	activate(addressSpace: number): void {
		this.space(addressSpace);
		this.spaces.forEach((space, i) => {
			space.table.setActive(i === addressSpace);
		});
	}

	/** Grows with every published change; never the same in two address spaces. */
	generation(addressSpace = 0): bigint {
		return this.space(addressSpace).generation;
	}

	/** The slot with this number (address space in bits 16 and up), "EINVAL" where no slot can have it, undefined while unused. */
	get(slot: number): Slot | "EINVAL" | undefined {
		const space = this.spaces[slot >>> 16];
		const id = slot & 0xffff;
		if (space === undefined || id >= SLOT_LIMIT) return "EINVAL";
		return space.byId.get(id);
	}

	/** The slot that holds a guest-physical address. */
	find(address: number, addressSpace = 0): Slot | undefined {
		const { table, byId } = this.space(addressSpace);
		const index = table.find(address);
		return index < 0 ? undefined : byId.get(table.id(index) & 0xffff);
	}

	/** All slots of an address space, by address. */
	list(addressSpace = 0): Slot[] {
		return [...this.space(addressSpace).byId.values()].sort((a, b) => a.first - b.first);
	}

	/** Where the byte at `address`, which `slot` holds, lies in VM memory; 0 where nothing backs it. */
	hostOffset(slot: Slot, address: number): number {
		const distance = address - slot.first;
		if (slot.host !== 0) return slot.host + distance;
		if (slot.pages === 0) return 0;
		const page = this.words(slot.pages, slot.npages)[Math.floor(distance / PAGE_SIZE)] ?? 0;
		return page === 0 ? 0 : page - (page % PAGE_SIZE) + (distance % PAGE_SIZE);
	}

	/** Whether the guest may store at `address`, which `slot` holds: not in a readonly slot, nor where the host may only read. */
	isWritable(slot: Slot, address: number): boolean {
		if ((slot.flags & KVM_MEM_READONLY) !== 0) return false;
		if (slot.host !== 0) return true;
		if (slot.pages === 0) return false;
		const page = this.words(slot.pages, slot.npages)[Math.floor((address - slot.first) / PAGE_SIZE)] ?? 0;
		return page !== 0 && page % PAGE_SIZE === 0;
	}

	/** How many address spaces there are. */
	get addressSpaces(): number {
		return this.spaces.length;
	}

	/** The bitmap of a slot that logs, up to date: ceil(npages / 64) * 8 bytes. */
	dirtyBitmap(slot: Slot): Uint8Array {
		assert(slot.dirty !== 0, "the slot does not log");
		const bitmap = this.pool.memory.bytes(slot.dirty, bitmapBytes(slot.npages));
		if (slot.changed !== 0) {
			const changed = this.changedBytes(slot);
			for (let page = changed.indexOf(1); page >= 0; page = changed.indexOf(1, page + 1)) {
				bitmap[page >>> 3]! |= 1 << (page & 7);
			}
		}
		return bitmap;
	}

	private changedBytes(slot: Slot): Uint8Array {
		return this.pool.memory.bytes(slot.changed, slot.npages);
	}

	/** A store of the hypervisor's own hit `address` (KVM's mark_page_dirty). Nothing to do in slots that are readonly or do not log. */
	markDirty(slot: Slot, address: number): void {
		if (slot.dirty === 0 || (slot.flags & KVM_MEM_READONLY) !== 0) return;
		const page = Math.floor((address - slot.first) / PAGE_SIZE);
		this.pool.memory.bytes(slot.dirty + (page >>> 3), 1)[0]! |= 1 << (page & 7);
	}

	/** The processors must not write `count` pages from `page` on without marking them dirty. Changed bits in the bitmap are cleared. */
	protect(slot: Slot, page: number, count: number): void {
		if (slot.changed !== 0) this.changedBytes(slot).fill(0, page, page + count);
		const first = slot.first + page * PAGE_SIZE;
		this.announce("protect", slot, first, first + count * PAGE_SIZE - 1);
	}

	/**
	 * KVM_SET_USER_MEMORY_REGION: creates, deletes (size 0), moves a slot or changes its flags.
	 * @returns 0; EINVAL, EEXIST where another slot has one of the addresses, ENOMEM. Nothing has changed after an error.
	 */
	setUserMemoryRegion(region: UserMemoryRegion): KvmResult {
		const { flags, guestPhysAddr, memorySize, userspaceAddr } = region;
		if (!isU32(flags) || (flags & ~(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY)) !== 0) return "EINVAL";
		if (!isU32(region.slot) || !isU64(memorySize) || !isU64(guestPhysAddr) || !isU64(userspaceAddr)) return "EINVAL";
		if ((memorySize & PAGE_MASK) !== 0n) return "EINVAL";
		if ((guestPhysAddr & PAGE_MASK) !== 0n) return "EINVAL";
		if ((userspaceAddr & PAGE_MASK) !== 0n || userspaceAddr + memorySize > USER_END) return "EINVAL";
		const addressSpace = region.slot >>> 16;
		const id = region.slot & 0xffff;
		const space = this.spaces[addressSpace];
		if (space === undefined || id >= SLOT_LIMIT) return "EINVAL";
		if (guestPhysAddr + memorySize >= TWO_64 && memorySize > 0n) return "EINVAL";
		// The kernel's check that the pages of all slots do not overflow 64 bits cannot fail: the slots are too few.
		if (memorySize / PAGE > MAX_PAGES) return "EINVAL";

		const old = space.byId.get(id);
		if (memorySize === 0n) {
			if (old === undefined) return "EINVAL";
			this.delete(space, old);
			return 0;
		}
		const npages = Number(memorySize / PAGE);
		const moved = old === undefined || BigInt(old.first) !== guestPhysAddr;
		if (old !== undefined) {
			if (old.userspaceAddr !== userspaceAddr || old.npages !== npages) return "EINVAL";
			if (((old.flags ^ flags) & KVM_MEM_READONLY) !== 0) return "EINVAL";
			if (!moved && old.flags === flags) return 0;
		}
		if (moved && this.overlapsOther(space, id, guestPhysAddr, memorySize)) return "EEXIST";
		if (guestPhysAddr + memorySize > this.end) return "EINVAL";

		const first = Number(guestPhysAddr);
		const last = first + Number(memorySize) - 1;
		const next: MutableSlot = {
			slot: region.slot,
			flags,
			first,
			last,
			npages,
			userspaceAddr,
			host: 0,
			pages: 0,
			dirty: 0,
			changed: 0,
		};
		if (old === undefined) return this.create(space, next);
		return moved ? this.move(space, old, next) : this.changeFlags(space, old, flags);
	}

	private space(addressSpace: number): Space {
		const space = this.spaces[addressSpace];
		assert(space !== undefined, `no address space ${addressSpace}`);
		return space;
	}

	private overlapsOther(space: Space, id: number, guestPhysAddr: bigint, memorySize: bigint): boolean {
		const { table } = space;
		// Beyond the widest slot there is nothing to overlap; addresses stay exact below 2^53.
		if (guestPhysAddr >= this.end) return false;
		const last = Number(guestPhysAddr + memorySize - 1n);
		for (let i = table.lowerBound(Number(guestPhysAddr)); i < table.count && table.first(i) <= last; i++) {
			if ((table.id(i) & 0xffff) !== id) return true;
		}
		return false;
	}

	private create(space: Space, slot: MutableSlot): KvmResult {
		if (!space.table.reserve() || !this.bindHost(slot)) return "ENOMEM";
		if (!this.startTracking(slot) || !this.startLogging(slot)) {
			this.releasePages(slot);
			this.pool.release(slot.changed, slot.npages);
			return "ENOMEM";
		}
		space.byId.set(slot.slot & 0xffff, slot);
		this.update(space, () => {
			space.table.insert(entryOf(slot));
			this.announce("create", slot);
		});
		return 0;
	}

	private delete(space: Space, slot: MutableSlot): void {
		this.invalidate(space, slot);
		this.update(space, () => space.byId.delete(slot.slot & 0xffff));
		this.stopLogging(slot);
		this.releasePages(slot);
		this.pool.release(slot.changed, slot.npages);
	}

	/** Keeps the host pages, and the dirty bitmap where the slot goes on logging: its bits are relative to the slot. */
	private move(space: Space, old: MutableSlot, next: MutableSlot): KvmResult {
		next.host = old.host;
		next.pages = old.pages;
		next.changed = old.changed;
		if (logs(next)) next.dirty = old.dirty;
		if (!space.table.reserve() || !this.startLogging(next)) return "ENOMEM";
		this.invalidate(space, old);
		this.update(space, () => {
			space.byId.set(next.slot & 0xffff, next);
			space.table.insert(entryOf(next));
			this.announce("create", next);
		});
		if (!logs(next)) this.stopLogging(old);
		return 0;
	}

	private changeFlags(space: Space, slot: MutableSlot, flags: number): KvmResult {
		const before = slot.flags;
		slot.flags = flags;
		if (!this.startLogging(slot)) {
			slot.flags = before;
			return "ENOMEM";
		}
		if (!logs(slot)) this.stopLogging(slot);
		this.update(space, () => {
			space.table.write(space.table.find(slot.first), entryOf(slot));
			this.announce(logs(slot) ? "protect" : "flags", slot);
		});
		return 0;
	}

	/** First step of a deletion or a move: the range reads as if there were no slot, and processors forget it. */
	private invalidate(space: Space, slot: Slot): void {
		this.update(space, () => {
			space.table.remove(space.table.find(slot.first));
			this.announce("delete", slot);
		});
	}

	private update(space: Space, change: () => void): void {
		const next = space.generation + BigInt(this.spaces.length);
		space.generation |= GENERATION_UPDATING;
		change();
		space.generation = next;
	}

	private announce(kind: SlotsChange["kind"], slot: Slot, first: number = slot.first, last: number = slot.last): void {
		const change: SlotsChange = { kind, addressSpace: slot.slot >>> 16, first, last };
		for (const listener of this.listeners) listener(change, slot);
	}

	/** Allocates the bitmap where the slot logs and has none yet. @returns false when there is no memory. */
	private startLogging(slot: MutableSlot): boolean {
		if (!logs(slot) || slot.dirty !== 0) return true;
		slot.dirty = this.pool.allocate(bitmapBytes(slot.npages));
		if (slot.dirty === 0) return false;
		// What changed before does not count.
		if (slot.changed !== 0) this.changedBytes(slot).fill(0);
		if ((this.manualProtect & 2) !== 0) setAllPages(this.dirtyBitmap(slot), slot.npages);
		return true;
	}

	/** Allocates the changed bits where there are to be any. @returns false when there is no memory. */
	private startTracking(slot: MutableSlot): boolean {
		if (this.dirtyTracking !== "changedBits" || (slot.flags & KVM_MEM_READONLY) !== 0) return true;
		slot.changed = this.pool.allocate(slot.npages);
		return slot.changed !== 0;
	}

	private stopLogging(slot: MutableSlot): void {
		this.pool.release(slot.dirty, bitmapBytes(slot.npages));
		slot.dirty = 0;
	}

	/** Looks up the host pages. @returns false when there is no memory for a list of them. */
	private bindHost(slot: MutableSlot): boolean {
		const binding = this.backing.bind(slot.userspaceAddr, BigInt(slot.npages) * PAGE);
		slot.host = binding.kind === "contiguous" ? binding.offset : 0;
		if (binding.kind !== "scattered") return true;
		slot.pages = this.pool.allocate(4 * slot.npages);
		if (slot.pages === 0) return false;
		const pages = this.words(slot.pages, slot.npages);
		for (let i = 0; i < slot.npages; i++) pages[i] = this.backing.pageAt(slot.userspaceAddr + BigInt(i) * PAGE);
		return true;
	}

	private releasePages(slot: MutableSlot): void {
		this.pool.release(slot.pages, 4 * slot.npages);
		slot.pages = 0;
	}

	/** The host put other memory behind its addresses first..last. */
	private hostChanged(first: bigint, last: bigint): void {
		for (const space of this.spaces) {
			for (const slot of space.byId.values()) {
				if (slot.userspaceAddr > last || slot.userspaceAddr + BigInt(slot.npages) * PAGE <= first) continue;
				this.releasePages(slot);
				assert(this.bindHost(slot), "no memory for the pages of a slot");
				space.table.write(space.table.find(slot.first), entryOf(slot));
				this.announce("host", slot);
			}
		}
	}

	private words(offset: number, count: number): Uint32Array {
		return new Uint32Array(this.pool.memory.memory.buffer, offset, count);
	}
}

function logs(slot: Slot): boolean {
	return (slot.flags & KVM_MEM_LOG_DIRTY_PAGES) !== 0;
}

function entryOf({ first, last, host, flags, dirty, slot, pages, changed }: Slot) {
	return { first, last, host, flags, dirty, id: slot, pages, changed };
}

function bitmapBytes(npages: number): number {
	return Math.ceil(npages / 64) * 8;
}

function setAllPages(bitmap: Uint8Array, npages: number): void {
	bitmap.fill(0xff, 0, npages >>> 3);
	if ((npages & 7) !== 0) bitmap[npages >>> 3] = (1 << (npages & 7)) - 1;
}
