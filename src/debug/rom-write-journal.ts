import { hex } from "../base/gpa.ts";
import { plural } from "../base/plural.ts";
import type { RomWrite, RomWriteSink } from "./rom-write.ts";
import { type RomWriteReport, type RowReport, rowReport } from "./rom-writes/report.ts";
import { type Explainer, Row } from "./rom-writes/row.ts";
import { Timeline } from "./rom-writes/timeline.ts";
import { byText, firstOf, frameTexts, rangeText, storeText, timeText, wide } from "./rom-writes/words.ts";

/** Instructions kept apart, of stores to ROM and of flash commands each; what further ones do is only counted. */
const ROWS = 1000;
/** Regions of ROM that are kept apart. */
const REGIONS = 64;
const SLOTS = 240;
/** Rows of a summary. */
const SUMMARY_ROWS = 20;

const SUMMARY_FRAMES = 8;

/** What a journal may have besides. */
export interface JournalOptions {
	/** Is told every store at once; of a store that repeats the one before only the number. */
	readonly log?: ((line: string) => void) | undefined;
	/** Finds symbols and call stacks; asked once for a row, or a few times. */
	readonly explainer?: Explainer | undefined;
}

/** One store as a line of text. */
export function romWriteLine(write: RomWrite, explainer?: Explainer): string {
	const row = new Row(write, explainer);
	row.add(write);
	const report = rowReport(row);
	const first = firstOf(report);
	const what = `${wide(first.gpa)} (${report.region}) <- ${storeText(first)}`;
	const [where] = frameTexts(report);
	const at = `after ${plural(first.instructions, "instruction")}, ${timeText(first.timeNs)}`;
	const fault = write.faulted ? ", #GP(0)" : "";
	return `ROM write: ${what}${fault}, ${byText(report)}, ${at}${where === undefined ? "" : `, in ${where}`}`;
}

type Logged = Pick<RomWrite, "gpa" | "size" | "data" | "linear" | "cs" | "mode">;

/** Whether the log counts two stores as one. */
function sameStore(a: Logged, b: Logged): boolean {
	const bytes = a.data?.length === b.data?.length && (a.data?.every((byte, n) => byte === b.data?.[n]) ?? true);
	return bytes && a.gpa === b.gpa && a.size === b.size && a.linear === b.linear && a.cs === b.cs && a.mode === b.mode;
}

/**
 * Counts the stores that ROM refused, and the commands that flash took, and remembers who made them, folded by instruction.
 * Memory is bounded, whatever the guest does.
 */
export class RomWriteJournal implements RomWriteSink {
	private readonly log: ((line: string) => void) | undefined;
	private readonly explainer: Explainer | undefined;
	private readonly rows: Row[] = [];
	/** Rows by the low half of the instruction's linear address; what is folded by something else, by -1. */
	private readonly byPlace = new Map<number, Row[]>();
	private readonly regions = new Map<string, { first: number; last: number }>();
	private readonly timeline = new Timeline(SLOTS);
	private readonly total = { stores: 0, commands: 0 };
	private readonly listed = { stores: 0, commands: 0 };
	private readonly unlisted = { stores: 0, commands: 0 };
	private recent: Row | undefined;
	private lastLogged: Logged | undefined;
	private repeats = 0;

	constructor({ log, explainer }: JournalOptions = {}) {
		this.log = log;
		this.explainer = explainer;
	}

	/** Stores recorded so far that ROM refused. */
	get count(): number {
		return this.total.stores;
	}

	record(write: RomWrite): void {
		const kind = write.command === undefined ? "stores" : "commands";
		this.total[kind]++;
		this.timeline.add(write.timeNs);
		let row = this.recent;
		if (row === undefined || !row.takes(write)) {
			row = this.rowOf(write, kind);
			if (row !== undefined) this.recent = row;
		}
		if (row === undefined) this.unlisted[kind]++;
		else row.add(write);
		if (this.log !== undefined && kind === "stores") this.say(write, this.log);
	}

	private rowOf(write: RomWrite, kind: "stores" | "commands"): Row | undefined {
		const own = write.by.kind === "instruction" || write.by.kind === "descriptor";
		const key = own ? Number(BigInt.asUintN(32, write.linear)) : -1;
		const here = this.byPlace.get(key) ?? [];
		const found = here.find((row) => row.takes(write));
		if (found !== undefined) return found;
		if (this.listed[kind] >= ROWS) return undefined;
		const row = new Row(write, this.explainer);
		this.listed[kind]++;
		this.rows.push(row);
		this.byPlace.set(key, [...here, row]);
		this.addRegion(write);
		return row;
	}

	private addRegion({ region, extent, gpa, size }: RomWrite): void {
		const { first, last } = extent ?? { first: gpa, last: gpa + size - 1 };
		const name = this.regionName(region, first);
		const known = this.regions.get(name);
		if (known !== undefined) {
			known.first = Math.min(known.first, first);
			known.last = Math.max(known.last, last);
		} else if (this.regions.size < REGIONS) this.regions.set(name, { first, last });
	}

	/** The end of a ROM appears below 1 MiB as well: that is another region of the same name. */
	private regionName(region: string, first: number): string {
		return `${region}\0${first < 0x10_0000 ? "low" : ""}`;
	}

	private say(write: RomWrite, log: (line: string) => void): void {
		if (this.lastLogged !== undefined && sameStore(this.lastLogged, write)) {
			this.repeats++;
			return;
		}
		this.flush();
		const { gpa, size, linear, cs, mode } = write;
		this.lastLogged = { gpa, size, linear, cs, mode, data: write.data?.slice() };
		log(romWriteLine(write, this.explainer));
	}

	/** Says what the log still owes: how often the last store was repeated. */
	flush(): void {
		if (this.repeats > 0) this.log?.(`ROM write: the same again, ${plural(this.repeats, "time")}`);
		this.repeats = 0;
	}

	/** The stores to ROM for people, at most 20 instructions; nothing when there were none. */
	summary(): readonly string[] {
		const { stores } = this.total;
		if (stores === 0) return [];
		const rows = this.rows.filter(({ command }) => command === undefined);
		const places = plural(rows.length, rows.every(({ by }) => by.kind === "instruction") ? "instruction" : "source");
		const lines = [`ROM writes: ${plural(stores, "store")} from ${places}; the ROM is unchanged`];
		for (const row of rows.slice(0, SUMMARY_ROWS)) lines.push(...rowLines(this.reportOf(row)));
		const rest = rows.slice(SUMMARY_ROWS);
		const more = rest.reduce((sum, { count }) => sum + count, 0);
		if (rest.length > 0) {
			lines.push(
				`  and ${plural(more, "store")} from ${plural(rest.length, "more instruction")}: --result FILE keeps them`,
			);
		}
		if (this.unlisted.stores > 0) {
			lines.push(`  and ${plural(this.unlisted.stores, "store")} from further instructions`);
		}
		return lines;
	}

	private reportOf(row: Row): RowReport {
		return rowReport(row, this.explainer?.place(row.linear));
	}

	toJSON(): RomWriteReport {
		return {
			...this.total,
			rows: this.rows.map((row) => this.reportOf(row)),
			unlisted: { ...this.unlisted },
			regions: Array.from(this.regions, ([name, { first, last }]) => ({
				name: name.slice(0, name.indexOf("\0")),
				first: hex(first),
				last: hex(last),
			})),
			timeline: { slotNs: this.timeline.width, counts: this.timeline.slots() },
		};
	}
}

/** A row in a summary. */
function rowLines(row: RowReport): string[] {
	const first = firstOf(row);
	const times = row.count === 1 ? "" : `, ${plural(row.count, "time")}`;
	const which = row.count === 1 ? "" : "first ";
	const fault = row.faulted ? `, ${row.count === 1 ? "" : "each "}#GP(0)` : "";
	const frames = frameTexts(row);
	const last =
		row.count === 1 ? "" : ` to ${plural(row.last.instructions, "instruction")}, ${timeText(row.last.timeNs)}`;
	return [
		`  ${rangeText({ ranges: row.ranges, first })} (${row.region}) <- ${which}${storeText(first)}${times}${fault}`,
		`    ${byText(row)}`,
		...frames.slice(0, SUMMARY_FRAMES).map((frame, n) => `    ${n === 0 ? "in" : "called from"} ${frame}`),
		`    after ${plural(first.instructions, "instruction")}, ${timeText(first.timeNs)}${last}`,
	];
}
