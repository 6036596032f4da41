import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadSymbols } from "../../../src/debug/symbols/load-symbols.ts";
import type { MemoryReader } from "../../../src/debug/symbols/symbols.ts";
import { describeWith } from "../../support/guest-files.ts";
import { run, workFolder, writeProgram } from "./toolchain.ts";

const folder = workFolder();
const LIBRARY = ["/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib64/libc.so.6"].find((path) => existsSync(path));

/** DWARF's numbers by the names that readelf prints. */
const NUMBERS = {
	i386: ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "ra"],
	"x86-64": [
		...["rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp"],
		...["r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "ra"],
	],
} as const;
type Machine = keyof typeof NUMBERS;

/** Memory in which every word holds its own address: what was read says from where. */
const telling: MemoryReader = (address, length) => {
	const bytes = Buffer.alloc(8);
	bytes.writeBigUInt64LE(address);
	return bytes.subarray(0, length);
};

/** Follows each row of the tables that readelf prints, where it has no expression in it. @returns how many there were */
function compare(path: string, machine: Machine, most: number): number {
	const { contents } = loadSymbols(path);
	const names: readonly string[] = NUMBERS[machine];
	const values = names.map((_, n) => BigInt(0x10_0000 * (n + 1)));
	// It ends with status 1 where it cannot find the debugging information that the distribution has apart.
	const text = run(folder, "sh", "-c", 'readelf --debug-dump=frames-interp "$0" 2>/dev/null || true', path);
	let columns: readonly string[] = [];
	let end = 0n;
	let isFunction = false;
	let rows = 0;
	for (const line of text.split("\n")) {
		const range = / FDE .* pc=[0-9a-f]+\.\.([0-9a-f]+)/.exec(line);
		if (range !== null) [end, isFunction] = [BigInt(`0x${range[1]}`), true];
		else if (/ CIE /.test(line)) isFunction = false;
		if (/^ +LOC +CFA/.test(line)) columns = line.trim().split(/\s+/).slice(2);
		const [, place, base, offset, rest = ""] = /^([0-9a-f]+) ([a-z0-9]+)\+(\d+) +(.*)$/.exec(line) ?? [];
		if (place === undefined || base === undefined || !isFunction || BigInt(`0x${place}`) >= end) continue;
		const cfa = values[names.indexOf(base)]! + BigInt(offset ?? 0);
		const pc = BigInt(`0x${place}`);
		const caller = contents.frames!.caller(pc, { machine, pc, values }, telling);
		const cells = rest.trim().split(/\s+/);
		const at = `${path} ${place}`;
		if (cells[columns.indexOf("ra")] === "u") {
			expect(caller, at).toBe("outermost");
			continue;
		}
		if (caller === undefined || caller === "outermost") throw new Error(`${at}: ${caller}`);
		// Where nothing is said of the stack pointer it is the CFA.
		const sp = names.indexOf(machine === "i386" ? "esp" : "rsp");
		const wanted = names.map((name, n) => {
			const saved = /^c([+-]\d+)$/.exec(cells[columns.indexOf(name)] ?? "");
			return saved === null ? (n === sp ? cfa : values[n]!) : cfa + BigInt(saved[1]!);
		});
		const isPlain = cells.every((cell) => /^(u|c[+-]\d+)$/.test(cell));
		if (isPlain) expect(caller.values, at).toEqual(wanted);
		if (++rows === most) break;
	}
	return rows;
}

describeWith(["gcc"], "unwind tables", () => {
	test.each<[string, Machine, readonly string[]]>([
		[".eh_frame, 64-bit", "x86-64", ["-O2"]],
		[".eh_frame, 64-bit, position-independent", "x86-64", ["-O0", "-pie", "-fPIE"]],
		[".eh_frame, 32-bit", "i386", ["-m32", "-O2", "-fomit-frame-pointer"]],
		[".debug_frame, 64-bit", "x86-64", ["-O1", "-g", "-fno-asynchronous-unwind-tables"]],
		[".debug_frame, 32-bit, DWARF 2", "i386", ["-m32", "-O1", "-gdwarf-2", "-fno-asynchronous-unwind-tables"]],
	])("in %s say what readelf says", (name, machine, words) => {
		writeProgram(folder);
		const file = `${name.replace(/\W+/g, "-")}.elf`;
		const free = ["-nostdlib", "-ffreestanding", "-fcf-protection=none", "-Wl,--build-id=none"];
		run(folder, "gcc", ...free, ...words, "main.c", "sub/other.c", "-o", file);
		expect(compare(join(folder, file), machine, 10_000)).toBeGreaterThan(4);
	});

	test.skipIf(LIBRARY === undefined && process.env["CI"] !== "true")("of the C library say what readelf says", () => {
		expect(compare(LIBRARY!, "x86-64", 4000)).toBe(4000);
	});
});
