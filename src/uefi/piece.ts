import type { Guid } from "./guid.ts";

export type PieceKind =
	| "volume"
	| "file"
	| "section"
	/** A store of variables. */
	| "variables"
	/** The working block of fault-tolerant writes. */
	| "ftw"
	/** Where fault-tolerant writes keep a copy. */
	| "spare"
	/** Erased flash where something could still be written. */
	| "free"
	/** All bytes the same. */
	| "padding"
	/** Nothing of the above, perhaps recognised nevertheless. */
	| "data";

/** A part of a firmware image, with what it consists of. */
export interface Piece {
	readonly kind: PieceKind;
	/** Which of its kind: `DXE driver`, `PE32 image`; empty where there is nothing to say. */
	readonly type: string;
	readonly guid?: Guid;
	/** What its maker calls it: the text of its user interface section; in a volume, what is known of its GUID. */
	readonly name?: string;
	/** Bytes from the start of the file, or of what a packed section gave: see `packed`. */
	readonly offset: number;
	/** Lies in something that had to be unpacked first. */
	readonly packed: boolean;
	/** With header. */
	readonly bytes: Uint8Array;
	/** Without header; of something packed, what it gave. */
	readonly body: Uint8Array;
	/** More about it, in reading order. */
	readonly details: Readonly<Record<string, string | number>>;
	/** What is wrong with it, one sentence each. */
	readonly problems: readonly string[];
	readonly children: readonly Piece[];
}

/** A place in an image: what lies around it. */
export interface Place {
	/** Of the first byte, as {@link Piece.offset}. */
	readonly offset: number;
	readonly packed: boolean;
	/** How many volumes and sections lie around. */
	readonly depth: number;
}

/** Images nest; one that is made to exhaust us does not get far. */
export const MAX_DEPTH = 24;

/** What one image may take when it is taken apart. */
export class Budget {
	/** Bytes that may still be unpacked. */
	left = 128 * 2 ** 20;
	/** Files and sections that may still be found. */
	private pieces = MAX_PIECES;

	take(bytes: number): void {
		this.left -= bytes;
	}

	/** One more file or section; false where there have been too many. */
	takePiece(): boolean {
		return this.pieces-- > 0;
	}
}

/** Real images have a few thousand. */
export const MAX_PIECES = 100_000;

/** `place`, `by` bytes further on. */
export function further(place: Place, by: number): Place {
	return { ...place, offset: place.offset + by };
}

export function deeper(place: Place): Place {
	return { ...place, depth: place.depth + 1 };
}

/** A piece with nothing inside. */
export function plainPiece(
	kind: PieceKind,
	bytes: Uint8Array,
	{ offset, packed }: Place,
	more: Partial<Pick<Piece, "type" | "name" | "guid" | "details" | "problems" | "body">> = {},
): Piece {
	return { kind, type: "", offset, packed, bytes, body: bytes, details: {}, problems: [], children: [], ...more };
}

/** What is left of an image that has more pieces than a real one. */
export function tooMany(bytes: Uint8Array, place: Place): Piece {
	return plainPiece("data", bytes, place, { problems: [`there are more than ${MAX_PIECES} files and sections`] });
}

/** All pieces of a tree, each before those inside it. */
export function* walk(pieces: readonly Piece[]): Generator<Piece> {
	for (const piece of pieces) {
		yield piece;
		yield* walk(piece.children);
	}
}
