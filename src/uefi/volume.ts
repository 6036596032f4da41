import { isFilled, sum16, u8At, u16At, u32At, u64At } from "./bytes.ts";
import { parseFiles } from "./file.ts";
import { type Guid, guidAt } from "./guid.ts";
import { knownName } from "./guid-names.ts";
import { parseNvData } from "./nv-data.ts";
import { type Budget, deeper, type Piece, type Place, plainPiece } from "./piece.ts";

/** `_FVH`, and where it stands in the header. */
const SIGNATURE = 0x4856465f;
export const SIGNATURE_OFFSET = 0x28;
/** With a block map of one entry and its end. */
const MIN_HEADER_SIZE = 0x48;
const BLOCK_MAP = 0x38;
const ERASE_POLARITY = 0x800;

export const NV_DATA_GUID: Guid = "fff12b8d-7696-4c8b-a985-2747075b4f50";
const FFS2: Guid = "8c8ce578-8a3d-4f1c-9935-896185c32dd3";
const FFS3: Guid = "5473c07a-3dcb-4dca-bd6f-1e9689e7349a";

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

/** The volume at the beginning of `bytes`, which may go on behind it. */
export function parseVolume(bytes: Uint8Array, place: Place, budget: Budget): Piece {
	const header = volumeHeader(bytes);
	if (header === undefined) {
		return plainPiece("data", bytes, place, { problems: ["there is no firmware volume here"] });
	}
	const whole = bytes.subarray(0, header.length);
	const { guid, filesAt } = identity(whole, header);
	const name = guid === header.fileSystem ? undefined : knownName(guid);
	return {
		...plainPiece("volume", whole, place, {
			body: whole.subarray(header.headerLength),
			problems: problems(bytes, header),
		}),
		type: fileSystemName(header.fileSystem),
		guid,
		...(name === undefined ? {} : { name }),
		details: { blocks: blocksText(header.blocks), revision: header.revision },
		children: contents(whole, header, filesAt, deeper(place), budget),
	};
}

export function blocksText(blocks: readonly BlockRun[]): string {
	return blocks.map(({ count, size }) => `${count} of ${size} bytes`).join(", ");
}

/** With an extended header the volume has a GUID of its own, and files begin behind it. */
function identity(
	whole: Uint8Array,
	{ extended, headerLength, fileSystem }: VolumeHeader,
): { guid: Guid; filesAt: number } {
	const size = u32At(whole, extended + 16);
	if (extended < headerLength || extended + 20 > whole.length || size < 20 || extended + size > whole.length) {
		return { guid: fileSystem, filesAt: headerLength };
	}
	return { guid: guidAt(whole, extended), filesAt: extended + size };
}

function fileSystemName(guid: Guid): string {
	if (guid === NV_DATA_GUID) return "NVRAM";
	return knownName(guid) ?? "unknown file system";
}

function problems(bytes: Uint8Array, header: VolumeHeader): readonly string[] {
	const found: string[] = [];
	if (!header.checksumGood) found.push("the checksum of its header is wrong");
	if (header.length > bytes.length) {
		found.push(`it should be ${header.length} bytes long, and only ${bytes.length} are here`);
	}
	const mapped = header.blocks.reduce((sum, { count, size }) => sum + count * size, 0);
	if (mapped !== header.length) found.push(`its block map covers ${mapped} of ${header.length} bytes`);
	return found;
}

function contents(
	whole: Uint8Array,
	header: VolumeHeader,
	filesAt: number,
	place: Place,
	budget: Budget,
): readonly Piece[] {
	const { fileSystem, erased, headerLength } = header;
	if (fileSystem === NV_DATA_GUID) return parseNvData(whole, headerLength, place, header.blocks[0]?.size);
	if (fileSystem === FFS2 || fileSystem === FFS3) {
		return parseFiles(whole, filesAt, place, { erased, large: fileSystem === FFS3, budget });
	}
	const rest = whole.subarray(headerLength);
	const at = { ...place, offset: place.offset + headerLength };
	return [plainPiece(isFilled(rest, erased) ? "free" : "data", rest, at)];
}
