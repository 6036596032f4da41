import { plural } from "../../base/plural.ts";
import { hex } from "../../uefi/bytes.ts";
import type { FirmwareImage } from "../../uefi/image.ts";
import { type Piece, walk } from "../../uefi/piece.ts";
import {
	attributesText,
	type Variable,
	type VariableRecord,
	variableKey,
	variableLabel,
	variablesOf,
} from "../../uefi/variable-store.ts";
import { valueText } from "../../uefi/variable-values.ts";
import { address, blockSizeOf, readFirmware, storesOf } from "./firmware-file.ts";
import { pieceText } from "./piece-lines.ts";
import { type Mark, outputStyle, type Style } from "./style.ts";

/** Blocks next to each other that differ. */
interface BlockRange {
	readonly first: number;
	readonly last: number;
	/** Bytes that differ. */
	readonly bytes: number;
	/** What lies there in the second file. */
	readonly what: readonly string[];
}

interface Changed<T> {
	readonly before?: T;
	readonly after?: T;
}

interface Difference {
	readonly blockSize: number;
	readonly blocks: number;
	readonly ranges: readonly BlockRange[];
	readonly variables: readonly Changed<Variable>[];
	/** Files of firmware volumes. */
	readonly files: readonly Changed<Piece>[];
}

/** `tsvmm flash diff`: the text, and whether the files are the same. */
export async function flashDiff(
	a: string,
	b: string,
	format: "text" | "json",
): Promise<{ text: string; same: boolean }> {
	const [before, after] = [readFirmware(a), readFirmware(b)];
	const difference = compare(before, after);
	const same = before.bytes.length === after.bytes.length && difference.ranges.length === 0;
	if (format === "json") {
		const json = { before: a, after: b, same, ...differenceJson(difference) };
		return { text: `${JSON.stringify(json, null, "\t")}\n`, same };
	}
	const lines: string[] = [];
	if (before.bytes.length !== after.bytes.length) {
		lines.push(`${a} is ${plural(before.bytes.length, "byte")} long, ${b} ${plural(after.bytes.length, "byte")}`);
	}
	lines.push(...differenceLines(difference, await outputStyle()));
	return { text: lines.map((line) => `${line}\n`).join(""), same };
}

function compare(before: FirmwareImage, after: FirmwareImage): Difference {
	const blockSize = blockSizeOf(after);
	return {
		blockSize,
		blocks: Math.ceil(Math.max(before.bytes.length, after.bytes.length) / blockSize),
		ranges: ranges(before.bytes, after, blockSize),
		variables: changes(variableMap(before), variableMap(after), sameVariable),
		files: changes(fileMap(before), fileMap(after), (one, other) => Buffer.compare(one.bytes, other.bytes) === 0),
	};
}

function ranges(before: Uint8Array, after: FirmwareImage, blockSize: number): readonly BlockRange[] {
	const size = Math.max(before.length, after.bytes.length);
	const found: { first: number; last: number; bytes: number }[] = [];
	for (let block = 0; block * blockSize < size; block++) {
		const bytes = differing(before, after.bytes, block * blockSize, Math.min(size, (block + 1) * blockSize));
		if (bytes === 0) continue;
		const last = found.at(-1);
		if (last?.last === block - 1) {
			last.last = block;
			last.bytes += bytes;
		} else {
			found.push({ first: block, last: block, bytes });
		}
	}
	return found.map((range) => ({
		...range,
		what: places(after.pieces, range.first * blockSize, (range.last + 1) * blockSize),
	}));
}

function differing(a: Uint8Array, b: Uint8Array, from: number, to: number): number {
	let count = 0;
	for (let at = from; at < to; at++) if (a[at] !== b[at]) count++;
	return count;
}

/** The smallest pieces that have bytes there. */
function places(pieces: readonly Piece[], from: number, to: number): readonly string[] {
	const found: string[] = [];
	for (const piece of pieces) {
		if (piece.packed || piece.offset >= to || piece.offset + piece.bytes.length <= from) continue;
		const inside = piece.kind === "volume" ? places(piece.children, from, to) : [];
		found.push(...(inside.length > 0 ? inside : [piece.kind === "variables" ? "variables" : pieceText(piece)]));
	}
	return found;
}

function variableMap(image: FirmwareImage): Map<string, Variable> {
	const variables = storesOf(image).flatMap(({ store }) => variablesOf(store.records));
	const alive = variables.filter(({ current }) => current !== undefined);
	return new Map(alive.map((variable) => [variableKey(variable.guid, variable.name), variable]));
}

function sameVariable({ current: a }: Variable, { current: b }: Variable): boolean {
	return recordKey(a) === recordKey(b);
}

/** All that a variable is. */
function recordKey(record: VariableRecord | undefined): string {
	if (record === undefined) return "";
	const { attributes, data, time = new Uint8Array() } = record;
	return `${attributes} ${hex(data)} ${hex(time)}`;
}

function fileMap(image: FirmwareImage): Map<string, Piece> {
	const map = new Map<string, Piece>();
	for (const piece of walk(image.pieces)) {
		if (piece.kind !== "file" || piece.guid === undefined) continue;
		let key = piece.guid;
		while (map.has(key)) key += "+";
		map.set(key, piece);
	}
	return map;
}

function changes<T>(
	before: Map<string, T>,
	after: Map<string, T>,
	same: (a: T, b: T) => boolean,
): readonly Changed<T>[] {
	const found: Changed<T>[] = [];
	for (const [key, old] of before) {
		const now = after.get(key);
		if (now === undefined) found.push({ before: old });
		else if (!same(old, now)) found.push({ before: old, after: now });
	}
	for (const [key, now] of after) if (!before.has(key)) found.push({ after: now });
	return found;
}

function differenceLines({ blockSize, blocks, ranges, variables, files }: Difference, style: Style): readonly string[] {
	const count = ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
	if (count === 0) return ["no difference"];
	const lines = [style.paint("title", `${count} of ${plural(blocks, "block")} differ (${blockSize} bytes each):`)];
	for (const { first, last, bytes, what } of ranges) {
		const numbers = first === last ? `block ${first}` : `blocks ${first} to ${last}`;
		lines.push(
			style.fit(`  ${numbers}, from ${address(first * blockSize)}: ${plural(bytes, "byte")}: ${what.join("; ")}`),
		);
	}
	if (variables.length > 0) lines.push(style.paint("title", "variables:"));
	for (const change of variables) lines.push(...changeLines(change, variableText, style));
	if (files.length > 0) lines.push(style.paint("title", "files:"));
	for (const change of files) lines.push(...changeLines(change, pieceText, style));
	return lines;
}

function changeLines<T>({ before, after }: Changed<T>, text: (value: T) => string, style: Style): readonly string[] {
	const line = (mark: Mark, sign: string, value: T | undefined): readonly string[] =>
		value === undefined ? [] : [style.paint(mark, style.fit(`  ${sign} ${text(value)}`))];
	return [...line("bad", "-", before), ...line("good", "+", after)];
}

function variableText({ guid, name, current }: Variable): string {
	const label = variableLabel(guid, name);
	return current === undefined
		? label
		: `${label}  ${attributesText(current.attributes)}  ${valueText(guid, name, current.data)}`;
}

function differenceJson({ blockSize, blocks, ranges, variables, files }: Difference): object {
	const side = (variable: Variable | undefined): object | null =>
		variable?.current === undefined
			? null
			: { attributes: variable.current.attributes, data: hex(variable.current.data) };
	return {
		blockSize,
		blocks,
		ranges,
		variables: variables.map(({ before, after }) => {
			const { guid, name } = (after ?? before)!;
			return { guid, name, before: side(before), after: side(after) };
		}),
		files: files.map(({ before, after }) => ({
			guid: (after ?? before)?.guid,
			name: (after ?? before)?.name,
			change: before === undefined ? "added" : after === undefined ? "removed" : "changed",
		})),
	};
}
