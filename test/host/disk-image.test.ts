import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { DiskImage, type DiskImageOptions } from "../../src/host/disk-image.ts";

const folder = mkdtempSync(join(tmpdir(), "tsvmm-disk-"));
afterAll(() => rmSync(folder, { recursive: true }));

const SECTORS = 301;
const file = join(folder, "disk.img");
const lock = `${file}.lock`;
const OPTIONS: DiskImageOptions = { what: "--drive", readonly: false, keep: "now", unit: 512 };
const open = (options: Partial<DiskImageOptions> = {}, path = file) => new DiskImage(path, { ...OPTIONS, ...options });

/** Each byte is its sector's number modulo 251. */
function contents(): Uint8Array {
	return Uint8Array.from({ length: SECTORS * 512 }, (_, at) => Math.floor(at / 512) % 251);
}

function read(image: DiskImage, sector: number, sectors = 1): number[] {
	const bytes = new Uint8Array(sectors * 512);
	expect(image.read(sector, bytes)).toBe(true);
	return Array.from({ length: sectors }, (_, n) => bytes[n * 512 + 511]!);
}

const filled = (byte: number, sectors = 1) => new Uint8Array(sectors * 512).fill(byte);
const fileByte = (sector: number) => readFileSync(file)[sector * 512];

beforeEach(() => writeFileSync(file, contents()));

describe("a disk image", () => {
	test("reads small and large, across what it keeps, to its end", () => {
		const image = open();
		expect(image.sectors).toBe(SECTORS);
		expect([read(image, 0), read(image, 127, 2), read(image, 300)]).toEqual([[0], [127, 128], [300 % 251]]);
		expect(read(image, 5, 290)).toEqual(Array.from({ length: 290 }, (_, n) => (n + 5) % 251));
		image.close();
	});

	test("writes go to the file at once, and are read back", () => {
		const image = open();
		read(image, 9);
		expect(image.write(9, filled(0xee, 2))).toBe(true);
		expect([read(image, 8, 4), fileByte(9), fileByte(10), image.flush()]).toEqual([
			[8, 0xee, 0xee, 11],
			0xee,
			0xee,
			true,
		]);
		image.close();
	});

	test.each(["never", "at-close"] as const)("kept %s, writes are read back and the file stays as it is", (keep) => {
		const image = open({ keep });
		expect(image.write(7, filled(0xee))).toBe(true);
		expect(image.write(300, filled(0xdd))).toBe(true);
		expect(read(image, 0, 12)).toEqual([0, 1, 2, 3, 4, 5, 6, 0xee, 8, 9, 10, 11]);
		expect([read(image, 300), fileByte(7), fileByte(300)]).toEqual([[0xdd], 7, 300 % 251]);
		image.close();
		expect([fileByte(7), fileByte(6), fileByte(300)]).toEqual(keep === "never" ? [7, 6, 49] : [0xee, 6, 0xdd]);
		expect(readFileSync(file).length).toBe(SECTORS * 512);
	});

	test("is locked while it may be written, and only then", () => {
		const image = open();
		expect(existsSync(lock)).toBe(true);
		expect(() => open()).toThrow(/^--drive: .*disk.img is in use by this process already/);
		open({ keep: "never" }).close();
		open({ readonly: true }).close();
		image.close();
		image.close();
		expect(existsSync(lock)).toBe(false);
	});

	test("a file that has become shorter reads as an error", () => {
		const image = open({ readonly: true });
		truncateSync(file, 512);
		expect([image.read(0, new Uint8Array(512)), image.read(200, new Uint8Array(512))]).toEqual([false, false]);
		image.close();
	});

	test.each([
		["missing", "none.img", undefined, /none.img does not exist$/],
		["empty", "empty.img", 0, /empty.img is empty$/],
		["of a broken length", "odd.img", 700, /odd.img is 700 bytes long; a raw image is a multiple of 512 bytes$/],
		["a folder", ".", undefined, /--drive: .* is a (folder|directory)/],
	])("a file that is %s is an error", (_name, name, size, message) => {
		const path = join(folder, name);
		if (size !== undefined) writeFileSync(path, new Uint8Array(size));
		expect(() => open({}, path)).toThrow(message);
	});
});
