import { describe, expect, test } from "vitest";
import { join, u64 } from "../../src/base/bytes.ts";
import { ftwText, interruptedWrite, parseFtw } from "../../src/uefi/ftw.ts";
import { guidBytes } from "../../src/uefi/guid.ts";
import { workingBlock } from "../support/uefi-image.ts";

const CALLER = "11111111-2222-3333-4444-555555555555";

/** A queue with one write of one record, whose bits of state are 0 where they are set. */
function queued(write: number, record: number): Uint8Array {
	const block = workingBlock(512);
	const blanks = new Uint8Array(7).fill(0xff);
	const head = join(
		Uint8Array.of(write),
		blanks.subarray(0, 3),
		guidBytes(CALLER),
		blanks.subarray(0, 4),
		u64(1),
		u64(0),
	);
	const body = join(Uint8Array.of(record), blanks, u64(0), u64(0x48), u64(0x3ffb8), u64(0x42000));
	block.set(join(head, body), 32);
	return block;
}

describe("the working block of fault-tolerant writes", () => {
	test("an empty queue", () => {
		const block = parseFtw(workingBlock(512));
		expect(block).toEqual({ valid: true, checksumGood: true, queueSize: 480, writes: [] });
		expect(ftwText(block!)).toBe("valid, no writes");
	});

	test("a write that is done", () => {
		const block = parseFtw(queued(0xf8, 0xf9))!;
		expect(block.writes).toEqual([
			{
				offset: 32,
				caller: CALLER,
				complete: true,
				records: [{ lba: 0, offset: 0x48, length: 0x3ffb8, spareComplete: true, destinationComplete: true }],
			},
		]);
		expect(interruptedWrite(block)).toBeUndefined();
	});

	test.each([
		["described only: what is there is good", 0xff, false],
		["in the spare area: the firmware will go on", 0xfd, true],
		["in its place, but not crossed out", 0xf9, false],
	])("a write that was interrupted, %s", (_where, record, resumes) => {
		const block = parseFtw(queued(0xfc, record))!;
		expect(interruptedWrite(block) !== undefined).toBe(resumes);
		expect(ftwText(block)).toBe(`valid, 1 write${resumes ? ", the last one interrupted" : ""}`);
	});

	test("no block, a wrong checksum, a queue that does not fit", () => {
		expect(parseFtw(new Uint8Array(512))).toBeUndefined();
		const bad = workingBlock(512);
		bad[30] = 1;
		expect(parseFtw(bad)?.checksumGood).toBe(false);
		const long = queued(0xfc, 0xff);
		long.set(u64(2 ** 40), 32 + 24);
		expect(parseFtw(long)?.writes).toMatchObject([{ records: [] }]);
	});
});
