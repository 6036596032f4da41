import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { UserError } from "../../src/base/errors.ts";
import { flashImage } from "../../src/config/flash.ts";
import { parseMachineFile, readMachineFile } from "../../src/config/machine-file.ts";
import type { Option } from "../../src/config/option.ts";
import { OPTIONS } from "../../src/config/options.ts";
import { resolveConfig } from "../../src/config/resolve.ts";

const parse = (text: string) => resolveConfig(parseMachineFile(text, "m.yaml"));

function message(text: string): string {
	try {
		parse(text);
	} catch (error) {
		if (error instanceof UserError) return error.message;
		throw error;
	}
	return "accepted";
}

const folder = mkdtempSync(join(tmpdir(), "tsvmm-config-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe("a machine file", () => {
	it("gives every option under the name of its flag", () => {
		const yaml = `
machine: pc
memory: 64M
bios: rom.bin            # relative to this file
flash:
  - code.fd,readonly
  - { file: vars.fd }
kernel: vmlinuz
initrd: "a x,b"
append: console=ttyS0
kernel-entry: 32
kernel-address: 0x100000
serial: [stdio, null, "file:com3"]
debugcon: null
display: text
debug-exit: 0x501
debug-exit-encoding: qemu
device: [pc-testdev]
drive:
  - disk.img
  - {file: other.img, index: 3, readonly: true}
timeout: 30s
max-instructions: 1000000
max-guest-time: 5s
expect: ["ready", "login:"]
fail-on: panic
panic-text: "off"
on-reset: restart
rom-writes: log
break: rom-write:0xf0000-0xfffff
result: result.json
dirty-log: pages.jsonl
flash-log: flash.txt
symbols:
  - System.map
  - { file: boot.elf, address: "0xffffffff81000000" }
engine: interpreter
clock: host
cpu: qemu64,-nx
rtc: 2000-01-01
log: debug
trace: [mmio, "ports:0x3f8+8"]
trace-format: json
trace-file: trace.jsonl
gdb: gdb.sock
pause: true
`;
		expect(parse(yaml)).toEqual({
			machine: "pc",
			memoryBytes: 64 * 2 ** 20,
			bios: "rom.bin",
			kernel: "vmlinuz",
			initrd: { text: "a x,b", folder: "." },
			append: "console=ttyS0",
			kernelEntry: "32",
			kernelAddress: 0x10_0000,
			flash: [flashImage.parse("code.fd,readonly"), flashImage.parse("vars.fd")],
			serial: [{ to: "stdio" }, { to: "null" }, { to: "file", path: "com3" }],
			debugcon: { to: "null" },
			display: "text",
			debugExitPort: 0x501,
			debugExitEncoding: "qemu",
			drives: [
				{ path: "disk.img", media: "disk", readonly: false, snapshot: false },
				{ path: "other.img", media: "disk", index: 3, readonly: true, snapshot: false },
			],
			devices: ["pc-testdev"],
			timeoutMs: 30_000,
			maxInstructions: 1_000_000,
			maxGuestTimeNs: 5e9,
			expect: ["ready", "login:"],
			failOn: ["panic"],
			panicText: "off",
			onReset: "restart",
			romWrites: "log",
			breaks: [{ on: "rom-write", first: 0xf0000, last: 0xfffff }],
			result: "result.json",
			dirtyLog: "pages.jsonl",
			flashLog: "flash.txt",
			symbols: [{ path: "System.map" }, { path: "boot.elf", address: 0xffffffff81000000n }],
			engine: "interpreter",
			cpu: { model: "qemu64", features: [{ name: "nx", on: false }] },
			clock: "host",
			rtc: Date.UTC(2000, 0, 1),
			logLevel: "debug",
			trace: [{ category: "mmio" }, { category: "ports", range: { first: 0x3f8n, last: 0x3ffn } }],
			traceFormat: "json",
			traceFile: "trace.jsonl",
			gdb: { path: "gdb.sock" },
			pause: true,
		});
		const named = `${yaml}firmware: ovmf\nflash-vars: vars.fd\n`;
		expect(parse(named.replaceAll(/^(bios|flash):.*\n( {2}- .*\n)*/gm, ""))).toMatchObject({
			firmware: "ovmf",
			flashVars: "vars.fd",
		});
		for (const { name } of OPTIONS as readonly Option[]) expect(named).toContain(`\n${name}:`);
	});

	it("may be JSON, indented with tabs, and name its schema", () => {
		expect(parse('{\n\t"$schema": "s.json",\n\t"bios": "a",\n\t"memory": "1G"\n}').memoryBytes).toBe(2 ** 30);
	});

	it("may be empty when flags say the rest", () => {
		const bios = new Map([["bios", [{ text: "a", where: "--bios" }]]]);
		expect(resolveConfig(parseMachineFile("", "m.yaml"), bios).bios).toBe("a");
	});

	it("may share values by anchor and alias", () => {
		expect(parse("bios: &file rom.bin\nresult: *file").result).toBe("rom.bin");
	});
});

describe("mistakes in a machine file: place and message", () => {
	it.each([
		["bios: a\nmemroy: 64M", 'm.yaml:2:1: unknown field "memroy" (did you mean memory?)'],
		["bios: a\nxyz: 1", 'm.yaml:2:1: unknown field "xyz"'],
		["bios: a\n__proto__: 1", 'm.yaml:2:1: unknown field "__proto__"'],
		[
			"bios: a\nmemory: 12Q",
			'm.yaml:2:9: memory: "12Q" is not a size; write bytes or a number with K, M or G, such as 128M',
		],
		[
			"bios: a\nmemory: [64M]",
			'm.yaml:2:9: memory: ["64M"] does not fit; write bytes, or a number with K, M, G or T (powers of 1024)',
		],
		[
			"bios: a\nmemory:",
			"m.yaml:2:8: memory: null does not fit; write bytes, or a number with K, M, G or T (powers of 1024)",
		],
		[
			"bios: a\nmemory: 1.5",
			'm.yaml:2:9: memory: "1.5" is not a size; write bytes or a number with K, M or G, such as 128M',
		],
		[
			"bios: a\nexpect:\n- one\n- 42",
			"m.yaml:4:3: expect: 42 does not fit; write a text, in quotes where YAML would take it for something else",
		],
		["bios: a\nflash: [{fiel: b}]", 'm.yaml:2:9: flash: unknown field "fiel" (did you mean file?)'],
		["bios: a\nengine: [auto]", 'm.yaml:2:9: engine: ["auto"] does not fit; write auto|interpreter|compiled|lockstep'],
		["bios: a\nbios: b", "m.yaml:2:1: map keys must be unique"],
		["- bios", 'm.yaml:1:1: a machine file is a list of "option: value" lines, such as "memory: 128M"'],
		["bios: *a", "m.yaml:1:7: unresolved alias (the anchor must be set before the alias): a"],
		["bios: a\n\tmemory: 1G", "m.yaml:2:1: tabs are not allowed as indentation"],
	])("%j", (text, expected) => {
		expect(message(text)).toBe(expected);
	});

	it("a syntax error names line and column", () => {
		expect(message('bios: a\nmemory: "64M')).toMatch(/^m\.yaml:2:\d+: missing closing "quote$/);
		expect(message('{ "bios": "a" ')).toMatch(/^m\.yaml:1:\d+: flow map /);
	});

	it("aliases that expand beyond measure are refused", () => {
		const level = (name: string, of: string): string => `&${name} [${Array(10).fill(of).join(", ")}]`;
		const bomb = `[[${level("a", "x")}, ${level("b", "*a")}, ${level("c", "*b")}, ${level("d", "*c")}]]`;
		expect(message(`bios: a\nexpect: ${bomb}`)).toMatch(/^m\.yaml:2:10: excessive alias count/);
	});

	it("a file that is missing, or a folder", () => {
		expect(() => readMachineFile(join(folder, "none.yaml"))).toThrow(
			`machine file ${join(folder, "none.yaml")} does not exist`,
		);
		expect(() => readMachineFile(folder)).toThrow(`machine file ${folder} is a folder, not a file`);
	});

	it("a ROM image in place of a machine file", () => {
		const file = join(folder, "rom.bin");
		writeFileSync(file, new Uint8Array(65536));
		expect(() => readMachineFile(file)).toThrow(
			`${file} is not a machine file, which is text; for a ROM image, write --bios ${file}`,
		);
	});

	it("reads from disk and takes paths relative to the file", () => {
		const file = join(folder, "m.yaml");
		writeFileSync(file, "bios: rom.bin\n");
		expect(resolveConfig(readMachineFile(file)).bios).toBe(join(folder, "rom.bin"));
	});
});
