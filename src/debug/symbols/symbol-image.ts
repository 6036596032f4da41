import type { CallFrames } from "./call-frames.ts";
import type { LineTable } from "./dwarf-lines.ts";
import type { SymbolTable } from "./symbol-table.ts";
import type { MemoryReader, Place, Symbols, UnwindRegisters } from "./symbols.ts";

/** Addresses from `first` up to, and without, `end`. */
export interface Extent {
	readonly first: bigint;
	readonly end: bigint;
}

/** What a file of symbols says; all addresses are those that it was linked for. */
export interface ImageContents {
	readonly module: string;
	/** Where offsets without a symbol count from, and what a given load address stands for. */
	readonly start: bigint;
	/** What the image covers, in ascending order; symbols are not looked for across their borders. */
	readonly extents: readonly Extent[];
	readonly symbols: SymbolTable;
	readonly lines?: LineTable | undefined;
	readonly frames?: CallFrames | undefined;
	/** Where parts of the image lie before paging is on: physical addresses, and what to add for the linked ones. */
	readonly physical?: readonly (Extent & { readonly add: bigint })[];
	/** What the image has at an address when nothing has changed it; undefined where the file does not have all of it. */
	readonly bytes?: ((address: bigint, size: number) => Uint8Array | undefined) | undefined;
	/** Address of the code section as linked: what tools that convert an image keep together. */
	readonly code?: bigint | undefined;
}

const ADDRESSES = 1n << 64n;

/** A file's symbols where its image lies in memory. */
export class SymbolImage implements Symbols {
	readonly contents: ImageContents;
	/** What loading added to every address. */
	readonly bias: bigint;

	constructor(contents: ImageContents, bias: bigint) {
		this.contents = contents;
		this.bias = bias;
	}

	/** The same file with its start at `address`. */
	startingAt(address: bigint): SymbolImage {
		return new SymbolImage(this.contents, address - this.contents.start);
	}

	moved(bias: bigint): SymbolImage {
		return new SymbolImage(this.contents, bias);
	}

	at(address: bigint): Place | undefined {
		const linked = this.linked(address);
		if (linked === undefined) return undefined;
		const { module, start, symbols, lines } = this.contents;
		const symbol = symbols.at(linked.address, linked.extent.first);
		const line = lines?.at(linked.address);
		const origin = symbol?.address ?? start;
		return {
			module: symbol?.module ?? module,
			// Without a name it is where a module begins.
			...(symbol === undefined || symbol.name === "" ? {} : { symbol: symbol.name }),
			offset: Number(linked.address - origin),
			// A list of symbols says where a symbol begins, and no more.
			...sourceOf(line ?? (linked.address === symbol?.address ? symbol : { file: symbol?.file })),
		};
	}

	caller(
		registers: UnwindRegisters,
		isReturn: boolean,
		read: MemoryReader,
	): ReturnType<NonNullable<Symbols["caller"]>> {
		const linked = this.linked(isReturn ? registers.pc - 1n : registers.pc);
		return linked && this.contents.frames?.caller(linked.address, registers, read);
	}

	/** The address that the linker gave to what lies at `address`, where the image covers it. */
	linked(address: bigint): { readonly address: bigint; readonly extent: Extent } | undefined {
		const direct = (address - this.bias) & (ADDRESSES - 1n);
		const extent = this.extentAt(direct);
		if (extent !== undefined) return { address: direct, extent };
		const physical = this.contents.physical?.find(({ first, end }) => address >= first && address < end);
		if (physical === undefined) return undefined;
		const virtual = address + physical.add;
		const home = this.extentAt(virtual);
		return home && { address: virtual, extent: home };
	}

	private extentAt(address: bigint): Extent | undefined {
		const { extents } = this.contents;
		let from = 0;
		let to = extents.length;
		while (from < to) {
			const middle = (from + to) >> 1;
			if (extents[middle]!.first <= address) from = middle + 1;
			else to = middle;
		}
		const extent = extents[from - 1];
		return extent !== undefined && address < extent.end ? extent : undefined;
	}
}

function sourceOf(source: { readonly file?: string | undefined; readonly line?: number | undefined } | undefined): {
	readonly file?: string;
	readonly line?: number;
} {
	if (source?.file === undefined || source.file === "") return {};
	return source.line === undefined || source.line <= 0
		? { file: source.file }
		: { file: source.file, line: source.line };
}

/** Sorted, and without overlaps: where two lie over each other the first one given wins. */
export function extentsOf(given: readonly Extent[]): Extent[] {
	const sorted = given
		.filter(({ first, end }) => end > first)
		.sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0));
	const extents: Extent[] = [];
	for (const extent of sorted) {
		const before = extents.at(-1);
		if (before === undefined || extent.first >= before.end) extents.push(extent);
		else if (extent.end > before.end) extents.push({ first: before.end, end: extent.end });
	}
	return extents;
}
