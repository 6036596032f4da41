/** One symbol of a file. */
export interface SymbolEntry {
	/** As the file was linked; 64 bits unsigned. */
	readonly address: bigint;
	/** Bytes; 0 where the file does not say. */
	readonly size: number;
	readonly name: string;
	/** Which of several at one address is shown: the lowest. */
	readonly rank: number;
	/** Where it is not the file's own: a module of Linux in its kallsyms. */
	readonly module?: string | undefined;
	/** Where the file says it and there are no line tables. */
	readonly file?: string | undefined;
	readonly line?: number | undefined;
}

/** Ranks, best first. */
export const RANK = { globalCode: 0, localCode: 1, weakCode: 2, global: 3, local: 4, label: 5 } as const;

/** Symbols that may lie before one without a size and still reach beyond it. */
const OUTER = 64;

/** The symbols of a file, by address. */
export class SymbolTable {
	private readonly entries: readonly SymbolEntry[];
	private readonly numbers: readonly SymbolEntry[];

	/** @param numbers symbols that stand for a number, which may be no address: they are found by name only */
	constructor(entries: SymbolEntry[], numbers: readonly SymbolEntry[] = []) {
		this.numbers = numbers;
		const order = (a: SymbolEntry, b: SymbolEntry): number =>
			a.address < b.address ? -1 : a.address > b.address ? 1 : b.rank - a.rank;
		this.entries = entries.sort(order);
	}

	get count(): number {
		return this.entries.length;
	}

	get first(): SymbolEntry | undefined {
		return this.entries[0];
	}

	get last(): SymbolEntry | undefined {
		return this.entries.at(-1);
	}

	/** By name; the first that {@link RANK} prefers. */
	named(name: string): SymbolEntry | undefined {
		let best: SymbolEntry | undefined;
		for (const list of [this.entries, this.numbers]) {
			for (const entry of list) {
				if (entry.name === name && (best === undefined || entry.rank < best.rank)) best = entry;
			}
		}
		return best;
	}

	/**
	 * The symbol that `address` belongs to: one whose size covers it, else the nearest at or below it.
	 * @param low symbols below this do not count
	 */
	at(address: bigint, low: bigint): SymbolEntry | undefined {
		let from = 0;
		let to = this.entries.length;
		while (from < to) {
			const middle = (from + to) >> 1;
			if (this.entries[middle]!.address <= address) from = middle + 1;
			else to = middle;
		}
		// At equal addresses the best comes last.
		const nearest = this.entries[from - 1];
		if (nearest === undefined || nearest.address < low) return undefined;
		for (let n = from - 1; n >= 0 && n >= from - OUTER; n--) {
			const entry = this.entries[n]!;
			if (entry.address < low) break;
			const covers = address < entry.address + BigInt(entry.size);
			if (covers || (entry.size === 0 && entry.address === nearest.address)) return entry;
		}
		return nearest;
	}
}
