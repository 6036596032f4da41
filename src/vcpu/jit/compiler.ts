import { assert } from "../../base/errors.ts";
import { SEGMENT } from "../../isa/registers.ts";
import type { CodeWatch } from "../code-space.ts";
import { CR0 } from "../core/control-bits.ts";
import { BLOCK, CODE_PAGE, CODE_PAGE_SIZE, F, KEY, SEG, segmentOffset } from "../layout.ts";
import type { Compiler, Processor } from "../processor.ts";
import type { UnitBlock } from "./discover.ts";
import * as discovery from "./discover.ts"; // deferred
import * as printing from "./print-unit.ts"; // deferred
import { Thrift } from "./thrift.ts";

/** VM memory for the tables of units. */
const ARENA_BYTES = 32 << 20;
/** More than the tables of any one unit take. */
const UNIT_TABLES = 1 << 20;
/** Most blocks in a unit: beyond some 200 V8 falls back to a poorer register allocator. */
const MOST_BLOCKS = 160;
const MOST_INSTRUCTIONS = 1200;
const MOST_INSTRUCTIONS_PER_BLOCK = 64;
/** TLB misses for which a unit leaves before it is made to bear more of them: they cost about as much as making it anew. */
const MISSES_BORNE = 16000;
/** Units of a mode that did not find their memory near before none of that mode looks there any more. */
const NEAR_FAILURES = 2;
/** Times that a unit's pages are not all known before it is made anew from those that are. */
const UNCONFIRMED_BORNE = 256;
/** Runs of a block until it is looked at again, in heats: where compiling must wait, and where it does not help. */
const LEAST_WAIT = 8;
const SOON = 1;
const LATER = 16;
const MUCH_LATER = 1024;
/** Above every mode key. */
const MOST_KEYS = 4096;
/** What BLOCK.id says: the block has been hot once; it has been sent away once. */
const HOT = 1;
const SENT_AWAY = 2;

/**
 * How a unit looks its data up, from the fastest to the most tolerant: where all memory is at one distance from its linear address; anywhere; and
 * filling the TLB instead of leaving.
 */
type Lookup = "near" | "anywhere" | "filling";

interface Unit extends CodeWatch {
	readonly key: number;
	readonly csBase: number;
	readonly csHigh: number;
	readonly roots: readonly number[];
	readonly blocks: ReadonlyMap<number, UnitBlock>;
	readonly instructions: number;
	readonly slot: number;
	/** Linear page → host page of all code in it. */
	readonly pages: ReadonlyMap<number, number>;
	/** Host address, number and IP of each entry. */
	readonly entries: readonly { readonly host: number; readonly number: number; readonly ip: number }[];
	readonly generationWord: number;
	/** The same pages, as the core reads them. */
	readonly pageTable: number;
	readonly lookup: Lookup;
	/** How it would do so where the TLB had allowed it. */
	readonly wantedLookup: Lookup;
	/** Counts TLB misses down. */
	readonly missWord: number;
	readonly remakes: number;
	/** Count of retired instructions when it was made. */
	readonly born: number;
	/** Hot places that it takes in when it is made anew. */
	readonly wanted: Set<number>;
	/** Times that its pages could not be confirmed. */
	unconfirmed: number;
	alive: boolean;
}

/** Turns hot blocks into units, and units into WebAssembly modules in the core's table. */
export class UnitCompiler implements Compiler {
	/** Units made, and dropped because their code changed: for statistics. */
	made = 0;
	dropped = 0;
	private readonly processor: Processor;
	private readonly arena: number;
	private readonly words: Int32Array;
	private next: number;
	private readonly thrift: Thrift;
	private readonly entries = new Map<number, { unit: Unit; entry: number; ip: number }>();
	private readonly units = new Set<Unit>();
	private readonly byPage = new Map<number, Set<Unit>>();
	private readonly freeSlots: number[] = [];
	/** How many units of a mode key had to be made anew because memory was not at one distance. */
	private readonly nearFailures = new Map<number, number>();

	/** `heat`: runs of a block before it is compiled; `share`: most of the host's time that compiling may take, 1: all that it wants. */
	constructor(processor: Processor, heat: number, share = 1) {
		this.processor = processor;
		this.thrift = new Thrift(heat, share);
		const { memory } = processor;
		this.arena = memory.allocate(ARENA_BYTES);
		this.words = new Int32Array(memory.memory.buffer, 0, (this.arena + ARENA_BYTES) / 4);
		this.next = this.arena;
	}

	/** Runs of a block before it is compiled. */
	get heat(): number {
		return this.thrift.heat;
	}

	compile(block: number): void {
		const { processor, thrift } = this;
		const { words } = processor.code;
		const host = words[(block + BLOCK.host.offset) >> 2]! >>> 0;
		const key = words[(block + BLOCK.key.offset) >> 2]!;
		const ip = processor.getNumber(F.blockIp);
		const long = (key & KEY.long) !== 0;
		const csBase = long ? 0 : processor.getNumber(SEG.base, segmentOffset(SEGMENT.cs));
		const csHigh = long ? 0 : processor.getNumber(SEG.fetchHigh, segmentOffset(SEGMENT.cs));
		const page = pageOf(linearOf(key, csBase, ip));
		if (!discovery.isCanonical(ip)) return;
		// Whatever comes of it: the block will be looked at again.
		words[(block + BLOCK.id.offset) >> 2] ||= HOT;
		this.wait(block, SOON);
		const known = this.entries.get(entryKey(host, key));
		if (known && known.ip === ip && known.unit.csBase === csBase && known.unit.csHigh === csHigh) {
			this.bind(block, known.unit, known.entry);
			return;
		}
		const now = processor.retired();
		if (!thrift.affords || thrift.restless(host >>> 12, now)) return;
		const neighbour = this.neighbour(host, key, csBase, csHigh);
		// An entry in the middle of a block makes worse code, and two addresses of one place take it from each other.
		if ((known || (neighbour && hasInside(neighbour, ip))) && !this.insists(block)) return;
		if (neighbour && neighbour.born + thrift.growthDelay(neighbour.instructions, neighbour.remakes) > now) {
			neighbour.wanted.add(ip);
			return;
		}
		const unit = thrift.pay(() => this.grown(neighbour, ip) ?? this.fresh(ip, page, host, key, csBase, csHigh));
		if (!unit) {
			this.wait(block, MUCH_LATER);
			return;
		}
		if (neighbour && unit.remakes > 0) this.drop(neighbour);
		this.install(unit);
	}

	/** Whether a block comes for the second time; for the first time it is sent away for longer. */
	private insists(block: number): boolean {
		const { words } = this.processor.code;
		const at = (block + BLOCK.id.offset) >> 2;
		if (words[at] === SENT_AWAY) return true;
		words[at] = SENT_AWAY;
		this.wait(block, LATER);
		return false;
	}

	/** Whether a block has run enough to be taken along. */
	private warm(block: number): boolean {
		if (block === 0) return false;
		const { words } = this.processor.code;
		return words[(block + BLOCK.id.offset) >> 2] !== 0 || this.thrift.warm(words[(block + BLOCK.heat.offset) >> 2]!);
	}

	/** Lets a block run for so many heats before it is looked at again. */
	private wait(block: number, heats: number): void {
		this.processor.code.words[(block + BLOCK.heat.offset) >> 2] = Math.max(this.heat, LEAST_WAIT) * heats;
	}

	/** A unit for one place and what it reaches. */
	private fresh(ip: number, page: number, host: number, key: number, csBase: number, csHigh: number): Unit | undefined {
		return this.make([ip], key, csBase, csHigh, new Map([[page, host - (host & 4095)]]), 0, "near");
	}

	/** Distance of data from its linear address: without paging that of code, else what most of the TLB has. */
	private expectedAddend(pages: ReadonlyMap<number, number>): number | undefined {
		const [first] = pages;
		const { processor } = this;
		if (first && (processor.get(F.cr0) & CR0.pg) === 0) return (first[1] - first[0]) | 0;
		return processor.commonAddend();
	}

	/** A unit made anew with one more entry and those that have been waiting. */
	private grown(unit: Unit | undefined, ip: number): Unit | undefined {
		if (!unit) return undefined;
		const pages = this.knownPages(unit);
		const roots = [...new Set([ip, ...unit.roots, ...unit.wanted])];
		const { key, csBase, csHigh, remakes } = unit;
		return this.make(roots, key, csBase, csHigh, pages, remakes + 1, unit.wantedLookup);
	}

	/** Those of a unit's pages that are still what they were. */
	private knownPages({ pages, pageTable }: Unit): Map<number, number> {
		const { processor } = this;
		return new Map(
			[...pages].filter((_, n) => processor.call("confirmPages", pageTable + n * CODE_PAGE_SIZE, 1) !== 0),
		);
	}

	/** A unit over the same page that may grow. */
	private neighbour(host: number, key: number, csBase: number, csHigh: number): Unit | undefined {
		for (const unit of this.byPage.get(host >>> 12) ?? []) {
			const fits = unit.key === key && unit.csBase === csBase && unit.csHigh === csHigh;
			if (fits && unit.blocks.size < MOST_BLOCKS * 0.75) return unit;
		}
		return undefined;
	}

	private make(
		roots: readonly number[],
		key: number,
		csBase: number,
		csHigh: number,
		pages: Map<number, number>,
		remakes: number,
		wantedLookup: Lookup,
	): Unit | undefined {
		const { processor } = this;
		const bytes = processor.bytes();
		this.makeRoom();
		const region = discovery.regionOf(roots[0]!);
		const blocks = discovery.discover(roots, {
			decoder: processor.decoder,
			key,
			limit: MOST_BLOCKS,
			instructionLimit: MOST_INSTRUCTIONS,
			blockLimit: MOST_INSTRUCTIONS_PER_BLOCK,
			source: {
				executed: (ip) => {
					if (key & KEY.long && discovery.regionOf(ip) !== region) return false;
					const linear = linearOf(key, csBase, ip);
					const host = pages.get(pageOf(linear)) ?? processor.fetchCached(pageOf(linear));
					return host !== 0 && this.warm(processor.code.find(host + (linear & 4095), key));
				},
				at: (ip) => {
					if (
						key & KEY.long
							? discovery.regionOf(ip) !== region || discovery.regionOf(ip + 15) !== region
							: ip + 15 > csHigh
					)
						return undefined;
					const linear = linearOf(key, csBase, ip);
					if (processor.leavesToInterpreter(linear)) return undefined;
					const page = pageOf(linear);
					let host = pages.get(page);
					if (host === undefined) {
						// Only what the guest has fetched already: compiling must not touch its page tables.
						host = processor.fetchCached(page);
						if (host === 0) return undefined;
						pages.set(page, host);
					}
					return { bytes, offset: host + (linear & 4095), room: 4096 - (linear & 4095) };
				},
			},
		});
		// What was asked for must be in it, and be worth it.
		if (roots.some((root) => !blocks.has(root))) return undefined;
		if (!blocks.get(roots[0]!)!.instructions.length) return undefined;
		const generationWord = pages.size > 1 ? this.allocate(4) : 0;
		if (generationWord) this.words[generationWord >> 2] = processor.get(F.generation);
		const pageTable = this.writePages(pages);
		const isNear = wantedLookup === "near" && (this.nearFailures.get(key) ?? 0) < NEAR_FAILURES;
		const addend = isNear ? this.expectedAddend(pages) : undefined;
		const lookup = wantedLookup === "near" && addend === undefined ? "anywhere" : wantedLookup;
		const missWord = this.allocate(4);
		this.words[missWord >> 2] = lookup === "filling" ? 0 : MISSES_BORNE;
		const printed = printing.printUnit(processor, {
			blocks,
			key,
			region,
			csBase: csBase | 0,
			csHigh: csHigh | 0,
			generationWord,
			pages: pageTable,
			pageCount: pages.size,
			missWord,
			addend,
			fills: lookup === "filling",
			allocate: (size) => this.allocate(size),
			words: this.words,
		});
		const slot = this.freeSlots.pop() ?? processor.table.grow(1);
		processor.table.set(slot, printed.unit);
		this.made++;
		const hostOf = (ip: number): number => {
			const linear = linearOf(key, csBase, ip);
			return pages.get(pageOf(linear))! + (linear & 4095);
		};
		const pieces: [number, number][] = [];
		for (const { instructions } of blocks.values()) {
			// One piece for each run of instructions in one page: the next page may lie anywhere.
			let end = -1;
			for (const { ip, decoded } of instructions) {
				const host = hostOf(ip);
				const piece = pieces.at(-1);
				if (piece && host === end && (host & 4095) !== 0) piece[1] += decoded.length;
				else pieces.push([host, decoded.length]);
				end = host + decoded.length;
			}
		}
		const unit: Unit = {
			key,
			csBase,
			csHigh,
			roots,
			blocks,
			instructions: [...blocks.values()].reduce((sum, block) => sum + block.instructions.length, 0),
			slot,
			pages,
			pieces,
			entries: [...printed.entries]
				.filter(([ip]) => blocks.get(ip)!.instructions.length > 0)
				.map(([ip, number]) => ({ host: hostOf(ip), number, ip })),
			generationWord,
			pageTable,
			lookup,
			wantedLookup,
			missWord,
			remakes,
			born: processor.retired(),
			wanted: new Set(),
			unconfirmed: 0,
			alive: true,
			dropped: () => this.spoiled(unit),
		};
		return unit;
	}

	private writePages(pages: ReadonlyMap<number, number>): number {
		const at = this.allocate(pages.size * CODE_PAGE_SIZE);
		[...pages].forEach(([linear, host], n) => {
			const row = (at + n * CODE_PAGE_SIZE) >> 2;
			this.words[row + CODE_PAGE.linear.offset / 4] = linear | 0;
			this.words[row + CODE_PAGE.linear.offset / 4 + 1] = discovery.regionOf(linear);
			this.words[row + CODE_PAGE.host.offset / 4] = host;
		});
		return at;
	}

	/** The code of a unit has changed. */
	private spoiled(unit: Unit): void {
		this.dropped++;
		const now = this.processor.retired();
		for (const host of unit.pages.values()) this.thrift.changed(host >>> 12, now, unit.instructions, now - unit.born);
		this.drop(unit);
	}

	cut(linear: bigint): void {
		for (const unit of [...this.units]) {
			const ip = Number(unit.key & KEY.long ? BigInt.asIntN(64, linear) : linear);
			const page = unit.pages.get(pageOf(ip));
			if (page === undefined) continue;
			const host = page + Number(linear & 0xfffn);
			if (unit.pieces.some(([start, bytes]) => host >= start && host < start + bytes)) this.drop(unit);
		}
	}

	private install(unit: Unit): void {
		const { code } = this.processor;
		this.units.add(unit);
		for (const host of unit.pages.values()) {
			const units = this.byPage.get(host >>> 12) ?? new Set();
			this.byPage.set(host >>> 12, units.add(unit));
		}
		code.watch(unit);
		for (const { host, number, ip } of unit.entries) {
			this.entries.set(entryKey(host, unit.key), { unit, entry: number, ip });
			const block = code.find(host, unit.key);
			if (block) this.bind(block, unit, number);
		}
	}

	private bind(block: number, unit: Unit, entry: number): void {
		const { words } = this.processor.code;
		words[(block + BLOCK.unit.offset) >> 2] = unit.slot;
		words[(block + BLOCK.entry.offset) >> 2] = entry;
	}

	private drop(unit: Unit): void {
		if (!unit.alive) return;
		unit.alive = false;
		const { code, table } = this.processor;
		code.unwatch(unit);
		this.units.delete(unit);
		for (const host of unit.pages.values()) this.byPage.get(host >>> 12)?.delete(unit);
		for (const { host } of unit.entries) {
			const at = entryKey(host, unit.key);
			if (this.entries.get(at)?.unit !== unit) continue;
			this.entries.delete(at);
			const block = code.find(host, unit.key);
			if (!block) continue;
			code.words[(block + BLOCK.unit.offset) >> 2] = 0;
			this.wait(block, SOON);
		}
		table.set(unit.slot, null);
		this.freeSlots.push(unit.slot);
	}

	/** A block was decoded: where a unit has an entry there, it is used at once. */
	decoded(block: number): void {
		const { words } = this.processor.code;
		const host = words[(block + BLOCK.host.offset) >> 2]! >>> 0;
		const key = words[(block + BLOCK.key.offset) >> 2]!;
		const known = this.entries.get(entryKey(host, key));
		if (known) this.bind(block, known.unit, known.entry);
	}

	/** A unit misses often, or could not confirm its pages. */
	verify(block: number): void {
		const { words } = this.processor.code;
		const slot = words[(block + BLOCK.unit.offset) >> 2]!;
		for (const unit of this.byPage.get(words[(block + BLOCK.host.offset) >> 2]! >>> 12) ?? []) {
			if (unit.slot !== slot) continue;
			if (unit.lookup !== "filling" && this.words[unit.missWord >> 2] === 0) {
				this.makeTolerant(unit);
				return;
			}
			if (++unit.unconfirmed > UNCONFIRMED_BORNE) this.drop(unit);
			return;
		}
	}

	/** Makes a unit anew that misses often, at the price of slower code. */
	private makeTolerant(unit: Unit): void {
		const { roots, key, csBase, csHigh, remakes } = unit;
		const lookup = unit.lookup === "near" ? "anywhere" : "filling";
		if (unit.lookup === "near") this.nearFailures.set(key, (this.nearFailures.get(key) ?? 0) + 1);
		const pages = this.knownPages(unit);
		if (pages.size < unit.pages.size) return;
		const next = this.thrift.pay(() => this.make(roots, key, csBase, csHigh, pages, remakes, lookup));
		if (!next) return;
		this.drop(unit);
		this.install(next);
	}

	/** The unit that has the instruction at a place in VM memory, for people; undefined: there is none. */
	unitAt(host: number, key: number): string | undefined {
		for (const unit of this.byPage.get(host >>> 12) ?? []) {
			if (unit.key !== key || !unit.pieces.some(([start, bytes]) => host >= start && host < start + bytes)) continue;
			const roots = unit.roots.map((root) => root.toString(16)).join(", ");
			return `unit with key ${key}, CS base ${unit.csBase.toString(16)}, ${unit.blocks.size} blocks, from ${roots}`;
		}
		return undefined;
	}

	removed(): void {}

	flushed(): void {
		for (const unit of [...this.units]) this.drop(unit);
		this.next = this.arena;
	}

	/** Makes sure that the tables of one more unit fit: a unit in the making must not lose its own. */
	private makeRoom(): void {
		if (this.next + UNIT_TABLES <= this.arena + ARENA_BYTES) return;
		for (const unit of [...this.units]) this.drop(unit);
		this.next = this.arena;
	}

	private allocate(bytes: number): number {
		const size = (bytes + 7) & ~7;
		assert(this.next + size <= this.arena + ARENA_BYTES, "room for a unit's tables");
		const at = this.next;
		this.next += size;
		this.words.fill(0, at >> 2, (at + size) >> 2);
		return at;
	}
}

function entryKey(host: number, key: number): number {
	return host * MOST_KEYS + key;
}

/** Linear address of an IP. */
function linearOf(key: number, csBase: number, ip: number): number {
	return key & KEY.long ? ip : (csBase + ip) % 0x1_0000_0000;
}

function pageOf(linear: number): number {
	return linear - (linear & 4095);
}

/** Whether an instruction of a unit begins at an IP, but no block. */
function hasInside({ blocks }: Unit, ip: number): boolean {
	if (blocks.has(ip)) return false;
	for (const { instructions } of blocks.values())
		if (instructions.some((instruction) => instruction.ip === ip)) return true;
	return false;
}
