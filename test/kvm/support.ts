import { Backing, type HostBuffer } from "../../src/kvm/backing.ts";
import { DirtyLog } from "../../src/kvm/dirty-log.ts";
import type { KvmResult } from "../../src/kvm/errno.ts";
import { MemSlots, type MemSlotsOptions, type SlotsChange } from "../../src/kvm/memslots.ts";
import { MemslotsPool } from "../../src/kvm/memslots-pool.ts";
import {
	SLOT_DIRTY,
	SLOT_ENTRY_SIZE,
	SLOT_FIRST,
	SLOT_FLAGS,
	SLOT_HEADER_COUNT,
	SLOT_HEADER_TABLE,
	SLOT_HOST,
	SLOT_ID,
	SLOT_LAST,
	SLOT_PAGES,
} from "../../src/vcpu/slot-table.ts";
import { VmMemory } from "../../src/vcpu/vm-memory.ts";

export const PAGE = 4096;

/** Memory slots on a fresh VM, with a host buffer of 2 MiB. */
export class Slots {
	readonly memory = new VmMemory();
	readonly backing = new Backing(this.memory);
	readonly slots: MemSlots;
	readonly log: DirtyLog;
	readonly buffer: HostBuffer;
	readonly changes: SlotsChange[] = [];

	constructor(options: MemSlotsOptions = {}) {
		this.slots = new MemSlots(this.backing, new MemslotsPool(this.memory), options);
		this.log = new DirtyLog(this.slots);
		this.buffer = this.backing.allocate(0x20_0000);
		this.slots.onSlotsChanged((change) => this.changes.push(change));
	}

	/** KVM_SET_USER_MEMORY_REGION; `hva` defaults to the buffer's start. */
	set(slot: number, flags: number, gpa: number | bigint, size: number | bigint, hva?: number | bigint): KvmResult {
		return this.slots.setUserMemoryRegion({
			slot,
			flags,
			guestPhysAddr: BigInt(gpa),
			memorySize: BigInt(size),
			userspaceAddr: hva === undefined ? this.buffer.userspaceAddr : BigInt(hva),
		});
	}

	/** The table as the processor reads it. */
	table() {
		const words = new DataView(this.memory.memory.buffer);
		const table = words.getInt32(SLOT_HEADER_TABLE, true);
		return Array.from({ length: words.getInt32(SLOT_HEADER_COUNT, true) }, (_, i) => {
			const at = table + i * SLOT_ENTRY_SIZE;
			const field = (offset: number): number => words.getInt32(at + offset, true);
			return {
				first: Number(words.getBigInt64(at + SLOT_FIRST, true)),
				last: Number(words.getBigInt64(at + SLOT_LAST, true)),
				host: field(SLOT_HOST),
				flags: field(SLOT_FLAGS),
				dirty: field(SLOT_DIRTY),
				id: field(SLOT_ID),
				pages: field(SLOT_PAGES),
			};
		});
	}

	/** The page frames that the processor finds slots at, as `id:first+pages`. */
	map(): string[] {
		return this.table().map(({ id, first, last }) => `${id}:${first / PAGE}+${(last + 1 - first) / PAGE}`);
	}

	/** Marks pages of a slot as the processor does for a store. */
	store(slot: number, ...pages: number[]): void {
		const entry = this.table().find(({ id }) => id === slot);
		if (entry === undefined || entry.dirty === 0) throw new Error(`slot ${slot} does not log`);
		for (const page of pages) this.memory.bytes(entry.dirty + (page >> 3), 1)[0]! |= 1 << (page & 7);
	}

	/** KVM_GET_DIRTY_LOG: the pages, or the error. */
	dirty(slot: number): number[] | KvmResult {
		const bitmap = new Uint8Array(4096);
		const result = this.log.getDirtyLog(slot, bitmap);
		if (result !== 0) return result;
		const pages: number[] = [];
		for (let i = 0; i < bitmap.length * 8; i++) if ((bitmap[i >> 3]! & (1 << (i & 7))) !== 0) pages.push(i);
		return pages;
	}

	/** KVM_CLEAR_DIRTY_LOG; `bits` count from `firstPage`. */
	clear(slot: number, numPages: number, firstPage: number | bigint, bits: number[] = [], bytes = 4096): KvmResult {
		const bitmap = new Uint8Array(bytes);
		for (const bit of bits) bitmap[bit >> 3]! |= 1 << (bit & 7);
		return this.log.clearDirtyLog({ slot, numPages, firstPage: BigInt(firstPage), bitmap });
	}
}
