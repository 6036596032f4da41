import { F, HIT, STOP_OFFSETS, WATCH, WATCH_SIZE } from "./layout.ts";
import type { Processor } from "./processor.ts";
import { PAGE_SIZE } from "./vm-memory.ts";

/** Entries that there is room for at first. */
const FIRST_ROOM = 256;
/** Offsets and addresses at which code is cut although nobody breaks there any more; beyond that, all is decoded anew. */
const MOST_STALE = 512;

/** A watchpoint: accesses of some kinds to a linear range. */
export interface Watch {
	/** First byte, u64. */
	readonly address: bigint;
	/** Bytes, at least 1. */
	readonly length: bigint;
	/** Bits of {@link WATCH_KIND}. */
	readonly kinds: number;
}

/**
 * A debugger's breakpoints and watchpoints on one processor, by linear address, and what that means for code: no decoded block holds
 * an instruction with a breakpoint but as its first, no unit holds one at all. Debuggers take breakpoints out whenever the guest
 * stands still and put them back, so code stays cut where one has been.
 */
export class Breakpoints {
	private readonly processor: Processor;
	private stops = new Set<bigint>();
	private watches: readonly Watch[] = [];
	/** Offsets in a page at which blocks are cut: memory may be seen at several linear addresses. */
	private readonly cutOffsets = new Set<number>();
	/** Linear addresses that no unit has. */
	private readonly cutAddresses = new Set<bigint>();
	private stopRoom = 0;
	private watchRoom = 0;

	constructor(processor: Processor) {
		this.processor = processor;
	}

	/** Whether a block ends before an instruction at this offset in a page. */
	cutsBlock(offset: number): boolean {
		return this.cutOffsets.has(offset);
	}

	/** Whether a unit leaves an instruction at this linear address (u64) to the interpreter. */
	cutsUnit(linear: bigint): boolean {
		return this.cutAddresses.has(linear);
	}

	/** Whether there is a breakpoint at a linear address. */
	stopsAt(linear: bigint): boolean {
		return this.stops.has(linear);
	}

	/** Breaks before the instructions at these linear addresses (u64), and nowhere else. */
	setStops(addresses: ReadonlySet<bigint>): void {
		const { processor } = this;
		this.stops = new Set(addresses);
		const fresh = [...addresses].filter((address) => !this.cutAddresses.has(address));
		if (this.cutAddresses.size + fresh.length > addresses.size + MOST_STALE) this.forgetCuts();
		for (const address of fresh) this.cut(address);
		if (this.stopRoom < addresses.size || this.stopRoom === 0) {
			this.stopRoom = Math.max(FIRST_ROOM, addresses.size * 2);
			processor.set(F.stops, processor.memory.allocate(STOP_OFFSETS + this.stopRoom * 8));
		}
		const bytes = processor.memory.bytes(processor.get(F.stops) >>> 0, STOP_OFFSETS + addresses.size * 8);
		const view = new DataView(bytes.buffer, bytes.byteOffset);
		bytes.fill(0, 0, STOP_OFFSETS);
		[...addresses].forEach((address, n) => {
			const offset = Number(address & 0xfffn);
			bytes[offset >> 3]! |= 1 << (offset & 7);
			view.setBigUint64(STOP_OFFSETS + n * 8, address, true);
		});
		processor.set(F.stopCount, addresses.size);
		processor.call("updateMode");
	}

	/** Stops behind accesses to these ranges, and to no others. */
	setWatches(watches: readonly Watch[]): void {
		const { processor } = this;
		const pages = new Set([...this.watches, ...watches].flatMap((watch) => pagesOf(watch) ?? [undefined]));
		this.watches = [...watches];
		if (this.watchRoom < watches.length) {
			this.watchRoom = Math.max(FIRST_ROOM, watches.length * 2);
			processor.set(F.watches, processor.memory.allocate(this.watchRoom * WATCH_SIZE));
		}
		const bytes = processor.memory.bytes(processor.get(F.watches) >>> 0, watches.length * WATCH_SIZE);
		const view = new DataView(bytes.buffer, bytes.byteOffset);
		watches.forEach(({ address, length, kinds }, n) => {
			view.setBigUint64(n * WATCH_SIZE + WATCH.first.offset, address, true);
			view.setBigUint64(n * WATCH_SIZE + WATCH.last.offset, lastOf(address, length), true);
			view.setInt32(n * WATCH_SIZE + WATCH.kinds.offset, kinds, true);
		});
		processor.set(F.watchCount, watches.length);
		processor.call("updateMode");
		if (pages.has(undefined)) processor.call("flushTlb", 0);
		else for (const page of pages) processor.call("flushPage", BigInt.asIntN(64, page!));
	}

	/** Takes what has been hit since it was last asked. `kind`: one of {@link HIT}; `address`: linear, u64. */
	takeHit(): { readonly kind: number; readonly address: bigint } {
		const { processor } = this;
		const kind = processor.get(F.hitKind);
		processor.set(F.hitKind, HIT.none);
		return { kind, address: processor.get64(F.hitAddress) };
	}

	/** Nobody debugs any more: code becomes what it was. */
	clear(): void {
		this.setStops(new Set());
		this.setWatches([]);
		this.forgetCuts();
	}

	private forgetCuts(): void {
		if (this.cutAddresses.size === 0) return;
		this.cutOffsets.clear();
		this.cutAddresses.clear();
		for (const address of this.stops) this.noteCut(address);
		this.processor.code.flush();
	}

	private noteCut(address: bigint): void {
		this.cutAddresses.add(address);
		this.cutOffsets.add(Number(address & 0xfffn));
	}

	private cut(address: bigint): void {
		const offset = Number(address & 0xfffn);
		if (!this.cutOffsets.has(offset)) this.processor.code.cutBlocks(offset);
		this.noteCut(address);
		this.processor.cutUnits(address);
	}
}

function lastOf(address: bigint, length: bigint): bigint {
	const last = address + length - 1n;
	return last > 0xffff_ffff_ffff_ffffn ? 0xffff_ffff_ffff_ffffn : last;
}

/** Linear addresses of the pages of a watch; undefined where they are too many to name. */
function pagesOf({ address, length }: Watch): bigint[] | undefined {
	const size = BigInt(PAGE_SIZE);
	const first = address - (address % size);
	const count = (lastOf(address, length) - first) / size + 1n;
	return count > 16n ? undefined : Array.from({ length: Number(count) }, (_, n) => first + BigInt(n) * size);
}
