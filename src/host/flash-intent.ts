import { assert } from "../base/errors.ts";

/**
 * What a change of several pages is going to be, written down before it: `offset` and `length` in the image, what it was there, and
 * what it becomes. With it, an image tells by itself how far the change has come.
 */
export interface Intent {
	readonly offset: number;
	readonly length: number;
	/** The new bytes, repeated as often as they fit: one FF for an erase. */
	readonly pattern: Uint8Array;
	/** Bytes of the whole image. */
	readonly imageSize: number;
	/** SHA-256 of the image without the range: which image this belongs to, wherever it is kept. */
	readonly rest: Uint8Array;
	/** CRC-32 of each {@link PIECE} of the range as it was. */
	readonly before: Uint32Array;
}

/** How an image stands to an intent. */
export type Progress =
	/** Nothing of the change is in the image: it never began. */
	| "before"
	/** A part of it is, from the start on: it was interrupted. */
	| "torn"
	/** All of it is. */
	| "after"
	/** Parts of it are, but no start. */
	| "unclear"
	/** The image is another one, or has been changed since. */
	| "other";

/** A disk writes this many bytes whole or not at all. */
const PIECE = 512;
const MAGIC = "tsvmm flash intent 1\n";
const DIGEST = 32;
/** Magic, four numbers, the digest of the rest. */
const NUMBERS = 32;
const HEADER = NUMBERS + 4 * 4 + DIGEST;

/** The intent to put `after` at `offset` of an image that is still as before. */
export function intentOf(image: Uint8Array, offset: number, after: Uint8Array): Intent {
	const { length } = after;
	const [first] = after;
	return {
		offset,
		length,
		pattern: after.every((byte) => byte === first) ? after.slice(0, 1) : after.slice(),
		imageSize: image.length,
		rest: restOf(image, offset, length),
		before: Uint32Array.from(pieces(image, offset, length), (piece) => crc32(piece)),
	};
}

/**
 * An intent as its file has it; numbers are 32 bits, little endian: magic in 32 bytes, size of the image, offset, length, length of
 * the pattern, digest of the rest, CRCs, pattern, and a SHA-256 of all of that.
 */
export function intentBytes({ offset, length, pattern, imageSize, rest, before }: Intent): Uint8Array {
	const bytes = new Uint8Array(HEADER + before.length * 4 + pattern.length + DIGEST);
	bytes.set(new TextEncoder().encode(MAGIC));
	const view = new DataView(bytes.buffer);
	[imageSize, offset, length, pattern.length].forEach((number, n) => {
		view.setUint32(NUMBERS + 4 * n, number, true);
	});
	bytes.set(rest, HEADER - DIGEST);
	before.forEach((crc, n) => {
		view.setUint32(HEADER + 4 * n, crc, true);
	});
	bytes.set(pattern, HEADER + before.length * 4);
	bytes.set(digest(bytes.subarray(0, -DIGEST)), bytes.length - DIGEST);
	return bytes;
}

/** The intent at the start of a file; undefined where there is none that is whole. */
export function readIntent(bytes: Uint8Array): Intent | undefined {
	if (bytes.length < HEADER || new TextDecoder().decode(bytes.subarray(0, MAGIC.length)) !== MAGIC) return undefined;
	const view = new DataView(bytes.buffer, bytes.byteOffset);
	const [imageSize = 0, offset = 0, length = 0, patternLength = 0] = [0, 1, 2, 3].map((n) =>
		view.getUint32(NUMBERS + 4 * n, true),
	);
	if (length === 0 || offset + length > imageSize || (patternLength !== 1 && patternLength !== length))
		return undefined;
	const count = Math.ceil(length / PIECE);
	const end = HEADER + 4 * count + patternLength;
	if (bytes.length < end + DIGEST) return undefined;
	if (!equal(digest(bytes.subarray(0, end)), bytes.subarray(end, end + DIGEST))) return undefined;
	return {
		...{ offset, length, imageSize },
		pattern: bytes.slice(end - patternLength, end),
		rest: bytes.slice(HEADER - DIGEST, HEADER),
		before: Uint32Array.from({ length: count }, (_, n) => view.getUint32(HEADER + 4 * n, true)),
	};
}

/** How far the change has come in `image`. */
export function progressOf(intent: Intent, image: Uint8Array): Progress {
	const { offset, length, imageSize } = intent;
	if (image.length !== imageSize) return "other";
	const after = bytesAfter(intent);
	const changed: boolean[] = [];
	let n = 0;
	for (const piece of pieces(image, offset, length)) {
		const crc = intent.before[n]!;
		const expected = after.subarray(n * PIECE, n * PIECE + piece.length);
		n++;
		const isAfter = equal(piece, expected);
		if (!isAfter && crc32(piece) !== crc) return "other";
		// A piece that stays as it was says nothing.
		if (crc32(expected) !== crc) changed.push(isAfter);
	}
	if (!equal(restOf(image, offset, length), intent.rest)) return "other";
	if (!changed.includes(true)) return "before";
	if (!changed.includes(false)) return "after";
	return changed.lastIndexOf(true) < changed.indexOf(false) ? "torn" : "unclear";
}

/** The bytes of the range as they are to be. */
export function bytesAfter({ length, pattern }: Intent): Uint8Array {
	assert(pattern.length === 1 || pattern.length === length, "a pattern is one byte or all of them");
	return pattern.length === 1 ? new Uint8Array(length).fill(pattern[0]!) : pattern;
}

function* pieces(image: Uint8Array, offset: number, length: number): Generator<Uint8Array> {
	for (let at = 0; at < length; at += PIECE) {
		yield image.subarray(offset + at, offset + Math.min(at + PIECE, length));
	}
}

function restOf(image: Uint8Array, offset: number, length: number): Uint8Array {
	return digest(image.subarray(0, offset), image.subarray(offset + length));
}

function digest(...parts: readonly Uint8Array[]): Uint8Array {
	const hash = process.getBuiltinModule("node:crypto").createHash("sha256");
	for (const part of parts) hash.update(part);
	return new Uint8Array(hash.digest());
}

const crc32 = (bytes: Uint8Array): number => process.getBuiltinModule("node:zlib").crc32(bytes);

function equal(a: Uint8Array, b: Uint8Array): boolean {
	return Buffer.compare(a, b) === 0;
}
