import { assert } from "../base/errors.ts";
import type { AccessSize, Device } from "./device.ts";

/** What the bus needs of a device. */
export type BusTarget = Pick<Device, "name" | "sizes" | "read" | "readMany" | "write">;

/** A device's place on a bus: inclusive address range, and the device's own offset of the first byte. */
export interface BusMapping {
	readonly base: number;
	readonly last: number;
	readonly device: BusTarget;
	readonly offset: number;
}

/** Accesses to one address that no device claimed. */
export interface UnclaimedAccess {
	readonly address: number;
	readonly reads: number;
	readonly writes: number;
}

interface Entry extends BusMapping {
	/** OR of the widths the device takes: 1, 2, 4. */
	readonly widths: number;
	readonly narrowest: AccessSize;
	/** Part of a window that the guest has placed. */
	readonly movable: boolean;
}

/** A range that moves at the guest's wish, and what is behind it. */
interface Movable {
	base: number | undefined;
	readonly size: number;
	readonly device: BusTarget;
	readonly offset: number;
}

/** So many unclaimed addresses are told apart; accesses to further ones are only summed up. */
const UNCLAIMED_ADDRESSES = 1024;

function mask(bytes: number): number {
	return bytes >= 4 ? 0xffffffff : (1 << (bytes * 8)) - 1;
}

/**
 * Finds who answers at an address: a table of disjoint ranges.
 *
 * A device sees only naturally aligned accesses of the widths it declares: other accesses are cut into the largest pieces
 * that fit, low address first, also where a range ends. An access narrower than everything the device takes becomes one
 * access to the register around it: reads pick their bytes, writes put zeros beside theirs. Where nobody answers, reads give all
 * ones and writes are dropped; both are counted.
 */
export class RangeBus {
	readonly name: string;
	private readonly sorted: Entry[] = [];
	/** Port buses: entry number per address, 0 for none. */
	private readonly index: Uint16Array | undefined;
	private readonly entries: (Entry | undefined)[] = [undefined];
	private recent: Entry | undefined;
	private readonly movables: Movable[] = [];
	private readonly unclaimedByAddress = new Map<number, { reads: number; writes: number }>();
	private unclaimedRest = 0;

	/**
	 * @param name for messages
	 * @param indexed when given, addresses are below it and found by a direct table (for 64 Ki ports), else by search
	 */
	constructor(name: string, indexed?: number) {
		this.name = name;
		this.index = indexed === undefined ? undefined : new Uint16Array(indexed);
	}

	/** Puts `device` at base..last (inclusive); the first byte is the device's `offset`. No other fixed range may be there. */
	map(base: number, last: number, device: BusTarget, offset = 0): void {
		assert(
			Number.isSafeInteger(base) && base >= 0 && base <= last && last < this.limit,
			`${this.name}: bad range ${base.toString(16)}..${last.toString(16)} for ${device.name}`,
		);
		this.clearWindows();
		const other = this.overlapping(base, last);
		assert(other === undefined, `${this.name}: ${device.name} overlaps ${other?.device.name} at ${base.toString(16)}`);
		this.insert(base, last, device, offset, false);
		this.showWindows();
	}

	/** Takes away the fixed range that starts at `base`. */
	unmap(base: number): void {
		const entry = this.sorted.find((each) => each.base === base && !each.movable);
		assert(entry !== undefined, `${this.name}: nothing is mapped at ${base.toString(16)}`);
		this.clearWindows();
		this.remove(entry);
		this.showWindows();
	}

	/**
	 * A range of `size` bytes that the guest places, for example by a base address register; nowhere to begin with. It may be placed
	 * over anything: fixed ranges hide it, and so do windows made before it.
	 */
	window(size: number, device: BusTarget, offset = 0): { place(base: number | undefined): void } {
		const movable: Movable = { base: undefined, size, device, offset };
		this.movables.push(movable);
		return {
			place: (base) => {
				if (base === movable.base) return;
				this.clearWindows();
				movable.base = base;
				this.showWindows();
			},
		};
	}

	/** All ranges in address order. */
	mappings(): readonly BusMapping[] {
		return this.sorted;
	}

	/** The first range that shares an address with base..last, or undefined. */
	overlapping(base: number, last: number): BusMapping | undefined {
		return this.sorted.find((each) => each.base <= last && each.last >= base);
	}

	/** One read as the processor does it, unsigned. */
	read(address: number, size: AccessSize): number {
		const entry = this.find(address);
		if (entry !== undefined && (entry.widths & size) !== 0 && address + size - 1 <= entry.last) {
			const offset = address - entry.base + entry.offset;
			if ((offset & (size - 1)) === 0) {
				const value = entry.device.read(offset, size);
				return size === 4 ? value >>> 0 : value & (size === 1 ? 0xff : 0xffff);
			}
		}
		return this.readPieces(address, size);
	}

	/** Many reads of one address; see {@link Device.readMany}. */
	readMany(address: number, size: AccessSize, into: Uint8Array): boolean {
		const entry = this.find(address);
		if (entry?.device.readMany === undefined || (entry.widths & size) === 0 || address + size - 1 > entry.last)
			return false;
		return entry.device.readMany(address - entry.base + entry.offset, size, into);
	}

	/** One write as the processor does it; bits of `value` beyond `size` are ignored. */
	write(address: number, size: AccessSize, value: number): void {
		const entry = this.find(address);
		if (entry !== undefined && (entry.widths & size) !== 0 && address + size - 1 <= entry.last) {
			const offset = address - entry.base + entry.offset;
			if ((offset & (size - 1)) === 0) {
				entry.device.write(offset, size, size === 4 ? value >>> 0 : value & (size === 1 ? 0xff : 0xffff));
				return;
			}
		}
		this.writePieces(address, size, value);
	}

	/** An 8-byte read: two 4-byte reads, low address first. */
	read64(address: number): bigint {
		const low = this.read(address, 4);
		return (BigInt(this.read(address + 4, 4)) << 32n) | BigInt(low);
	}

	/** An 8-byte write: two 4-byte writes, low address first. */
	write64(address: number, value: bigint): void {
		this.write(address, 4, Number(value & 0xffffffffn));
		this.write(address + 4, 4, Number((value >> 32n) & 0xffffffffn));
	}

	/** Reads the first `length` (1..8) bytes of `data`, as an MMIO exit carries them. */
	readBytes(address: number, data: Uint8Array, length: number = data.length): void {
		for (let done = 0; done < length; ) {
			const size = pieceOf(length - done);
			let value = this.read(address + done, size);
			for (const end = done + size; done < end; done++, value >>>= 8) data[done] = value;
		}
	}

	/** Writes the first `length` (1..8) bytes of `data`, as an MMIO exit carries them. */
	writeBytes(address: number, data: Uint8Array, length: number = data.length): void {
		for (let done = 0; done < length; ) {
			const size = pieceOf(length - done);
			let value = 0;
			for (let i = 0; i < size; i++) value |= (data[done + i] ?? 0) << (i * 8);
			this.write(address + done, size, value);
			done += size;
		}
	}

	/** What nobody answered, by address. At most {@link UNCLAIMED_ADDRESSES} addresses; see {@link unclaimedElsewhere}. */
	unclaimed(): UnclaimedAccess[] {
		return [...this.unclaimedByAddress]
			.map(([address, { reads, writes }]) => ({ address, reads, writes }))
			.sort((a, b) => a.address - b.address);
	}

	/** Unclaimed accesses to addresses beyond those of {@link unclaimed}. */
	unclaimedElsewhere(): number {
		return this.unclaimedRest;
	}

	private get limit(): number {
		return this.index?.length ?? 2 ** 52;
	}

	private insert(base: number, last: number, device: BusTarget, offset: number, movable: boolean): void {
		const narrowest = device.sizes[0];
		assert(narrowest !== undefined, `${device.name} declares no access sizes`);
		const widths = device.sizes.reduce((all, size) => all | size, 0);
		const entry: Entry = { base, last, device, offset, widths, narrowest, movable };
		const at = this.sorted.findIndex((each) => each.base > base);
		this.sorted.splice(at < 0 ? this.sorted.length : at, 0, entry);
		if (this.index === undefined) return;
		const free = this.entries.indexOf(undefined, 1);
		const number = free < 0 ? this.entries.length : free;
		this.entries[number] = entry;
		this.index.fill(number, base, last + 1);
	}

	private remove(entry: Entry): void {
		this.sorted.splice(this.sorted.indexOf(entry), 1);
		this.recent = undefined;
		if (this.index === undefined) return;
		this.entries[this.entries.indexOf(entry)] = undefined;
		this.index.fill(0, entry.base, entry.last + 1);
	}

	private clearWindows(): void {
		for (const entry of this.sorted.filter((each) => each.movable)) this.remove(entry);
	}

	/** Maps what is free of each placed window's range. */
	private showWindows(): void {
		for (const { base, size, device, offset } of this.movables) {
			if (base === undefined) continue;
			const last = Math.min(base + size, this.limit) - 1;
			for (let at = base; at <= last; ) {
				const other = this.overlapping(at, last);
				const end = other === undefined ? last : other.base - 1;
				if (at <= end) this.insert(at, end, device, offset + at - base, true);
				at = other === undefined ? last + 1 : other.last + 1;
			}
		}
	}

	private find(address: number): Entry | undefined {
		if (this.index !== undefined) return this.entries[this.index[address] ?? 0];
		const recent = this.recent;
		if (recent !== undefined && address >= recent.base && address <= recent.last) return recent;
		let low = 0;
		let high = this.sorted.length - 1;
		while (low <= high) {
			const middle = (low + high) >> 1;
			const entry = this.sorted[middle];
			if (entry === undefined || address < entry.base) high = middle - 1;
			else if (address > entry.last) low = middle + 1;
			else {
				this.recent = entry;
				return entry;
			}
		}
		return undefined;
	}

	private readPieces(address: number, size: number): number {
		let value = 0;
		for (let done = 0; done < size; ) {
			const at = address + done;
			const entry = this.find(at);
			let bytes: number;
			let piece: number;
			if (entry === undefined) {
				bytes = this.gap(at, size - done);
				piece = mask(bytes);
				this.count(at, "reads");
			} else {
				const offset = at - entry.base + entry.offset;
				const room = Math.min(size - done, entry.last - at + 1);
				const width = fitting(entry, offset, room);
				const lane = offset % width;
				bytes = Math.min(room, width - lane);
				piece = (entry.device.read(offset - lane, width) >>> (lane * 8)) & mask(bytes);
			}
			value |= piece << (done * 8);
			done += bytes;
		}
		return value >>> 0;
	}

	private writePieces(address: number, size: number, value: number): void {
		for (let done = 0; done < size; ) {
			const at = address + done;
			const entry = this.find(at);
			let bytes: number;
			if (entry === undefined) {
				bytes = this.gap(at, size - done);
				this.count(at, "writes");
			} else {
				const offset = at - entry.base + entry.offset;
				const room = Math.min(size - done, entry.last - at + 1);
				const width = fitting(entry, offset, room);
				const lane = offset % width;
				bytes = Math.min(room, width - lane);
				const piece = (value >>> (done * 8)) & mask(bytes);
				entry.device.write(offset - lane, width, (piece << (lane * 8)) >>> 0);
			}
			done += bytes;
		}
	}

	/** How many of the `limit` bytes from `address` on nobody claims; the first is known to be unclaimed. */
	private gap(address: number, limit: number): number {
		let bytes = 1;
		while (bytes < limit && this.find(address + bytes) === undefined) bytes++;
		return bytes;
	}

	private count(address: number, kind: "reads" | "writes"): void {
		let counts = this.unclaimedByAddress.get(address);
		if (counts === undefined) {
			if (this.unclaimedByAddress.size >= UNCLAIMED_ADDRESSES) {
				this.unclaimedRest++;
				return;
			}
			counts = { reads: 0, writes: 0 };
			this.unclaimedByAddress.set(address, counts);
		}
		counts[kind]++;
	}
}

/**
 * A byte register in the middle of a wider one: byte accesses to `offset` reach `inner` (its offset 0), all others `outer`. The
 * reset control register at port 0xCF9 lies so within the doubleword register at 0xCF8.
 */
export function byteInside(outer: BusTarget, offset: number, inner: BusTarget): BusTarget {
	const pick = (at: number, size: AccessSize): boolean => size === 1 && at === offset;
	return {
		name: outer.name,
		sizes: outer.sizes,
		read: (at, size) => (pick(at, size) ? inner.read(0, 1) : outer.read(at, size)),
		write(at, size, value) {
			if (pick(at, size)) inner.write(0, 1, value);
			else outer.write(at, size, value);
		},
	};
}

function pieceOf(bytes: number): AccessSize {
	return bytes >= 4 ? 4 : bytes >= 2 ? 2 : 1;
}

/** The widest access the device takes that is aligned and within `room` bytes; its narrowest when none is. */
function fitting(entry: Entry, offset: number, room: number): AccessSize {
	if (room >= 4 && (entry.widths & 4) !== 0 && offset % 4 === 0) return 4;
	if (room >= 2 && (entry.widths & 2) !== 0 && offset % 2 === 0) return 2;
	return entry.narrowest;
}
