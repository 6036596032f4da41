import { describe, expect, test } from "vitest";
import type { OptionTexts } from "../../src/index.ts";
import { type MachineRun, runMachine } from "../support/run-machine.ts";
import {
	type Code,
	exit,
	forever,
	hlt,
	inByte,
	outByte,
	say,
	sayAl,
	sti,
	storeByte,
	storeWord,
	temporaryFiles,
	tinyRom,
} from "../support/tiny-rom.ts";

const file = temporaryFiles();

function run(code: Code, options: OptionTexts = {}, more: Readonly<Record<number, Code>> = {}): Promise<MachineRun> {
	return runMachine({ bios: file("rom", tinyRom(code, more)), memory: "1M", "max-instructions": "50M", ...options });
}

/** Where the handler of the timer's interrupt is: inc byte [0x600]; mov al, 0x20; out 0x20, al; iret */
const HANDLER = 0x1000;
const TIMER_HANDLER: Code = [0xfe, 0x06, 0x00, 0x06, 0xb0, 0x20, 0xe6, 0x20, 0xcf];
const PIT_RELOAD = 11932;
const PIT_NS = (PIT_RELOAD * 1e9) / 1_193_182;
/** The timer strikes every 10 ms at vector 8. */
const TIMER: Code = [
	...[...storeWord(0x20, HANDLER), ...storeWord(0x22, 0xf000), ...storeByte(0x600, 0)],
	...[...outByte(0x43, 0x34), ...outByte(0x40, PIT_RELOAD & 0xff), ...outByte(0x40, PIT_RELOAD >> 8)],
	...[...outByte(0x20, 0x11), ...outByte(0x21, 0x08), ...outByte(0x21, 0x04), ...outByte(0x21, 0x01)],
	...outByte(0x21, 0xfe),
];
/** sti; again: hlt; cmp byte [0x600], ticks; jb again */
const waitForTicks = (ticks: number): Code => [...sti, ...hlt, 0x80, 0x3e, 0x00, 0x06, ticks, 0x72, 0xf8];

describe("a run ends", () => {
	test("with the value that the guest writes to the debug-exit port", async () => {
		expect((await run(exit(5))).outcome.end).toEqual({ kind: "debug-exit", value: 5 });
	});

	test("when the guest powers off", async () => {
		// SLP_EN with the type of S5 in the power management control register, at its place after reset's enabling.
		const place = [0x66, 0xb8, 0x40, 0x0b, 0x00, 0x80, 0xba, 0xf8, 0x0c, 0x66, 0xef];
		const base = [0x66, 0xb8, 0x01, 0x06, 0x00, 0x00, 0xba, 0xfc, 0x0c, 0x66, 0xef];
		const enable = [0x66, 0xb8, 0x80, 0x0b, 0x00, 0x80, 0xba, 0xf8, 0x0c, 0x66, 0xef, ...outByte(0xcfc, 1)];
		const sleep = [0xb8, 0x00, 0x20, 0xba, 0x04, 0x06, 0xef];
		const { outcome } = await run([...place, ...base, ...enable, ...sleep, ...forever]);
		expect(outcome.end).toEqual({ kind: "power-off" });
	});

	test.each([1, 2, 3, 1000, 3_000_001])("after exactly %i instructions", async (limit) => {
		const { outcome } = await run(forever, { "max-instructions": String(limit) });
		expect(outcome.end).toEqual({ kind: "instruction-limit" });
		expect(outcome.instructions).toBe(limit);
	});

	test("after exactly the guest time allowed, also in HLT", async () => {
		for (const code of [forever, [...TIMER, ...waitForTicks(255)]]) {
			const { outcome } = await run(code, { "max-guest-time": "123us" }, { [HANDLER]: TIMER_HANDLER });
			expect(outcome.end).toEqual({ kind: "guest-time-limit" });
			expect(outcome.guestTimeNs).toBe(123_000);
		}
	});

	test("when the host's time is up, also in HLT", async () => {
		const started = performance.now();
		const options = { timeout: "100ms", "max-instructions": "1T" };
		expect((await run(forever, options)).outcome.end).toEqual({ kind: "timeout" });
		const idle = [...TIMER, ...sti, ...hlt, 0xeb, 0xfd];
		expect((await run(idle, options, { [HANDLER]: TIMER_HANDLER })).outcome.end).toEqual({ kind: "timeout" });
		expect(performance.now() - started).toBeLessThan(20_000);
	});

	test("when the guest halts for good", async () => {
		const end = { kind: "halted", detail: "at f000:00000001" };
		expect((await run(hlt)).outcome.end).toEqual(end);
		expect((await run([...TIMER, ...hlt])).outcome.end).toMatchObject({ kind: "halted" });
		expect((await run([...sti, ...hlt])).outcome.end).toEqual({ kind: "halted", detail: "at f000:00000002" });
	});
});

describe("guest time", () => {
	test("is an instruction a nanosecond, and a device access a microsecond", async () => {
		const { outcome } = await run([0x90, 0x90, ...inByte(0x80), ...exit(0)]);
		// jmp, nop, nop, mov, in, mov, out
		expect(outcome.instructions).toBe(7);
		expect(outcome.guestTimeNs).toBe(7 + 2 * 1000);
	});

	test("jumps to the next interrupt when the guest halts", async () => {
		const { outcome } = await run([...TIMER, ...waitForTicks(100), ...exit(0)], {}, { [HANDLER]: TIMER_HANDLER });
		expect(outcome.end).toEqual({ kind: "debug-exit", value: 0 });
		expect(outcome.guestTimeNs).toBeGreaterThan(100 * PIT_NS);
		expect(outcome.guestTimeNs).toBeLessThan(100 * PIT_NS + 50_000);
		expect(outcome.instructions).toBeLessThan(1000);
	});

	test("is the host's with --clock host", async () => {
		const started = performance.now();
		const code = [...TIMER, ...waitForTicks(10), ...exit(0)];
		const { outcome } = await run(code, { clock: "host" }, { [HANDLER]: TIMER_HANDLER });
		const passed = performance.now() - started;
		expect(outcome.end).toEqual({ kind: "debug-exit", value: 0 });
		expect(passed).toBeGreaterThan((9 * PIT_NS) / 1e6);
		expect(outcome.guestTimeNs / 1e6).toBeGreaterThan((9 * PIT_NS) / 1e6);
		expect(outcome.guestTimeNs / 1e6).toBeLessThan(passed);
	});

	test("moves the time-stamp counter by one a nanosecond", async () => {
		// rdtsc; mov ebx, eax; in al, 0x80; rdtsc; sub eax, ebx; then AX, low byte first
		const rdtsc = [0x0f, 0x31];
		const code = [...rdtsc, 0x66, 0x89, 0xc3, 0xe4, 0x80, ...rdtsc, 0x66, 0x29, 0xd8];
		const { debugcon } = await run([...code, ...sayAl, 0x88, 0xe0, ...sayAl, ...exit(0)]);
		const [low, high] = Buffer.from(debugcon, "latin1");
		expect((high! << 8) | low!).toBe(1003);
	});
});

test("a store to ROM is reported with its instruction, and does nothing", async () => {
	// mov ax, 0xf000; mov ds, ax; mov word [0x2000], 0x1234; mov al, [0x2000]; out 0xe9, al
	const store = [0xb8, 0x00, 0xf0, 0x8e, 0xd8, 0xc7, 0x06, 0x00, 0x20, 0x34, 0x12, 0xa0, 0x00, 0x20, ...sayAl];
	const { romWrites, debugcon } = await run([...store, ...exit(0)], {}, { 8192: [0x41] });
	expect(debugcon).toBe("A");
	expect(romWrites).toHaveLength(1);
	expect(romWrites[0]).toMatchObject({
		gpa: 0xf2000,
		region: "bios",
		cs: 0xf000,
		rip: 5n,
		linear: 0xf0005n,
		mode: "real",
		instructions: 3,
	});
	expect([...romWrites[0]!.code.subarray(0, 6)]).toEqual([0xc7, 0x06, 0x00, 0x20, 0x34, 0x12]);
});

test("stores by a far call, and by an interrupt, name where they came from", async () => {
	// mov ax, 0xf000; mov ss, ax; mov sp, 0x3000
	const stack = [0xb8, 0x00, 0xf0, 0x8e, 0xd0, 0xbc, 0x00, 0x30];
	// call 0xf100:0, where an int 0x21 leads to 0xf200:0
	const calls = [...storeWord(0x84, 0), ...storeWord(0x86, 0xf200), ...stack, 0x9a, 0x00, 0x00, 0x00, 0xf1];
	const { romWrites } = await run(calls, {}, { 4096: [0x90, 0xcd, 0x21], 8192: exit(0) });
	expect(romWrites.map(({ gpa, cs, rip, code }) => [gpa, cs, rip, code[0]])).toEqual([
		[0xf2ffe, 0xf000, 20n, 0x9a],
		[0xf2ffc, 0xf000, 20n, 0x9a],
		[0xf2ffa, 0xf100, 1n, 0xcd],
		[0xf2ff8, 0xf100, 1n, 0xcd],
		[0xf2ff6, 0xf100, 1n, 0xcd],
	]);
});

test("what is stored to a ROM below an option ROM's place, or to RAM that PAM protects, is reported too", async () => {
	const to = (segment: number): Code => [0xb8, 0, segment >> 8, 0x8e, 0xd8, ...storeByte(0, 1)];
	// The segment at D0000 shows RAM that cannot be written.
	const protect = [0x66, 0xb8, 0x5c, 0, 0, 0x80, 0xba, 0xf8, 0x0c, 0x66, 0xef, ...outByte(0xcfc, 0x01)];
	const { romWrites } = await run([...protect, ...to(0xc000), ...to(0xd000), ...exit(0)]);
	expect(romWrites.map(({ gpa, region }) => [gpa, region])).toEqual([
		[0xc0000, "option rom"],
		[0xd0000, "pam d0000"],
	]);
});

test("nothing but the debug console says anything", async () => {
	const { serial, debugcon } = await run([...say("x"), ...exit(0)], { serial: ["null", "null"] });
	expect([serial, debugcon]).toEqual(["", "x"]);
});
