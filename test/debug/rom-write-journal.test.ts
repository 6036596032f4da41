import { describe, expect, it } from "vitest";
import type { RomWrite } from "../../src/debug/rom-write.ts";
import { RomWriteJournal, romWriteLine } from "../../src/debug/rom-write-journal.ts";

const write: RomWrite = {
	gpa: 0xfffc0010,
	data: Uint8Array.of(0x5a),
	region: "bios",
	cs: 0xf000,
	rip: 0x100n,
	linear: 0xf0100n,
	code: Uint8Array.of(0x88, 0x07, 0x90),
	mode: "real",
	instructions: 1234,
};

describe("a ROM write as a line", () => {
	it("names target, value, instruction, mode and instruction count", () => {
		expect(romWriteLine(write)).toBe(
			"ROM write: 0xfffc0010 (bios) <- 0x5a, 1 byte, by f000:0100 (linear 0xf0100) mov [bx], al, in real mode, after 1,234 instructions",
		);
	});

	it("shows a 32-bit store as a little-endian number and the code as 32-bit code", () => {
		const wide = {
			...write,
			data: Uint8Array.of(4, 3, 2, 1),
			mode: "prot32",
			rip: 0xfff00n,
			code: Uint8Array.of(0x89, 0x07),
		} as const;
		expect(romWriteLine(wide)).toContain("<- 0x01020304, 4 bytes, by f000:000fff00 (linear 0xf0100) mov [edi], eax");
	});

	it("shows a store of three bytes byte by byte", () => {
		expect(romWriteLine({ ...write, data: Uint8Array.of(1, 2, 3) })).toContain("<- 01 02 03, 3 bytes,");
	});

	it("says (bad) where the code bytes are no instruction", () => {
		expect(romWriteLine({ ...write, code: Uint8Array.of() })).toContain("(bad), in real mode");
	});
});

describe("the journal", () => {
	it("says nothing when nothing was written", () => {
		expect(new RomWriteJournal().summary()).toEqual([]);
	});

	it("folds a loop's stores into one entry with its range", () => {
		const journal = new RomWriteJournal();
		for (let at = 0; at < 3000; at++) journal.record({ ...write, gpa: write.gpa + at, instructions: 1234 + at });
		expect(journal.summary()).toEqual([
			"ROM writes: 3,000 stores from 1 instruction; the ROM is unchanged",
			"  0xfffc0010..0xfffc0bc7 (bios) <- first 0x5a, 1 byte, 3,000 times",
			"    by f000:0100 (linear 0xf0100) mov [bx], al, in real mode, after 1,234 instructions",
		]);
	});

	it("keeps two instructions apart that take turns", () => {
		const journal = new RomWriteJournal();
		for (let turn = 0; turn < 4; turn++) journal.record({ ...write, linear: turn % 2 === 0 ? 0xf0100n : 0xf0200n });
		expect(journal.toJSON()).toMatchObject({
			count: 4,
			by: [
				{ count: 2, linear: "0xf0100" },
				{ count: 2, linear: "0xf0200" },
			],
		});
	});

	it("copies what it keeps, because the machine reuses its record", () => {
		const reused = { ...write, data: Uint8Array.of(1), code: write.code.slice() };
		const journal = new RomWriteJournal();
		journal.record(reused);
		reused.data[0] = 2;
		reused.code.fill(0xcc);
		expect(journal.toJSON().by[0]).toMatchObject({ bytes: "01", instruction: "mov [bx], al" });
	});

	it("stays bounded when every store comes from another instruction, and counts them all", () => {
		const journal = new RomWriteJournal();
		for (let at = 0; at < 2500; at++) journal.record({ ...write, linear: BigInt(at) });
		const { count, unlisted, by } = journal.toJSON();
		expect([count, unlisted, by.length]).toEqual([2500, 1500, 1000]);
		expect(journal.summary().at(-1)).toBe("  and 1,500 stores from further instructions");
	});

	it("logs each store as it happens and counts exact repeats", () => {
		const lines: string[] = [];
		const journal = new RomWriteJournal((line) => lines.push(line));
		for (let turn = 0; turn < 3; turn++) journal.record({ ...write, instructions: turn });
		journal.record({ ...write, gpa: 0xffff0000 });
		journal.flush();
		expect(lines.map((line) => line.slice(0, 40))).toEqual([
			"ROM write: 0xfffc0010 (bios) <- 0x5a, 1 ",
			"ROM write: the same again, 2 times",
			"ROM write: 0xffff0000 (bios) <- 0x5a, 1 ",
		]);
	});
});
