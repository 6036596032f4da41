import { describe, expect, it } from "vitest";
import { UserError } from "../../src/base/errors.ts";
import { flashImage } from "../../src/config/flash.ts";
import type { MachineConfig } from "../../src/config/index.ts";
import { type Given, machineConfig, type OptionTexts, resolveConfig } from "../../src/config/resolve.ts";

/** Flags as the command hands them over. */
function flags(...pairs: readonly (readonly [name: string, text: string])[]): MachineConfig {
	const given = new Map<string, Given[]>([["bios", [{ text: "rom.bin", where: "--bios" }]]]);
	for (const [name, text] of pairs) given.set(name, [...(given.get(name) ?? []), { text, where: `--${name}` }]);
	return resolveConfig(given);
}

function message(...pairs: readonly (readonly [name: string, text: string])[]): string {
	try {
		flags(...pairs);
	} catch (error) {
		if (error instanceof UserError) return error.message;
		throw error;
	}
	return "accepted";
}

describe("defaults", () => {
	it("describe a pc with 128 MiB, COM1 on the terminal and the debug exit at 0xf4", () => {
		expect(flags()).toEqual({
			machine: "pc",
			memoryBytes: 128 * 2 ** 20,
			bios: "rom.bin",
			flash: [],
			kernelEntry: "auto",
			serial: [{ to: "stdio" }],
			debugcon: { to: "null" },
			display: "none",
			debugExitPort: 0xf4,
			debugExitEncoding: "tsvmm",
			drives: [],
			devices: [],
			expect: [],
			failOn: [],
			panicText: "Kernel panic - not syncing",
			onReset: "auto",
			romWrites: "summary",
			symbols: [],
			breaks: [],
			cpu: { model: "max", features: [] },
			engine: "auto",
			clock: "instructions",
			rtc: Date.UTC(2026, 0, 1),
			logLevel: "warn",
			trace: [],
			traceFormat: "text",
		});
	});

	it("are frozen to the bottom", () => {
		const config = flags(["flash", "vars.fd"]);
		expect([config, config.flash, config.flash[0]].every(Object.isFrozen)).toBe(true);
	});
});

describe("sources", () => {
	const file = (name: string, ...texts: readonly string[]): ReadonlyMap<string, readonly Given[]> =>
		new Map([[name, texts.map((text) => ({ text, where: "m.yaml", folder: "guests" }))]]);
	const bios = file("bios", "rom.bin");

	it("later ones win option by option", () => {
		const config = resolveConfig(bios, file("memory", "64M"), file("memory", "32M"));
		expect(config).toMatchObject({ memoryBytes: 32 * 2 ** 20, bios: "guests/rom.bin" });
	});

	it("a list replaces the earlier list as a whole", () => {
		expect(resolveConfig(bios, file("expect", "a", "b"), file("expect", "c")).expect).toEqual(["c"]);
	});

	it("paths of a machine file are relative to its folder, absolute ones stay", () => {
		const config = resolveConfig(
			bios,
			file("serial", "file:out/com1", "file:/tmp/com2"),
			file("flash", "v.fd,readonly"),
		);
		expect(config.serial).toEqual([
			{ to: "file", path: "guests/out/com1" },
			{ to: "file", path: "/tmp/com2" },
		]);
		expect(config.flash).toEqual([{ ...flashImage.parse("v.fd,readonly"), path: "guests/v.fd" }]);
	});
});

describe("values", () => {
	it.each([
		["memory", "1G", { memoryBytes: 2 ** 30 }],
		["memory", "64MiB", { memoryBytes: 2 ** 26 }],
		["memory", "2097152", { memoryBytes: 2 ** 21 }],
		["timeout", "30s", { timeoutMs: 30_000 }],
		["timeout", "1.5m", { timeoutMs: 90_000 }],
		["timeout", "500ms", { timeoutMs: 500 }],
		["max-guest-time", "2us", { maxGuestTimeNs: 2000 }],
		["max-instructions", "5M", { maxInstructions: 5_000_000 }],
		["max-instructions", "1_000", { maxInstructions: 1000 }],
		["debug-exit", "off", { debugExitPort: "off" }],
		["debug-exit", "1281", { debugExitPort: 0x501 }],
		["serial", "file:a:b", { serial: [{ to: "file", path: "a:b" }] }],
		["rtc", "utc", { rtc: "utc" }],
		["rtc", "1999-12-31T23:59:58", { rtc: Date.UTC(1999, 11, 31, 23, 59, 58) }],
		["cpu", "qemu64", { cpu: { model: "qemu64", features: [] } }],
		[
			"cpu",
			"max,+avx2,-sse4.1,la57=off",
			{
				cpu: {
					model: "max",
					features: [
						{ name: "avx2", on: true },
						{ name: "sse4.1", on: false },
						{ name: "la57", on: false },
					],
				},
			},
		],
		["trace", "mmio, ports,mmio", { trace: [{ category: "mmio" }, { category: "ports" }] }],
		["trace", "ports:0x3f8+8", { trace: [{ category: "ports", range: { first: 0x3f8n, last: 0x3ffn } }] }],
		["trace", "ports:0x3f8+8,ports", { trace: [{ category: "ports" }] }],
	])("--%s %s", (name, text, expected) => {
		expect(flags([name, text])).toMatchObject(expected);
	});

	it("--trace all means every category, none no category", () => {
		expect(flags(["trace", "all"]).trace.length).toBeGreaterThan(5);
		expect(flags(["trace", "none"]).trace).toEqual([]);
	});
});

describe("mistakes", () => {
	it.each([
		["memory", "12Q", '--memory: "12Q" is not a size; write bytes or a number with K, M or G, such as 128M'],
		[
			"kernel-entry",
			"65",
			'--kernel-entry: "65" is not one of auto, 64, 32, 16, pvh, multiboot, multiboot2 (did you mean 64?)',
		],
		["kernel-address", "0x100000000", '--kernel-address: "0x100000000" is not an address; write 0 to 0xffffffff'],
		["memory", "128", "--memory: 128 is too small; at least 1M is needed (a bare number is bytes; did you mean 128M?)"],
		["memory", "4G", "--memory: 4G is too large; at most 3G is possible"],
		["memory", "2097153", "--memory: 2097153 is not a multiple of 4K"],
		[
			"timeout",
			"30",
			'--timeout: "30" is not a duration; write a number with ns, us, ms, s, m or h, such as 30s or 500ms',
		],
		["timeout", "0s", "--timeout: a duration of 0s is no time at all; write more than zero or leave it out"],
		[
			"max-instructions",
			"0",
			'--max-instructions: "0" is not a count; write a number from 1, such as 5000000 or 5M (powers of 1000)',
		],
		[
			"max-instructions",
			"9007199254740993",
			'--max-instructions: "9007199254740993" is not a count; write a number from 1, such as 5000000 or 5M (powers of 1000)',
		],
		["debug-exit", "0x10000", '--debug-exit: "0x10000" is not an I/O port; write 0 to 0xffff, or off'],
		[
			"engine",
			"compield",
			'--engine: "compield" is not one of auto, interpreter, compiled, lockstep (did you mean compiled?)',
		],
		["serial", "stdoi", '--serial: "stdoi" is not an output; write stdio, null or file:PATH (did you mean stdio?)'],
		["serial", "file:", "--serial: a file name is missing"],
		["cpu", "max,avx", '--cpu: "avx" is not a processor feature; write +FEATURE or -FEATURE'],
		["cpu", "+avx", '--cpu: "+avx" is not a processor; write a model such as max'],
		["rtc", "2026-02-30", '--rtc: "2026-02-30" is not a date; write utc, 2026-01-31 or 2026-01-31T12:00:00'],
		["expect", "", "--expect: the text is empty"],
		["bios", "", "--bios: a file name is missing"],
		["machine", "q35", '--machine: "q35" is not one of pc'],
	])("--%s %s", (name, text, expected) => {
		expect(message([name, text])).toBe(expected);
	});

	it.each([
		["initrd", "i.gz"],
		["append", "quiet"],
		["kernel-entry", "32"],
		["kernel-address", "0x100000"],
	])("--%s without a kernel", (name, text) => {
		expect(message([name, text])).toBe(
			`--${name}: there is no kernel that it could be for; give one with --kernel FILE`,
		);
	});

	it("nothing to boot", () => {
		expect(() => resolveConfig(new Map())).toThrow(
			"nothing to boot: give a kernel with --kernel FILE, firmware with --firmware ovmf or seabios, or its image with --bios FILE or --flash FILE",
		);
	});

	it("firmware by name beside firmware by file", () => {
		const both = (other: string) => `--firmware ovmf and ${other} both say what the firmware is; give one of them`;
		expect(message(["firmware", "ovmf"])).toBe(both("--bios rom.bin"));
		expect(() => machineConfig({ firmware: "ovmf", flash: ["a,readonly", "b"] })).toThrow(both("--flash a"));
	});

	it("variables of firmware that nobody named", () => {
		const alone = "--flash-vars: there is no --firmware that it could be for;";
		expect(message(["flash-vars", "v.fd"])).toBe(`${alone} give it with --firmware NAME`);
		expect(message(["flash", "code.fd"], ["flash-vars", "v.fd"])).toBe(`${alone} write --flash v.fd instead`);
	});

	it("more flash images than units", () => {
		expect(message(["flash", "a"], ["flash", "b"], ["flash", "c"])).toBe(
			"--flash: 3 images given, but the machine has 2 flash units",
		);
	});

	it("one file for both flash units", () => {
		expect(message(["flash", "a"], ["flash", "a,readonly"])).toBe(
			"--flash: both flash units would write to a; give each its own file",
		);
	});

	it("one file for two consoles", () => {
		expect(message(["serial", "file:log"], ["debugcon", "file:log"])).toBe(
			"--serial, --debugcon: two consoles would write over each other in log; give each its own file",
		);
	});

	it("more consoles than serial ports", () => {
		expect(message(...Array.from({ length: 5 }, () => ["serial", "null"] as const))).toBe(
			"--serial: given 5 times, but the machine has 4 serial ports",
		);
	});
});

describe("a configuration for use as a library", () => {
	it("takes texts by option name, several for lists", () => {
		expect(machineConfig({ bios: "rom.bin", memory: "64M", serial: ["null", "stdio"] })).toMatchObject({
			memoryBytes: 2 ** 26,
			serial: [{ to: "null" }, { to: "stdio" }],
		});
	});

	it("refuses a name that no option has, and a wrong value by name", () => {
		const misspelt: OptionTexts = { bios: "rom.bin", ...{ memroy: "64M" } };
		expect(() => machineConfig(misspelt)).toThrow('unknown option "memroy" (did you mean memory?)');
		expect(() => machineConfig({ bios: "rom.bin", memory: "12Q" })).toThrow('memory: "12Q" is not a size');
	});
});
