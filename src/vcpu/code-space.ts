import { BLOCK, BLOCK_HEADER, BLOCK_TABLE_ENTRIES, blockHash, NO_KEY, REC_SIZE } from "./layout.ts";
import type { VmMemory } from "./vm-memory.ts";

const ARENA_BYTES = 48 << 20;
const HOST_PAGES = 1 << 20;
/** Bytes of code per bit of the code bitmap: 1 << 5. */
const GRANULE_SHIFT = 5;
/** A granule's number in its page. */
const GRANULE_IN_PAGE = (1 << (12 - GRANULE_SHIFT)) - 1;

/** Writes to a block that does not run meanwhile until it is forgotten. */
const WRITES_BORNE = 8;

/** Something else made from code, such as a compiled unit. */
export interface CodeWatch {
	/** Host ranges of the bytes it was made from: start and length, each within one page. */
	readonly pieces: readonly (readonly [number, number])[];
	/** Some of the bytes have changed. */
	dropped(): void;
}

/**
 * Decoded blocks of a VM and where their bytes lie: the arena with headers and records, the hash table by host
 * address that the core looks in, and the bitmap that lets a store notice code.
 */
export class CodeSpace {
	readonly table: number;
	readonly codePages: number;
	readonly codeBits: number;
	/** 32-bit view of the arena and the tables, by offset / 4. */
	readonly words: Int32Array;
	/** For each host page, how many of its granules hold code. */
	private readonly pages: Uint8Array;
	private readonly bits: Uint8Array;
	private readonly arena: number;
	private next: number;
	/** What was made from the bytes of each granule: blocks and watches. No granule has an empty list. */
	private readonly byGranule = new Map<number, (number | CodeWatch)[]>();
	/** Called when a page gets its first code: write permission must go from all TLBs. */
	onNewCodePage: () => void = () => {};
	/** Called for each block that goes. */
	onRemove: (block: number) => void = () => {};
	/** Called when everything was dropped. */
	onFlush: () => void = () => {};

	constructor(memory: VmMemory) {
		this.table = memory.allocate(BLOCK_TABLE_ENTRIES * 4);
		this.codePages = memory.allocate(HOST_PAGES);
		this.codeBits = memory.allocate(HOST_PAGES * 16);
		this.arena = memory.allocate(ARENA_BYTES);
		this.next = this.arena;
		this.words = new Int32Array(memory.memory.buffer, 0, (this.arena + ARENA_BYTES) / 4);
		this.pages = memory.bytes(this.codePages, HOST_PAGES);
		this.bits = memory.bytes(this.codeBits, HOST_PAGES * 16);
	}

	/** Room for a block of `count` records; drops everything first when the arena is full. No block may be running. */
	reserve(count: number): number {
		const bytes = BLOCK_HEADER + count * REC_SIZE;
		if (this.next + bytes > this.arena + ARENA_BYTES) this.flush();
		return this.next;
	}

	/** Enters the block written at the reserved place: `count` records, `bytes` of code at `host`, then at `cross`. */
	enter(count: number, bytes: number, host: number, key: number, cross: number, heat: number): number {
		const block = this.next;
		this.next += BLOCK_HEADER + count * REC_SIZE;
		const { words } = this;
		const at = block >> 2;
		words.fill(0, at, at + BLOCK_HEADER / 4);
		words[at + BLOCK.count.offset / 4] = count;
		words[at + BLOCK.bytes.offset / 4] = bytes;
		words[at + BLOCK.heat.offset / 4] = heat;
		words[at + BLOCK.host.offset / 4] = host;
		words[at + BLOCK.key.offset / 4] = key;
		words[at + BLOCK.cross.offset / 4] = cross;
		words[at + BLOCK.formerKey.offset / 4] = NO_KEY;
		const bucket = (this.table >> 2) + blockHash(host);
		words[at + BLOCK.next.offset / 4] = words[bucket]!;
		words[bucket] = block;
		const here = cross ? 4096 - (host & 4095) : bytes;
		this.addBytes(block, host, here);
		if (cross) this.addBytes(block, cross, bytes - here);
		return block;
	}

	/** Tells `watch` when bytes that it names change. */
	watch(watch: CodeWatch): void {
		for (const [host, bytes] of watch.pieces) this.addBytes(watch, host, bytes);
	}

	/** Forgets a watch. */
	unwatch(watch: CodeWatch): void {
		for (const [host, bytes] of watch.pieces) this.removeBytes(watch, host, bytes);
	}

	/** The block decoded at `host` for `key`, or 0. */
	find(host: number, key: number): number {
		const { words } = this;
		let block = words[(this.table >> 2) + blockHash(host)]!;
		while (block !== 0) {
			const at = block >> 2;
			if (words[at + BLOCK.host.offset / 4] === (host | 0) && words[at + BLOCK.key.offset / 4] === key) return block;
			block = words[at + BLOCK.next.offset / 4]!;
		}
		return 0;
	}

	private addBytes(block: number | CodeWatch, host: number, bytes: number): void {
		const page = host >>> 12;
		const isNew = this.pages[page] === 0;
		const last = (host + bytes - 1) >>> GRANULE_SHIFT;
		for (let granule = host >>> GRANULE_SHIFT; granule <= last; granule++) {
			const there = this.byGranule.get(granule);
			if (there) there.push(block);
			else {
				this.byGranule.set(granule, [block]);
				this.bits[granule >>> 3]! |= 1 << (granule & 7);
				this.pages[page]!++;
			}
		}
		if (isNew) this.onNewCodePage();
	}

	private removeBytes(block: number | CodeWatch, host: number, bytes: number): void {
		const last = (host + bytes - 1) >>> GRANULE_SHIFT;
		for (let granule = host >>> GRANULE_SHIFT; granule <= last; granule++) {
			const there = this.byGranule.get(granule);
			const at = there?.indexOf(block) ?? -1;
			if (there === undefined || at < 0) continue;
			there.splice(at, 1);
			if (there.length > 0) continue;
			this.byGranule.delete(granule);
			this.bits[granule >>> 3]! &= ~(1 << (granule & 7));
			this.pages[host >>> 12]!--;
		}
	}

	/** Bytes `[host, host + length)` changed: drops the blocks that hold any of them. @returns whether there were any. */
	invalidate(host: number, length: number): boolean {
		let any = false;
		const last = (host + length - 1) >>> GRANULE_SHIFT;
		for (let granule = host >>> GRANULE_SHIFT; granule <= last; granule++) {
			if (((this.bits[granule >>> 3]! >>> (granule & 7)) & 1) === 0) continue;
			// From the end, and again as far as there is: one that goes may take others with it.
			for (let n = (this.byGranule.get(granule)?.length ?? 0) - 1; n >= 0; n--) {
				const block = this.byGranule.get(granule)?.[n];
				if (block === undefined || !this.holds(block, host, length)) continue;
				if (typeof block === "object" || !this.retire(block, host, length)) this.remove(block);
				any = true;
			}
		}
		return any;
	}

	/** No block is to go on at this offset in any page: drops those that do, rather than begin there. */
	cutBlocks(offset: number): void {
		const inPage = offset >>> GRANULE_SHIFT;
		const found: number[] = [];
		for (const [granule, list] of this.byGranule) {
			if ((granule & GRANULE_IN_PAGE) !== inPage) continue;
			const host = (granule >>> (12 - GRANULE_SHIFT)) * 4096 + offset;
			for (const block of list) {
				if (typeof block === "object" || this.words[(block + BLOCK.host.offset) >> 2]! >>> 0 === host) continue;
				if (this.holds(block, host, 1)) found.push(block);
			}
		}
		for (const block of found) this.remove(block);
	}

	/**
	 * Keeps a block aside whose bytes are written: code that patches itself changes an operand, and the rest may be as it was. What is
	 * written again and again before it runs is something else. @returns whether it may still be mended.
	 */
	private retire(block: number, host: number, length: number): boolean {
		const { words } = this;
		const at = block >> 2;
		if (words[at + BLOCK.cross.offset / 4] !== 0) return false;
		const start = words[at + BLOCK.host.offset / 4]! >>> 0;
		let from = Math.max(0, host - start);
		let to = Math.min(words[at + BLOCK.bytes.offset / 4]!, host + length - start);
		const key = words[at + BLOCK.key.offset / 4]!;
		if (key !== NO_KEY) {
			words[at + BLOCK.key.offset / 4] = NO_KEY;
			words[at + BLOCK.formerKey.offset / 4] = key;
			words[at + BLOCK.heat.offset / 4] = WRITES_BORNE;
		} else {
			from = Math.min(from, words[at + BLOCK.writtenFrom.offset / 4]!);
			to = Math.max(to, words[at + BLOCK.writtenTo.offset / 4]!);
		}
		words[at + BLOCK.writtenFrom.offset / 4] = from;
		words[at + BLOCK.writtenTo.offset / 4] = to;
		return --words[at + BLOCK.heat.offset / 4]! >= 0;
	}

	/** A block that was kept aside has been decoded anew where its bytes were written. */
	revive(block: number, heat: number): void {
		const { words } = this;
		const at = block >> 2;
		words[at + BLOCK.key.offset / 4] = words[at + BLOCK.formerKey.offset / 4]!;
		words[at + BLOCK.formerKey.offset / 4] = NO_KEY;
		words[at + BLOCK.heat.offset / 4] = heat;
		words[at + BLOCK.unit.offset / 4] = 0;
		words[at + BLOCK.entry.offset / 4] = 0;
		words[at + BLOCK.id.offset / 4] = 0;
	}

	/** Whether a block was made from any of the bytes `[host, host + length)`. */
	private holds(block: number | CodeWatch, host: number, length: number): boolean {
		if (typeof block === "number" && this.words[(block + BLOCK.cross.offset) >> 2] === 0) {
			const start = this.words[(block + BLOCK.host.offset) >> 2]! >>> 0;
			return start < host + length && host < start + this.words[(block + BLOCK.bytes.offset) >> 2]!;
		}
		return this.pieces(block).some(([start, bytes]) => start < host + length && host < start + bytes);
	}

	/** Whether a page of `length` bytes from `host` on holds decoded code. */
	holdsCode(host: number, length: number): boolean {
		return this.pages.subarray(host >>> 12, ((host + length - 1) >>> 12) + 1).some((granules) => granules > 0);
	}

	/** Host ranges of a block's bytes. */
	private pieces(block: number | CodeWatch): readonly (readonly [number, number])[] {
		if (typeof block === "object") return block.pieces;
		const at = block >> 2;
		const host = this.words[at + BLOCK.host.offset / 4]! >>> 0;
		const bytes = this.words[at + BLOCK.bytes.offset / 4]!;
		const cross = this.words[at + BLOCK.cross.offset / 4]! >>> 0;
		if (!cross) return [[host, bytes]];
		const here = 4096 - (host & 4095);
		return [
			[host, here],
			[cross, bytes - here],
		];
	}

	/** Forgets a block, or something made from code. */
	remove(block: number | CodeWatch): void {
		if (typeof block === "object") {
			this.unwatch(block);
			block.dropped();
			return;
		}
		const { words } = this;
		const bucket = (this.table >> 2) + blockHash(words[(block + BLOCK.host.offset) >> 2]!);
		if (words[bucket] === block) words[bucket] = words[(block + BLOCK.next.offset) >> 2]!;
		else {
			for (let at = words[bucket]!; at !== 0; at = words[(at + BLOCK.next.offset) >> 2]!) {
				if (words[(at + BLOCK.next.offset) >> 2] === block) {
					words[(at + BLOCK.next.offset) >> 2] = words[(block + BLOCK.next.offset) >> 2]!;
					break;
				}
			}
		}
		for (const [host, bytes] of this.pieces(block)) this.removeBytes(block, host, bytes);
		this.onRemove(block);
		// Jump caches may still name it.
		words[(block + BLOCK.key.offset) >> 2] = NO_KEY;
		words[(block + BLOCK.formerKey.offset) >> 2] = NO_KEY;
	}

	/** Forgets every block. None may be running. */
	flush(): void {
		this.words.fill(0, this.table >> 2, (this.table >> 2) + BLOCK_TABLE_ENTRIES);
		for (const granule of this.byGranule.keys()) {
			this.bits[granule >>> 3] = 0;
			this.pages[granule >>> (12 - GRANULE_SHIFT)] = 0;
		}
		this.byGranule.clear();
		this.next = this.arena;
		this.onFlush();
	}
}
