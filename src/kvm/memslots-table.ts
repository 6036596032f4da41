import {
	SLOT_CHANGED,
	SLOT_DIRTY,
	SLOT_ENTRY_SIZE,
	SLOT_FIRST,
	SLOT_FLAGS,
	SLOT_HEADER,
	SLOT_HEADER_COUNT,
	SLOT_HEADER_TABLE,
	SLOT_HOST,
	SLOT_ID,
	SLOT_LAST,
	SLOT_PAGES,
} from "../vcpu/slot-table.ts";
import type { MemslotsPool } from "./memslots-pool.ts";

/** One slot as the processor sees it; the fields of vcpu/slot-table.ts. */
export interface SlotEntry {
	/** Guest-physical addresses below 2^53, inclusive. */
	readonly first: number;
	readonly last: number;
	readonly host: number;
	readonly flags: number;
	readonly dirty: number;
	/** Slot id, address space in bits 16 and up. */
	readonly id: number;
	readonly pages: number;
	readonly changed: number;
}

const FIRST_CAPACITY = 64;
const TWO_32 = 2 ** 32;

/**
 * The flat table of one address space, in VM memory: sorted, disjoint, with free room at both ends, so that an insertion
 * moves the shorter side only. It is edited in place, between instructions; addresses of entries do not outlive an edit.
 */
export class SlotTable {
	private readonly pool: MemslotsPool;
	private readonly header: DataView;
	private active = false;
	private capacity = 0;
	/** VM memory offset of the table's memory. */
	private memory = 0;
	private bytes: Uint8Array = new Uint8Array(0);
	private view: DataView = new DataView(new ArrayBuffer(0));
	/** Position of the first entry. */
	private start = 0;
	private length = 0;

	constructor(pool: MemslotsPool) {
		this.pool = pool;
		this.header = dataView(pool.memory.bytes(SLOT_HEADER, 8));
	}

	get count(): number {
		return this.length;
	}

	/** Whether the processor uses this table. */
	setActive(active: boolean): void {
		this.active = active;
		if (active) this.publish();
	}

	/** The index of the first entry whose last address is at or above `address`; {@link count} when there is none. */
	lowerBound(address: number): number {
		let low = 0;
		let high = this.length;
		while (low < high) {
			const middle = (low + high) >> 1;
			if (this.last(middle) < address) low = middle + 1;
			else high = middle;
		}
		return low;
	}

	first(index: number): number {
		return this.address(this.at(index) + SLOT_FIRST);
	}

	last(index: number): number {
		return this.address(this.at(index) + SLOT_LAST);
	}

	id(index: number): number {
		return this.view.getInt32(this.at(index) + SLOT_ID, true);
	}

	/** The index of the entry that holds `address`, or -1. */
	find(address: number): number {
		const index = this.lowerBound(address);
		return index < this.length && this.first(index) <= address ? index : -1;
	}

	/** Makes room for one more entry. @returns false when the VM's memory is full. */
	reserve(): boolean {
		if (this.start > 0 && this.start + this.length < this.capacity) return true;
		return this.recentre();
	}

	/** After {@link reserve}. */
	insert(entry: SlotEntry): void {
		const index = this.lowerBound(entry.first);
		if (index < this.length / 2) {
			this.moveEntries(0, index, -1);
			this.start--;
		} else {
			this.moveEntries(index, this.length, 1);
		}
		this.length++;
		this.write(index, entry);
		this.publish();
	}

	remove(index: number): void {
		if (index < this.length / 2) {
			this.moveEntries(0, index, 1);
			this.start++;
		} else {
			this.moveEntries(index + 1, this.length, -1);
		}
		this.length--;
		this.publish();
	}

	write(index: number, entry: SlotEntry): void {
		const at = this.at(index);
		this.setAddress(at + SLOT_FIRST, entry.first);
		this.setAddress(at + SLOT_LAST, entry.last);
		this.view.setUint32(at + SLOT_HOST, entry.host, true);
		this.view.setUint32(at + SLOT_FLAGS, entry.flags, true);
		this.view.setUint32(at + SLOT_DIRTY, entry.dirty, true);
		this.view.setInt32(at + SLOT_ID, entry.id, true);
		this.view.setUint32(at + SLOT_PAGES, entry.pages, true);
		this.view.setUint32(at + SLOT_CHANGED, entry.changed, true);
	}

	private at(index: number): number {
		return (this.start + index) * SLOT_ENTRY_SIZE;
	}

	private address(at: number): number {
		return this.view.getUint32(at + 4, true) * TWO_32 + this.view.getUint32(at, true);
	}

	private setAddress(at: number, address: number): void {
		this.view.setUint32(at, address % TWO_32, true);
		this.view.setUint32(at + 4, Math.floor(address / TWO_32), true);
	}

	/** Moves the entries from..to-1 by `distance` positions. */
	private moveEntries(from: number, to: number, distance: number): void {
		this.bytes.copyWithin(this.at(from + distance), this.at(from), this.at(to));
	}

	/** Room at both ends again; twice the capacity once half of it is used, so that insertions stay cheap on the average. */
	private recentre(): boolean {
		const entries = this.bytes.slice(this.at(0), this.at(this.length));
		if (this.length * 2 >= this.capacity) {
			const capacity = Math.max(FIRST_CAPACITY, this.capacity * 2);
			const memory = this.pool.allocate(capacity * SLOT_ENTRY_SIZE);
			if (memory === 0) return false;
			this.pool.release(this.memory, this.capacity * SLOT_ENTRY_SIZE);
			this.memory = memory;
			this.capacity = capacity;
			this.bytes = this.pool.memory.bytes(memory, capacity * SLOT_ENTRY_SIZE);
			this.view = dataView(this.bytes);
		}
		this.start = (this.capacity - this.length) >> 1;
		this.bytes.set(entries, this.at(0));
		this.publish();
		return true;
	}

	private publish(): void {
		if (!this.active) return;
		this.header.setUint32(SLOT_HEADER_TABLE - SLOT_HEADER, this.memory + this.at(0), true);
		this.header.setUint32(SLOT_HEADER_COUNT - SLOT_HEADER, this.length, true);
	}
}

function dataView(bytes: Uint8Array): DataView {
	return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
