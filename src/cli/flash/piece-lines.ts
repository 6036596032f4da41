import { plural } from "../../base/plural.ts";
import { hex } from "../../uefi/bytes.ts";
import type { Piece } from "../../uefi/piece.ts";
import { address } from "./firmware-file.ts";
import type { Style } from "./style.ts";

/** Files and volumes are what people look for; sections and padding are noise unless asked for. */
export interface TreeOptions {
	readonly sections: boolean;
}

/** Room for an offset, and for a size. */
const COLUMN = 10;

/** A tree of pieces, one line each: offset in the file, size, what it is. Where something is packed, there is no offset. */
export function pieceLines(pieces: readonly Piece[], style: Style, options: TreeOptions): string[] {
	const lines: string[] = [];
	addLines(pieces, 0, lines, style, options);
	return lines;
}

function addLines(pieces: readonly Piece[], depth: number, lines: string[], style: Style, options: TreeOptions): void {
	for (const piece of pieces) {
		const shown = options.sections || isShown(piece);
		if (shown) lines.push(...lineOf(piece, depth, style));
		addLines(piece.children, shown ? depth + 1 : depth, lines, style, options);
	}
}

function isShown({ kind, type, problems }: Piece): boolean {
	return problems.length > 0 || !(kind === "section" || (kind === "file" && type === "padding") || kind === "free");
}

function lineOf(piece: Piece, depth: number, style: Style): string[] {
	const place = piece.packed ? "".padEnd(COLUMN) : address(piece.offset).padEnd(COLUMN);
	const size = `0x${piece.bytes.length.toString(16)}`.padStart(COLUMN);
	const indent = "  ".repeat(depth);
	const line = style.fit(`${place}${size}  ${indent}${pieceText(piece)}`);
	const columns = 2 * COLUMN + 2;
	const painted = `${style.paint("quiet", line.slice(0, columns))}${style.paint(markOf(piece), line.slice(columns))}`;
	const wrong = piece.problems.map((text) => style.fit(`${" ".repeat(columns)}${indent}  problem: ${text}`));
	return [
		piece.kind === "volume" || piece.name !== undefined ? painted : line,
		...wrong.map((text) => style.paint("bad", text)),
	];
}

function markOf({ kind }: Piece): "title" | "name" {
	return kind === "volume" ? "title" : "name";
}

/** What a piece is, in one line. */
export function pieceText(piece: Piece): string {
	const { kind, type, name, guid } = piece;
	switch (kind) {
		case "volume":
			return volumeText(piece);
		case "file":
			return name === undefined ? `${guid ?? ""} (${type})`.trim() : `${name} (${type}, ${guid})`;
		case "section":
			return sectionText(piece);
		case "variables":
			return variablesText(piece);
		case "ftw":
			return `fault-tolerant writes: ${type}`;
		case "spare":
			return `spare area of fault-tolerant writes${type === "" ? ", in use" : ""}`;
		case "free":
			return "free";
		case "padding":
			return type;
		case "data":
			return type === "" ? `data ${hex(piece.bytes.subarray(0, GLIMPSE))}…` : type;
	}
}

/** Bytes that are shown of what is unknown. */
const GLIMPSE = 16;

function volumeText({ type, name, guid, details, packed }: Piece): string {
	const own = name ?? guid;
	const title = own === undefined ? type : `${type} ${own}`;
	return `volume ${title}, blocks: ${details["blocks"]}${packed ? " (packed)" : ""}`;
}

function variablesText({ type, details }: Piece): string {
	const count = (key: string, noun: string): string => plural(Number(details[key]), noun);
	const room = `${count("used", "byte")} used, ${count("free", "byte")} free`;
	return `variables, ${type}: ${details["variables"]} in ${count("records", "record")}, ${room}`;
}

function sectionText({ type, name, guid, details }: Piece): string {
	const named = name === undefined ? (guid ?? "") : JSON.stringify(name);
	const more = Object.entries(details).map(([key, value]) => `${key} ${value}`);
	return [`${type}${named === "" ? "" : ` ${named}`}`, ...more].join(", ");
}

/** A piece for programs. Bytes are left out: `flash extract` has them. */
export function pieceJson(piece: Piece): object {
	const { kind, type, guid, name, offset, packed, bytes, details, problems, children } = piece;
	return {
		kind,
		...(type === "" ? {} : { type }),
		...(guid === undefined ? {} : { guid }),
		...(name === undefined ? {} : { name }),
		...(packed ? { packed } : { offset }),
		size: bytes.length,
		...(Object.keys(details).length === 0 ? {} : { details }),
		...(problems.length === 0 ? {} : { problems }),
		...(children.length === 0 ? {} : { children: children.map(pieceJson) }),
	};
}
