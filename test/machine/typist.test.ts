import { expect, test } from "vitest";
import { QueuedSource } from "../../src/host/stdin.ts";
import { Machine, machineConfig, nullSink, RomWriteJournal, silentLogger } from "../../src/index.ts";
import { strokes } from "../../src/machine/pc/typist.ts";
import { RecordedBytes } from "../support/lines.ts";
import { temporaryFiles, tinyRom } from "../support/tiny-rom.ts";

const file = temporaryFiles();

test.each([
	["a", [{ key: 0x1e }]],
	["A", [{ key: 0x1e, shift: true }]],
	["~ ", [{ key: 0x29, shift: true }, { key: 0x39 }]],
	["\r\x7f\t", [{ key: 0x1c }, { key: 0x0e }, { key: 0x0f }]],
	[
		"\x01\x1a",
		[
			{ key: 0x1e, control: true },
			{ key: 0x2c, control: true },
		],
	],
	["\x1b", [{ key: 0x01 }]],
	["\x1b[A\x1bOB\x1b[3~", [{ key: 0xe048 }, { key: 0xe050 }, { key: 0xe053 }]],
	["\x1bOP\x1b[24~", [{ key: 0x3b }, { key: 0x58 }]],
	["\x1bx", [{ key: 0x2d, alt: true }]],
	["\xe9", []],
])("what a terminal sends, %j, is typed with the keys of a US keyboard", (text, keys) => {
	expect(strokes(Buffer.from(text, "latin1"))).toEqual(keys);
});

test("what comes in arrives at port 0x60 as scan codes", async () => {
	// again: in al, 0x64; test al, 1; jz again; in al, 0x60; out 0xe9, al; cmp al, 0xf0; jne again; out 0xf4, 0
	const rom = tinyRom([
		...[0xe4, 0x64, 0xa8, 0x01, 0x74, 0xfa, 0xe4, 0x60, 0xe6, 0xe9, 0x3c, 0xf0, 0x75, 0xf2],
		...[0xb0, 0x00, 0xe6, 0xf4],
	]);
	const keyboard = new QueuedSource();
	const debugcon = new RecordedBytes();
	keyboard.push(Buffer.from("T\r"));
	const config = machineConfig({ bios: file("rom", rom), memory: "1M", display: "text", "max-guest-time": "1s" });
	const machine = new Machine(config, {
		serial: [{ output: nullSink }],
		debugcon,
		keyboard,
		log: silentLogger,
		romWrites: new RomWriteJournal(),
	});
	await machine.run();
	expect(debugcon.bytes).toEqual([0x12, 0x2c, 0xf0]);
});
