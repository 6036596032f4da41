import { expect, test } from "vitest";
import { runMachine } from "../support/run-machine.ts";
import {
	bigReal,
	exit,
	hlt,
	inByte,
	outByte,
	outLong,
	say,
	sayAl,
	sti,
	storeFar,
	storeWord,
	temporaryFiles,
	tinyRom,
} from "../support/tiny-rom.ts";

const file = temporaryFiles();
const HANDLER = 0x1000;
const MEMORY = 0xff000000;

test("pc-testdev keeps bytes at its ports and in its memory, and raises interrupts", async () => {
	// Line 5 as vector 0x0d of the 8259, with every other one masked.
	const pic = [
		[0x20, 0x11],
		[0x21, 0x08],
		[0x21, 0x04],
		[0x21, 0x01],
		[0x21, 0xdf],
	].flatMap(([port, value]) => outByte(port!, value!));
	const vector = [...storeWord(4 * 0x0d, HANDLER), ...storeWord(4 * 0x0d + 2, 0xf000)];
	// mov al, [MEMORY + 2]
	const load = [0x67, 0xa0, 2, 0, 0, 0xff];
	const code = [
		...[...bigReal, ...vector, ...pic, ...outLong(0xe0, 0x41424344), ...inByte(0xe1), ...sayAl],
		...[...storeFar(MEMORY, 0x61626364), ...load, ...sayAl],
		...[...sti, ...outByte(0x2005, 1), ...hlt, ...exit(1)],
	];
	const bios = file("rom", tinyRom(code, { [HANDLER]: [...say("!"), ...exit(0)] }));
	const { outcome, debugcon } = await runMachine({ bios, device: "pc-testdev", "max-instructions": "1M" });
	expect([outcome.end, debugcon]).toEqual([{ kind: "debug-exit", value: 0 }, "Cb!"]);
});
