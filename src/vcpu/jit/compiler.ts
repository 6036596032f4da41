import { SEGMENT } from "../../isa/registers.ts";
import type { CodeWatch } from "../code-space.ts";
import type { Compiler } from "../compiler.ts";
import { CR0 } from "../core/control-bits.ts";
import { BLOCK, CODE_PAGE_SIZE, F, KEY, SEG, segmentOffset } from "../layout.ts";
import type { Processor } from "../processor.ts";
import { PAGE_SIZE } from "../vm-memory.ts";
import { type CodePlace, isCanonical, linearOf, pageOf } from "./code-place.ts";
import type { UnitBlock } from "./discover.ts";
import * as discovery from "./discover.ts"; // deferred
import { Thrift } from "./thrift.ts";
import { MISSES_BORNE, UNIT_LIMITS } from "./unit-limits.ts";
import type { Lookup, TableRoom, UnitLink, UnitProduct, Workshop } from "./unit-order.ts";

/** VM memory for the tables of units. */
const ARENA_BYTES = 32 << 20;
/** A unit with fewer blocks than this may grow. */
const ROOMY = UNIT_LIMITS.limit * 0.75;
/** Units of a mode that did not find their memory near before none of that mode looks there any more. */
const NEAR_FAILURES = 2;
/** Times that a unit's pages are not all known before it is made anew from those that are. */
const UNCONFIRMED_BORNE = 256;
/** Misses until a unit that is being made anew asks again. */
const ASK_LATER = 1 << 30;
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

/** Where to begin, and what makes the difference to another unit of the same place. */
interface Wish extends CodePlace {
	readonly roots: readonly number[];
	/** Linear page → host page of code whose place is known. */
	readonly pages: Map<number, number>;
	readonly remakes: number;
	readonly wantedLookup: Lookup;
	/** What it takes the place of. */
	readonly replaces: Unit | undefined;
}

interface Unit extends CodeWatch, Readonly<Omit<Wish, "replaces">> {
	/** What it takes the place of once it is made. */
	replaces: Unit | undefined;
	readonly blocks: ReadonlyMap<number, UnitBlock>;
	readonly instructions: number;
	readonly lookup: Lookup;
	/** Count of retired instructions when it was ordered. */
	readonly born: number;
	/** Hot places that it takes in when it is made anew. */
	readonly wanted: Set<number>;
	/** What will replace it is being made. */
	successor: Unit | undefined;
	/** Times that its pages could not be confirmed. */
	unconfirmed: number;
	/** The count of stores to pages with code when its misses began to be counted. */
	codeStores: number;
	state: "ordered" | "alive" | "dropped";
	/** While it is alive: its place in the core's table, its tables, and host address, number and IP of each entry. */
	made: { readonly slot: number; readonly entries: readonly Entry[]; readonly product: UnitProduct } | undefined;
}

interface Entry {
	readonly host: number;
	readonly number: number;
	readonly ip: number;
}

/** Turns hot blocks into units: decides what is compiled, has it made in a workshop, and enters it where the core finds it. */
export class UnitCompiler implements Compiler {
	/** Units made, and dropped because their code changed: for statistics. */
	made = 0;
	dropped = 0;
	private readonly processor: Processor;
	private readonly words: Int32Array;
	private readonly thrift: Thrift;
	private readonly workshop: Workshop;
	private readonly entries = new Map<number, { unit: Unit; slot: number; entry: number; ip: number }>();
	private readonly units = new Set<Unit>();
	private readonly byPage = new Map<number, Set<Unit>>();
	private readonly freeSlots: number[] = [];
	/** How many units of a mode key had to be made anew because memory was not at one distance. */
	private readonly nearFailures = new Map<number, number>();

	/**
	 * `open` opens the workshop. `heat`: runs of a block before it is compiled; `share`: most of the host's time that compiling may take,
	 * 1: all that it wants.
	 */
	constructor(processor: Processor, open: (room: TableRoom) => Workshop, heat: number, share = 1) {
		this.processor = processor;
		this.thrift = new Thrift(heat, share);
		const { memory } = processor.memory;
		const arena = processor.memory.allocate(ARENA_BYTES);
		this.words = new Int32Array(memory.buffer, 0, (arena + ARENA_BYTES) / 4);
		this.workshop = open({ memory, arena, bytes: ARENA_BYTES });
		this.restartWorkshop();
	}

	/** Runs of a block before it is compiled. */
	get heat(): number {
		return this.thrift.heat;
	}

	poll(): void {
		this.workshop.poll();
	}

	/** Ends what runs beside the guest. */
	close(): void {
		this.workshop.close();
	}

	compile(block: number): void {
		this.poll();
		const { processor, thrift } = this;
		const { words } = processor.code;
		const host = words[(block + BLOCK.host.offset) >> 2]! >>> 0;
		const key = words[(block + BLOCK.key.offset) >> 2]!;
		const ip = processor.getNumber(F.blockIp);
		const long = (key & KEY.long) !== 0;
		const csBase = long ? 0 : processor.getNumber(SEG.base, segmentOffset(SEGMENT.cs));
		const csHigh = long ? 0 : processor.getNumber(SEG.fetchHigh, segmentOffset(SEGMENT.cs));
		const place: CodePlace = { key, csBase, csHigh };
		if (!isCanonical(ip)) return;
		// Whatever comes of it: the block will be looked at again.
		words[(block + BLOCK.id.offset) >> 2] ||= HOT;
		this.wait(block, SOON);
		const known = this.entries.get(entryKey(host, key));
		if (known && known.ip === ip && isAt(known.unit, place)) {
			this.bind(block, known.slot, known.entry);
			return;
		}
		const now = processor.retired();
		if (!thrift.affords || thrift.restless(host >>> 12, now)) return;
		if (this.workshop.busy >= this.workshop.most) return;
		const neighbour = this.neighbour(host, place, ip);
		// An entry in the middle of a block makes worse code, and two addresses of one place take it from each other.
		if ((known || (neighbour && hasInside(neighbour, ip))) && !this.insists(block)) return;
		if (neighbour) {
			const isWaiting = neighbour.state === "ordered";
			if (isWaiting && neighbour.blocks.has(ip)) return;
			if (isWaiting || neighbour.born + thrift.growthDelay(neighbour.instructions, neighbour.remakes) > now) {
				neighbour.wanted.add(ip);
				return;
			}
			if (this.grow(neighbour, ip)) return;
		}
		const pages = new Map([[pageOf(linearOf(place, ip)), host - (host & 4095)]]);
		const fresh = { ...place, roots: [ip], pages, remakes: 0, wantedLookup: "near" as const, replaces: undefined };
		if (!this.order(fresh)) this.wait(block, MUCH_LATER);
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

	/** Distance of data from its linear address: without paging that of code, else what most of the TLB has. */
	private expectedAddend(pages: ReadonlyMap<number, number>): number | undefined {
		const [first] = pages;
		const { processor } = this;
		if (first && (processor.get(F.cr0) & CR0.pg) === 0) return (first[1] - first[0]) | 0;
		return processor.commonAddend();
	}

	/** Orders a unit anew with one more entry and those that have been waiting. */
	private grow(unit: Unit, ip: number): boolean {
		const roots = [...new Set([ip, ...unit.roots, ...unit.wanted])];
		const pages = this.knownPages(unit);
		return this.order({
			...placeOf(unit),
			roots,
			pages,
			remakes: unit.remakes + 1,
			wantedLookup: unit.wantedLookup,
			replaces: unit,
		});
	}

	/** Those of a unit's pages that are still what they were. */
	private knownPages({ pages, made }: Unit): Map<number, number> {
		const { processor } = this;
		const table = made!.product.pageTable;
		return new Map([...pages].filter((_, n) => processor.call("confirmPages", table + n * CODE_PAGE_SIZE, 1) !== 0));
	}

	/** A unit over the same page that may grow, or is being made. */
	private neighbour(host: number, place: CodePlace, ip: number): Unit | undefined {
		for (const unit of this.byPage.get(host >>> 12) ?? []) {
			if (!isAt(unit, place)) continue;
			if (unit.state === "ordered" ? unit.blocks.has(ip) || unit.blocks.size < ROOMY : unit.blocks.size < ROOMY)
				return unit.successor ?? unit;
		}
		return undefined;
	}

	/** Has a unit made. @returns false where there is nothing to compile. */
	private order(wish: Wish): boolean {
		const { processor } = this;
		const { roots, key, csBase, csHigh, pages, wantedLookup } = wish;
		const bytes = processor.bytes();
		const [executed, interpreted] = [new Set<number>(), new Set<number>()];
		const source = discovery.codeSource(wish, roots[0]!, {
			page: (page) => {
				let host = pages.get(page);
				if (host === undefined) {
					// Only what the guest has fetched already: compiling must not touch its page tables.
					host = processor.fetchCached(page);
					if (host === 0) return undefined;
					pages.set(page, host);
				}
				return { bytes, offset: host };
			},
			executed: (ip) => {
				const linear = linearOf(wish, ip);
				const host = pages.get(pageOf(linear)) ?? processor.fetchCached(pageOf(linear));
				const isWarm = host !== 0 && this.warm(processor.code.find(host + (linear & 4095), key));
				if (isWarm) executed.add(ip);
				return isWarm;
			},
			interpreted: (ip) => {
				const isCut = processor.leavesToInterpreter(linearOf(wish, ip));
				if (isCut) interpreted.add(ip);
				return isCut;
			},
		});
		const blocks = discovery.discover(roots, { ...UNIT_LIMITS, decoder: processor.decoder, key, source });
		// What was asked for must be in it, and be worth it.
		if (roots.some((root) => !blocks.has(root))) return false;
		if (!blocks.get(roots[0]!)!.instructions.length) return false;
		const isNear = wantedLookup === "near" && (this.nearFailures.get(key) ?? 0) < NEAR_FAILURES;
		const addend = isNear ? this.expectedAddend(pages) : undefined;
		const lookup = wantedLookup === "near" && addend === undefined ? "anywhere" : wantedLookup;
		const unit: Unit = {
			...wish,
			blocks,
			instructions: [...blocks.values()].reduce((sum, block) => sum + block.instructions.length, 0),
			pieces: piecesOf(blocks, (ip) => hostOf(wish, ip)),
			lookup,
			born: processor.retired(),
			wanted: new Set(),
			successor: undefined,
			unconfirmed: 0,
			codeStores: processor.get(F.codeStores),
			state: "ordered",
			made: undefined,
			dropped: () => this.spoiled(unit),
		};
		if (wish.replaces) wish.replaces.successor = unit;
		this.units.add(unit);
		for (const host of pages.values()) {
			const units = this.byPage.get(host >>> 12) ?? new Set();
			this.byPage.set(host >>> 12, units.add(unit));
		}
		processor.code.watch(unit);
		const code = new Uint8Array(pages.size * PAGE_SIZE);
		[...pages.values()].forEach((host, n) => {
			code.set(bytes.subarray(host, host + PAGE_SIZE), n * PAGE_SIZE);
		});
		const order = {
			roots,
			key,
			csBase,
			csHigh,
			pages: [...pages].map(([linear, host]) => ({ linear, host })),
			code,
			executed: [...executed],
			interpreted: [...interpreted],
			lookup,
			addend,
			tlbArea: processor.get(F.tlbArea),
			portHost: processor.get(F.portHost) !== 0,
		};
		this.workshop.make(order, (result) => {
			if (result !== "full") this.thrift.spend(result.ms);
			if (unit.state === "dropped") return;
			if (result === "full") {
				this.flushed();
				return;
			}
			this.install(unit, result);
		});
		return true;
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

	/** A unit has been made. */
	private install(unit: Unit, product: UnitProduct): void {
		const { code, memory, table } = this.processor;
		if (unit.replaces) this.drop(unit.replaces);
		unit.replaces = undefined;
		const imports: Record<string, unknown> = { memory: memory.memory };
		for (const link of product.links) imports[link.name] = this.linked(link);
		const { exports } = new WebAssembly.Instance(product.module, { env: imports });
		const slot = this.freeSlots.pop() ?? table.grow(1);
		table.set(slot, exports["unit"]);
		const entries = product.entries.map(([ip, number]) => ({ host: hostOf(unit, ip), number, ip }));
		unit.state = "alive";
		unit.made = { slot, entries, product };
		this.made++;
		for (const { host, number, ip } of entries) {
			this.entries.set(entryKey(host, unit.key), { unit, slot, entry: number, ip });
			const block = code.find(host, unit.key);
			if (block) this.bind(block, slot, number);
		}
	}

	private linked({ name, handler }: UnitLink): unknown {
		return handler === undefined ? this.processor.core[name] : this.processor.table.get(handler);
	}

	private bind(block: number, slot: number, entry: number): void {
		const { words } = this.processor.code;
		words[(block + BLOCK.unit.offset) >> 2] = slot;
		words[(block + BLOCK.entry.offset) >> 2] = entry;
	}

	private drop(unit: Unit): void {
		if (unit.state === "dropped") return;
		const { made } = unit;
		unit.state = "dropped";
		unit.made = undefined;
		const { code, table } = this.processor;
		code.unwatch(unit);
		this.units.delete(unit);
		if (unit.replaces) unit.replaces.successor = undefined;
		unit.replaces = undefined;
		for (const host of unit.pages.values()) this.byPage.get(host >>> 12)?.delete(unit);
		if (!made) return;
		for (const { host } of made.entries) {
			const at = entryKey(host, unit.key);
			if (this.entries.get(at)?.unit !== unit) continue;
			this.entries.delete(at);
			const block = code.find(host, unit.key);
			if (!block) continue;
			code.words[(block + BLOCK.unit.offset) >> 2] = 0;
			this.wait(block, SOON);
		}
		table.set(made.slot, null);
		this.freeSlots.push(made.slot);
	}

	/** A block was decoded: where a unit has an entry there, it is used at once. */
	decoded(block: number): void {
		const { words } = this.processor.code;
		const host = words[(block + BLOCK.host.offset) >> 2]! >>> 0;
		const key = words[(block + BLOCK.key.offset) >> 2]!;
		const known = this.entries.get(entryKey(host, key));
		if (known) this.bind(block, known.slot, known.entry);
	}

	/** A unit misses often, or could not confirm its pages. */
	verify(block: number): void {
		const { words } = this.processor.code;
		const slot = words[(block + BLOCK.unit.offset) >> 2]!;
		for (const unit of this.byPage.get(words[(block + BLOCK.host.offset) >> 2]! >>> 12) ?? []) {
			if (!unit.made || unit.made.slot !== slot) continue;
			const missWord = unit.made.product.missWord >> 2;
			if (unit.lookup !== "filling" && this.words[missWord] === 0) {
				if (this.storesToCode(unit)) this.words[missWord] = MISSES_BORNE;
				else {
					this.words[missWord] = ASK_LATER;
					if (!unit.successor) this.makeTolerant(unit);
				}
				return;
			}
			if (++unit.unconfirmed > UNCONFIRMED_BORNE) this.drop(unit);
			return;
		}
	}

	/** Whether most misses were stores to pages with code: then no other way of looking up helps. They are counted from now on. */
	private storesToCode(unit: Unit): boolean {
		const before = unit.codeStores;
		unit.codeStores = this.processor.get(F.codeStores);
		return ((unit.codeStores - before) | 0) >= MISSES_BORNE / 2;
	}

	/** Has a unit made anew that misses often, at the price of slower code. */
	private makeTolerant(unit: Unit): void {
		const { key, remakes, roots } = unit;
		const wantedLookup = unit.lookup === "near" ? "anywhere" : "filling";
		if (unit.lookup === "near") this.nearFailures.set(key, (this.nearFailures.get(key) ?? 0) + 1);
		const pages = this.knownPages(unit);
		if (pages.size < unit.pages.size) return;
		this.order({ ...placeOf(unit), roots, pages, remakes, wantedLookup, replaces: unit });
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

	/** Everything begins anew: what was made, what is being made, and the workshop's tables. */
	flushed(): void {
		for (const unit of [...this.units]) this.drop(unit);
		this.restartWorkshop();
	}

	private restartWorkshop(): void {
		const { features } = this.processor;
		this.workshop.restart(features && [...features]);
	}
}

/** Where a unit's instruction lies in VM memory. */
function hostOf(unit: Pick<Wish, "key" | "csBase" | "csHigh" | "pages">, ip: number): number {
	const linear = linearOf(unit, ip);
	return unit.pages.get(pageOf(linear))! + (linear & 4095);
}

/** Host ranges of all instructions: one for each run of them in one page, as the next page may lie anywhere. */
function piecesOf(blocks: ReadonlyMap<number, UnitBlock>, host: (ip: number) => number): [number, number][] {
	const pieces: [number, number][] = [];
	for (const { instructions } of blocks.values()) {
		let end = -1;
		for (const { ip, decoded } of instructions) {
			const at = host(ip);
			const piece = pieces.at(-1);
			if (piece && at === end && (at & 4095) !== 0) piece[1] += decoded.length;
			else pieces.push([at, decoded.length]);
			end = at + decoded.length;
		}
	}
	return pieces;
}

function placeOf({ key, csBase, csHigh }: CodePlace): CodePlace {
	return { key, csBase, csHigh };
}

function isAt(unit: CodePlace, { key, csBase, csHigh }: CodePlace): boolean {
	return unit.key === key && unit.csBase === csBase && unit.csHigh === csHigh;
}

function entryKey(host: number, key: number): number {
	return host * MOST_KEYS + key;
}

/** Whether an instruction of a unit begins at an IP, but no block. */
function hasInside({ blocks }: Unit, ip: number): boolean {
	if (blocks.has(ip)) return false;
	for (const { instructions } of blocks.values())
		if (instructions.some((instruction) => instruction.ip === ip)) return true;
	return false;
}
