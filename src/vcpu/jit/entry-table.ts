import type { Ex, Local } from "../../wasm/expression.ts";
import type { FunctionBuilder } from "../../wasm/function.ts";

/** Largest distance between the first and the last entry for a table by distance: two bytes for each. */
const MOST_DISTANCE = 8192;
const LEAST_SHIFT = 2;
const MOST_SHIFT = 20;

/** What a table is made for. */
export interface EntryTableOptions {
	/** Number of each entry by its IP, at least one. */
	readonly entries: ReadonlyMap<number, number>;
	/** How many numbers there are: they begin at 0. */
	readonly numbers: number;
	/** Takes `bytes` of zeroed VM memory. */
	allocate(bytes: number): number;
	/** VM memory. */
	readonly words: Int32Array;
	/** Makes the low half of an IP whole. */
	whole(low: Ex): Ex;
	/** A number as a constant of the type that IPs have. */
	constant(value: number): Ex;
}

/** Finds a unit's entry by IP: for returns and indirect jumps, whose targets are values. */
export class EntryTable {
	private readonly options: EntryTableOptions;
	/** Addresses: IPs (low halves) by number, and numbers + 1, 16 bits each, by distance or by hash. */
	private readonly ips: number;
	private readonly table: number;
	private readonly first: number;
	private readonly size: number;
	/** Of the hash, `(ip ^ ip >> shift) & size - 1`; undefined: by distance from `first`. */
	private readonly shift: number | undefined;

	constructor(options: EntryTableOptions) {
		this.options = options;
		const { entries, words } = options;
		this.ips = options.allocate(options.numbers * 4);
		for (const [ip, number] of entries) words[(this.ips >> 2) + number] = ip;
		this.first = Math.min(...entries.keys());
		const distance = Math.max(...entries.keys()) - this.first;
		if (distance < MOST_DISTANCE) this.size = distance + 1;
		else [this.size, this.shift] = hashFor([...entries.keys()]);
		this.table = options.allocate(this.size * 2);
		for (const [ip, number] of entries) {
			const at = this.table + this.slot(ip) * 2;
			words[at >> 2]! |= (number + 1) << ((at & 2) * 8);
		}
	}

	private slot(ip: number): number {
		return this.shift === undefined ? ip - this.first : hash(ip, this.shift, this.size);
	}

	/** The low half of the IP of the entry `number`, any number, i32. */
	ipOf(number: Ex): Ex {
		return number.shl(2).load("i32", this.ips);
	}

	/** Prints `then` for the case that `ip` is an entry; its number is in `entry` then. */
	ifEntry(f: FunctionBuilder, ip: Local, entry: Local, then: () => void): void {
		const { whole, constant } = this.options;
		if (this.shift === undefined) {
			const offset = f.let(ip.sub(constant(this.first)));
			f.if(offset.ltU(this.size), () => {
				f.set(entry, offset.wrap().shl(1).load("i32_16u", this.table));
				f.if(entry.ne(0), () => {
					f.set(entry, entry.sub(1));
					then();
				});
			});
			f.release(offset);
			return;
		}
		const low = f.let(ip.wrap());
		const slot = low.xor(low.shrU(this.shift)).and(this.size - 1);
		f.set(entry, slot.shl(1).load("i32_16u", this.table));
		f.release(low);
		f.if(entry.ne(0), () => {
			f.set(entry, entry.sub(1));
			f.if(whole(this.ipOf(entry)).eq(ip), then);
		});
	}
}

function hash(ip: number, shift: number, size: number): number {
	return (ip ^ (ip >>> shift)) & (size - 1);
}

/** Size and shift of a hash without collisions; there is one, as all IPs of a unit differ in their low halves. */
function hashFor(ips: readonly number[]): [size: number, shift: number] {
	for (let size = 2 ** Math.ceil(Math.log2(ips.length * 2)); ; size *= 2) {
		for (let shift = LEAST_SHIFT; shift <= MOST_SHIFT; shift++) {
			if (new Set(ips.map((ip) => hash(ip, shift, size))).size === ips.length) return [size, shift];
		}
	}
}
