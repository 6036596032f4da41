import { hex } from "../../base/gpa.ts";
import { plural } from "../../base/plural.ts";
import { romMap } from "../../debug/rom-writes/map.ts";
import type { PlaceReport, SampleReport } from "../../debug/rom-writes/report.ts";
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
	valueText,
	wide,
	writerText,
} from "../../debug/rom-writes/words.ts";
import { placeText } from "../../debug/symbols/symbols.ts";
import { PAGE_SCRIPT } from "./page-script.ts";
import { PAGE_STYLE } from "./page-style.ts";
import type { ResultFile } from "./result-file.ts";
import type { NumberedRow, SelectedReport } from "./selection.ts";

/** Cells of a region in the map. */
const CELLS = 1024;

/** One self-contained HTML page. Everything that comes from the guest is data, which the page's script shows as text. */
export function romWritesPage(result: ResultFile, report: SelectedReport): string {
	const data = JSON.stringify(pageData(result, report))
		.replaceAll("<", "\\u003c")
		.replaceAll("\u2028", "\\u2028")
		.replaceAll("\u2029", "\\u2029");
	return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>ROM writes</title>
<style>${PAGE_STYLE}</style>
</head>
<body>
<noscript>This page needs JavaScript; tsvmm rom-writes prints the same as text.</noscript>
<main id="page"></main>
<script type="application/json" id="data">${data}</script>
<script>${PAGE_SCRIPT}</script>
</body>
</html>
`;
}

function pageData(result: ResultFile, report: SelectedReport): object {
	const { rows, stores, commands, unlisted, timeline, allRows } = report;
	const bytes = rows.reduce((sum, row) => sum + row.bytes, 0);
	const run = `${plural(result.instructions, "instruction")}, ${timeText(result.guestTimeNs)} of guest time, ended with ${result.outcome}`;
	const shown = rows.length < allRows ? `${rows.length} of ${plural(allRows, "place")}` : undefined;
	const left = [plural(unlisted.stores, "store"), plural(unlisted.commands, "flash command")].join(" and ");
	return {
		run,
		shown,
		left: unlisted.stores + unlisted.commands === 0 ? undefined : left,
		facts: [
			["stores to ROM", stores],
			["flash commands", commands],
			["places in the code", allRows],
			["bytes", bytes],
		],
		regions: romMap(report, CELLS)
			.filter(({ cells }) => cells.some((cell) => cell.rows.length > 0))
			.map(({ name, first, last, cellBytes, cells }) => ({
				name,
				first,
				range: `${wide(hex(first))} – ${wide(hex(last))}`,
				size: last - first + 1,
				cellBytes,
				length: cells.length,
				hit: cells.flatMap((cell, at) => (cell.rows.length === 0 ? [] : [[at, cell.hits, cell.rows]])),
			})),
		timeline,
		rows: rows.map(rowData),
	};
}

function rowData(row: NumberedRow): object {
	const first = firstOf(row);
	const { count, number, region, command, by, faulted, place, cpu } = row;
	return {
		...{ number, count, region, faulted, cpu },
		bytes: row.bytes,
		command: command ?? "",
		writer: by === "instruction" ? "" : writerText(row).replace(/,? (first|for) .*$/, ""),
		range: rangeText({ ranges: row.ranges, first }),
		low: Number(row.ranges[0]?.first ?? 0),
		value: storedValue(first),
		old: first.old === "" ? "" : valueText(first.old, first.size),
		instruction: row.instruction,
		at: addressText(row),
		whole: instructionText(row),
		code: row.code,
		mode: modeText(row),
		place: place === undefined ? "" : shortPlace(place),
		symbol: place?.symbol ?? "",
		line: lineOf(place),
		first: first.timeNs,
		firstText: timeText(first.timeNs),
		firstInstructions: plural(first.instructions, "instruction"),
		last: row.last.timeNs,
		lastText: timeText(row.last.timeNs),
		lastInstructions: plural(row.last.instructions, "instruction"),
		stacks: row.stacks.map(({ seen, instructions, frames }) => ({
			seen,
			since: plural(instructions, "instruction"),
			frames: frames.map((frame) => ({
				address: frame.address,
				how: frame.how,
				text: frame.place === undefined ? "" : placeText(frame.place),
				name: nameOf(frame.place),
				line: lineOf(frame.place),
			})),
		})),
		stacksLeftOut: row.stacksLeftOut,
		ranges: hitRanges(row).map((range) => ({
			text: range.first === range.last ? wide(range.first) : `${wide(range.first)} – ${wide(range.last)}`,
			count: range.count,
		})),
		rangesJoined: row.rangesJoined,
		samples: (row.count <= row.samples.length ? row.samples : [...row.samples, row.last]).map((sample) => ({
			gpa: wide(sample.gpa),
			target: sample.target ?? "",
			text: storeText(sample),
			value: storedValue(sample),
			old: sample.old === "" ? "" : valueText(sample.old, sample.size),
			size: sample.size,
			time: timeText(sample.timeNs),
			instructions: plural(sample.instructions, "instruction"),
		})),
		timeline: row.timeline,
	};
}

function storedValue({ value, size }: SampleReport): string {
	return value === undefined ? "not known" : valueText(value, size);
}

function nameOf(place: PlaceReport | undefined): string {
	if (place === undefined) return "";
	const { file: _, ...named } = place;
	return placeText(named);
}

function lineOf(place: PlaceReport | undefined): string {
	if (place?.file === undefined) return "";
	const file = place.file.slice(place.file.lastIndexOf("/") + 1);
	return place.line === undefined ? file : `${file}:${place.line}`;
}
