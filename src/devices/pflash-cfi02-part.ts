import type { FlashIdentity } from "./pflash.ts";
import type { FlashRun } from "./pflash-geometry.ts";
import { type FlashTimes, queryTable } from "./pflash-query.ts";

/** What the part with the AMD command set says about itself: a Spansion S29GL of any size. */
export const PART_TIMES: FlashTimes = { program: 6, buffer: 7, erase: 9, chipErase: 0 };
/** Bytes of its write buffer. */
export const PART_BUFFER = 32;

/** The device code says that two more words follow. */
const CODES: Readonly<Record<number, number>> = { 0: 0x01, 1: 0x227e, 14: 0x220c, 15: 0x2201 };

/** What an identifier's address shows on a chip of `width` bytes; `identity` in place of the part's own first two. */
export function partIdentity(address: number, width: number, identity: FlashIdentity | undefined): number {
	if (identity !== undefined && address < 2) return address === 0 ? identity.manufacturer : identity.device;
	const code = CODES[address] ?? 0;
	return width === 1 ? code & 0xff : code;
}

export function partQuery(runs: readonly FlashRun[], width: number): Uint8Array {
	return queryTable({
		commandSet: 2,
		supply: [0x27, 0x36],
		typical: PART_TIMES,
		longest: { program: 3, buffer: 5, erase: 4, chipErase: 0 },
		bus: width === 4 ? 3 : width - 1,
		buffer: Math.log2(PART_BUFFER),
		runs,
		// Version 1.3. Unlock addresses matter; erases can be suspended to read and program; sectors are protected one by one;
		// advanced sector protection; where small sectors are; programs can be suspended.
		primary: [0x31, 0x33, 0, 2, 1, 0, 8, 0, 0, 0, 0, 0, bootSectors(runs), 1],
	});
}

/** Where boot sectors are: 2 at the bottom, 3 at the top; 0 where all sectors have one size. */
function bootSectors(runs: readonly FlashRun[]): number {
	const [first] = runs;
	const last = runs.at(-1);
	if (first === undefined || last === undefined || first.size === last.size) return 0;
	return first.size < last.size ? 2 : 3;
}
