import { expect, test } from "vitest";
import { MACHINE_ENGINES, runMachine } from "../support/run-machine.ts";
import { type Code, exit, outByte, say, sayAl, sti, storeWord, temporaryFiles, tinyRom } from "../support/tiny-rom.ts";

const file = temporaryFiles();

/** Both 8259s from scratch: interrupt 13 is vector 0x75; only it and the cascade are open. */
const PIC: Code = [
	...[...outByte(0x20, 0x11), ...outByte(0xa0, 0x11)],
	...[...outByte(0x21, 0x08), ...outByte(0xa1, 0x70)],
	...[...outByte(0x21, 0x04), ...outByte(0xa1, 0x02)],
	...[...outByte(0x21, 0x01), ...outByte(0xa1, 0x01)],
	...[...outByte(0x21, 0xfb), ...outByte(0xa1, 0xdf)],
];
const HANDLER = 0x800;
/** mov word [0x600], control; fninit; fldcw [0x600]: zero divides are not masked. */
const OPEN: Code = [...storeWord(0x600, 0x37b), 0xdb, 0xe3, 0xd9, 0x2e, 0x00, 0x06];
/** fld1; fldz; fdivp */
const DIVIDE: Code = [0xd9, 0xe8, 0xd9, 0xee, 0xde, 0xf9];
const FWAIT: Code = [0x9b];
/** out 0xf0, al; fldz, which IGNNE# lets through; fnclex; end of interrupt; iret */
const IGNORING: Code = [
	...say("!"),
	...outByte(0xf0, 0),
	...[0xd9, 0xee],
	...say("i"),
	...[0xdb, 0xe2],
	...[...outByte(0xa0, 0x20), ...outByte(0x20, 0x20)],
	0xcf,
];

test.each(MACHINE_ENGINES)("an x87 error is interrupt 13 at the next instruction that waits, on %s", async (engine) => {
	const vectors = [...storeWord(0x75 * 4, HANDLER), ...storeWord(0x75 * 4 + 2, 0xf000)];
	const stack: Code = [0xbc, 0x00, 0x70];
	const code = [
		...[...stack, ...vectors, ...PIC, ...OPEN, ...sti],
		...[...say("a"), ...DIVIDE, ...say("b"), ...FWAIT, ...say("c")],
		// fnstsw ax: no error is left.
		...[0xdf, 0xe0, 0x24, 0x80, 0x04, 0x30, ...sayAl],
		...exit(0),
	];
	const bios = file("rom", tinyRom(code, { [HANDLER]: IGNORING }));
	const { debugcon } = await runMachine({ bios, memory: "2M", "max-instructions": "1M", engine });
	expect(debugcon).toBe("ab!ic0");
});
