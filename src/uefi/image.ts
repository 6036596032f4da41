import { isFilled } from "./bytes.ts";
import { Budget, further, type Piece, type Place, plainPiece, walk } from "./piece.ts";
import { recognise } from "./plain.ts";
import { parseVolume } from "./volume.ts";
import { SIGNATURE_OFFSET, volumeHeader } from "./volume-header.ts";

/** A file of firmware, taken apart. */
export interface FirmwareImage {
	/** One line on what it is. */
	readonly title: string;
	readonly bytes: Uint8Array;
	readonly pieces: readonly Piece[];
}

/** `_FVH`. */
const SIGNATURE = Uint8Array.of(0x5f, 0x46, 0x56, 0x48);
const ALIGNMENT = 8;

/** Takes a firmware image apart: its volumes with all that is in them, and what lies between. */
export function parseImage(bytes: Uint8Array): FirmwareImage {
	const budget = new Budget();
	const place: Place = { offset: 0, packed: false, depth: 0 };
	const pieces: Piece[] = [];
	let at = 0;
	while (at < bytes.length) {
		const start = nextVolume(bytes, at);
		if (start > at) pieces.push(between(bytes.subarray(at, start), further(place, at)));
		if (start >= bytes.length) break;
		const volume = parseVolume(bytes.subarray(start), further(place, start), budget);
		pieces.push(volume);
		at = start + volume.bytes.length;
	}
	return { title: title(bytes, pieces), bytes, pieces };
}

/** Where the next volume begins, at or after `from`; the end of `bytes` where none does. */
function nextVolume(bytes: Uint8Array, from: number): number {
	const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	for (let at = from; ; ) {
		const found = view.indexOf(SIGNATURE, at + SIGNATURE_OFFSET);
		if (found < 0) return bytes.length;
		const start = found - SIGNATURE_OFFSET;
		if (start % ALIGNMENT === 0 && isPlausible(bytes.subarray(start))) return start;
		at = start + 1;
	}
}

/** The signature may stand anywhere in code; a volume has a header that fits. */
function isPlausible(bytes: Uint8Array): boolean {
	const header = volumeHeader(bytes);
	if (header === undefined) return false;
	return header.checksumGood || (header.length <= bytes.length && header.blocks.length > 0);
}

function between(bytes: Uint8Array, place: Place): Piece {
	const first = bytes[0]!;
	if (isFilled(bytes, first)) {
		return plainPiece("padding", bytes, place, {
			type: first === 0xff ? "erased" : `all ${first.toString(16).padStart(2, "0")}`,
		});
	}
	return plainPiece("data", bytes, place, { type: recognise(bytes) ?? "" });
}

function title(bytes: Uint8Array, pieces: readonly Piece[]): string {
	const volumes = pieces.filter(({ kind }) => kind === "volume");
	if (volumes.length === 0) {
		if (isFilled(bytes, 0xff)) return "erased flash";
		return recognise(bytes) ?? "nothing that is known";
	}
	if (volumes.every(({ type }) => type === "NVRAM")) return "UEFI variables";
	const all = [...walk(pieces)];
	const variables = all.some(({ kind }) => kind === "variables");
	return `UEFI firmware${variables ? " with variables" : ""}`;
}
