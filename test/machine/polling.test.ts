import { expect, test } from "vitest";
import { type MachineRun, runMachine } from "../support/run-machine.ts";
import {
	type Code,
	exit,
	outByte,
	outLong,
	sti,
	storeByte,
	storeWord,
	temporaryFiles,
	tinyRom,
} from "../support/tiny-rom.ts";

const file = temporaryFiles();
const PM_BASE = 0x600;
const HZ = 3_579_545;
const MS_10 = Math.floor(HZ / 100);

/** A PCI configuration register of the power management function. */
const config = (register: number, value: number): Code => [
	...outLong(0xcf8, 0x8000_0b00 + register),
	...outLong(0xcfc, value),
];
/** The timer's ports are there, DX is the timer's, EBX its count. */
const start: Code = [
	...config(0x40, PM_BASE + 1),
	...config(0x80, 1),
	...[0xba, (PM_BASE + 8) & 0xff, (PM_BASE + 8) >> 8, 0x66, 0xed, 0x66, 0x89, 0xc3],
];
/** again: `between`; in eax, dx; sub eax, ebx; cmp eax, counts; jb again */
const pollFor = (counts: number, between: Code = []): Code => [
	...[...between, 0x66, 0xed, 0x66, 0x29, 0xd8],
	...[0x66, 0x3d, counts & 0xff, (counts >> 8) & 0xff, (counts >> 16) & 0xff, counts >>> 24],
	...[0x72, 0xf3 - between.length],
];

/** Ends after 50 M instructions at the latest. */
function run(code: Code, more: Readonly<Record<number, Code>> = {}): Promise<MachineRun> {
	return runMachine({ bios: file("rom", tinyRom(code, more)), memory: "1M", "max-instructions": "50M" });
}

test("a guest that polls the ACPI timer waits few instructions, and at most an eighth too long", async () => {
	const before = (await run([...start, ...exit(0)])).outcome;
	const { end, instructions, guestTimeNs } = (await run([...start, ...pollFor(MS_10), ...exit(0)])).outcome;
	expect(end).toEqual({ kind: "debug-exit", value: 0 });
	const waited = guestTimeNs - before.guestTimeNs;
	expect(waited).toBeGreaterThanOrEqual((MS_10 * 1e9) / HZ);
	// Later by one step of at most 100 us, and by the read itself.
	expect(waited).toBeLessThan(10e6 + 102_000);
	expect(instructions - before.instructions).toBeLessThan(1000);
});

test("a wait of a few microseconds is no longer than an eighth too long", async () => {
	const before = (await run([...start, ...exit(0)])).outcome;
	const counts = Math.ceil(HZ / 50_000);
	const { guestTimeNs } = (await run([...start, ...pollFor(counts), ...exit(0)])).outcome;
	const waited = guestTimeNs - before.guestTimeNs;
	expect(waited).toBeGreaterThanOrEqual(20_000);
	expect(waited).toBeLessThan(20_000 * 1.125 + 2000);
});

test("a guest that does something between two reads sees time go on as ever", async () => {
	const { outcome } = await run([...start, ...pollFor(Math.floor(HZ / 1000), [0xe6, 0x80]), ...exit(0)]);
	// Two port accesses and five instructions for each look.
	expect(outcome.instructions).toBeGreaterThan(Math.floor(1e6 / 2005) * 5);
});

test("interrupts come to a guest that polls as punctually as to one that halts", async () => {
	const HANDLER = 0x1000;
	const reload = 11932;
	/** The PIT strikes every 10 ms: inc byte [0x600] and end of interrupt. */
	const handler: Code = [0xfe, 0x06, 0x00, 0x06, 0xb0, 0x20, 0xe6, 0x20, 0xcf];
	const timer: Code = [
		...[...storeWord(0x20, HANDLER), ...storeWord(0x22, 0xf000), ...storeByte(0x600, 0)],
		...[...outByte(0x43, 0x34), ...outByte(0x40, reload & 0xff), ...outByte(0x40, reload >> 8)],
		...[...outByte(0x20, 0x11), ...outByte(0x21, 0x08), ...outByte(0x21, 0x04), ...outByte(0x21, 0x01)],
		...[...outByte(0x21, 0xfe), ...sti],
	];
	/** cmp byte [0x600], ticks; jb again */
	const until = (ticks: number): Code => [0x80, 0x3e, 0x00, 0x06, ticks, 0x72];
	const runs = [
		[0x66, 0xed, ...until(5), 0xf7],
		[0xf4, ...until(5), 0xf8],
	].map((wait) => run([...timer, ...start, ...wait, ...exit(0)], { [HANDLER]: handler }));
	const [polling, halting] = (await Promise.all(runs)).map(({ outcome }) => outcome.guestTimeNs) as [number, number];
	expect(Math.abs(polling - halting)).toBeLessThan(3000);
});
