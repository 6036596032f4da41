import { isFilled, u32At } from "./bytes.ts";
import { parseFiles } from "./file.ts";
import { type Guid, guidAt } from "./guid.ts";
import { knownName } from "./guid-names.ts";
import { parseNvData } from "./nv-data.ts";
import { type Budget, deeper, type Piece, type Place, plainPiece } from "./piece.ts";
import { type BlockRun, NV_DATA_GUID, type VolumeHeader, volumeHeader } from "./volume-header.ts";

const FFS2: Guid = "8c8ce578-8a3d-4f1c-9935-896185c32dd3";
const FFS3: Guid = "5473c07a-3dcb-4dca-bd6f-1e9689e7349a";

/** The volume at the beginning of `bytes`, which may go on behind it. */
export function parseVolume(bytes: Uint8Array, place: Place, budget: Budget): Piece {
	const header = volumeHeader(bytes);
	if (header === undefined) {
		return plainPiece("data", bytes, place, { problems: ["there is no firmware volume here"] });
	}
	const whole = bytes.subarray(0, header.length);
	const { guid, filesAt } = identity(whole, header);
	const name = guid === undefined ? undefined : knownName(guid);
	return {
		...plainPiece("volume", whole, place, {
			body: whole.subarray(header.headerLength),
			problems: problems(bytes, header),
		}),
		type: fileSystemName(header.fileSystem),
		...(guid === undefined ? {} : { guid }),
		...(name === undefined ? {} : { name }),
		details: { fileSystem: header.fileSystem, blocks: blocksText(header.blocks), revision: header.revision },
		children: contents(whole, header, filesAt, deeper(place), budget),
	};
}

function blocksText(blocks: readonly BlockRun[]): string {
	return blocks.map(({ count, size }) => `${count} of ${size} bytes`).join(", ");
}

/** With an extended header the volume has a GUID of its own, and files begin behind it. */
function identity(
	whole: Uint8Array,
	{ extended, headerLength }: VolumeHeader,
): { guid: Guid | undefined; filesAt: number } {
	const size = u32At(whole, extended + 16);
	if (extended < headerLength || extended + 20 > whole.length || size < 20 || extended + size > whole.length) {
		return { guid: undefined, filesAt: headerLength };
	}
	return { guid: guidAt(whole, extended), filesAt: extended + size };
}

function fileSystemName(guid: Guid): string {
	if (guid === NV_DATA_GUID) return "NVRAM";
	return knownName(guid) ?? `unknown file system ${guid}`;
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
