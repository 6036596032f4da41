import { expect, test } from "vitest";
import { ManualClock } from "../../../src/bus/clock.ts";
import { devfn } from "../../../src/bus/pci.ts";
import { Piix4Pm } from "../../../src/devices/pci/piix4-pm.ts";
import { RecordedLine } from "../../support/lines.ts";
import { pcFunctions, RecordedPower, RecordedWindow } from "./pc-functions.ts";

/** Rows of 16 bytes that are not all 0, as QEMU 7.2 `-M pc,smm=off -nodefaults` gives them through ports 0xCF8 and 0xCFC. */
const FUNCTIONS: [string, number, string[]][] = [
	[
		"00:00.0",
		devfn(0, 0),
		[
			"00: 86 80 37 12 00 00 00 00 02 00 00 06 00 00 00 00",
			"20: 00 00 00 00 00 00 00 00 00 00 00 00 f4 1a 00 11",
			"50: 00 00 00 00 00 00 00 10 00 00 00 00 00 00 00 00",
			"70: 00 00 02 00 00 00 00 00 00 00 00 00 00 00 00 00",
		],
	],
	[
		"00:01.0",
		devfn(1, 0),
		[
			"00: 86 80 00 70 00 00 00 02 00 00 01 06 00 00 80 00",
			"20: 00 00 00 00 00 00 00 00 00 00 00 00 f4 1a 00 11",
			"40: 00 00 00 00 00 00 00 00 00 00 00 00 4d 00 03 00",
			"60: 80 80 80 80 00 00 00 00 00 02 00 00 00 00 00 00",
			"70: 80 00 00 00 00 00 0c 0c 02 00 00 00 00 00 00 00",
			"a0: 08 00 00 00 00 00 00 00 0f 00 00 00 00 00 00 00",
		],
	],
	[
		"00:01.1",
		devfn(1, 1),
		["00: 86 80 10 70 00 00 80 02 00 80 01 01 00 00 00 00", "20: 01 00 00 00 00 00 00 00 00 00 00 00 f4 1a 00 11"],
	],
	[
		"00:01.3",
		devfn(1, 3),
		[
			"00: 86 80 13 71 00 00 80 02 03 00 80 06 00 00 00 00",
			"20: 00 00 00 00 00 00 00 00 00 00 00 00 f4 1a 00 11",
			"30: 00 00 00 00 00 00 00 00 00 00 00 00 00 01 00 00",
			"40: 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00",
			"50: 00 00 00 00 00 00 00 00 00 00 00 02 00 00 00 10",
			"60: 00 00 00 60 00 00 00 00 00 00 00 00 00 00 00 00",
			"90: 01 b1 00 00 00 00 00 00 00 00 00 00 00 00 00 00",
			"d0: 00 00 09 00 00 00 00 00 00 00 00 00 00 00 00 00",
		],
	],
];

const hex = (byte: number): string => byte.toString(16).padStart(2, "0");

function rows(read: (offset: number) => number): string[] {
	const all = Array.from({ length: 16 }, (_, row) => Array.from({ length: 16 }, (_, i) => read(row * 16 + i)));
	return all.flatMap((bytes, row) =>
		bytes.some((byte) => byte !== 0) ? [`${hex(row * 16)}: ${bytes.map(hex).join(" ")}`] : [],
	);
}

/** What a byte of configuration space reads after ones and after zeros were written to it. */
function writableBits(read: () => number, write: (value: number) => void): number {
	const before = read();
	write(0xff);
	const ones = read();
	write(0);
	const zeros = read();
	write(before);
	return ones & ~zeros;
}

test.each(FUNCTIONS)("%s after power-on has QEMU's configuration space", (_name, at, expected) => {
	const { bus } = pcFunctions(new ManualClock());
	expect(rows((offset) => bus.readConfig(at, offset, 1))).toEqual(expected);
});

test.each(FUNCTIONS)("%s after writes everywhere and a reset has it again", (_name, at, expected) => {
	const { bus } = pcFunctions(new ManualClock());
	for (let offset = 0; offset < 256; offset += 4) bus.writeConfig(at, offset, 4, 0xffff_ffff);
	bus.at(at)!.reset();
	expect(rows((offset) => bus.readConfig(at, offset, 1))).toEqual(expected);
});

test.each([
	// Ones lock the SMRAM register.
	["00:00.0", devfn(0, 0), ["72: 00"]],
	["00:01.0", devfn(1, 0), []],
	["00:01.1", devfn(1, 1), []],
	["00:01.3", devfn(1, 3), []],
] as [string, number, string[]][])("%s takes writes to the bytes QEMU's takes", (_name, at, narrower) => {
	const { bus } = pcFunctions(new ManualClock());
	const mask = (offset: number) =>
		writableBits(
			() => bus.readConfig(at, offset, 1),
			(value) => bus.writeConfig(at, offset, 1, value),
		);
	const header = Array.from({ length: 64 }, (_, offset) => offset).flatMap((offset) => {
		const bits = mask(offset);
		return bits ? [`${hex(offset)}: ${hex(bits)}`] : [];
	});
	const bar = at === devfn(1, 1) ? ["20: f0", "21: ff", "22: ff", "23: ff"] : [];
	expect(header).toEqual(["04: 07", "05: 05", "0c: ff", ...bar, "3c: ff"]);
	const others = Array.from({ length: 192 }, (_, i) => 64 + i).filter((offset) => mask(offset) !== 0xff);
	expect(others.map((offset) => `${hex(offset)}: ${hex(mask(offset))}`)).toEqual(narrower);
});

test("PIIX4 tells firmware which serial and parallel ports the machine has", () => {
	const pm = new Piix4Pm({
		clock: new ManualClock(),
		power: new RecordedPower(),
		sci: new RecordedLine(),
		window: new RecordedWindow(),
		legacy: { lpt1: true, com1: true, com2: true },
	});
	expect([pm.read(0x5f, 1), pm.read(0x63, 1), pm.read(0x67, 1)]).toEqual([0x90, 0x60, 0x98]);
});
