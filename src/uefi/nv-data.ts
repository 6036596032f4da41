import { isFilled } from "./bytes.ts";
import { ftwText, parseFtw } from "./ftw.ts";
import { further, type Piece, type PieceKind, type Place, plainPiece } from "./piece.ts";
import { isVariableStore, parseVariableStore, STORE_HEADER_SIZE, variablesOf } from "./variable-store.ts";

/** Where the blocks of a volume are not known. */
const DEFAULT_BLOCK = 4096;

/**
 * What lies in a volume for non-volatile data, behind its header: variables, and at some later block the working block of
 * fault-tolerant writes with the spare area behind it, up to the end of the volume.
 */
export function parseNvData(
	volume: Uint8Array,
	start: number,
	place: Place,
	blockSize: number = DEFAULT_BLOCK,
): readonly Piece[] {
	const pieces: Piece[] = [];
	const rest = volume.subarray(start);
	const store = parseVariableStore(rest);
	let at = start;
	if (store !== undefined) {
		pieces.push(storePiece(rest.subarray(0, store.size), further(place, start)));
		at += store.size;
	}
	const working = workingBlock(volume, at, Math.max(blockSize, 256));
	if (working === undefined) {
		pieces.push(...filler("data", volume.subarray(at), further(place, at)));
		return pieces;
	}
	pieces.push(...filler("data", volume.subarray(at, working), further(place, at)));
	const block = parseFtw(volume.subarray(working))!;
	const end = Math.min(volume.length, working + Math.max(blockSize, 32 + block.queueSize));
	const problems = block.checksumGood ? [] : ["the checksum of its header is wrong"];
	pieces.push(
		plainPiece("ftw", volume.subarray(working, end), further(place, working), {
			type: ftwText(block),
			problems,
		}),
	);
	pieces.push(...filler("spare", volume.subarray(end), further(place, end)));
	return pieces;
}

/** A store of variables as a piece, without a child for each record. */
export function storePiece(bytes: Uint8Array, place: Place): Piece {
	const { authenticated, records, end, size, problems } = parseVariableStore(bytes)!;
	const variables = variablesOf(records).filter(({ current }) => current !== undefined).length;
	return plainPiece("variables", bytes, place, {
		type: authenticated ? "authenticated" : "plain",
		body: bytes.subarray(STORE_HEADER_SIZE),
		details: { variables, records: records.length, used: end, free: size - end },
		problems,
	});
}

/** The first block with a working block in it, at or after `from`. */
function workingBlock(volume: Uint8Array, from: number, blockSize: number): number | undefined {
	for (let at = Math.ceil(from / blockSize) * blockSize; at < volume.length; at += blockSize) {
		if (parseFtw(volume.subarray(at)) !== undefined) return at;
	}
	return undefined;
}

function filler(kind: PieceKind, bytes: Uint8Array, place: Place): readonly Piece[] {
	if (bytes.length === 0) return [];
	if (isFilled(bytes, 0xff)) return [plainPiece(kind === "data" ? "padding" : kind, bytes, place, { type: "erased" })];
	return [plainPiece(isVariableStore(bytes) ? "variables" : kind, bytes, place)];
}
