import { crc32 } from "node:zlib";
import { plural } from "../base/plural.ts";
import { isFilled, u8At, u32At, u64At } from "./bytes.ts";
import { type Guid, guidAt } from "./guid.ts";

/** edk2's working block, and what it was before its queue had the same form for 32 and 64 bits. */
const SIGNATURE: Guid = "9e58292b-7c68-497d-a0ce-6500fd9f1b95";
const OLD_SIGNATURE: Guid = "fff12b8d-7696-4c8b-a985-2747075b4f50";

export const FTW_HEADER_SIZE = 32;
const WRITE_HEADER_SIZE = 40;
const RECORD_SIZE = 40;

/** One write of the queue that is made so that a loss of power harms nothing: first to the spare area, then where it belongs. */
export interface FtwWrite {
	/** Bytes from the start of the working block. */
	readonly offset: number;
	readonly caller: Guid;
	readonly records: readonly FtwRecord[];
	readonly complete: boolean;
}

export interface FtwRecord {
	/** Block of the destination, and bytes from its start. */
	readonly lba: number;
	readonly offset: number;
	/** Bytes. */
	readonly length: number;
	/** The spare area has all of it. */
	readonly spareComplete: boolean;
	readonly destinationComplete: boolean;
}

export interface FtwBlock {
	readonly valid: boolean;
	readonly checksumGood: boolean;
	/** Bytes of the queue behind the header. */
	readonly queueSize: number;
	readonly writes: readonly FtwWrite[];
}

/** The working block at the beginning of `bytes`; undefined where there is none. Bits that are 0 are set: flash is written so. */
export function parseFtw(bytes: Uint8Array): FtwBlock | undefined {
	const signature = guidAt(bytes, 0);
	if (bytes.length < FTW_HEADER_SIZE || (signature !== SIGNATURE && signature !== OLD_SIGNATURE)) return undefined;
	const state = u8At(bytes, 20);
	// The checksum counts itself and the state as they were when the block was erased.
	const header = Uint8Array.from(bytes.subarray(0, FTW_HEADER_SIZE)).fill(0xff, 16, 21);
	const queueSize = u64At(bytes, 24);
	return {
		valid: (state & 3) === 2,
		checksumGood: crc32(header) === u32At(bytes, 16),
		queueSize,
		writes: writesOf(bytes.subarray(0, FTW_HEADER_SIZE + queueSize)),
	};
}

/** Whether the firmware will take something up again at its next start: it is in the spare area, but not yet where it belongs. */
export function interruptedWrite(block: FtwBlock): FtwRecord | undefined {
	const last = block.writes.at(-1);
	if (last === undefined || last.complete) return undefined;
	return last.records.find(({ spareComplete, destinationComplete }) => spareComplete && !destinationComplete);
}

/** What the queue says, for people. */
export function ftwText(block: FtwBlock): string {
	const pending = interruptedWrite(block);
	const state = block.valid ? "valid" : "not valid";
	const queue = block.writes.length === 0 ? "no writes" : plural(block.writes.length, "write");
	return pending === undefined ? `${state}, ${queue}` : `${state}, ${queue}, the last one interrupted`;
}

function writesOf(bytes: Uint8Array): readonly FtwWrite[] {
	const writes: FtwWrite[] = [];
	for (let at = FTW_HEADER_SIZE; at + WRITE_HEADER_SIZE <= bytes.length; ) {
		if (isFilled(bytes.subarray(at, at + WRITE_HEADER_SIZE), 0xff)) break;
		const state = u8At(bytes, at);
		const count = u64At(bytes, at + 24);
		const privateSize = u64At(bytes, at + 32);
		const size = WRITE_HEADER_SIZE + count * (RECORD_SIZE + privateSize);
		const whole = (state & 1) === 0 && (state & 2) === 0 && at + size <= bytes.length;
		const records = whole ? recordsOf(bytes, at + WRITE_HEADER_SIZE, count, RECORD_SIZE + privateSize) : [];
		writes.push({ offset: at, caller: guidAt(bytes, at + 4), records, complete: (state & 4) === 0 });
		if (!whole) break;
		at += size;
	}
	return writes;
}

function recordsOf(bytes: Uint8Array, start: number, count: number, stride: number): readonly FtwRecord[] {
	return Array.from({ length: count }, (_, i) => {
		const at = start + i * stride;
		const state = u8At(bytes, at);
		return {
			lba: u64At(bytes, at + 8),
			offset: u64At(bytes, at + 16),
			length: u64At(bytes, at + 24),
			spareComplete: (state & 2) === 0,
			destinationComplete: (state & 4) === 0,
		};
	});
}
