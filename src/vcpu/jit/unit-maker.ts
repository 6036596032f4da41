import { assert } from "../../base/errors.ts";
import { hostMs } from "../../base/host-time.ts";
import { Decoder } from "../../isa/decoder.ts";
import type { Feature } from "../../isa/features.ts";
import { instructionTable } from "../../isa/index.ts";
import { ModuleBuilder } from "../../wasm/module.ts";
import { CODE_PAGE, CODE_PAGE_SIZE } from "../layout.ts";
import { PAGE_SIZE } from "../vm-memory.ts";
import { regionOf } from "./code-place.ts";
import { codeSource, discover } from "./discover.ts";
import { UnitPrinter } from "./unit.ts";
import { type UnitCall, UnitImports } from "./unit-imports.ts";
import { MISSES_BORNE, UNIT_LIMITS } from "./unit-limits.ts";
import type { OrderedPage, TableRoom, UnitOrder, UnitResult } from "./unit-order.ts";

/** More than the tables of any one unit take. */
const UNIT_TABLES = 1 << 20;

/** Makes units from orders; their tables go into a piece of VM memory. */
export class UnitMaker {
	private readonly words: Int32Array;
	private readonly arena: number;
	private readonly end: number;
	private next: number;
	private decoder: Decoder;

	/** `features`: those that code is decoded with; undefined: all. */
	constructor({ memory, arena, bytes }: TableRoom, features: readonly Feature[] | undefined) {
		this.arena = arena;
		this.end = arena + bytes;
		this.next = arena;
		this.words = new Int32Array(memory.buffer, 0, this.end / 4);
		this.decoder = decoderFor(features);
	}

	/** All units are gone. */
	restart(features: readonly Feature[] | undefined): void {
		this.next = this.arena;
		this.decoder = decoderFor(features);
	}

	make(order: UnitOrder): UnitResult {
		const start = hostMs();
		if (this.next + UNIT_TABLES > this.end) return "full";
		const { roots, key, csBase, csHigh, lookup, pages } = order;
		const bytes = new Map(pages.map(({ linear }, n) => [linear, { bytes: order.code, offset: n * PAGE_SIZE }]));
		const executed = new Set(order.executed);
		const interpreted = new Set(order.interpreted);
		const blocks = discover(roots, {
			...UNIT_LIMITS,
			decoder: this.decoder,
			key,
			source: codeSource(order, roots[0]!, {
				page: (linear) => bytes.get(linear),
				executed: (ip) => executed.has(ip),
				interpreted: (ip) => interpreted.has(ip),
			}),
		});
		// Never what F.generation is: the first entry confirms the pages.
		const generationWord = pages.length > 1 ? this.word(-1) : 0;
		const pageTable = this.writePages(pages);
		const missWord = this.word(lookup === "filling" ? 0 : MISSES_BORNE);
		const m = new ModuleBuilder();
		const calls: UnitCall[] = ["confirmPages", "readFlags"];
		if (order.portHost) calls.push("portRead", "portWrite");
		if (lookup === "filling") calls.push("touch");
		const imports = new UnitImports(m, blocks.values(), calls);
		const printed = new UnitPrinter(m, `unit_${roots[0]!.toString(16)}`, {
			blocks,
			key,
			region: regionOf(roots[0]!),
			csBase: csBase | 0,
			csHigh: csHigh | 0,
			tlbArea: order.tlbArea,
			generationWord,
			pages: pageTable,
			pageCount: pages.length,
			missWord,
			addend: order.addend,
			imports,
			allocate: (size) => this.allocate(size),
			words: this.words,
		}).print();
		m.export(printed.f, "unit");
		const module = new WebAssembly.Module(m.encode());
		const entries = [...printed.entries].filter(([ip]) => blocks.get(ip)!.instructions.length > 0);
		const ms = hostMs() - start;
		return { module, links: imports.links, entries, generationWord, pageTable, missWord, ms };
	}

	private writePages(pages: readonly OrderedPage[]): number {
		const at = this.allocate(pages.length * CODE_PAGE_SIZE);
		pages.forEach(({ linear, host }, n) => {
			const row = (at + n * CODE_PAGE_SIZE) >> 2;
			this.words[row + CODE_PAGE.linear.offset / 4] = linear | 0;
			this.words[row + CODE_PAGE.linear.offset / 4 + 1] = regionOf(linear);
			this.words[row + CODE_PAGE.host.offset / 4] = host;
		});
		return at;
	}

	private word(value: number): number {
		const at = this.allocate(4);
		this.words[at >> 2] = value;
		return at;
	}

	private allocate(bytes: number): number {
		const size = (bytes + 7) & ~7;
		assert(this.next + size <= this.end, "room for a unit's tables");
		const at = this.next;
		this.next += size;
		this.words.fill(0, at >> 2, (at + size) >> 2);
		return at;
	}
}

/** A function, as those need who load this file when they call it. */
export function createUnitMaker(room: TableRoom, features: readonly Feature[] | undefined): UnitMaker {
	return new UnitMaker(room, features);
}

function decoderFor(features: readonly Feature[] | undefined): Decoder {
	return new Decoder(instructionTable(), features && new Set(features));
}
