import { sum16, u8At, u16At, u32At, u64At } from "./bytes.ts";
import { type Guid, guidAt } from "./guid.ts";

/** `_FVH`, and where it stands in the header. */
const SIGNATURE = 0x4856465f;
export const SIGNATURE_OFFSET = 0x28;
/** With a block map of one entry and its end. */
const MIN_HEADER_SIZE = 0x48;
const BLOCK_MAP = 0x38;
const ERASE_POLARITY = 0x800;

export const NV_DATA_GUID: Guid = "fff12b8d-7696-4c8b-a985-2747075b4f50";
/** A run of blocks of one size. */
export interface BlockRun {
	readonly count: number;
	/** Bytes. */
	readonly size: number;
}

/** The header of a firmware volume (PI 1.7, volume 3, 3.2.1). */
export interface VolumeHeader {
	readonly fileSystem: Guid;
	/** Bytes of the volume, with this header. */
	readonly length: number;
	readonly headerLength: number;
	/** What erased flash reads: 0xff or 0. */
	readonly erased: number;
	readonly revision: number;
	readonly blocks: readonly BlockRun[];
	readonly checksumGood: boolean;
	/** Offset of the extended header; 0 is none. */
	readonly extended: number;
}

/** The header at the beginning of `bytes`; undefined where there is none, or what is there cannot be one. */
export function volumeHeader(bytes: Uint8Array): VolumeHeader | undefined {
	const headerLength = u16At(bytes, 0x30);
	const length = u64At(bytes, 0x20);
	if (bytes.length < MIN_HEADER_SIZE || u32At(bytes, SIGNATURE_OFFSET) !== SIGNATURE) return undefined;
	if (headerLength < MIN_HEADER_SIZE || headerLength > bytes.length || length < headerLength) return undefined;
	const blocks: BlockRun[] = [];
	for (let at = BLOCK_MAP; at + 8 <= headerLength; at += 8) {
		const run = { count: u32At(bytes, at), size: u32At(bytes, at + 4) };
		if (run.count === 0 && run.size === 0) break;
		blocks.push(run);
	}
	return {
		fileSystem: guidAt(bytes, 0x10),
		length,
		headerLength,
		erased: (u32At(bytes, 0x2c) & ERASE_POLARITY) === 0 ? 0 : 0xff,
		revision: u8At(bytes, 0x37),
		blocks,
		checksumGood: sum16(bytes.subarray(0, headerLength)) === 0,
		extended: u16At(bytes, 0x34),
	};
}
