import { alignUp, isFilled, u32At } from "./bytes.ts";
import { FTW_HEADER_SIZE, ftwText, parseFtw } from "./ftw.ts";
import { GUID_SIZE } from "./guid.ts";
import { further, type Piece, type PieceKind, type Place, plainPiece } from "./piece.ts";
import {
	isAuthenticated,
	isVariableStore,
	parseVariableStore,
	STORE_HEADER_SIZE,
	variablesOf,
} from "./variable-store.ts";
import { NV_DATA_GUID, volumeHeader } from "./volume-header.ts";

/** Where the blocks of a volume are not known. */
const DEFAULT_BLOCK = 4096;
/** Volumes in flash begin at a multiple of this: no chip has smaller blocks. */
export const VOLUME_STEP = 256;

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
	const working = workingBlock(volume, at, Math.max(blockSize, VOLUME_STEP));
	if (working === undefined) {
		pieces.push(...filler("data", volume.subarray(at), further(place, at)));
		return pieces;
	}
	pieces.push(...filler("data", volume.subarray(at, working), further(place, at)));
	const block = parseFtw(volume.subarray(working))!;
	const end = workingEnd(volume, working, Math.max(blockSize, VOLUME_STEP));
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

/** Where everything lies in a volume for non-volatile data, in bytes from the start of a flash. */
export interface NvLayout {
	readonly volume: number;
	/** Where the volume ends. */
	readonly end: number;
	readonly store: number;
	readonly storeSize: number;
	readonly authenticated: boolean;
	/** The working block; absent where there is none. */
	readonly working: number | undefined;
	readonly spare: number | undefined;
}

/** The first volume of a flash that has variables. Nothing is unpacked, and no record looked at. */
export function findNvData(flash: Uint8Array): NvLayout | undefined {
	for (let volume = 0; volume + VOLUME_STEP <= flash.length; volume += VOLUME_STEP) {
		const header = volumeHeader(flash.subarray(volume));
		if (header?.fileSystem !== NV_DATA_GUID || header.length > flash.length - volume) continue;
		const whole = flash.subarray(volume, volume + header.length);
		const store = whole.subarray(header.headerLength);
		if (!isVariableStore(store)) continue;
		const storeSize = Math.min(store.length, u32At(store, GUID_SIZE));
		const blockSize = Math.max(header.blocks[0]?.size ?? DEFAULT_BLOCK, VOLUME_STEP);
		const working = workingBlock(whole, header.headerLength + storeSize, blockSize);
		return {
			volume,
			end: volume + header.length,
			store: volume + header.headerLength,
			storeSize,
			authenticated: isAuthenticated(store),
			working: working === undefined ? undefined : volume + working,
			spare: working === undefined ? undefined : volume + workingEnd(whole, working, blockSize),
		};
	}
	return undefined;
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

/** Where the spare area begins: at the next block. */
function workingEnd(volume: Uint8Array, working: number, blockSize: number): number {
	const { queueSize } = parseFtw(volume.subarray(working))!;
	return Math.min(volume.length, working + alignUp(FTW_HEADER_SIZE + queueSize, blockSize));
}

function filler(kind: PieceKind, bytes: Uint8Array, place: Place): readonly Piece[] {
	if (bytes.length === 0) return [];
	if (isFilled(bytes, 0xff)) return [plainPiece(kind === "data" ? "padding" : kind, bytes, place, { type: "erased" })];
	return [plainPiece(isVariableStore(bytes) ? "variables" : kind, bytes, place)];
}
