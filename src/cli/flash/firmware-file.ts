import { UserError } from "../../base/errors.ts";
import { FlashFile } from "../../host/flash-file.ts";
import { type FirmwareImage, parseImage } from "../../uefi/image.ts";
import { walk } from "../../uefi/piece.ts";
import { parseVariableStore, type VariableStore } from "../../uefi/variable-store.ts";
import { volumeHeader } from "../../uefi/volume-header.ts";

/** Bytes; flash chips of PCs are smaller. */
export const IMAGE_LIMIT = 128 * 2 ** 20;

/** What messages begin with. */
export const WHAT = "flash";

/**
 * Reads and takes apart. A change that a run could not finish counts as finished.
 * @throws UserError when the file cannot be read.
 */
export function readFirmware(file: string): FirmwareImage {
	const options = { what: WHAT, readonly: true, sectorSize: 1, limit: IMAGE_LIMIT, failed: () => {} };
	const flash = new FlashFile(file, options);
	try {
		const bytes = new Uint8Array(flash.size);
		flash.load(bytes);
		return parseImage(bytes);
	} finally {
		flash.close();
	}
}

/** A store of variables, and where it begins in the file. */
export interface PlacedStore {
	readonly offset: number;
	readonly store: VariableStore;
	readonly bytes: Uint8Array;
}

/** The stores of variables that lie in the file itself. */
export function storesOf(image: FirmwareImage): readonly PlacedStore[] {
	const places: PlacedStore[] = [];
	for (const { kind, packed, offset, bytes } of walk(image.pieces)) {
		const store = kind === "variables" && !packed ? parseVariableStore(bytes) : undefined;
		if (store !== undefined) places.push({ offset, store, bytes });
	}
	return places;
}

/** The one store of an image. @throws UserError where there is none. */
export function storeOf(image: FirmwareImage, file: string): PlacedStore {
	const [first] = storesOf(image);
	if (first === undefined) throw new UserError(`${WHAT}: ${file} has no UEFI variables (it is ${image.title})`);
	return first;
}

/** Bytes of the blocks that the first volume says the chip has. */
export function blockSizeOf(image: FirmwareImage): number {
	const volume = image.pieces.find(({ kind }) => kind === "volume");
	return (volume && volumeHeader(volume.bytes)?.blocks[0]?.size) || DEFAULT_BLOCK;
}

/** As on QEMU's PC. */
const DEFAULT_BLOCK = 4096;

/** `0x00084000`, wide enough for images of 4 GiB. */
export function address(value: number): string {
	return `0x${value.toString(16).padStart(6, "0")}`;
}
