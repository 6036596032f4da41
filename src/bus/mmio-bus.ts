import { type BusTarget, RangeBus } from "./range-bus.ts";

const NO_BYTES: Uint8Array = new Uint8Array(0);

/** What answers when an access leaves the processor. */
export type MmioTarget =
	/** Registers, `offset` of the range's first byte. */
	| { readonly kind: "device"; readonly device: BusTarget; readonly offset: number }
	/** Memory that has no slot at this moment, or whose slot is readonly; `bytes` from the range's first on. */
	| { readonly kind: "memory"; readonly bytes: Uint8Array; readonly writable: boolean };

/** One range of a flat view: addresses below 2^52, inclusive. Ranges without a target are left out. */
export interface MmioRange {
	readonly first: number;
	readonly last: number;
	readonly target: MmioTarget;
}

/** An access as KVM_EXIT_MMIO describes it. */
export interface MmioAccess {
	readonly physAddr: number;
	/** 1..8 */
	readonly len: number;
	readonly isWrite: boolean;
	/** At least `len` bytes, lowest address first: what a write stores, where a read's answer goes. */
	readonly data: Uint8Array;
}

/** Memory in a flat view: `bytes` from `first` on. */
export interface MemoryRange {
	readonly first: number;
	readonly last: number;
	readonly bytes: Uint8Array;
	readonly writable: boolean;
}

/** A store that found memory which the guest may not write. `data` is reused: copy what is kept. */
export type RomStore = (address: number, data: Uint8Array, rom: MemoryRange) => void;

/**
 * Takes the processor's MMIO exits to whoever the flat view names. An access across the end of a range is cut there. For devices the
 * rules of {@link RangeBus} hold: natural alignment, the widths that the device takes, low address first. Stores to ROM are
 * reported and dropped. Where nothing is, reads give all ones and stores are dropped.
 */
export class MmioBus {
	readonly devices = new RangeBus("memory");
	private readonly romStore: RomStore;
	private memory: readonly MemoryRange[] = [];
	/** What {@link pieceOf} made last. */
	private last = { data: NO_BYTES, start: 0, end: 0, piece: NO_BYTES };
	/** What of `devices` this bus has mapped, by first address. */
	private mapped = new Map<number, MmioRange>();

	constructor(romStore: RomStore) {
		this.romStore = romStore;
	}

	/** Replaces all ranges: sorted by address, disjoint. */
	setRanges(ranges: readonly MmioRange[]): void {
		const memory: MemoryRange[] = [];
		const wanted = new Map<number, MmioRange>();
		for (const range of ranges) {
			const { first, last, target } = range;
			if (target.kind === "memory") memory.push({ first, last, bytes: target.bytes, writable: target.writable });
			else wanted.set(first, range);
		}
		this.memory = memory;
		for (const [first, range] of this.mapped) {
			if (!same(range, wanted.get(first))) this.devices.unmap(first);
			else wanted.set(first, range);
		}
		for (const [first, range] of wanted) {
			const { last, target } = range;
			if (this.mapped.get(first) === range || target.kind !== "device") continue;
			this.devices.map(first, last, target.device, target.offset);
		}
		this.mapped = wanted;
	}

	/** Carries out one access; a read's answer is in `data` afterwards. */
	dispatch(access: MmioAccess): void {
		const { physAddr, len, isWrite, data } = access;
		const { memory } = this;
		for (let n = 0; n < memory.length; n++) {
			if (memory[n]!.first < physAddr + len && memory[n]!.last >= physAddr) {
				this.dispatchPieces(access);
				return;
			}
		}
		if (isWrite) this.devices.writeBytes(physAddr, data, len);
		else this.devices.readBytes(physAddr, data, len);
	}

	/** An access that has something to do with memory. */
	private dispatchPieces({ physAddr, len, isWrite, data }: MmioAccess): void {
		for (let done = 0; done < len; ) {
			const at = physAddr + done;
			const range = this.memory.find((each) => each.last >= at);
			const inside = range !== undefined && range.first <= at;
			const end = range === undefined ? Number.POSITIVE_INFINITY : inside ? range.last + 1 : range.first;
			const piece = this.pieceOf(data, done, Math.min(len, done + end - at));
			if (inside) this.access(range, at, isWrite, piece);
			else if (isWrite) this.devices.writeBytes(at, piece);
			else this.devices.readBytes(at, piece);
			done += piece.length;
		}
	}

	/** A part of an access's bytes. Guests that store to ROM do so again and again, and a view takes longer than all else here. */
	private pieceOf(data: Uint8Array, start: number, end: number): Uint8Array {
		const { last } = this;
		if (last.data === data && last.start === start && last.end === end) return last.piece;
		const piece = data.subarray(start, end);
		this.last = { data, start, end, piece };
		return piece;
	}

	/** The memory at an address that the guest may not write; flash is none. */
	rom(address: number): MemoryRange | undefined {
		return this.memory.find(({ first, last, writable }) => !writable && first <= address && address <= last);
	}

	private access(range: MemoryRange, at: number, isWrite: boolean, data: Uint8Array): void {
		const { first, bytes, writable } = range;
		const offset = at - first;
		if (!isWrite) data.set(bytes.subarray(offset, offset + data.length));
		else if (writable) bytes.set(data, offset);
		else this.romStore(at, data, range);
	}
}

function same(a: MmioRange, b: MmioRange | undefined): boolean {
	if (b === undefined || a.last !== b.last || a.target.kind !== "device" || b.target.kind !== "device") return false;
	return a.target.device === b.target.device && a.target.offset === b.target.offset;
}
