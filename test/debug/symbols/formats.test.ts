import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { UserError } from "../../../src/base/errors.ts";
import { loadSymbols } from "../../../src/debug/symbols/load-symbols.ts";
import { placeText, type Symbols } from "../../../src/debug/symbols/symbols.ts";
import { provided } from "../../support/guest-files.ts";
import { buildPe } from "./pe-builder.ts";
import { run, testWith, workFolder, writeProgram } from "./toolchain.ts";

const folder = workFolder();
const FREE = ["-nostdlib", "-ffreestanding", "-fcf-protection=none", "-Wl,--build-id=none", "-static"] as const;
const NO_TABLES = ["-fno-ident", "-fno-asynchronous-unwind-tables"] as const;

function write(name: string, content: string | Uint8Array): string {
	const path = join(folder, name);
	writeFileSync(path, content);
	return path;
}

function says(symbols: Symbols, address: bigint): string | undefined {
	const place = symbols.at(address);
	return place && placeText(place);
}

/** Symbols and their addresses as nm has them. */
function addresses(path: string): ReadonlyMap<string, bigint> {
	const lines = run(folder, "nm", path).matchAll(/^([0-9a-f]+) [TtDdBb] (\S+)$/gm);
	return new Map(Array.from(lines, ([, address, name = ""]) => [name, BigInt(`0x${address}`)]));
}

beforeAll(() => {
	if (provided("gcc") === undefined) return;
	writeProgram(folder);
	const sections = ["-ffunction-sections", "-Wl,-Map=plain.map", "-g", "-O0"];
	run(folder, "gcc", ...FREE, ...sections, "main.c", "sub/other.c", "-o", "plain.elf");
});

describe("lists of symbols", () => {
	test("System.map: offsets of variables of each processor are no addresses; the kernel begins at _text", () => {
		const path = write(
			"System.map-6.1.0",
			`0000000000000000 D __per_cpu_start
0000000000001000 d cpu_debug_store
00000000c3a11ab9 A __crc_thing
ffffffff81000000 T _text
ffffffff81000000 T startup_64
ffffffff810001a0 t local_thing
ffffffff81000200 T start_kernel
ffffffff82400000 B _end
`,
		);
		const symbols = loadSymbols(path);
		expect(says(symbols, 0xffffffff81000234n)).toBe("vmlinux!start_kernel+0x34");
		expect(says(symbols, 0xffffffff810001a0n)).toBe("vmlinux!local_thing");
		expect([0x1000n, 0xc3a11ab9n, 0xffffffff80ffffffn, 0xffffffff82500000n].map((at) => symbols.at(at))).toEqual(
			Array(4).fill(undefined),
		);
		const moved = loadSymbols(path, { address: 0xffffffffa2000000n });
		expect(says(moved, 0xffffffffa2000234n)).toBe("vmlinux!start_kernel+0x34");
	});

	test("kallsyms: symbols of a module say so; zeros are refused with what to do", () => {
		const text = "ffffffff81000000 T _text\nffffffff81000010 t first\nffffffffc0000000 t probe\t[e1000]\n";
		expect(says(loadSymbols(write("kallsyms", text)), 0xffffffffc0000004n)).toBe("e1000!probe+0x4");
		const hidden = write("hidden", "0000000000000000 T _text\n0000000000000000 t first\n");
		expect(() => loadSymbols(hidden)).toThrow(/hidden has no addresses, only zeros: .*root/);
	});

	test("a 32-bit map and Windows line ends are read", () => {
		const symbols = loadSymbols(write("small.map", "c1000000 T _text\r\nc1000010 T next\r\n"));
		expect(says(symbols, 0xc1000011n)).toBe("small!next+0x1");
	});

	testWith("gcc")("what nm prints agrees with the ELF file, however nm is asked", () => {
		const elf = loadSymbols(join(folder, "plain.elf"));
		for (const words of [[], ["-n"], ["-S"], ["-l"], ["-P"], ["-g"]]) {
			const text = run(folder, "nm", ...words, "plain.elf");
			const list = loadSymbols(write("plain.nm", text));
			for (const [name, address] of addresses("plain.elf")) {
				if (words.includes("-g") && name === "leaf") continue;
				if (!/^(_start|middle|leaf|other)$/.test(name)) continue;
				expect(list.at(address + 1n), `nm ${words.join(" ")}`).toMatchObject({ symbol: name, offset: 1 });
				expect(elf.at(address)).toMatchObject({ symbol: name });
				// It names the line of the declaration, the line table that of the brace.
				if (words.includes("-l")) expect([0, 1]).toContain(elf.at(address)!.line! - list.at(address)!.line!);
			}
		}
	});
});

describe("maps of linkers and assemblers", () => {
	testWith("gcc")("GNU ld's has global functions, static ones where each has its section, and no absent ones", () => {
		const symbols = loadSymbols(join(folder, "plain.map"));
		const all = addresses("plain.elf");
		for (const name of ["_start", "middle", "leaf", "other"]) {
			expect(symbols.at(all.get(name)! + 2n)).toMatchObject({ symbol: name, offset: 2, module: "plain" });
		}
		expect(says(symbols, all.get("counter")!)).toBe("plain!counter");
		expect(symbols.at(0n)).toBeUndefined();
	});

	testWith("nasm")("NASM's has the labels of all sections", () => {
		const source = `[map all boot.map]
org 0x7c00
bits 16
SIZE equ 512
start: mov ax, SIZE
.loop: jmp .loop
section .data
message db "hi"
`;
		write("boot.asm", source);
		run(folder, "nasm", "-f", "bin", "boot.asm", "-o", "boot.bin");
		const symbols = loadSymbols(join(folder, "boot.map"));
		expect(says(symbols, 0x7c04n)).toBe("boot!start.loop+0x1 (boot.asm)");
		expect(says(symbols, 0x7c09n)).toBe("boot!message+0x1 (boot.asm)");
		expect([symbols.at(512n), symbols.at(0x7bffn)]).toEqual([undefined, undefined]);
		expect(says(loadSymbols(join(folder, "boot.map"), { address: 0x9_7c00n }), 0x9_7c03n)).toBe(
			"boot!start.loop (boot.asm)",
		);
	});

	test("Microsoft's has public and static symbols at the addresses of its third column", () => {
		const path = write(
			"Driver.map",
			` Driver

 Preferred load address is 0000000000010000

 Start         Length     Name                   Class
 0001:00000000 00000a20H .text$mn                CODE
 0002:00000000 00000100H .data                   DATA

  Address         Publics by Value              Rva+Base               Lib:Object

 0000:00000000       __absolute                 0000000000000000     <absolute>
 0001:00000000       DriverEntry                0000000000010240 f   Driver:Entry.obj
 0001:00000130       Work                       0000000000010370 f i Driver:Work.obj
 0002:00000010       gState                     0000000000011010     Driver:Work.obj

 entry point at        0001:00000000

 Static symbols

 0001:00000900       Helper                     0000000000010b40 f   Driver:Work.obj
`,
		);
		const symbols = loadSymbols(path);
		expect(says(symbols, 0x10380n)).toBe("Driver!Work+0x10");
		expect(says(symbols, 0x10b40n)).toBe("Driver!Helper");
		expect(says(symbols, 0x11010n)).toBe("Driver!gState");
		expect([symbols.at(0n), symbols.at(0x10c60n)]).toEqual([undefined, undefined]);
		expect(says(loadSymbols(path, { address: 0x7e0_0000n }), 0x7e0_0380n - 0x10n)).toBe("Driver!Work");
	});

	test("edk2's of a firmware volume has the modules that run in place", () => {
		const path = write(
			"PEIFV.Fv.map",
			`PeiCore (Fixed Flash Address, BaseAddress=0x00fffd0000, EntryPoint=0x00fffd0300, Type=PE)
(GUID=52C05B14-0B98-496C-BC3B-04B50211D680 .textbaseaddress=0x00fffd0240 .databaseaddress=0x00fffd8000)

  0x00fffd0300    _ModuleEntryPoint
  0x00fffd0420    PeiCore


DxeCore (BaseAddress=0000000000, EntryPoint=0x0000000300)
(GUID=D6A2CB7F-6A18-4E2F-B43B-9920A733700A .textbaseaddress=0x0000000240 .databaseaddress=0x0000020000)

  0x0000000300    DxeMain


Silent (Fixed Flash Address, BaseAddress=0x00fffe0000, EntryPoint=0x00fffe0300)
(GUID=52C05B14-0B98-496C-BC3B-04B50211D681 .textbaseaddress=0x00fffe0240 .databaseaddress=0x00fffe8000)

`,
		);
		const symbols = loadSymbols(path);
		expect(says(symbols, 0xfffd0425n)).toBe("PeiCore!PeiCore+0x5");
		expect(says(symbols, 0xfffe0010n)).toBe("Silent+0x10");
		expect(symbols.at(0x300n)).toBeUndefined();
	});
});

describe("PE images", () => {
	const base = 0x40_0000n;

	testWith("gcc")("with COFF symbols, DWARF lines and exports agree with nm and the source", () => {
		run(folder, "gcc", "-g", "-O0", "-c", "-ffreestanding", "-fno-pic", ...NO_TABLES, "main.c", "-o", "pe.o");
		run(folder, "gcc", "-g", "-O0", "-c", "-ffreestanding", "-fno-pic", ...NO_TABLES, "sub/other.c", "-o", "pe2.o");
		const link = ["-m", "i386pep", "--subsystem", "10", "--image-base", "0x400000", "-e", "_start", "pe.o", "pe2.o"];
		run(folder, "ld", ...link, "--export-all-symbols", "-shared", "-o", "driver.efi");
		const all = addresses("driver.efi");
		const symbols = loadSymbols(join(folder, "driver.efi"));
		expect(symbols.at(all.get("leaf")!)).toMatchObject({ symbol: "leaf", offset: 0, file: "main.c", line: 7 });
		expect(symbols.at(all.get("other")! + 1n)).toMatchObject({ module: "driver", symbol: "other", offset: 1 });
		const moved = loadSymbols(join(folder, "driver.efi"), { address: 0x7d0_0000n });
		expect(moved.at(all.get("middle")! - base + 0x7d0_0000n)).toMatchObject({ symbol: "middle", line: 12 });
		run(folder, "strip", "driver.efi");
		const exported = loadSymbols(join(folder, "driver.efi"));
		expect(exported.at(all.get("middle")!)).toMatchObject({ symbol: "middle", offset: 0 });
	});

	testWith("gcc")("without symbols take those of the .debug file beside them, wherever its code is", () => {
		mkdirSync(join(folder, "edk2"));
		run(folder, "gcc", ...FREE, "-g", "-O0", "-Wl,-Ttext=0x240", "main.c", "sub/other.c", "-o", "edk2/Thing.debug");
		const path = write("edk2/0123.efi", buildPe({ base, path: "/build/X64/Thing/DEBUG/Thing.dll" }));
		const leaf = addresses("edk2/Thing.debug").get("leaf")!;
		const symbols = loadSymbols(path);
		expect(symbols.at(base + 0x1000n + leaf - 0x240n)).toMatchObject({
			module: "Thing",
			symbol: "leaf",
			offset: 0,
			line: 7,
		});
		const moved = loadSymbols(path, { address: 0x6a0_0000n });
		expect(moved.at(0x6a0_1000n + leaf - 0x240n)).toMatchObject({ module: "Thing", symbol: "leaf" });
	});

	test("without symbols, of which several lie side by side, are refused, or have those of a map beside them", () => {
		mkdirSync(join(folder, "msvc"));
		for (const ending of ["efi", "dll", "debug"])
			write(`msvc/Lone.${ending}`, buildPe({ base, path: "C:\\b\\Lone.pdb" }));
		expect(() => loadSymbols(join(folder, "msvc/Lone.efi"))).toThrow(/Lone\.efi is a PE image without symbols/);
		write("msvc/Lone.map", readFileSync(join(folder, "Driver.map")));
		expect(says(loadSymbols(join(folder, "msvc/Lone.efi")), base + 0x380n)).toBe("Lone!Work+0x10");
	});

	test.each(["NB10", "RSDS", "MTOC"] as const)(
		"without symbols anywhere are refused by the name in their %s record",
		(form) => {
			const path = write("bare.efi", buildPe({ path: "C:\\Build\\DEBUG\\DxeThing.pdb", form }));
			expect(() => loadSymbols(path)).toThrow(
				"bare.efi is a PE image without symbols, and none of DxeThing.debug, DxeThing.dll, DxeThing.map lies beside it",
			);
			expect(() => loadSymbols(write("bare.te", buildPe({ te: true, path: "/b/DxeThing.dll", form })))).toThrow(
				/DxeThing\.map/,
			);
		},
	);
});

describe("what is no file of symbols", () => {
	test.each<[string, string | Uint8Array, RegExp]>([
		["nothing", "", /is none of the files that have symbols: ELF, PE/],
		["prose", "It was a dark and stormy night.\n", /is none of the files that have symbols/],
		["other binary data", Uint8Array.of(1, 2, 0, 3), /is none of the files that have symbols/],
		["half an ELF header", Buffer.from("\x7fELF\x02\x01\x01"), /its ELF header ends at byte 20, and the file has 7/],
		[
			"an ELF file for ARM",
			Buffer.concat([Buffer.from("\x7fELF\x02\x01\x01"), Buffer.alloc(11), Buffer.from([0xb7, 0]), Buffer.alloc(44)]),
			/another kind of processor \(machine 183/,
		],
		["a program for DOS", Buffer.concat([Buffer.from("MZ"), Buffer.alloc(100)]), /its PE header is missing/],
	])("%s is refused in one message that names the file", (_what, content, message) => {
		const path = write("broken.bin", content);
		expect(() => loadSymbols(path)).toThrow(UserError);
		expect(() => loadSymbols(path)).toThrow(message);
		expect(() => loadSymbols(path)).toThrow(/^--symbols: .*broken\.bin /);
	});

	test("a missing file, a folder and a pipe are refused", () => {
		expect(() => loadSymbols(join(folder, "absent"))).toThrow(/absent does not exist/);
		expect(() => loadSymbols(folder)).toThrow(/is not a regular file/);
		execFileSync("mkfifo", [join(folder, "pipe")]);
		expect(() => loadSymbols(join(folder, "pipe"))).toThrow(/pipe is not a regular file/);
	});

	/** Either symbols or one error that names the file; never anything else, whatever was asked of what was read. */
	function survives(content: Uint8Array): void {
		const path = write("fuzzed", content);
		try {
			const symbols = loadSymbols(path);
			const { symbols: table, extents, frames } = symbols.contents;
			for (const address of [0n, 1n << 63n, extents[0]?.first ?? 5n, table.last?.address ?? 7n]) {
				symbols.at(address);
				const values = Array<bigint>(17).fill(address);
				for (const machine of ["i386", "x86-64"] as const)
					frames?.caller(address, { machine, pc: address, values }, (_at, length) => new Uint8Array(length));
			}
			for (const row of symbols.contents.lines?.allRows() ?? []) symbols.at(row.address);
		} catch (error) {
			expect(error).toBeInstanceOf(UserError);
		}
	}

	const seeds = (): Uint8Array[] => {
		const built = ["plain.elf", "plain.map", "pe.o", "PEIFV.Fv.map", "Driver.map", "System.map-6.1.0"];
		const pe = buildPe({ path: "/b/DEBUG/DxeThing.dll" });
		return [...built.map((name) => readFileSync(join(folder, name))), pe.slice(0, 0x3000)];
	};

	testWith("gcc")("files with bytes changed, cut short or repeated give symbols or one error", () => {
		const files = seeds();
		fc.assert(
			fc.property(
				fc.nat(files.length - 1),
				fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(255)), { maxLength: 8 }),
				fc.double({ min: 0, max: 1, noNaN: true }),
				fc.boolean(),
				(which, changes, cut, whole) => {
					const bytes = Buffer.from(files[which]!);
					for (const [where, value] of changes) bytes[Math.floor(where * (bytes.length - 1))] = value;
					survives(whole ? bytes : bytes.subarray(0, Math.floor(cut * bytes.length)));
				},
			),
			{ numRuns: 800, endOnFailure: true },
		);
	});

	testWith("gcc")("every byte of the headers and tables of an ELF file may be anything", () => {
		const bytes = readFileSync(join(folder, "plain.elf"));
		for (const value of [0, 0xff, 0x80, 0x7f]) {
			for (let at = 4; at < 64; at++) {
				const changed = Buffer.from(bytes);
				changed[at] = value;
				survives(changed);
			}
			const headers = Number(bytes.readBigUInt64LE(40));
			for (let at = headers; at < bytes.length; at += 17) {
				const changed = Buffer.from(bytes);
				changed[at] = value;
				survives(changed);
			}
		}
	});
});
