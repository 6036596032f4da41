import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { tinyRom } from "../support/tiny-rom.ts";

export const ENDS = ["exit", "reset", "triple-fault", "never"] as const;

/** What `writer.asm` shall do; all but `end` and `passes` in bytes. */
export interface WriterSettings {
	readonly size: number;
	readonly block: number;
	/** From one programmed byte to the next. */
	readonly stride: number;
	/** Programmed between two returns to the array; 0: it never returns there. */
	readonly burst: number;
	readonly passes: number;
	readonly end: (typeof ENDS)[number];
}

const SETTINGS = 0x200;
const ROM_SIZE = 0x1_0000;

/** Code of the guest, as `writer.asm` gives it. */
export const writerCode = (): Uint8Array => readFileSync(fileURLToPath(new URL("writer.bin", import.meta.url)));

/** The ROM for a flash directly below it. */
export function writerRom({ size, block, stride, burst, passes, end }: WriterSettings): Uint8Array {
	const rom = tinyRom([...writerCode()]);
	const base = 2 ** 32 - ROM_SIZE - size;
	rom.set(new Uint8Array(Uint32Array.of(base, size, block, stride, burst, passes, ENDS.indexOf(end)).buffer), SETTINGS);
	return rom;
}

/** What a byte is in a pass; {@link initialImage} is what pass 0 would leave of every byte. */
const pattern = (pass: number, offset: number): number => ((pass * 37 + offset * 11 + (offset >>> 8)) % 251) + 1;

export const initialImage = (size: number): Uint8Array => Uint8Array.from({ length: size }, (_, at) => pattern(0, at));

/** What the flash holds when all passes are done. */
export function finalImage(settings: WriterSettings): Uint8Array {
	const image = initialImage(settings.size);
	for (const { start, bytes } of changes(settings)) image.set(bytes, start);
	return image;
}

/** One thing that the guest does: a change of bytes, after which so many reports have become due. */
interface Change {
	readonly start: number;
	readonly bytes: Uint8Array;
	readonly reports: number;
}

/** All changes in order. A report belongs to the change before it. */
function* changes({ size, block, stride, burst, passes }: WriterSettings): Generator<Change> {
	for (let pass = 1; pass <= passes; pass++) {
		for (let start = 0; start < size; start += block) {
			yield { start, bytes: new Uint8Array(block).fill(0xff), reports: 1 };
			let left = burst;
			for (let at = start; at < start + block; at += stride) {
				const last = at + stride >= start + block;
				const returns = burst > 0 && (--left === 0 || last);
				if (returns) left = burst;
				yield { start: at, bytes: Uint8Array.of(pattern(pass, at)), reports: returns ? 1 : 0 };
			}
		}
	}
}

/** Where a guest was when its flash looked so. */
export interface Place {
	/** Changes made. */
	readonly changes: number;
	/** Reports that were due by then. */
	readonly reports: number;
	/** The last change was an erase. */
	readonly erased: boolean;
}

/** Changes that a guest can be ahead of its last report, and more. */
const AHEAD = 500_000;

/**
 * Finds `image` among what the guest makes of `initial`, after `least` reports at the earliest.
 * @returns where it is; undefined where the flash never looks so from then on.
 */
export function placeOf(
	image: Uint8Array,
	settings: WriterSettings,
	least: number,
	initial = initialImage(settings.size),
): Place | undefined {
	const model = initial.slice();
	let different = model.reduce((count, byte, at) => (byte === image[at] ? count : count + 1), 0);
	let place: Place = { changes: 0, reports: 0, erased: false };
	if (different === 0 && least === 0) return place;
	let ahead = 0;
	for (const { start, bytes, reports } of changes(settings)) {
		for (let n = 0, at = start; n < bytes.length; n++, at++) {
			const before = model[at];
			const after = bytes[n]!;
			if (before === after) continue;
			const wanted = image[at];
			if (before === wanted) different++;
			else if (after === wanted) different--;
			model[at] = after;
		}
		place = { changes: place.changes + 1, reports: place.reports + reports, erased: bytes.length > 1 };
		if (place.reports < least) continue;
		if (different === 0) return place;
		if (++ahead > AHEAD) break;
	}
	return undefined;
}
