import { describe, expect, test } from "vitest";
import { FlashLog } from "../../src/cli/flash-log/flash-log.ts";
import { GLOBAL_VENDOR } from "../../src/uefi/guid-names.ts";
import { parseVariableStore } from "../../src/uefi/variable-store.ts";
import { VariableWriter } from "../../src/uefi/variable-writer.ts";
import { createFlash } from "../support/flash.ts";
import { variableFlash } from "../support/uefi-image.ts";

const STORE = 72;
const SIZE = 15 * 256 - STORE;

/** A flash with variables, a guest that programs it byte by byte as OVMF does, and a log of it. */
function setUp({ json = false, readonly = false, blank = false } = {}) {
	const contents = blank ? new Uint8Array(8192).fill(0xff) : variableFlash();
	const { bytes: cells, events, ...flash } = createFlash({ blocks: [{ count: 32, size: 256 }], contents, readonly });
	const lines: string[] = [];
	let instructions = 0;
	const machine = {
		get moment() {
			instructions += 10;
			return { timeNs: instructions, instructions, cs: 0x38, rip: 0x7000n };
		},
		flashCells: () => cells,
	};
	const log = new FlashLog(
		() => machine,
		json,
		(line) => lines.push(line),
	);
	const write = (offset: number, ...values: number[]): void => {
		for (const value of values) {
			flash.write(offset, value);
			for (const event of events.splice(0)) log.record(1, event);
		}
	};
	const program = (offset: number, bytes: Uint8Array): void => {
		for (const [i, byte] of bytes.entries()) write(offset + i, 0x10, byte);
		write(offset, 0xff);
	};
	const writer = new VariableWriter(
		{
			bytes: cells.subarray(STORE, STORE + SIZE),
			program: (offset, bytes) => program(STORE + offset, bytes),
			replace: () => expect.unreachable(),
		},
		"flash",
	);
	/** Lines without time and place. */
	const said = (): string[] => {
		log.finish();
		return lines.map((line) => line.replace(/^.* {2}flash/, "flash"));
	};
	return { cells, write, program, writer, lines, log, said };
}

const value = (name: string, ...data: number[]) => ({
	guid: GLOBAL_VENDOR,
	name,
	attributes: 7,
	data: Uint8Array.from(data),
});
const noise = (line: string): boolean => !/read array|reads/.test(line);

describe("what the guest writes to a store of variables", () => {
	test("is told in terms of the variable, also before its name is there", () => {
		const { cells, writer, said } = setUp();
		writer.set(value("BootOrder", 1, 0));
		writer.set(value("BootOrder", 2, 0));
		expect(parseVariableStore(cells.subarray(STORE))?.records).toHaveLength(2);
		expect(said().filter(noise)).toEqual([
			"flash 1: program 60 bytes at 0x64: header of variable BootOrder",
			"flash 1: program 1 byte at 0x66: state of variable BootOrder: header valid only",
			"flash 1: program 22 bytes at 0xa0: name and data of variable BootOrder",
			"flash 1: program 1 byte at 0x66: state of variable BootOrder: added",
			"flash 1: program 1 byte at 0x66: state of variable BootOrder: being replaced",
			"flash 1: program 60 bytes at 0xb8: header of variable BootOrder",
			"flash 1: program 1 byte at 0xba: state of variable BootOrder: header valid only",
			"flash 1: program 22 bytes at 0xf4: name and data of variable BootOrder",
			"flash 1: program 1 byte at 0xba: state of variable BootOrder: added",
			"flash 1: program 1 byte at 0x66: state of variable BootOrder: deleted",
			"flash 1: 170 bytes programmed, 20 ROMD switches, nothing erased",
		]);
	});

	test("a header whose name never comes is not held back for ever", () => {
		const { program, said } = setUp();
		program(0x64, Uint8Array.of(0xaa, 0x55, 0xff, 0, 7, 0, 0, 0));
		expect(said()[1]).toBe("flash 1: program 8 bytes at 0x64: header of a variable");
	});

	test("elsewhere: volume, working block, its queue, spare area", () => {
		const { program, said } = setUp();
		program(0x10, Uint8Array.of(1));
		program(0x48, Uint8Array.of(1));
		const queue = new Uint8Array(40).fill(0xff);
		queue[0] = 0xfc;
		queue[24] = 1;
		queue.fill(0, 25, 40);
		program(0xf20, queue);
		program(0xf48, new Uint8Array(40).fill(0, 8));
		program(0xf48, Uint8Array.of(0xfd));
		program(0xf20, Uint8Array.of(0xf8));
		program(0x1000, new Uint8Array(256).fill(0));
		expect(said().filter(noise).slice(0, -1)).toEqual([
			"flash 1: program 1 byte at 0x10: header of the volume",
			"flash 1: program 1 byte at 0x48: header of the store of variables",
			"flash 1: program 40 bytes at 0xf20: queue of fault-tolerant writes",
			"flash 1: program 40 bytes at 0xf48: queue of fault-tolerant writes",
			"flash 1: program 1 byte at 0xf48: fault-tolerant write: safe in the spare area",
			"flash 1: program 1 byte at 0xf20: fault-tolerant write: complete",
			"flash 1: program 256 bytes at 0x1000: spare area, copy of 0x0",
		]);
	});

	test("a flash without variables is told in bytes", () => {
		const { program, said } = setUp({ blank: true });
		program(0x100, Uint8Array.of(1, 2, 3));
		expect(said().filter(noise)[0]).toBe("flash 1: program 3 bytes at 0x100");
	});

	test("a volume that is made during the run is found", () => {
		const { program, said } = setUp({ blank: true });
		program(0x2000 - 256, Uint8Array.of(1));
		program(0, variableFlash().subarray(0, 100));
		program(0x64, Uint8Array.of(0xaa));
		expect(said().filter(noise).slice(1, 3)).toEqual([
			"flash 1: program 100 bytes at 0x0: header of the volume",
			"flash 1: program 1 byte at 0x64: variables",
		]);
	});
});

describe("commands", () => {
	test("erases are counted by block, repeats are one line, refusals say why", () => {
		const { write, said } = setUp({ readonly: true });
		write(0, 0x70, 0x70, 0x70, 0x70);
		write(0x300, 0x20, 0xd0);
		write(0, 0xff);
		const lines = said();
		// The first one switches ROMD off, which comes between.
		expect(lines).toContain("flash 1: read status, 3 times");
		expect(lines).toContainEqual(expect.stringMatching(/^flash 1: refused \(it is read-only\), status 0x/));
	});

	test("the end says how often each block was erased, and how much the whole was", () => {
		const { write, said } = setUp();
		for (const block of [3, 3, 4, 5, 5]) {
			write(block * 256, 0x20, 0xd0);
		}
		write(0, 0xff);
		expect(said().filter(noise)).toEqual([
			"flash 1: erase block 3 (0x300 to 0x3ff)",
			"flash 1: erase block 3 (0x300 to 0x3ff), time 2",
			"flash 1: erase block 4 (0x400 to 0x4ff)",
			"flash 1: erase block 5 (0x500 to 0x5ff)",
			"flash 1: erase block 5 (0x500 to 0x5ff), time 2",
			"flash 1: 0 bytes programmed, 2 ROMD switches, erased: block 3 2 times, block 4 once, block 5 2 times",
		]);
	});
});

test("lines of JSON have all that text has", () => {
	const { program, lines, log } = setUp({ json: true });
	program(
		0x10,
		Uint8Array.from({ length: 20 }, (_, i) => i),
	);
	log.finish();
	const place = { timeNs: 20, instructions: 20, cs: "0x38", ip: "0x7000", unit: 1 };
	expect(lines.map((line) => JSON.parse(line)).slice(1)).toEqual([
		{
			...place,
			kind: "program",
			offset: 16,
			length: 20,
			bytes: "000102030405060708090a0b0c0d0e0f",
			more: true,
			meaning: "header of the volume",
		},
		{ ...place, timeNs: 30, instructions: 30, kind: "read-array", offset: 16 },
		{ ...place, timeNs: 40, instructions: 40, kind: "romd", on: true },
		{ unit: 1, kind: "total", programmedBytes: 20, romdSwitches: 2, erases: {} },
	]);
});
