import { Decoder } from "../../isa/decoder.ts";
import { instructionTable } from "../../isa/index.ts";
import { SEGMENT } from "../../isa/registers.ts";
import type { Callee } from "../../wasm/expression.ts";
import { ModuleBuilder } from "../../wasm/module.ts";
import type { CodeWatch } from "../code-space.ts";
import { handlerIndex } from "../core/handlers.ts";
import { BLOCK, F, KEY, SEG, segmentOffset } from "../layout.ts";
import type { Compiler, Processor } from "../processor.ts";
import { discover, type UnitBlock } from "./discover.ts";
import { UnitPrinter } from "./unit.ts";

/** VM memory for the tables of units. */
const ARENA_BYTES = 32 << 20;
/** Most blocks in a unit: beyond some 200 V8 falls back to a poorer register allocator. */
const MOST_BLOCKS = 160;
const MOST_INSTRUCTIONS = 1200;
const MOST_INSTRUCTIONS_PER_BLOCK = 64;
/** How often a unit may be made anew to take in another entry. */
const MOST_REMAKES = 24;
/** TLB misses for which a unit leaves before it is made to fill the TLB itself. */
const MISSES_BORNE = 2000;
/** Units on a page may be spoiled so often by stores before its code is left to the interpreter for longer. */
const PATIENCE = 4;

interface Unit extends CodeWatch {
	readonly key: number;
	readonly csBase: number;
	readonly roots: readonly number[];
	readonly blocks: ReadonlyMap<number, UnitBlock>;
	readonly slot: number;
	/** Linear page → host page of all code in it. */
	readonly pages: ReadonlyMap<number, number>;
	/** Host address and number of each entry. */
	readonly entries: readonly (readonly [host: number, number: number])[];
	readonly generationWord: number;
	/** Counts TLB misses down; 0 where the unit fills the TLB itself. */
	readonly missWord: number;
	readonly remakes: number;
	alive: boolean;
}

/** Turns hot blocks into units, and units into WebAssembly modules in the core's table. */
export class UnitCompiler implements Compiler {
	heat: number;
	/** Units made, and dropped because their code changed: for statistics. */
	made = 0;
	dropped = 0;
	private readonly processor: Processor;
	private readonly decoder = new Decoder(instructionTable());
	private readonly arena: number;
	private readonly words: Int32Array;
	private next: number;
	private readonly entries = new Map<number, { unit: Unit; entry: number }>();
	private readonly units = new Set<Unit>();
	private readonly byPage = new Map<number, Set<Unit>>();
	private readonly freeSlots: number[] = [];
	private readonly spoiled = new Map<number, number>();

	/** `heat`: runs of a block before it is compiled. */
	constructor(processor: Processor, heat: number) {
		this.processor = processor;
		this.heat = heat;
		const { memory } = processor;
		this.arena = memory.allocate(ARENA_BYTES);
		this.words = new Int32Array(memory.memory.buffer, 0, (this.arena + ARENA_BYTES) / 4);
		this.next = this.arena;
	}

	compile(block: number): void {
		const { processor } = this;
		const { code } = processor;
		const host = code.words[(block + BLOCK.host.offset) >> 2]!;
		const key = code.words[(block + BLOCK.key.offset) >> 2]!;
		const ip = processor.getNumber(F.blockIp);
		const csBase = processor.getNumber(SEG.base, segmentOffset(SEGMENT.cs));
		const csHigh = processor.getNumber(SEG.fetchHigh, segmentOffset(SEGMENT.cs));
		const known = this.entries.get(entryKey(host, key));
		if (known?.unit.alive) {
			this.bind(block, known.unit, known.entry);
			return;
		}
		const linear = (csBase + ip) % 0x1_0000_0000;
		const page = linear - (linear & 4095);
		const patience = this.spoiled.get(host >>> 12) ?? 0;
		if (patience > PATIENCE) {
			// Code that keeps changing is not worth compiling; look again much later.
			this.setHeat(block, this.heat * 64);
			if (patience > PATIENCE * 4) return;
			this.spoiled.set(host >>> 12, patience + 1);
			if (patience < PATIENCE * 3) return;
		}
		const neighbour = this.neighbour(host, key, csBase);
		const roots = neighbour ? [ip, ...neighbour.roots.filter((root) => root !== ip)] : [ip];
		const pages = new Map([[page, host - (host & 4095)]]);
		if (neighbour)
			for (const [at, where] of neighbour.pages) if (processor.fetchCached(at) === where) pages.set(at, where);
		const fills = neighbour?.missWord === 0;
		let unit = this.make(roots, key, csBase, csHigh, pages, (neighbour?.remakes ?? -1) + 1, fills);
		if (!unit && neighbour)
			unit = this.make([ip], key, csBase, csHigh, new Map([[page, host - (host & 4095)]]), 0, false);
		else if (neighbour) this.drop(neighbour);
		if (!unit) {
			this.setHeat(block, this.heat * 1024);
			return;
		}
		this.install(unit);
	}

	private setHeat(block: number, heat: number): void {
		this.processor.code.words[(block + BLOCK.heat.offset) >> 2] = heat;
	}

	/** A unit over the same page that may grow. */
	private neighbour(host: number, key: number, csBase: number): Unit | undefined {
		for (const unit of this.byPage.get(host >>> 12) ?? []) {
			const fits = unit.key === key && unit.csBase === csBase && unit.remakes < MOST_REMAKES;
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
		fills: boolean,
	): Unit | undefined {
		const { processor } = this;
		const bytes = processor.bytes();
		const blocks = discover(roots, {
			decoder: this.decoder,
			codeSize: key & KEY.code32 ? 32 : 16,
			limit: MOST_BLOCKS,
			instructionLimit: MOST_INSTRUCTIONS,
			blockLimit: MOST_INSTRUCTIONS_PER_BLOCK,
			source: {
				executed: (ip) => {
					const linear = (csBase + ip) % 0x1_0000_0000;
					const host = pages.get(linear - (linear & 4095)) ?? processor.fetchCached(linear - (linear & 4095));
					return host !== 0 && processor.code.find(host + (linear & 4095), key) !== 0;
				},
				at: (ip) => {
					if (ip + 15 > csHigh) return undefined;
					const linear = (csBase + ip) % 0x1_0000_0000;
					const page = linear - (linear & 4095);
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
		const missWord = fills ? 0 : this.allocate(4);
		if (missWord) this.words[missWord >> 2] = MISSES_BORNE;
		const m = new ModuleBuilder();
		// Imports come first: the handlers of all instructions that the unit does not do itself.
		const handlers = new Map<number, Callee>();
		const env: Record<string, unknown> = { memory: processor.memory.memory };
		for (const { instructions, terminator } of blocks.values()) {
			const instance = terminator.kind === "handler" ? instructions.at(-1)?.decoded.instance : undefined;
			if (!instance || handlers.has(instance.id)) continue;
			const name = `handler_${instance.id}`;
			handlers.set(instance.id, m.import(name, ["i32", "i32"], ["i32"]));
			env[name] = processor.table.get(handlerIndex(instance));
		}
		const touch = fills ? m.import("touch", ["i32", "i32", "i32", "i32"], ["i32"]) : undefined;
		if (touch) env["touch"] = processor.core["touch"];
		const printed = new UnitPrinter(m, `unit_${roots[0]!.toString(16)}`, {
			blocks,
			key,
			csBase: csBase | 0,
			csHigh: csHigh | 0,
			tlbArea: processor.get(F.tlbArea),
			generationWord,
			missWord: missWord || this.allocate(4),
			touch,
			allocate: (size) => this.allocate(size),
			words: this.words,
			handler: (instance) => handlers.get(instance.id)!,
		}).print();
		m.export(printed.f, "unit");
		const { exports } = new WebAssembly.Instance(new WebAssembly.Module(m.encode()), { env });
		const slot = this.freeSlots.pop() ?? processor.table.grow(1);
		processor.table.set(slot, exports["unit"]);
		this.made++;
		const hostOf = (ip: number): number => {
			const linear = (csBase + ip) % 0x1_0000_0000;
			return pages.get(linear - (linear & 4095))! + (linear & 4095);
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
			roots,
			blocks,
			slot,
			pages,
			pieces,
			entries: [...printed.entries].map(([ip, number]) => [hostOf(ip), number] as const),
			generationWord,
			missWord,
			remakes,
			alive: true,
			dropped: () => {
				this.dropped++;
				for (const host of pages.values()) this.spoiled.set(host >>> 12, (this.spoiled.get(host >>> 12) ?? 0) + 1);
				this.drop(unit);
			},
		};
		return unit;
	}

	private install(unit: Unit): void {
		const { code } = this.processor;
		this.units.add(unit);
		for (const host of unit.pages.values()) {
			const units = this.byPage.get(host >>> 12) ?? new Set();
			this.byPage.set(host >>> 12, units.add(unit));
		}
		code.watch(unit);
		for (const [host, entry] of unit.entries) {
			this.entries.set(entryKey(host, unit.key), { unit, entry });
			const block = code.find(host, unit.key);
			if (block) this.bind(block, unit, entry);
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
		for (const [host] of unit.entries) {
			const at = entryKey(host, unit.key);
			if (this.entries.get(at)?.unit !== unit) continue;
			this.entries.delete(at);
			const block = code.find(host, unit.key);
			if (!block) continue;
			code.words[(block + BLOCK.unit.offset) >> 2] = 0;
			this.setHeat(block, this.heat);
		}
		table.set(unit.slot, null);
		this.freeSlots.push(unit.slot);
	}

	/** A block was decoded: where a unit has an entry there, it is used at once. */
	decoded(block: number): void {
		const { words } = this.processor.code;
		const host = words[(block + BLOCK.host.offset) >> 2]!;
		const key = words[(block + BLOCK.key.offset) >> 2]!;
		const known = this.entries.get(entryKey(host, key));
		if (known) this.bind(block, known.unit, known.entry);
	}

	/** A unit found its pages unconfirmed: looks whether they are still what it was made from. */
	verify(block: number): void {
		const { words } = this.processor.code;
		const slot = words[(block + BLOCK.unit.offset) >> 2]!;
		for (const unit of this.byPage.get(words[(block + BLOCK.host.offset) >> 2]! >>> 12) ?? []) {
			if (unit.slot !== slot) continue;
			if (unit.missWord !== 0 && this.words[unit.missWord >> 2] === 0) {
				this.makeFilling(unit);
				return;
			}
			for (const [page, host] of unit.pages) if (this.processor.fetchCached(page) !== host) return;
			this.words[unit.generationWord >> 2] = this.processor.get(F.generation);
			return;
		}
	}

	/** Makes a unit anew that misses often: it fills the TLB without leaving, at the price of slower code. */
	private makeFilling(unit: Unit): void {
		const { processor } = this;
		const csHigh = processor.getNumber(SEG.fetchHigh, segmentOffset(SEGMENT.cs));
		for (const [page, host] of unit.pages) if (processor.fetchCached(page) !== host) return;
		const next = this.make(unit.roots, unit.key, unit.csBase, csHigh, new Map(unit.pages), unit.remakes, true);
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

	private allocate(bytes: number): number {
		const size = (bytes + 7) & ~7;
		if (this.next + size > this.arena + ARENA_BYTES) {
			for (const unit of [...this.units]) this.drop(unit);
			this.next = this.arena;
		}
		const at = this.next;
		this.next += size;
		this.words.fill(0, at >> 2, (at + size) >> 2);
		return at;
	}
}

function entryKey(host: number, key: number): number {
	return host * 128 + (key & 127);
}
