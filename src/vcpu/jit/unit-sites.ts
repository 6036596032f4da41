import { assert } from "../../base/errors.ts";
import type { Ex } from "../../wasm/expression.ts";
import type { FlagKnowledge } from "./flag-knowledge.ts";

const FIELDS = { ip: 0, notRun: 4, flagKind: 8, result: 12 } as const;
export const SITE_BYTES = 16;

/**
 * The table of places from which a unit leaves: low half of the IP, instructions of the block that have not run, the kind of the
 * flags (-1: a local says it), the unit's result. A site is its row's distance from the table.
 */
export class UnitSites {
	private readonly words: Int32Array;
	private readonly table: number;
	private readonly most: number;
	private readonly rows: number[][] = [];
	private readonly known = new Map<string, number>();

	/** `table`: address of room for `most` rows of {@link SITE_BYTES}; `words`: VM memory. */
	constructor(words: Int32Array, table: number, most: number) {
		this.words = words;
		this.table = table;
		this.most = most;
	}

	/** The site for leaving with these facts. */
	add(ip: number, notRun: number, flags: FlagKnowledge, result: number): number {
		const row = [ip | 0, notRun, flags.kind === "static" ? flags.number : -1, result];
		const key = row.join();
		let n = this.known.get(key);
		if (n === undefined) {
			n = this.rows.length;
			this.rows.push(row);
			this.known.set(key, n);
		}
		return n * SITE_BYTES;
	}

	ip(site: Ex): Ex {
		return site.load("i32", this.table + FIELDS.ip);
	}

	notRun(site: Ex): Ex {
		return site.load("i32", this.table + FIELDS.notRun);
	}

	flagKind(site: Ex): Ex {
		return site.load("i32", this.table + FIELDS.flagKind);
	}

	result(site: Ex): Ex {
		return site.load("i32", this.table + FIELDS.result);
	}

	/** Writes the table: there will be no more. */
	write(): void {
		assert(this.rows.length <= this.most, "sites");
		this.words.set(this.rows.flat(), this.table >> 2);
	}
}
