import { expect, test } from "vitest";
import { runMachine } from "../support/run-machine.ts";
import { bigReal, type Code, exit, outByte, sayAl, storeFar, temporaryFiles, tinyRom } from "../support/tiny-rom.ts";

const file = temporaryFiles();

/** mov al, [0x100400]; out 0xe9, al */
const LOOK: Code = [0x67, 0xa0, 0x00, 0x04, 0x10, 0x00, ...sayAl];
const KEYBOARD_CLOSES = [...outByte(0x64, 0xd1), ...outByte(0x60, 0xdd)];
const KEYBOARD_OPENS = [...outByte(0x64, 0xd1), ...outByte(0x60, 0xdf)];

test("A20 is open after reset, and open while the keyboard controller or port 0x92 holds it open", async () => {
	const code = [
		...bigReal,
		...[...storeFar(0x400, 0x4c), ...storeFar(0x100400, 0x48)],
		...LOOK,
		...[...KEYBOARD_CLOSES, ...LOOK],
		...[...outByte(0x92, 0x02), ...LOOK],
		...[...KEYBOARD_OPENS, ...outByte(0x92, 0x00), ...LOOK],
		...[...KEYBOARD_CLOSES, ...LOOK],
		...exit(0),
	];
	const { debugcon } = await runMachine({ bios: file("rom", tinyRom(code)), memory: "2M", "max-instructions": "1M" });
	expect(debugcon).toBe("HLHHL");
});
