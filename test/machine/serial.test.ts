import { expect, test } from "vitest";
import { QueuedSource } from "../../src/host/stdin.ts";
import { Machine, machineConfig, nullSink, RomWriteJournal, silentLogger } from "../../src/index.ts";
import { RecordedBytes } from "../support/lines.ts";
import { type Code, exit, outByte, storeWord, temporaryFiles, tinyRom } from "../support/tiny-rom.ts";

const file = temporaryFiles();

const HANDLER = 0x1000;
/** mov dx, 0x3f8; in al, dx; out dx, al; inc byte [0x600]; mov al, 0x20; out 0x20, al; iret */
const ECHO: Code = [0xba, 0xf8, 0x03, 0xec, 0xee, 0xfe, 0x06, 0x00, 0x06, 0xb0, 0x20, 0xe6, 0x20, 0xcf];
/** COM1's interrupt is vector 12; the guest echoes what comes and sleeps in between, until it has seen `count` bytes. */
const echo = (count: number): Code => [
	...[...storeWord(0x30, HANDLER), ...storeWord(0x32, 0xf000), ...storeWord(0x600, 0)],
	...[...outByte(0x20, 0x11), ...outByte(0x21, 0x08), ...outByte(0x21, 0x04), ...outByte(0x21, 0x01)],
	...[...outByte(0x21, 0xef), ...outByte(0x3fc, 0x08), ...outByte(0x3f9, 0x01)],
	// sti; again: hlt; cmp byte [0x600], count; jb again
	...[0xfb, 0xf4, 0x80, 0x3e, 0x00, 0x06, count, 0x72, 0xf8],
	...exit(0),
];

test.each(["instructions", "host"])(
	"the guest sleeps until something is typed, and hears all of it (clock: %s)",
	async (clock) => {
		const input = new QueuedSource();
		const output = new RecordedBytes();
		const bios = file("rom", tinyRom(echo(5), { [HANDLER]: ECHO }));
		const machine = new Machine(machineConfig({ bios, memory: "1M", timeout: "20s", clock }), {
			serial: [{ output, input }],
			debugcon: nullSink,
			log: silentLogger,
			romWrites: new RomWriteJournal(),
		});
		setTimeout(() => input.push(Buffer.from("he")), 30);
		setTimeout(() => input.push(Buffer.from("llo")), 60);
		const started = process.cpuUsage();
		const { end } = await machine.run();
		expect([end, output.text]).toEqual([{ kind: "debug-exit", value: 0 }, "hello"]);
		expect(process.cpuUsage(started).user).toBeLessThan(5e6);
	},
);

test("a guest that waits for input that has ended halts for good", async () => {
	const input = new QueuedSource();
	const bios = file("rom", tinyRom(echo(5), { [HANDLER]: ECHO }));
	const machine = new Machine(machineConfig({ bios, memory: "1M", timeout: "20s" }), {
		serial: [{ output: nullSink, input }],
		debugcon: nullSink,
		log: silentLogger,
		romWrites: new RomWriteJournal(),
	});
	input.push(Buffer.from("abc"));
	input.end();
	expect((await machine.run()).end).toMatchObject({ kind: "halted" });
});

test("a machine that sleeps can be stopped", async () => {
	const bios = file("rom", tinyRom(echo(5), { [HANDLER]: ECHO }));
	const machine = new Machine(machineConfig({ bios, memory: "1M", timeout: "20s" }), {
		serial: [{ output: nullSink, input: new QueuedSource() }],
		debugcon: nullSink,
		log: silentLogger,
		romWrites: new RomWriteJournal(),
	});
	setTimeout(() => machine.stop({ kind: "signal", signal: "SIGINT" }), 30);
	const started = performance.now();
	expect((await machine.run()).end).toEqual({ kind: "signal", signal: "SIGINT" });
	expect(performance.now() - started).toBeLessThan(15_000);
});

test("four serial ports answer at their places", async () => {
	const outputs = [0, 1, 2, 3].map(() => new RecordedBytes());
	const bios = file(
		"rom",
		tinyRom([
			...[...outByte(0x3f8, 0x31), ...outByte(0x2f8, 0x32), ...outByte(0x3e8, 0x33), ...outByte(0x2e8, 0x34)],
			...exit(0),
		]),
	);
	const config = machineConfig({ bios, memory: "1M", serial: ["stdio", "null", "null", "null"] });
	const host = { debugcon: nullSink, log: silentLogger, romWrites: new RomWriteJournal() };
	await new Machine(config, { ...host, serial: outputs.map((output) => ({ output })) }).run();
	expect(outputs.map(({ text }) => text)).toEqual(["1", "2", "3", "4"]);
});
