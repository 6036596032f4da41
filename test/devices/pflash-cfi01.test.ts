import { describe, expect, test } from "vitest";
import type { FlashEvent } from "../../src/devices/pflash-events.ts";
import { deviceContract } from "../support/device-contract.ts";
import { createFlash } from "../support/flash.ts";

const SECTOR = 4096;

/** A flash of four sectors holding 0, 1, 2, .. 255, 0, .. with everything it tells. */
function create({ sectors = 4, readonly = false } = {}) {
	const { device, ...rest } = createFlash({ blocks: [{ count: sectors, size: SECTOR }], readonly });
	return { flash: device, ...rest };
}

describe("CFI01 status", () => {
	test("after reset: ready, the same in every 16 bits of a doubleword", () => {
		const { write, read } = create();
		write(0, 0x70);
		expect([read(0), read(5), read(0, 2), read(0, 4)]).toEqual([0x80, 0x80, 0x80, 0x0080_0080]);
	});

	test("cleared: zero, and the array is readable at once", () => {
		const { romd, write, read } = create();
		write(0, 0x50);
		expect([read(0x12), romd]).toEqual([0x12, []]);
		write(0, 0x70);
		expect(read(0)).toBe(0);
	});

	test("OVMF's probe sees a flash: original byte, then status 0, then the array again", () => {
		const { romd, write, read } = create();
		write(0x10, 0x50);
		expect(read(0x10)).toBe(0x10);
		write(0x10, 0x70);
		expect(read(0x10)).toBe(0x00);
		write(0x10, 0xff);
		expect([read(0x10), romd]).toEqual([0x10, [false, true]]);
	});

	test("a read-only flash collects program and erase errors until cleared", () => {
		const { bytes, store, write, read } = create({ readonly: true });
		const before = bytes.slice();
		write(0x20, 0x40, 0x00);
		expect(read(0)).toBe(0x90);
		write(0x20, 0x20, 0xd0);
		expect(read(0)).toBe(0xb0);
		write(0, 0x50, 0x70);
		expect(read(0)).toBe(0x00);
		expect([bytes, store.calls.filter((call) => call !== "flush")]).toEqual([before, []]);
	});
});

describe("CFI01 program and erase", () => {
	test.each([0x10, 0x40])("command %i programs the byte that follows, and reads give the status", (command) => {
		const { bytes, store, write, read } = create();
		write(0x12, command, 0xed);
		expect([bytes[0x12], read(0x12), store.calls]).toEqual([0xed, 0x80, ["write 12+1"]]);
		write(0, 0xff);
		expect([read(0x12), store.calls]).toEqual([0xed, ["write 12+1", "flush"]]);
	});

	test("a doubleword data cycle programs four bytes", () => {
		const { flash, write, read } = create();
		write(0x100, 0x10);
		flash.write(0x100, 4, 0x1122_3344);
		write(0, 0xff);
		expect([read(0x100, 4), read(0x104)]).toEqual([0x1122_3344, 0x04]);
	});

	test("a doubleword command is its low byte; its upper half as a second cycle is the data, as for a quadword", () => {
		const { flash, write, read } = create();
		flash.write(0x200, 4, 0x10);
		flash.write(0x204, 4, 0);
		write(0, 0xff);
		expect([read(0x200, 4), read(0x204, 4)]).toEqual([0x0302_0100, 0]);
	});

	test("a data cycle across the end programs what exists", () => {
		const { bytes, flash, write } = create();
		write(0, 0x40);
		flash.write(bytes.length - 2, 4, 0x4433_2211);
		expect([...bytes.subarray(-3)]).toEqual([0xfd, 0x11, 0x22]);
	});

	test("erase fills its sector at the first cycle and is flushed when confirmed", () => {
		const { bytes, store, write, read } = create();
		write(SECTOR + 0x123, 0x20);
		expect([read(0), store.calls]).toEqual([0x80, [`write 1000+${SECTOR}`]]);
		write(SECTOR + 0x123, 0xd0);
		expect([read(0), store.calls.at(-1)]).toEqual([0x80, "flush"]);
		expect(bytes.subarray(SECTOR, 2 * SECTOR).every((byte) => byte === 0xff)).toBe(true);
		expect([bytes[SECTOR - 1], bytes[2 * SECTOR + 1]]).toEqual([0xff, 0x01]);
	});

	test.each([0xff, 0x33])(
		"erase followed by %i instead of a confirmation returns to the array, already erased",
		(second) => {
			const { write, read } = create();
			write(1, 0x20, second);
			expect(read(1)).toBe(0xff);
			write(1, 0x70);
			expect(read(1)).toBe(0x80);
		},
	);

	test.each([0x00, 0xf0, 0xff, 0xe9, 0xb0])("command %i reads the array", (command) => {
		const { romd, write, read } = create();
		write(0, 0x70, command);
		expect([read(0x34), romd]).toEqual([0x34, [false, true]]);
	});

	test.each([
		[0xd0, 0x80],
		[0x01, 0x80],
		[0xff, 0x34],
		[0x2f, 0x34],
	])("lock setup followed by %i: reads give %i", (second, value) => {
		const { write, read } = create();
		write(0, 0x60, second);
		expect(read(0x34)).toBe(value);
	});
});

describe("CFI01 buffer write", () => {
	test("count plus one data cycles, then the confirmation commits them all", () => {
		const { bytes, store, write, read } = create();
		write(0x300, 0xe8);
		expect(read(0x300)).toBe(0x80);
		write(0x300, 2);
		write(0x302, 0xa1);
		write(0x303, 0xa2);
		write(0x304, 0xa3);
		expect([bytes[0x302], store.calls]).toEqual([0x02, []]);
		write(0x300, 0xd0);
		expect([...bytes.subarray(0x301, 0x306)]).toEqual([0x01, 0xa1, 0xa2, 0xa3, 0x05]);
		expect([read(0), store.calls]).toEqual([0x80, ["write 302+3"]]);
	});

	test("anything but a confirmation aborts", () => {
		const { bytes, write, read } = create();
		write(0x300, 0xe8, 0, 0xaa, 0xff);
		expect([bytes[0x300], read(0x301)]).toEqual([0x00, 0x01]);
	});

	test("data outside the window of the first is a program error and nothing is programmed", () => {
		const { bytes, write, read } = create();
		write(0x300, 0xe8, 1, 0xaa);
		write(0x400, 0xbb);
		expect(read(0)).toBe(0x90);
		write(0x300, 0xd0);
		expect([bytes[0x300], bytes[0x400], read(0x401)]).toEqual([0x00, 0x00, 0x01]);
	});
});

describe("CFI01 query", () => {
	/** Every byte that is not 0, as QEMU answers for a flash of 0x84000 bytes with 4 KiB sectors. */
	const TABLE =
		"10:51 11:52 12:59 13:01 15:31 1b:45 1c:55 1f:07 20:07 21:0a 23:04 24:04 25:04 27:0e 28:02 2a:08 2c:01 2d:83 2f:10 31:50 32:52 33:49 34:31 35:30 3f:01";

	test("the table is QEMU's, at every multiple of 256 and one byte whatever the width", () => {
		const { write, read } = create({ sectors: 0x84 });
		write(0x55, 0x98);
		const hex = (byte: number): string => byte.toString(16).padStart(2, "0");
		const table = Array.from({ length: 256 }, (_, at) => [at, read(at)] as const);
		expect(table.flatMap(([at, byte]) => (byte ? [`${hex(at)}:${hex(byte)}`] : [])).join(" ")).toBe(TABLE);
		expect([read(0x1010), read(0x10, 2), read(0x10, 4)]).toEqual([0x51, 0x51, 0x51]);
	});

	test("only FF leaves it", () => {
		const { write, read } = create();
		write(0, 0x98, 0xf0, 0x70, 0x90);
		expect(read(0x10)).toBe(0x51);
		write(0, 0xff);
		expect(read(0x10)).toBe(0x10);
	});

	test("identifiers are 0 on a PC, and commands still work", () => {
		const { write, read } = create();
		write(0, 0x90);
		expect([read(0), read(1), read(2, 4)]).toEqual([0, 0, 0]);
		write(0, 0x70);
		expect(read(0)).toBe(0x80);
	});
});

describe("CFI01 bookkeeping", () => {
	test("statistics count bytes, erases and switches of direct reads", () => {
		const { flash, write } = create();
		write(0, 0x10, 0xaa);
		write(1, 0x10, 0xbb);
		write(0, 0xff, 0x20, 0xd0, 0xff);
		expect(flash.statistics).toEqual({
			programmedBytes: 2,
			erasedBlocks: 1,
			romdSwitches: 4,
		});
	});

	test("reset in the middle of a command: direct reads, flushed", () => {
		const { flash, romd, store, write, read } = create();
		write(0, 0x40);
		flash.reset();
		expect([read(0x20), romd, store.calls]).toEqual([0x20, [false, true], ["flush"]]);
		write(0, 0x70);
		expect(read(0)).toBe(0x80);
	});

	test("a loaded state continues the command it was saved in", () => {
		const source = create();
		source.write(0x300, 0xe8, 0, 0xaa);
		const target = create();
		target.flash.load(JSON.parse(JSON.stringify(source.flash.save())));
		expect(target.romd).toEqual([false]);
		target.write(0x300, 0xd0);
		expect(target.bytes[0x300]).toBe(0xaa);
	});
});

describe("CFI01 observer", () => {
	const command = { offset: 0x10 };
	const romd = (on: boolean): FlashEvent => ({ kind: "romd", on });

	test.each<[string, number[], boolean, FlashEvent[]]>([
		["array", [0xff], false, [{ kind: "read-array", ...command }]],
		["identifier", [0x90], false, [{ kind: "read-id", ...command }, romd(false)]],
		["query", [0x98], false, [{ kind: "cfi-query", ...command }, romd(false)]],
		["status", [0x70], false, [{ kind: "read-status", ...command }, romd(false)]],
		["clearing the status", [0x50], false, [{ kind: "clear-status", ...command }]],
		["an unknown command", [0xe9], false, [{ kind: "unknown", ...command, cycles: [0xe9] }]],
		[
			"two programs",
			[0x40, 0x0f, 0x10, 0x01],
			false,
			[
				romd(false),
				{ kind: "program", ...command, bytes: Uint8Array.of(0x0f), before: Uint8Array.of(0x10) },
				{ kind: "program", ...command, bytes: Uint8Array.of(0x01), before: Uint8Array.of(0x0f) },
			],
		],
		[
			"a refused program",
			[0x40, 0x0f],
			true,
			[
				romd(false),
				{ kind: "program", ...command, bytes: Uint8Array.of(0x0f), before: Uint8Array.of(0x10) },
				{ kind: "error", ...command, status: 0x10, reason: "readonly" },
			],
		],
		[
			"a buffer",
			[0xe8, 0, 0xaa, 0xd0],
			false,
			[romd(false), { kind: "program-buffer", ...command, bytes: Uint8Array.of(0xaa), before: Uint8Array.of(0x10) }],
		],
		["an erase", [0x20, 0xd0], false, [{ kind: "erase", block: 0, offset: 0, length: SECTOR }, romd(false)]],
		[
			"locks",
			[0x60, 0x01, 0x60, 0xd0],
			false,
			[
				romd(false),
				{ kind: "lock", action: "lock", block: 0, offset: 0, length: SECTOR },
				{ kind: "lock", action: "unlock", block: 0, offset: 0, length: SECTOR },
			],
		],
		[
			"a second cycle that is none",
			[0x60, 0x33],
			false,
			[romd(false), { kind: "unknown", ...command, cycles: [0x60, 0x33] }, romd(true)],
		],
	])("is told of %s", (_, cycles, readonly, expected) => {
		const { events, write } = create({ readonly });
		write(0x10, ...cycles);
		expect(events).toEqual(expected);
	});
});

deviceContract("pflash-cfi01", () => ({ device: create().flash }), { span: SECTOR });
