import { UserError } from "../../base/errors.ts";
import { addressRange } from "../../config/index.ts";
import type { RomWriteReport, RowReport } from "../../debug/rom-writes/report.ts";

/** Which rows are wanted. */
export interface Selection {
	/** Guest-physical addresses, as `--break` has them. */
	readonly range?: string | undefined;
	/** Part of the name of a module, symbol or file, in the instruction's place or in a call stack. */
	readonly symbol?: string | undefined;
}

/** A row with its number in the whole journal, from 1. */
export interface NumberedRow extends RowReport {
	readonly number: number;
}

/** A journal, or what was selected of it. */
export interface SelectedReport extends RomWriteReport {
	readonly rows: readonly NumberedRow[];
	/** Rows in the whole journal. */
	readonly allRows: number;
}

function isIn(row: RowReport, { first, last }: { readonly first: number; readonly last: number }): boolean {
	return row.ranges.some((range) => Number(range.first) <= last && Number(range.last) >= first);
}

function names({ place, stacks }: RowReport, text: string): boolean {
	const places = [place, ...stacks.flatMap(({ frames }) => frames.map((frame) => frame.place))];
	const wanted = text.toLowerCase();
	return places.some((each) =>
		[each?.module, each?.symbol, each?.file].some((name) => name?.toLowerCase().includes(wanted)),
	);
}

/** @throws UserError for a range that is none. */
export function select(report: RomWriteReport, { range, symbol }: Selection): SelectedReport {
	const wanted = range === undefined ? undefined : addressRange(range);
	if (range !== undefined && wanted === undefined) {
		throw new UserError(
			`--range: "${range}" is not a range of addresses; write 0xf0000-0xfffff, 0xf0000+16 or 0xf0000`,
		);
	}
	const rows = report.rows
		.map((row, n) => ({ ...row, number: n + 1 }))
		.filter((row) => wanted === undefined || isIn(row, wanted))
		.filter((row) => symbol === undefined || names(row, symbol));
	return { ...report, rows, allRows: report.rows.length };
}
