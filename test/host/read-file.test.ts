import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { UserError } from "../../src/base/errors.ts";
import { readImage } from "../../src/host/read-file.ts";

const folder = mkdtempSync(join(tmpdir(), "tsvmm-image-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, bytes: Uint8Array): string {
	const path = join(folder, name);
	writeFileSync(path, bytes);
	return path;
}

describe("an image", () => {
	it("is read as a whole, up to the limit exactly", () => {
		const bytes = Uint8Array.from({ length: 5000 }, (_, at) => at & 0xff);
		expect(Buffer.from(readImage(file("rom", bytes), "--bios", 5000)).equals(bytes)).toBe(true);
	});

	it.each([
		["none", "does not exist"],
		[".", "is a folder, not a file"],
		["rom/part", "does not exist (a part of its path is not a folder)"],
	])("%s %s", (name, problem) => {
		const path = join(folder, name);
		expect(() => readImage(path, "--bios", 100_000)).toThrow(new UserError(`--bios: ${path} ${problem}`));
	});

	it("that is empty is a mistake", () => {
		const path = file("empty", new Uint8Array());
		expect(() => readImage(path, "--bios", 100)).toThrow(new UserError(`--bios: ${path} is empty`));
	});

	it("that is too long is not read at all", () => {
		const path = file("long", new Uint8Array(101));
		expect(() => readImage(path, "--bios", 100)).toThrow(
			new UserError(`--bios: ${path} is 101 bytes long; at most 100 are possible`),
		);
	});

	it("may come from something that does not know its length, within the limit", () => {
		expect(() => readImage("/dev/zero", "--bios", 100_000)).toThrow(
			new UserError("--bios: /dev/zero is longer than the 100000 bytes that are possible"),
		);
		expect(() => readImage("/dev/null", "--bios", 100)).toThrow(new UserError("--bios: /dev/null is empty"));
	});
});
