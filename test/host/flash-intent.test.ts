import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FlashFile } from "../../src/host/flash-file.ts";
import { intentBytes, intentOf, progressOf, readIntent } from "../../src/host/flash-intent.ts";

const SIZE = 0x8000;
const OFFSET = 0x2000;
const LENGTH = 0x4000;

let folder: string;
let path: string;

beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "tsvmm-intent-"));
	path = join(folder, "vars.fd");
});
afterEach(() => rmSync(folder, { recursive: true }));

const intact = (): Buffer => Buffer.from(Array.from({ length: SIZE }, (_, at) => (at * 7 + (at >> 8)) & 0x7f));
/** The block erased up to `end`. */
const erased = (end: number, start = OFFSET): Buffer => intact().fill(0xff, start, end);
const intent = intentBytes(intentOf(intact(), OFFSET, new Uint8Array(LENGTH).fill(0xff)));

/** What opening `image` beside `left` gives, and what becomes of both files. */
function open(image: Uint8Array, left: Uint8Array, readonly = false) {
	writeFileSync(path, image);
	writeFileSync(`${path}.intent`, left);
	const file = new FlashFile(path, {
		...{ what: "--flash", readonly, sectorSize: 4096, limit: SIZE },
		failed: (problem) => expect.fail(problem),
	});
	const memory = Buffer.alloc(file.size);
	try {
		file.load(memory);
	} finally {
		file.close();
	}
	return { memory, file: readFileSync(path), intentLeft: existsSync(`${path}.intent`) };
}

describe("an image with an intent file beside it", () => {
	test("whose erase was interrupted: it is completed, in place", () => {
		writeFileSync(path, erased(0x3000));
		const { ino } = statSync(path);
		const { memory, file, intentLeft } = open(erased(0x3000), intent);
		expect(memory.equals(erased(OFFSET + LENGTH))).toBe(true);
		expect(file.equals(memory)).toBe(true);
		expect([statSync(path).ino, intentLeft]).toEqual([ino, false]);
	});

	test("which is only read: it is completed in memory, and the files stay", () => {
		const { memory, file, intentLeft } = open(erased(0x5000), intent, true);
		expect(memory.equals(erased(OFFSET + LENGTH))).toBe(true);
		expect(file.equals(erased(0x5000))).toBe(true);
		expect(intentLeft).toBe(true);
	});

	const other = intact();
	other[0] = 0xee;
	const programmed = erased(OFFSET + LENGTH);
	programmed[0x2345] = 0x12;
	const flipped = Uint8Array.from(intent);
	flipped[100] = intent[100]! ^ 1;
	test.each([
		["an erase that never began", intact(), intent],
		["an erase that was completed", erased(OFFSET + LENGTH), intent],
		["a block that has been programmed since", programmed, intent],
		["another image", other, intent],
		["another image, half erased", Buffer.from(other).fill(0xff, OFFSET, 0x3000), intent],
		["a shorter image", erased(0x3000).subarray(0, 0x7000), intent],
		["an intent that was cut off", erased(0x3000), intent.subarray(0, -1)],
		["a corrupt intent", erased(0x3000), flipped],
		["an empty file", intact(), new Uint8Array(0)],
		["a file of something else", intact(), Buffer.from("not an intent, but longer than one needs to be".repeat(20))],
		["an intent that was crossed out", erased(0x3000), Uint8Array.from(intent).fill(0, 0, 32)],
	])("%s: the image is as it is, and the intent file goes", (_, image, left) => {
		expect(open(image, left, true)).toMatchObject({ intentLeft: true });
		const { memory, file, intentLeft } = open(image, left);
		expect(memory.equals(image)).toBe(true);
		expect(file.equals(image)).toBe(true);
		expect(intentLeft).toBe(false);
	});

	test("with later parts of the change and not its start: an error names the file, and nothing changes", () => {
		const image = erased(OFFSET + LENGTH, 0x4000);
		for (const readonly of [true, false]) {
			expect(() => open(image, intent, readonly)).toThrow(
				`--flash: ${path} may be damaged: ${path}.intent tells of a change that a run could not finish`,
			);
			expect(readFileSync(path).equals(image)).toBe(true);
			expect(Buffer.compare(readFileSync(`${path}.intent`), intent)).toBe(0);
		}
	});
});

describe("an intent", () => {
	test("of bytes that differ keeps them all", () => {
		const after = Uint8Array.from({ length: 0x1800 }, (_, at) => at & 0xff);
		const written = intentOf(intact(), 0x1234, after);
		const bytes = intentBytes(written);
		expect(readIntent(bytes)).toEqual(written);
		const image = intact();
		expect(progressOf(written, image)).toBe("before");
		image.set(after.subarray(0, 0x1000), 0x1234);
		expect(progressOf(written, image)).toBe("torn");
		image.set(after, 0x1234);
		expect(progressOf(written, image)).toBe("after");
	});

	test("is not read from any part of itself, nor with any byte changed", () => {
		for (let length = 0; length < intent.length; length += 7) {
			expect(readIntent(intent.subarray(0, length))).toBeUndefined();
		}
		for (let at = 0; at < intent.length; at++) {
			const changed = Uint8Array.from(intent);
			changed[at] = intent[at]! ^ 0x80;
			expect(readIntent(changed), `byte ${at}`).toBeUndefined();
		}
	});
});
