import { plural } from "../../base/plural.ts";
import { placeText } from "../symbols/symbols.ts";
import type { PlaceReport, RowReport, SampleReport } from "./report.ts";

/** How code is to be read, in words. */
export const MODES: Readonly<Record<RowReport["mode"], string>> = {
	real: "real mode",
	v86: "virtual-8086 mode",
	prot16: "16-bit protected mode",
	prot32: "32-bit protected mode",
	long: "64-bit mode",
};

/** `1.3 s`, `250 ms`, `12.5 us`: three digits are enough for people. */
export function timeText(ns: number): string {
	for (const [unit, scale] of [
		["s", 1e9],
		["ms", 1e6],
		["us", 1e3],
	] as const) {
		if (ns >= scale) return `${Number((ns / scale).toPrecision(3))} ${unit}`;
	}
	return `${ns} ns`;
}

/** A hexadecimal text with at least eight digits: `0x000f0000`. */
export function wide(address: string): string {
	return `0x${address.slice(2).padStart(8, "0")}`;
}

/** Bytes as {@link SampleReport} has them: a number where the size is a register's, else the bytes in order. */
export function valueText(bytes: string, size: number): string {
	const parts = bytes.split(" ");
	if (bytes === "") return "?";
	if ([1, 2, 4, 8].includes(size)) return `0x${parts.reverse().join("")}`;
	return size > parts.length ? `${bytes} ...` : bytes;
}

/** `0x21444142, 4 bytes; the ROM holds 0x214d4f52`. */
export function storeText({ value, old, size, storeSize, crossing }: SampleReport): string {
	const what = value === undefined ? "a value not yet known" : valueText(value, size);
	const whole = storeSize === size ? "" : ` of a store of ${storeSize}`;
	const across = crossing === undefined ? "" : `, from byte ${crossing.offset} on at ${wide(crossing.gpa)}`;
	const holds = old === "" ? "" : `; it holds ${valueText(old, size)}`;
	return `${what}, ${plural(size, "byte")}${whole}${across}${holds}`;
}

/** `f000:fff0`. */
export function addressText({ cs, rip, mode }: RowReport): string {
	const digits = mode === "prot32" ? 8 : mode === "long" ? 16 : 4;
	return `${cs.slice(2).padStart(4, "0")}:${rip.slice(2).padStart(digits, "0")}`;
}

/** `f000:fff0 (linear 0xffff0) mov [bx], al`. */
export function instructionText(row: RowReport): string {
	return `${addressText(row)} (linear ${row.linear}) ${row.instruction}`;
}

/** `real mode, CPL 0`. */
export function modeText({ mode, cpl }: RowReport): string {
	return `${MODES[mode]}, CPL ${cpl}`;
}

/** Who stores where it is not the instruction itself, ahead of the instruction's text. */
export function writerText(row: RowReport): string {
	switch (row.by) {
		case "instruction":
			return "";
		case "descriptor":
			return "the processor, marking a descriptor, for ";
		case "page-walk":
			return "page walks, setting accessed and dirty bits, first for ";
		case "delivery":
			return `the delivery of vector ${row.vector ?? "?"}, first at `;
		case "dma":
			return `DMA of ${row.device ?? "a device"}, the processor first near `;
	}
}

/** Who stores: `by f000:0100 (linear 0xf0100) mov [bx], al, in real mode, CPL 0`. */
export function byText(row: RowReport): string {
	return `by ${writerText(row)}${instructionText(row)}, in ${modeText(row)}`;
}

/** Where a row hit. Intervals that are joined tell no more than where the first begins and the last ends. */
export function hitRanges({ ranges, rangesJoined }: RowReport): RowReport["ranges"] {
	if (!rangesJoined) return ranges;
	const [first, last] = [ranges[0]!.first, ranges.at(-1)!.last];
	return [{ first, last, count: ranges.reduce((sum, { count }) => sum + count, 0) }];
}

/** The addresses that a row hit: `0xfffc0010..0xfffc0bc7`. */
export function rangeText({
	ranges,
	first,
}: {
	readonly ranges: RowReport["ranges"];
	readonly first: SampleReport;
}): string {
	const low = ranges[0]!.first;
	const high = ranges.at(-1)!.last;
	const one = Number(BigInt(high) - BigInt(low)) < first.size;
	return one ? wide(low) : `${wide(low)}..${wide(high)}`;
}

/** The first store of a row. */
export function firstOf(row: RowReport): SampleReport {
	return row.samples[0] ?? row.last;
}

/** A place, with the name of the file alone; the report has its path. */
export function shortPlace(place: PlaceReport): string {
	const { file } = place;
	return placeText(file === undefined ? place : { ...place, file: file.slice(file.lastIndexOf("/") + 1) });
}

/** The frames of a row's first call stack, `store+0x12 (a.c:3)` first; none where nothing is known of the place. */
export function frameTexts(row: RowReport): readonly string[] {
	const frames = row.stacks[0]?.frames ?? [];
	if (frames.every(({ place }) => place === undefined)) return row.place === undefined ? [] : [shortPlace(row.place)];
	return frames.map(({ address, place }) => (place === undefined ? address : shortPlace(place)));
}
