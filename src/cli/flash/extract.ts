import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../../base/errors.ts";
import { fileProblem } from "../../base/file-problem.ts";
import { plural } from "../../base/plural.ts";
import { parseGuid } from "../../uefi/guid.ts";
import { type Piece, walk } from "../../uefi/piece.ts";
import { readFirmware, WHAT } from "./firmware-file.ts";

/** File endings by what is in a piece. */
const ENDINGS: Readonly<Record<string, string>> = {
	"PE32 image": "efi",
	"TE image": "te",
	"DXE dependencies": "depex",
	"PEI dependencies": "depex",
	"MM dependencies": "depex",
	"user interface name": "ui",
	version: "ver",
	raw: "raw",
};

/** Longest name of a file that is made of a text in an image. */
const NAME_LIMIT = 80;

export interface ExtractOptions {
	/** Folder that everything is written to; made where it is missing. */
	readonly into: string;
	/** Names or GUIDs of pieces; everything where there are none. */
	readonly wanted: readonly string[];
}

/** `tsvmm flash extract`: writes what an image consists of into files. @returns what was done, in a line. */
export function flashExtract(file: string, { into, wanted }: ExtractOptions): string {
	const image = readFirmware(file);
	const chosen = wanted.length === 0 ? image.pieces : wanted.flatMap((text) => find(image.pieces, text, file));
	const writer = new TreeWriter();
	writer.folder(into);
	for (const [index, piece] of chosen.entries()) writer.write(into, piece, index);
	return `${plural(writer.files, "file")}, ${plural(writer.bytes, "byte")} in ${into}\n`;
}

function find(pieces: readonly Piece[], text: string, file: string): readonly Piece[] {
	const guid = parseGuid(text);
	const found: Piece[] = [];
	for (const piece of walk(pieces)) {
		const wanted = guid === undefined ? piece.name === text && piece.kind !== "section" : piece.guid === guid;
		if (wanted) found.push(piece);
	}
	if (found.length === 0) throw new UserError(`${WHAT}: ${file} has nothing named ${JSON.stringify(text)}`);
	return found;
}

/** Writes pieces: one with something inside as a folder, others as files; a firmware file also as it is stored (`.ffs`). */
class TreeWriter {
	files = 0;
	bytes = 0;

	write(folder: string, piece: Piece, index: number): void {
		const name = `${String(index).padStart(3, "0")}-${nameOf(piece)}`;
		if (piece.children.length === 0) {
			this.file(join(folder, `${name}.${endingOf(piece)}`), piece.kind === "section" ? piece.body : piece.bytes);
			return;
		}
		const inside = join(folder, name);
		this.folder(inside);
		if (piece.kind === "file") this.file(join(inside, "whole.ffs"), piece.bytes);
		if (piece.kind === "volume") this.file(join(inside, "whole.fv"), piece.bytes);
		for (const [at, child] of piece.children.entries()) this.write(inside, child, at);
	}

	folder(path: string): void {
		try {
			mkdirSync(path, { recursive: true });
		} catch (error) {
			throw new UserError(`${WHAT}: ${path} ${fileProblem(error)}`);
		}
	}

	private file(path: string, bytes: Uint8Array): void {
		try {
			writeFileSync(path, bytes);
		} catch (error) {
			throw new UserError(`${WHAT}: ${path} ${fileProblem(error)}`);
		}
		this.files++;
		this.bytes += bytes.length;
	}
}

/** Texts come from the image: nothing in them may lead out of the folder. */
function nameOf({ kind, type, name, guid }: Piece): string {
	const text =
		kind === "section"
			? name !== undefined && type === "GUID-defined"
				? name
				: type
			: (name ?? guid ?? (type || kind));
	return (
		text
			.replace(/[^A-Za-z0-9._-]+/g, "-")
			.replace(/^[.-]+|-+$/g, "")
			.slice(0, NAME_LIMIT) || kind
	);
}

function endingOf({ kind, type }: Piece): string {
	if (kind === "file") return "ffs";
	if (kind === "volume") return "fv";
	return ENDINGS[type] ?? "bin";
}
