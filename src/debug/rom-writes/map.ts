import type { RomWriteReport, RowReport } from "./report.ts";

/** A part of a region. */
export interface Cell {
	/** Stores to it; where a range of addresses reaches over several cells, its stores are spread evenly. */
	hits: number;
	/** Rows that hit it, by their place in the report. */
	readonly rows: number[];
}

/** A region of ROM in cells of equal size. */
export interface RegionMap {
	readonly name: string;
	readonly first: number;
	readonly last: number;
	/** A power of two. */
	readonly cellBytes: number;
	readonly cells: readonly Cell[];
}

/** The smallest cell. */
const LEAST_BYTES = 16;

/** Every region with what was hit, in at most `most` cells each. */
export function romMap({ regions, rows }: Pick<RomWriteReport, "regions" | "rows">, most: number): RegionMap[] {
	return regions
		.map(({ name, first, last }) => regionMap(name, Number(first), Number(last), rows, most))
		.sort((a, b) => a.first - b.first);
}

function regionMap(name: string, first: number, last: number, rows: readonly RowReport[], most: number): RegionMap {
	const bytes = last - first + 1;
	let cellBytes = LEAST_BYTES;
	while (Math.ceil(bytes / cellBytes) > most) cellBytes *= 2;
	const cells = Array.from({ length: Math.ceil(bytes / cellBytes) }, (): Cell => ({ hits: 0, rows: [] }));
	rows.forEach((row, n) => {
		for (const range of row.ranges) {
			const [low, high] = [Math.max(Number(range.first), first), Math.min(Number(range.last), last)];
			if (low > high) continue;
			const [from, to] = [Math.floor((low - first) / cellBytes), Math.floor((high - first) / cellBytes)];
			for (let at = from; at <= to; at++) {
				const cell = cells[at]!;
				cell.hits += range.count / (to - from + 1);
				if (cell.rows.at(-1) !== n) cell.rows.push(n);
			}
		}
	});
	return { name, first, last, cellBytes, cells };
}
