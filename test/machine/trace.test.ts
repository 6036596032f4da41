import { expect, test } from "vitest";
import { Machine, machineConfig, nullSink, RomWriteJournal, silentLogger } from "../../src/index.ts";
import {
	bigReal,
	type Code,
	exit,
	once,
	outByte,
	outLong,
	storeFar,
	storeWord,
	temporaryFiles,
	tinyRom,
} from "../support/tiny-rom.ts";

const file = temporaryFiles();

const HANDLER = 0x1000;
/** One of everything that can be traced: an interrupt, PAM, flash commands, a firmware item, a PCI register, a reset. */
const EVERYTHING: Code = [
	...bigReal,
	...[...storeWord(0x20, HANDLER), ...storeWord(0x22, 0xf000)],
	...[...outByte(0x20, 0x11), ...outByte(0x21, 0x08), ...outByte(0x21, 0x04), ...outByte(0x21, 0x01)],
	...[...outByte(0x21, 0xfe), ...outByte(0x43, 0x34), ...outByte(0x40, 0x10), ...outByte(0x40, 0x00)],
	// sti; hlt; cli
	...[0xfb, 0xf4, 0xfa],
	...[...outLong(0xcf8, 0x80000058), ...outByte(0xcfe, 0x33)],
	...[...storeFar(0xfffe0000, 0x90), ...storeFar(0xfffe0000, 0xff)],
	// mov ax, 5; mov dx, 0x510; out dx, ax
	...[0xb8, 0x05, 0x00, 0xba, 0x10, 0x05, 0xef],
	...once(outByte(0xcf9, 0x06)),
	...exit(0),
];
/** mov al, 0x20; out 0x20, al; iret */
const END_OF_INTERRUPT: Code = [0xb0, 0x20, 0xe6, 0x20, 0xcf];

async function traced(trace: string): Promise<[category: string, line: string][]> {
	const said: [string, string][] = [];
	const config = machineConfig({
		bios: file("rom", tinyRom(EVERYTHING, { [HANDLER]: END_OF_INTERRUPT })),
		flash: file("flash", new Uint8Array(0x10000).fill(0xff)),
		memory: "1M",
		trace,
		"max-instructions": "100000",
	});
	const machine = new Machine(config, {
		serial: [{ output: nullSink }],
		debugcon: nullSink,
		log: silentLogger,
		romWrites: new RomWriteJournal(),
		trace: (category, line) => said.push([category, line]),
	});
	expect((await machine.run()).end).toEqual({ kind: "debug-exit", value: 0 });
	return said;
}

test.each([
	["exits", /^\d+ mmio at f000:/],
	["ports", /^\d+ out 0x0021 <- 0xfe \(pic8259\)$/],
	["interrupts", /^\d+ vector 0x08$/],
	["pci", /^\d+ write 00:00\.0 0x5a <- 0x33$/],
	["slots", /^\d+ create \d: 0x000c0000\.\.0x000c7fff writable$/],
	["mmio", /^\d+ write 0xfffe0000 <- 0x00000090 \(system\.flash0\)$/],
	["flash", /^\d+ system\.flash0 write 0x000000 <- 0x00000090$/],
	["flash", /^\d+ system\.flash0 command mode$/],
	["fw-cfg", /^\d+ select 0x0005 cpus, 2 bytes$/],
	["resets", /^\d+ cf9 at f000:/],
])("--trace %s says %s, and nothing else is said", async (category, line) => {
	const said = await traced(category);
	expect(said.map(([, text]) => text)).toContainEqual(expect.stringMatching(line));
	expect(new Set(said.map(([name]) => name))).toEqual(new Set([category]));
});

test("without --trace nothing is said", async () => {
	expect(await traced("none")).toEqual([]);
});
