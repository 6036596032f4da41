import { expect, test } from "vitest";
import { runMachine } from "../support/run-machine.ts";
import {
	bigReal,
	type Code,
	exit,
	forever,
	hlt,
	outByte,
	say,
	sayAl,
	sti,
	storeFar,
	storeWord,
	temporaryFiles,
	tinyRom,
	wrmsr,
} from "../support/tiny-rom.ts";

const file = temporaryFiles();

const APIC_BASE = 0x1b;
const HANDLER = 0x1000;
const SPURIOUS_ENABLED = storeFar(0xfee000f0, 0x1ff);

async function run(code: Code, handler: Code = []) {
	const bios = file("rom", tinyRom([...bigReal, ...code], { [HANDLER]: handler }));
	return runMachine({ bios, memory: "1M", "max-instructions": "1M", "max-guest-time": "1s" });
}

/** Where vector `n` leads. */
const vector = (n: number): Code => [...storeWord(4 * n, HANDLER), ...storeWord(4 * n + 2, 0xf000)];
/** mov al, [address]: see bigReal. Then AL on the debug console. */
const sayByte = (address: number): Code => [
	...[0x67, 0xa0, address & 0xff, (address >>> 8) & 0xff, (address >>> 16) & 0xff, address >>> 24],
	...sayAl,
];
const MASK_PIC = [...outByte(0x21, 0xff), ...outByte(0xa1, 0xff)];

test("the local APIC's timer interrupts the processor", async () => {
	const arm = [...storeFar(0xfee00320, 0x40), ...storeFar(0xfee003e0, 0x0b), ...storeFar(0xfee00380, 100_000)];
	const handler = [...storeFar(0xfee000b0, 0), ...say("tick"), ...exit(0)];
	const code = [...vector(0x40), ...MASK_PIC, ...SPURIOUS_ENABLED, ...arm, ...sti, ...hlt, ...exit(1)];
	const { outcome, debugcon } = await run(code, handler);
	expect([outcome.end, debugcon]).toEqual([{ kind: "debug-exit", value: 0 }, "tick"]);
	// A tick of the APIC's bus clock is a nanosecond.
	expect(outcome.guestTimeNs).toBeGreaterThan(100_000);
	expect(outcome.guestTimeNs).toBeLessThan(130_000);
});

test("the timer's interrupt comes over the I/O APIC's pin 2, through a redirection entry", async () => {
	const route = [
		...[...storeFar(0xfec00000, 0x15), ...storeFar(0xfec00010, 0)],
		...[...storeFar(0xfec00000, 0x14), ...storeFar(0xfec00010, 0x41)],
	];
	const pit = [...outByte(0x43, 0x30), ...outByte(0x40, 0x10), ...outByte(0x40, 0)];
	const code = [...vector(0x41), ...MASK_PIC, ...SPURIOUS_ENABLED, ...route, ...pit, ...sti, ...hlt, ...exit(1)];
	const { outcome, debugcon } = await run(code, [...say("pin"), ...exit(0)]);
	expect([outcome.end, debugcon]).toEqual([{ kind: "debug-exit", value: 0 }, "pin"]);
});

test("the local APIC's registers follow IA32_APIC_BASE, and go when it is switched off", async () => {
	const version = 0x30;
	const { debugcon } = await run([
		...sayByte(0xfee00000 + version),
		...[...wrmsr(APIC_BASE, 0xd0000900), ...sayByte(0xd0000000 + version), ...sayByte(0xfee00000 + version)],
		...[...wrmsr(APIC_BASE, 0xfee00100), ...sayByte(0xfee00000 + version), ...sayByte(0xd0000000 + version)],
		...exit(0),
	]);
	expect([...Buffer.from(debugcon, "latin1")]).toEqual([0x14, 0x14, 0xff, 0xff, 0xff]);
});

test("stores to where the registers were go nowhere: they are no message-signalled interrupts", async () => {
	const code = [
		...[...vector(0x41), ...MASK_PIC, ...SPURIOUS_ENABLED, ...wrmsr(APIC_BASE, 0xd0000900), ...sti],
		...[...storeFar(0xfee00000, 0x41), ...say("dropped"), ...storeFar(0xfeeff000, 0x41), 0x90, ...exit(1)],
	];
	const { outcome, debugcon } = await run(code, [...say("!"), ...exit(0)]);
	expect([outcome.end, debugcon]).toEqual([{ kind: "debug-exit", value: 0 }, "dropped!"]);
});

test("the timer's deadline interrupts when the time-stamp counter gets there", async () => {
	const deadline = 0x6e0;
	const arm = [...storeFar(0xfee00320, 0x40040), ...wrmsr(deadline, 500_000)];
	const code = [...vector(0x40), ...MASK_PIC, ...SPURIOUS_ENABLED, ...arm, ...sti, ...forever];
	const bios = file("rom", tinyRom([...bigReal, ...code], { [HANDLER]: exit(0) }));
	for (const engine of ["interpreter", "compiled"] as const) {
		const options = { bios, memory: "1M", "max-instructions": "1M", cpu: "max", engine } as const;
		const { outcome } = await runMachine(options);
		expect(outcome.end).toEqual({ kind: "debug-exit", value: 0 });
		// The interrupt comes on the instruction; the handler and its port access follow.
		expect(outcome.guestTimeNs).toBeGreaterThanOrEqual(500_000);
		expect(outcome.guestTimeNs).toBeLessThan(502_000);
	}
});
