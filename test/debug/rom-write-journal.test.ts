import { describe, expect, it } from "vitest";
import type { RomWrite } from "../../src/debug/rom-write.ts";
import { RomWriteJournal, romWriteLine } from "../../src/debug/rom-write-journal.ts";
import type { Explainer } from "../../src/debug/rom-writes/row.ts";
import { ROM_WRITE as write } from "../support/rom-write.ts";

describe("a ROM write as a line", () => {
	it("names target, value, what the ROM holds, instruction, mode, privilege, instruction count and time", () => {
		expect(romWriteLine(write)).toBe(
			"ROM write: 0xfffc0010 (bios) <- 0x5a, 1 byte; it holds 0xff, by f000:0100 (linear 0xf0100) mov [bx], al, in real mode, CPL 0, after 1,234 instructions, 5.68 us",
		);
	});

	it("shows a 32-bit store as a little-endian number and the code as 32-bit code", () => {
		const wide = {
			...write,
			size: 4,
			storeSize: 4,
			data: Uint8Array.of(4, 3, 2, 1),
			old: Uint8Array.of(0xa, 0xb, 0xc, 0xd),
			mode: "prot32",
			rip: 0xfff00n,
			code: Uint8Array.of(0x89, 0x07),
		} as const;
		expect(romWriteLine(wide)).toContain(
			"<- 0x01020304, 4 bytes; it holds 0x0d0c0b0a, by f000:000fff00 (linear 0xf0100) mov [edi], eax",
		);
	});

	it("shows a store of three bytes byte by byte, and tells the part of a larger store", () => {
		const three = { ...write, size: 3, data: Uint8Array.of(1, 2, 3), old: Uint8Array.of(4, 5, 6) };
		expect(romWriteLine({ ...three, storeSize: 3 })).toContain("<- 01 02 03, 3 bytes; it holds 04 05 06,");
		expect(romWriteLine({ ...three, storeSize: 8 })).toContain("<- 01 02 03, 3 bytes of a store of 8;");
	});

	it("says (bad) where the code bytes are no instruction", () => {
		expect(romWriteLine({ ...write, code: Uint8Array.of() })).toContain("(bad), in real mode");
	});

	it("says that a store faulted, and that its value is not known then", () => {
		expect(romWriteLine({ ...write, data: undefined, faulted: true })).toContain(
			"<- a value not yet known, 1 byte; it holds 0xff, #GP(0), by",
		);
	});

	it.each([
		[{ kind: "descriptor" }, "by the processor, marking a descriptor, for f000:0100"],
		[{ kind: "page-walk" }, "by page walks, setting accessed and dirty bits, first for f000:0100"],
		[{ kind: "delivery", vector: 8 }, "by the delivery of vector 8, first at f000:0100"],
		[{ kind: "dma", device: "IDE" }, "by DMA of IDE, the processor first near f000:0100"],
	] as const)("names who stores where it is no instruction: %j", (by, text) => {
		expect(romWriteLine({ ...write, by })).toContain(text);
	});
});

describe("the journal", () => {
	it("says nothing when nothing was written", () => {
		expect(new RomWriteJournal().summary()).toEqual([]);
	});

	it("folds a loop's stores into one row with its range, first and last", () => {
		const journal = new RomWriteJournal();
		for (let at = 0; at < 3000; at++) {
			journal.record({ ...write, gpa: write.gpa + at, instructions: 1234 + at, timeNs: 5678 + at });
		}
		expect(journal.summary()).toEqual([
			"ROM writes: 3,000 stores from 1 instruction; the ROM is unchanged",
			"  0xfffc0010..0xfffc0bc7 (bios) <- first 0x5a, 1 byte; it holds 0xff, 3,000 times",
			"    by f000:0100 (linear 0xf0100) mov [bx], al, in real mode, CPL 0",
			"    after 1,234 instructions, 5.68 us to 4,233 instructions, 8.68 us",
		]);
		const [row] = journal.toJSON().rows;
		expect(row).toMatchObject({
			count: 3000,
			bytes: 3000,
			ranges: [{ first: "0xfffc0010", last: "0xfffc0bc7", count: 3000 }],
			last: { gpa: "0xfffc0bc7", instructions: 4233, timeNs: 8677 },
			timeline: { slotNs: 1000, counts: [0, 0, 0, 0, 0, 322, 1000, 1000, 678] },
		});
		expect(row!.samples.map(({ gpa }) => gpa)).toEqual(
			[0, 1, 2, 3, 4, 5, 6, 7].map((n) => `0x${(write.gpa + n).toString(16)}`),
		);
	});

	it("keeps instructions apart that take turns, and one instruction that runs in two modes", () => {
		const journal = new RomWriteJournal();
		for (let turn = 0; turn < 4; turn++) journal.record({ ...write, linear: turn % 2 === 0 ? 0xf0100n : 0xf0200n });
		journal.record({ ...write, mode: "prot16" });
		expect(journal.toJSON().rows.map(({ count, linear, mode }) => [count, linear, mode])).toEqual([
			[2, "0xf0100", "real"],
			[2, "0xf0200", "real"],
			[1, "0xf0100", "prot16"],
		]);
	});

	it("folds what is no instruction's own by who did it", () => {
		const journal = new RomWriteJournal();
		const by = (writer: RomWrite["by"], linear: bigint): void => journal.record({ ...write, by: writer, linear });
		for (const linear of [1n, 2n]) {
			by({ kind: "page-walk" }, linear);
			by({ kind: "dma", device: "IDE" }, linear);
			by({ kind: "dma", device: "fw_cfg" }, linear);
			by({ kind: "delivery", vector: 13 }, linear);
		}
		expect(journal.toJSON().rows.map(({ by, count, device, vector }) => [by, count, device ?? vector])).toEqual([
			["page-walk", 2, undefined],
			["dma", 2, "IDE"],
			["dma", 2, "fw_cfg"],
			["delivery", 2, 13],
		]);
	});

	it("counts flash commands apart, and a summary leaves them out", () => {
		const journal = new RomWriteJournal();
		journal.record({ ...write, region: "flash 0", command: "program" });
		journal.record({ ...write, region: "flash 0", command: "erase" });
		expect(journal.summary()).toEqual([]);
		expect(journal.toJSON()).toMatchObject({
			stores: 0,
			commands: 2,
			rows: [{ command: "program" }, { command: "erase" }],
		});
	});

	it("copies what it keeps, because the machine reuses its record", () => {
		const reused = { ...write, data: Uint8Array.of(1), old: Uint8Array.of(9), code: write.code.slice() };
		const journal = new RomWriteJournal();
		journal.record(reused);
		reused.data[0] = 2;
		reused.old[0] = 8;
		reused.code.fill(0xcc);
		expect(journal.toJSON().rows[0]).toMatchObject({
			instruction: "mov [bx], al",
			samples: [{ value: "01", old: "09" }],
			last: { value: "01", old: "09" },
		});
	});

	it("stays bounded when every store comes from another instruction, and counts them all", () => {
		const journal = new RomWriteJournal();
		for (let at = 0; at < 2500; at++) journal.record({ ...write, linear: BigInt(at) });
		const { stores, unlisted, rows } = journal.toJSON();
		expect([stores, unlisted, rows.length]).toEqual([2500, { stores: 1500, commands: 0 }, 1000]);
		expect(journal.summary().slice(-2)).toEqual([
			"  and 980 stores from 980 more instructions: --result FILE keeps them",
			"  and 1,500 stores from further instructions",
		]);
	});

	it("rows of stores remain possible when flash commands have filled theirs", () => {
		const journal = new RomWriteJournal();
		for (let at = 0; at < 1500; at++) journal.record({ ...write, command: "program", linear: BigInt(at) });
		journal.record(write);
		const { unlisted, rows } = journal.toJSON();
		expect([unlisted, rows.at(-1)!.command]).toEqual([{ stores: 0, commands: 500 }, undefined]);
	});

	it("logs each store as it happens and counts exact repeats", () => {
		const lines: string[] = [];
		const journal = new RomWriteJournal({ log: (line) => lines.push(line) });
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

describe("call stacks", () => {
	/** The stack pointer says which of the callers it was. */
	const explainer = (looks: number[]): Explainer => ({
		place: (address) => ({ symbol: "store", offset: Number(address - 0xf00f0n) }),
		stack: ({ stackPointer }) => {
			looks.push(stackPointer);
			return [
				{ address: 0xf0100n, how: "exact", place: { symbol: "store", offset: 0x10, file: "a.c", line: 3 } },
				{ address: BigInt(stackPointer), how: "cfi", place: { symbol: `caller${stackPointer}`, offset: 4 } },
			];
		},
	});

	it("are looked at when the stack pointer moves and at powers of two, and are told apart", () => {
		const looks: number[] = [];
		const journal = new RomWriteJournal({ explainer: explainer(looks) });
		for (let n = 0; n < 100; n++) journal.record({ ...write, stackPointer: n < 50 ? 1 : 2 });
		// Stores 1, 2, 4, 8, 16 and 32; 51 and 64.
		expect(looks).toEqual([1, 1, 1, 1, 1, 1, 2, 2]);
		const [row] = journal.toJSON().rows;
		expect(row!.stacks.map(({ seen, frames }) => [seen, frames[1]!.place?.symbol])).toEqual([
			[6, "caller1"],
			[2, "caller2"],
		]);
		expect(journal.summary().slice(3, 5)).toEqual(["    in store+0x10 (a.c:3)", "    called from caller1+0x4"]);
	});

	it("stay bounded where every store has another one", () => {
		const looks: number[] = [];
		const journal = new RomWriteJournal({ explainer: explainer(looks) });
		for (let n = 0; n < 10_000; n++) journal.record({ ...write, stackPointer: n + 1 });
		const [row] = journal.toJSON().rows;
		expect([looks.length, row!.stacks.length, row!.stacksLeftOut, row!.count]).toEqual([64, 8, true, 10_000]);
	});
});
