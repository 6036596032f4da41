import { describe, expect, test } from "vitest";
import { exitStatus } from "../../src/cli/exit-status.ts";
import type { OptionTexts } from "../../src/index.ts";
import { elf } from "../support/kernel-images.ts";
import { MACHINE_ENGINES, type MachineRun, runMachine } from "../support/run-machine.ts";
import { type Code, exit, forever, hlt, outByte, say, temporaryFiles, tinyRom } from "../support/tiny-rom.ts";

const file = temporaryFiles();
const limits = { memory: "2M", "max-guest-time": "5s" };

function run(code: Code, options: OptionTexts = {}): Promise<MachineRun> {
	return runMachine({ bios: file("rom", tinyRom(code)), ...limits, ...options });
}

const reset = outByte(0xcf9, 0x06);
const panic = "Kernel panic - not syncing: no init";

describe.each(MACHINE_ENGINES)("a kernel panic: %s", (engine) => {
	test("ends the run where the text appears for the second time, with the first line as the message", async () => {
		const code = [...say(`x\nold ${panic}\r\n`), ...say(`trace\n--- end ${panic}\n`), ...say("more\n"), ...forever];
		const { outcome, debugcon } = await run(code, { engine });
		expect(outcome.end).toEqual({ kind: "panic", message: panic });
		expect(debugcon).toBe(`x\nold ${panic}\r\ntrace\n--- end ${panic}\n`);
		expect(exitStatus(outcome, "tsvmm", [])).toBe(204);
	});

	test("ends the run a second of guest time later where nothing else happens", async () => {
		const { outcome } = await run([...say(`${panic}\n`), ...forever], { engine });
		expect(outcome.end).toEqual({ kind: "panic", message: panic });
		expect(outcome.guestTimeNs).toBeGreaterThanOrEqual(1e9);
		expect(outcome.guestTimeNs).toBeLessThan(1.01e9);
	});
});

describe("a kernel panic", () => {
	test.each<[string, Code]>([
		["a reset", reset],
		["a halt", hlt],
		[
			"a triple fault",
			[0x66, 0x31, 0xc0, 0xa3, 0x00, 0x06, 0x66, 0xa3, 0x02, 0x06, 0x0f, 0x01, 0x1e, 0x00, 0x06, 0xcc],
		],
	])("explains %s after it", async (_name, code) => {
		const { outcome } = await run([...say(`${panic}\n`), ...code, ...forever], { "on-reset": "end" });
		expect(outcome.end).toEqual({ kind: "panic", message: panic });
		expect(outcome.guestTimeNs).toBeLessThan(1e8);
	});

	test("does not hide the value that the guest ends with", async () => {
		expect((await run([...say(`${panic}\n`), ...exit(3)])).outcome.end).toEqual({ kind: "debug-exit", value: 3 });
	});

	test("is only what --panic-text says", async () => {
		const code = [...say("oops\n"), ...say(`${panic}\n`), ...say("oops\n"), ...exit(3)];
		expect((await run(code, { "panic-text": "oops" })).outcome.end).toEqual({ kind: "panic", message: "oops" });
		expect((await run([...code, ...exit(3)], { "panic-text": "off" })).outcome.end).toEqual({
			kind: "debug-exit",
			value: 3,
		});
	});
});

describe("a reset", () => {
	test("ends the run with --on-reset end", async () => {
		const { outcome } = await run([...reset, ...forever], { "on-reset": "end" });
		expect(outcome.end).toEqual({ kind: "reset", cause: "cf9" });
		expect(exitStatus(outcome, "tsvmm", [])).toBe(205);
	});

	/** Says how often it ran by a byte beyond its own memory and one of its own, then resets; 32-bit code. */
	const counting = elf({
		code: [
			...[0xfe, 0x05, 0, 0, 0x15, 0, 0xa0, 0, 0, 0x15, 0, 0x04, 0x30, 0xe6, 0xe9],
			...[0x66, 0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee, 0xeb, 0xfe],
		],
	});

	test("ends the run of a kernel that was booted without firmware", async () => {
		const { outcome, debugcon } = await runMachine({ kernel: file("kernel", counting), ...limits });
		expect(outcome.end).toEqual({ kind: "reset", cause: "cf9" });
		expect(debugcon).toBe("1");
	});

	test("starts it anew with --on-reset restart, in clear memory", async () => {
		const { outcome, debugcon } = await runMachine({
			...{ kernel: file("kernel", counting), memory: "2M" },
			...{ "on-reset": "restart", "max-instructions": "60" },
		});
		expect(outcome.end).toEqual({ kind: "instruction-limit" });
		expect(debugcon).toMatch(/^1{3,}$/);
	});
});
