import { expect, test } from "vitest";
import { Machine, machineConfig, nullSink, RomWriteJournal, silentLogger } from "../../src/index.ts";
import type { TraceEvent } from "../../src/machine/outcome.ts";
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
const HANDLER_UD = 0x1010;
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
	// ud2, whose handler goes on behind it
	...[...storeWord(0x18, HANDLER_UD), ...storeWord(0x1a, 0xf000), 0x0f, 0x0b],
	// mov ax, 5; mov dx, 0x510; out dx, ax
	...[0xb8, 0x05, 0x00, 0xba, 0x10, 0x05, 0xef],
	...once(outByte(0xcf9, 0x06)),
	...exit(0),
];
/** mov al, 0x20; out 0x20, al; iret */
const END_OF_INTERRUPT: Code = [0xb0, 0x20, 0xe6, 0x20, 0xcf];
/** push bp; mov bp, sp; add word [bp+2], 2; pop bp; iret: goes on behind UD2. */
const SKIP_TWO: Code = [0x55, 0x89, 0xe5, 0x83, 0x46, 0x02, 0x02, 0x5d, 0xcf];

async function traced(trace: string): Promise<TraceEvent[]> {
	const said: TraceEvent[] = [];
	const config = machineConfig({
		bios: file("rom", tinyRom(EVERYTHING, { [HANDLER]: END_OF_INTERRUPT, [HANDLER_UD]: SKIP_TWO })),
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
		trace: (event) => said.push(event),
	});
	expect((await machine.run()).end).toEqual({ kind: "debug-exit", value: 0 });
	return said;
}

test.each<[TraceEvent["category"], string, Record<string, unknown>]>([
	["exits", "mmio", { at: expect.stringMatching(/^f000:/) }],
	["ports", "out", { port: "0x0021", value: "0xfe", device: "pic8259" }],
	["interrupts", "interrupt", { vector: "0x08" }],
	["exceptions", "#UD", { code: "0x0", at: expect.stringMatching(/^f000:/) }],
	["instructions", "done", { linear: expect.stringMatching(/^0xf/), bytes: "cf", instruction: "iret" }],
	["tlb", "write", { linear: "0xfffe0000", gpa: "0xfffe0000" }],
	["tlb", "fetch", { linear: "0xfffffff0", gpa: "0xfffffff0" }],
	["pci", "write", { function: "00:00.0", register: "0x5a", value: "0x33" }],
	["slots", "create", { first: "0x000c0000", last: "0x000c7fff", access: "writable" }],
	["mmio", "write", { gpa: "0xfffe0000", value: "0x00000090", device: "system.flash0" }],
	["flash", "write", { unit: "system.flash0", offset: "0x000000", value: "0x00000090" }],
	["flash", "command mode", { unit: "system.flash0" }],
	["fw-cfg", "select", { key: "0x0005", name: "cpus", bytes: 2 }],
	["resets", "cf9", { at: expect.stringMatching(/^f000:/) }],
])("--trace %s says %s, and nothing else is said", async (category, event, fields) => {
	const said = await traced(category);
	expect(said).toContainEqual({
		category,
		event,
		instructions: expect.any(Number),
		timeNs: expect.any(Number),
		fields: expect.objectContaining(fields),
	});
	expect(new Set(said.map((each) => each.category))).toEqual(new Set([category]));
});

test("without --trace nothing is said", async () => {
	expect(await traced("none")).toEqual([]);
});

test("--trace instructions tells every instruction once, in order, and changes nothing", async () => {
	const said = await traced("instructions,resets");
	const counts = said.filter(({ category }) => category === "instructions").map(({ instructions }) => instructions);
	expect(counts.length).toBeGreaterThan(50);
	expect(counts).toEqual(counts.toSorted((a, b) => a - b));
	const [reset] = said.filter(({ category }) => category === "resets");
	const [same] = await traced("resets");
	expect(reset).toEqual(same);
});

test.each([
	["ports:0x20-0x21", ({ fields }: TraceEvent) => ["0x0020", "0x0021"].includes(String(fields["port"]))],
	["ports:0x21", ({ fields }: TraceEvent) => fields["port"] === "0x0021"],
	["mmio:0xfffe0000+4", ({ fields }: TraceEvent) => fields["gpa"] === "0xfffe0000"],
	["mmio:0xfee00000+4096", () => false],
	["pci:0x80000058+4", ({ fields }: TraceEvent) => fields["function"] === "00:00.0"],
	["pci:0x8000005c", () => false],
	["tlb:0xfffe0000-0xfffe0fff", ({ fields }: TraceEvent) => fields["linear"] === "0xfffe0000"],
	["instructions:0xf1000+16", ({ fields }: TraceEvent) => /^0xf100/.test(String(fields["linear"]))],
	["fw-cfg:5", ({ fields }: TraceEvent) => fields["name"] === "cpus"],
])("--trace %s says only what has its address there", async (trace, isThere) => {
	const said = await traced(trace);
	const all = await traced(trace.replace(/:.*/, ""));
	expect(said.map(({ fields }) => fields)).toEqual(all.filter(isThere).map(({ fields }) => fields));
	expect(all.length).toBeGreaterThan(0);
});
