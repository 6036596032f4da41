import { hex } from "../../base/gpa.ts";
import { plural } from "../../base/plural.ts";
import { romMap } from "../../debug/rom-writes/map.ts";
import type { StackReport } from "../../debug/rom-writes/report.ts";
import {
	addressText,
	firstOf,
	hitRanges,
	instructionText,
	modeText,
	rangeText,
	shortPlace,
	storeText,
	timeText,
	wide,
	writerText,
} from "../../debug/rom-writes/words.ts";
import { placeText } from "../../debug/symbols/symbols.ts";
import type { Style } from "../flash/style.ts";
import type { NumberedRow, SelectedReport } from "./selection.ts";

export const VIEWS = ["instruction", "address", "time"] as const;
export type View = (typeof VIEWS)[number];

const SHADES = " ░▒▓█";
const BARS = " ▁▂▃▄▅▆▇█";
const KIB = 1024;

/** Writes a journal for people. */
export class TextReport {
	private readonly report: SelectedReport;
	private readonly style: Style;
	private readonly width: number;
	private readonly lines: string[] = [];

	/** `width`: columns that lines may have. */
	constructor(report: SelectedReport, style: Style, width: number) {
		this.report = report;
		this.style = style;
		this.width = width;
	}

	/** The whole text. */
	write(view: View): string {
		this.head();
		if (this.report.rows.length > 0) {
			if (view === "instruction") this.byInstruction();
			else if (view === "address") this.byAddress();
			else this.byTime();
		}
		this.foot();
		return `${this.lines.join("\n")}\n`;
	}

	private head(): void {
		const { stores, commands, rows, allRows } = this.report;
		const total = [plural(stores, "store to ROM", "stores to ROM")];
		if (commands > 0) total.push(plural(commands, "flash command"));
		const from = allRows === 0 ? "" : `, from ${plural(allRows, "place")}`;
		this.line(`${total.join(" and ")}${from}`, "title");
		if (rows.length < allRows) this.line(`showing ${plural(rows.length, "place")} of them`, "quiet");
	}

	private foot(): void {
		const { unlisted } = this.report;
		if (unlisted.stores + unlisted.commands === 0) return;
		const parts = [plural(unlisted.stores, "store"), plural(unlisted.commands, "flash command")];
		this.line("");
		this.line(`and ${parts.join(" and ")} from further places, which are only counted`, "quiet");
	}

	private byInstruction(): void {
		for (const row of this.report.rows) this.row(row);
	}

	private row(row: NumberedRow): void {
		const first = firstOf(row);
		this.line("");
		this.line(`#${row.number}  ${what(row)}`, "name");
		const which = row.count === 1 ? "" : "first ";
		const fault = row.faulted ? "; #GP(0)" : "";
		if (row.command === undefined) this.wrap(`${which}${storeText(first)}${fault}`);
		else this.wrap(row.command === "program" || row.command === "program-buffer" ? `${which}${storeText(first)}` : "");
		this.stacks(row);
		this.wrap(`${writerText(row)}${instructionText(row)}`);
		this.wrap(`${modeText(row)}, processor ${row.cpu}`, "quiet");
		this.wrap(`${spanText(row)}`, "quiet");
	}

	private stacks({ stacks, stacksLeftOut, place }: NumberedRow): void {
		if (stacks.length === 0 && place !== undefined) this.wrap(`in ${placeText(place)}`, "good");
		stacks.forEach((stack, n) => {
			if (n > 0) this.wrap(`and, from ${plural(stack.instructions, "instruction")} on:`, "quiet");
			this.stack(stack);
		});
		if (stacksLeftOut) this.wrap("and other ways", "quiet");
	}

	private stack({ frames }: StackReport): void {
		frames.forEach(({ address, how, place }, n) => {
			const doubt = how === "scan" ? "? " : "";
			const name = place === undefined ? address : placeText(place);
			if (n === 0) {
				if (place !== undefined) this.wrap(`in ${name}`, "good");
			} else this.wrap(`${n === 1 ? "called from " : "            "}${doubt}${name}`);
		});
	}

	private byAddress(): void {
		const { rows } = this.report;
		const columns = 2 ** Math.floor(Math.log2(Math.max(this.width - 14, 8)));
		for (const region of romMap(this.report, columns * 8)) {
			const hit = rows.filter((row) =>
				row.ranges.some(({ first, last }) => Number(first) <= region.last && Number(last) >= region.first),
			);
			if (hit.length === 0) continue;
			const { first, last, cellBytes, cells } = region;
			this.line("");
			this.line(`${region.name}  ${wide(hex(first))}..${wide(hex(last))}, ${sizeText(last - first + 1)}`, "name");
			this.line(`one character is ${sizeText(cellBytes)}`, "quiet");
			const most = Math.max(...cells.map(({ hits }) => hits));
			for (let at = 0; at < cells.length; at += columns) {
				const part = cells.slice(at, at + columns);
				const shades = part.map((cell) => (cell.rows.length === 0 ? "·" : shade(cell.hits, most)));
				this.line(`${wide(hex(first + at * cellBytes))}  ${shades.join("")}`);
			}
			this.ranges(hit, first, last);
		}
	}

	/** What was hit, in the order of addresses. */
	private ranges(rows: readonly NumberedRow[], low: number, high: number): void {
		const all = rows.flatMap((row) => hitRanges(row).map((range) => ({ row, ...range })));
		const here = all.filter(({ first, last }) => Number(first) <= high && Number(last) >= low);
		here.sort((a, b) => Number(a.first) - Number(b.first) || a.row.number - b.row.number);
		this.line("");
		for (const { row, first, last, count } of here) {
			const range = first === last ? wide(first) : `${wide(first)}..${wide(last)}`;
			this.wrap(`${range.padEnd(22)}  ${times(row, count).padStart(12)}  #${row.number} ${whereText(row)}`);
		}
	}

	private byTime(): void {
		const { timeline, rows } = this.report;
		const counts = rows.length < this.report.allRows ? joined(rows, timeline.slotNs) : timeline.counts;
		const columns = Math.max(this.width - 2, 10);
		const slots = Math.ceil(counts.length / Math.ceil(counts.length / columns));
		const per = Math.ceil(counts.length / slots);
		const bars = Array.from({ length: slots }, (_, n) =>
			counts.slice(n * per, (n + 1) * per).reduce((sum, count) => sum + count, 0),
		);
		const most = Math.max(...bars, 1);
		this.line("");
		this.line(
			bars.map((count) => (count === 0 ? " " : BARS[Math.max(1, Math.round((count / most) * 8))])).join(""),
			"good",
		);
		const end = timeText(slots * per * timeline.slotNs);
		this.line(`0${end.padStart(Math.max(slots - 1, end.length + 1))}`, "quiet");
		this.line(`one column is ${timeText(per * timeline.slotNs)}, the highest ${plural(most, "time")}`, "quiet");
		this.line("");
		const byFirst = [...rows].sort((a, b) => firstOf(a).instructions - firstOf(b).instructions);
		for (const row of byFirst) {
			const first = firstOf(row);
			const until = row.count === 1 ? "" : ` to ${timeText(row.last.timeNs)}`;
			const span = `${timeText(first.timeNs)}${until}`;
			this.wrap(`${span.padEnd(20)}  #${row.number} ${what(row)}, ${whereText(row)}`);
		}
	}

	private line(text: string, mark?: Parameters<Style["paint"]>[0]): void {
		this.lines.push(mark === undefined ? text : this.style.paint(mark, text));
	}

	/** An indented line, or several where it is too long. */
	private wrap(text: string, mark?: Parameters<Style["paint"]>[0]): void {
		if (text === "") return;
		const width = this.width - 4;
		let rest = text;
		for (let indent = "    "; rest !== ""; indent = "      ") {
			const cut = rest.length <= width ? rest.length : rest.lastIndexOf(" ", width);
			const end = cut <= rest.search(/\S/) ? rest.length : cut;
			this.line(`${indent}${rest.slice(0, end)}`, mark);
			rest = rest.slice(end).trimStart();
		}
	}
}

/** `3,000 stores to bios at 0xfffc0010..0xfffc0bc7`. */
function what(row: NumberedRow): string {
	const range = rangeText({ ranges: row.ranges, first: firstOf(row) });
	return `${times(row, row.count)} ${row.command === undefined ? "to" : "of"} ${row.region} at ${range}`;
}

function times({ command }: NumberedRow, count: number): string {
	return command === undefined ? plural(count, "store") : `${plural(count, "×", "×")} ${command}`;
}

/** The place of a row's instruction, in short. */
function whereText(row: NumberedRow): string {
	if (row.by === "dma") return `DMA of ${row.device ?? "a device"}`;
	return row.place === undefined ? `${addressText(row)} ${row.instruction}` : shortPlace(row.place);
}

function spanText(row: NumberedRow): string {
	const first = firstOf(row);
	const start = `after ${plural(first.instructions, "instruction")}, ${timeText(first.timeNs)}`;
	if (row.count === 1) return start;
	return `${start}, to ${plural(row.last.instructions, "instruction")}, ${timeText(row.last.timeNs)}`;
}

function shade(hits: number, most: number): string {
	return SHADES[Math.max(1, Math.ceil((Math.log1p(hits) / Math.log1p(most)) * 4))]!;
}

function sizeText(bytes: number): string {
	if (bytes >= KIB * KIB && bytes % (KIB * KIB) === 0) return `${bytes / (KIB * KIB)} MiB`;
	return bytes >= KIB && bytes % KIB === 0 ? `${bytes / KIB} KiB` : plural(bytes, "byte");
}

/** The timelines of rows as one, with slots of `slotNs`, which is as wide as any of theirs. */
function joined(rows: readonly NumberedRow[], slotNs: number): number[] {
	const counts: number[] = [];
	for (const { timeline } of rows) {
		timeline.counts.forEach((count, n) => {
			const at = Math.floor((n * timeline.slotNs) / slotNs);
			counts[at] = (counts[at] ?? 0) + count;
		});
	}
	return Array.from(counts, (count) => count ?? 0);
}
