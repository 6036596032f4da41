import type { Guid } from "../../uefi/guid.ts";
import { Budget, walk } from "../../uefi/piece.ts";
import { parseVolume } from "../../uefi/volume.ts";
import { moduleOfPath } from "./pe-image.ts";
import { type MemoryReader, wordIn } from "./symbols.ts";

/** Types of hand-off blocks (UEFI Platform Initialization, volume 3, 5). */
const HOB = { volume: 5, volume2: 9, volume3: 12, end: 0xffff } as const;
const HOB_HEADER = 8;
const MOST_HOBS = 10_000;
/** Bytes of volumes that are looked into. */
const MOST_BYTES = 64 << 20;
const PIECE = 1 << 16;

/**
 * Names of the files in the firmware volumes that a list of hand-off blocks names, by GUID.
 * @param list address of the first block
 */
export function volumeNames(read: MemoryReader, list: bigint): ReadonlyMap<Guid, string> {
	const names = new Map<Guid, string>();
	let left = MOST_BYTES;
	for (const { base, length } of volumes(read, list)) {
		if (length > left) continue;
		left -= length;
		const bytes = contents(read, base, length);
		if (bytes === undefined) continue;
		const volume = parseVolume(bytes, { offset: 0, packed: false, depth: 0 }, new Budget());
		for (const { kind, guid, name } of walk([volume])) {
			const module = kind === "file" && name !== undefined ? moduleOfPath(name) : undefined;
			if (guid !== undefined && module !== undefined) names.set(guid, module);
		}
	}
	return names;
}

function volumes(read: MemoryReader, list: bigint): { readonly base: bigint; readonly length: number }[] {
	const found = new Map<bigint, number>();
	let at = list;
	for (let n = 0; n < MOST_HOBS; n++) {
		const header = read(at, HOB_HEADER);
		if (header === undefined) break;
		const [type, size] = [wordIn(header.subarray(0, 2)), wordIn(header.subarray(2, 4))];
		if (type === BigInt(HOB.end) || size < HOB_HEADER) break;
		const isVolume = [HOB.volume, HOB.volume2, HOB.volume3].some((each) => BigInt(each) === type);
		const place = isVolume ? read(at + BigInt(HOB_HEADER), 16) : undefined;
		if (place !== undefined) found.set(wordIn(place.subarray(0, 8)), Number(wordIn(place.subarray(8, 16))));
		at += size;
	}
	return Array.from(found, ([base, length]) => ({ base, length }));
}

function contents(read: MemoryReader, base: bigint, length: number): Uint8Array | undefined {
	const bytes = new Uint8Array(length);
	for (let at = 0; at < length; at += PIECE) {
		const piece = read(base + BigInt(at), Math.min(PIECE, length - at));
		if (piece === undefined) return undefined;
		bytes.set(piece, at);
	}
	return bytes;
}
