import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { MACHINE_ENGINES, runMachine } from "../support/run-machine.ts";
import { bigReal, type Code, exit, sayAl, temporaryFiles, tinyRom } from "../support/tiny-rom.ts";

const SIZE = 0x4000;
/** Directly below a ROM of 64 KiB. */
const FLASH = 2 ** 32 - 0x1_0000 - SIZE;

const u32 = (value: number): Code => [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
/** mov byte [flash + offset], value */
const store = (offset: number, value: number): Code => [0x67, 0xc6, 0x05, ...u32(FLASH + offset), value];
const cycles = (...all: readonly (readonly [number, number])[]): Code => all.flatMap(([at, value]) => store(at, value));
/** mov al, [flash + offset] and say it */
const sayByte = (offset: number): Code => [0x67, 0xa0, ...u32(FLASH + offset), ...sayAl];
/** L: test byte [flash + offset], 80h; jz L */
const untilBit7 = (offset: number): Code => [0x67, 0xf6, 0x05, ...u32(FLASH + offset), 0x80, 0x74, 0xf6];

const file = temporaryFiles();
const counted = (size = SIZE): Uint8Array => Uint8Array.from({ length: size }, (_, at) => at);

describe.each(MACHINE_ENGINES)("a guest on the %s engine", (engine) => {
	const run = async (keys: string, code: Code) => {
		const flash = file("flash.bin", counted());
		const rom = file("rom.bin", tinyRom([...bigReal, ...code, ...exit(0)]));
		const { outcome, debugcon } = await runMachine({ bios: rom, flash: [`${flash},${keys}`], memory: "2M", engine });
		return {
			end: outcome.end,
			flash: outcome.flash,
			said: Buffer.from(debugcon, "latin1"),
			bytes: readFileSync(flash),
		};
	};

	test("programs and erases AMD chips, polling bit 7", async () => {
		const unlock = (at: number, value: number) =>
			[
				[0x555, 0xaa],
				[0x2aa, 0x55],
				[at, value],
			] as const;
		const { end, flash, said, bytes } = await run("command-set=amd,strict,timing", [
			...cycles(...unlock(0x555, 0xa0), [0x85, 0x84]),
			...untilBit7(0x85),
			...cycles(...unlock(0x555, 0x80), ...unlock(0x1000, 0x30)),
			...untilBit7(0x1000),
			...sayByte(0x85),
			...sayByte(0x1000),
		]);
		expect(end).toEqual({ kind: "debug-exit", value: 0 });
		expect([...said]).toEqual([0x84, 0xff]);
		expect([bytes[0x85], bytes[0x86], bytes[0xfff], bytes[0x1000], bytes[0x1fff], bytes[0x2000]]).toEqual([
			...[0x84, 0x86, 0xff, 0xff, 0xff, 0x00],
		]);
		expect(flash).toEqual([{ romdSwitches: 4, erasedBlocks: 1, programmedBytes: 1 }]);
	});

	test("unlocks and erases a large block of Intel chips, and cannot set bits", async () => {
		const { said, bytes } = await run("strict,timing,locked,blocks=2x4K+8K", [
			...cycles([0x2000, 0x20], [0x2000, 0xd0]),
			...sayByte(0x2000),
			...cycles([0, 0x50], [0x2000, 0x60], [0x2000, 0xd0], [0x2000, 0x20], [0x2000, 0xd0]),
			...untilBit7(0),
			...cycles([0x3000, 0x40], [0x3000, 0x0f]),
			...untilBit7(0),
			...cycles([0x3000, 0x40], [0x3000, 0xf0]),
			...untilBit7(0),
			...cycles([0, 0xff]),
			...sayByte(0x3000),
		]);
		expect([...said]).toEqual([0xa2, 0x00]);
		expect([bytes[0x1fff], bytes[0x2000], bytes[0x3000], bytes[0x3fff]]).toEqual([0xff, 0xff, 0x00, 0xff]);
		expect([bytes[0x1001], bytes[0x2001]]).toEqual([0x01, 0xff]);
	});
});

test.each([
	["blocks=8K", 0x3000, "blocks=8K does not divide its 12288 bytes"],
	["blocks=2x4K", 0x3000, "blocks=2x4K does not divide its 12288 bytes"],
	["blocks=2x4K+4K", 0x2000, "blocks=2x4K+4K does not divide its 8192 bytes"],
	["blocks=1x4K+8K", 0x3000, "blocks=1x4K+8K puts blocks of 8K where none can begin"],
	["strict,bank-width=32,device-width=8,blocks=512", 0x1000, "gives each of 4 chips less than 256 bytes of a block"],
])("flash with %s of %i bytes is refused", async (keys, size, message) => {
	const flash = file("odd.bin", counted(size));
	const rom = file("exit.bin", tinyRom(exit(0)));
	const run = runMachine({ bios: rom, flash: [`${flash},${keys}`], memory: "2M" });
	await expect(run).rejects.toThrow(new RegExp(`^--flash: ${flash}: .*${message.replaceAll("+", "\\+")}`));
});
