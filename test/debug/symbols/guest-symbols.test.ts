import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { UserError } from "../../../src/base/errors.ts";
import { GuestSymbols, type GuestSymbolsParts } from "../../../src/debug/symbols/guest-symbols.ts";
import type { GuestView } from "../../../src/debug/symbols/guest-view.ts";
import { placeText, type Symbols } from "../../../src/debug/symbols/symbols.ts";
import { describeWith } from "../../support/guest-files.ts";
import { SparseMemory } from "./guest-memory.ts";
import { run, workFolder, writeProgram } from "./toolchain.ts";

const folder = workFolder();

function write(name: string, content: string): string {
	writeFileSync(join(folder, name), content);
	return join(folder, name);
}

function create(parts: Partial<GuestSymbolsParts>): { symbols: GuestSymbols; problems: string[] } {
	const problems: string[] = [];
	const problem = (message: string): void => {
		problems.push(message);
	};
	const view = (): GuestView => new SparseMemory().view();
	return { symbols: new GuestSymbols({ sources: [], mayHaveUefi: false, view, problem, ...parts }), problems };
}

function says(symbols: Symbols, address: bigint): string | undefined {
	const place = symbols.at(address);
	return place && placeText(place);
}

const MAP_64 = `ffffffff81000000 T _text
ffffffff81000200 T start_kernel
ffffffff81800000 T entry_SYSCALL_64
ffffffff81801000 T asm_exc_divide_error
ffffffff81801230 T asm_exc_page_fault
ffffffff82000000 B _end
`;
const MAP_32 = "c1000000 T _text\nc1000200 T start_kernel\nc1700450 T page_fault\nc1800000 B _end\n";
const IDT = 0xffff_fe00_0000_0000n;

/** An interrupt gate for one vector. */
function gate(handler: bigint, wide: boolean): Uint8Array {
	const bytes = Buffer.alloc(wide ? 16 : 8);
	bytes.writeUInt16LE(Number(handler & 0xffffn), 0);
	bytes.writeUInt16LE(Number((handler >> 16n) & 0xffffn), 6);
	if (wide) bytes.writeUInt32LE(Number(handler >> 32n), 8);
	return bytes;
}

describe("Linux that moved itself", () => {
	const sources = [{ path: write("System.map", MAP_64) }];
	const moved = 0x2a00_0000n;
	const at = (address: bigint, entries: Partial<ReturnType<GuestView["entries"]>>, memory = new SparseMemory()) =>
		says(create({ sources, view: () => memory.view(entries) }).symbols, address);

	test("is found by where SYSCALL goes", () => {
		const entries = { lstar: 0xffffffff81800000n + moved };
		expect(at(0xffffffff81000210n + moved, entries)).toBe("vmlinux!start_kernel+0x10");
		expect(at(0xffffffff81000210n, entries)).toBeUndefined();
	});

	test("is found by where page faults go, before SYSCALL is set up", () => {
		const memory = new SparseMemory();
		memory.write(IDT + 14n * 16n, gate(0xffffffff81801230n + moved, true));
		const entries = { idtBase: IDT, idtLimit: 0xfff };
		expect(at(0xffffffff81000210n + moved, entries, memory)).toBe("vmlinux!start_kernel+0x10");
	});

	test("is where it was linked as long as nothing tells otherwise, and at its physical addresses before paging", () => {
		const memory = new SparseMemory();
		memory.write(IDT, new Uint8Array(4096).fill(0x5a));
		expect(at(0xffffffff81000210n, {}, memory)).toBe("vmlinux!start_kernel+0x10");
		expect(at(0xffffffff81000210n, { idtBase: IDT, idtLimit: 0xfff, lstar: 0xffffffff81801010n }, memory)).toBe(
			"vmlinux!start_kernel+0x10",
		);
		expect(at(0x100_0210n, {}, memory)).toBe("vmlinux!start_kernel+0x10");
	});

	test("of 32 bits is found by where page faults go", () => {
		const memory = new SparseMemory();
		memory.write(0xff40_0000n + 14n * 8n, gate(0xc1700450n + 0x640_0000n, false));
		const view = (): GuestView => memory.view({ idtBase: 0xff40_0000n, idtLimit: 0x7ff });
		const { symbols } = create({ sources: [{ path: write("small-System.map", MAP_32) }], view });
		expect(says(symbols, 0xc1000204n + 0x640_0000n)).toBe("vmlinux!start_kernel+0x4");
	});

	test("stays at an address that the user gave", () => {
		const given = [{ ...sources[0]!, address: 0xffffffffa0000000n }];
		const view = (): GuestView => new SparseMemory().view({ lstar: 0xffffffff81800000n });
		const { symbols } = create({ sources: given, view });
		expect(says(symbols, 0xffffffffa0000210n)).toBe("vmlinux!start_kernel+0x10");
	});
});

describe("the sources that a user names", () => {
	test("must be there, as a file or a folder, and a folder has no address", () => {
		expect(() => create({ sources: [{ path: join(folder, "absent") }] })).toThrow(UserError);
		expect(() => create({ sources: [{ path: join(folder, "absent") }] })).toThrow(
			/^--symbols: .*absent does not exist$/,
		);
		expect(() => create({ sources: [{ path: "/dev/null" }] })).toThrow(
			"--symbols: /dev/null is neither a file nor a folder",
		);
		mkdirSync(join(folder, "build"));
		expect(() => create({ sources: [{ path: join(folder, "build"), address: 1n }] })).toThrow(/leave the address out/);
	});

	test("are read when the first address is asked about; what is no use is said once", () => {
		const path = write("later.map", "not yet\n");
		const { symbols, problems } = create({ sources: [{ path }, { path: write("junk", "junk\n") }] });
		expect(problems).toEqual([]);
		writeFileSync(path, "00100000 T main\n");
		expect([says(symbols, 0x10_0004n), says(symbols, 0x10_0008n)]).toEqual(["later!main+0x4", "later!main+0x8"]);
		expect(problems).toEqual([expect.stringMatching(/^--symbols: .*junk is none of the files/)]);
	});

	test("come first in the order given", () => {
		const paths = ["00100000 T first\n", "00100000 T second\n00200000 T other\n"].map((text, n) =>
			write(`${n}.map`, text),
		);
		const { symbols } = create({ sources: paths.map((path) => ({ path })) });
		expect([says(symbols, 0x10_0000n), says(symbols, 0x20_0000n)]).toEqual(["0!first", "1!other"]);
	});
});

/** What SeaBIOS's linker scripts do, in small. */
const ROM_SCRIPT = `SECTIONS {
	code32flat_start = 0xe0000;
	code32init_start = 0xe1000;
	. = 0xe1000;
	.text : { *(.text.middle .text.leaf .text.other) code32init_end = ABSOLUTE(.); . = 0x2000; *(.text*) *(.data*) *(.bss*) *(COMMON) }
	/DISCARD/ : { *(.eh_frame*) *(.comment) *(.note*) }
}
`;

describeWith(["gcc"], "a build of SeaBIOS", () => {
	const free = [
		"-m32",
		"-nostdlib",
		"-ffreestanding",
		"-fcf-protection=none",
		"-fno-pic",
		"-no-pie",
		"-static",
		"-g",
		"-O1",
	];
	const link = ["-ffunction-sections", "-Wl,--build-id=none", "main.c", "sub/other.c"];
	const high = 0x6f0_0000n;

	test("is known where it was linked, in the ROM below 4 GiB, in the segment F000, and where it moved itself", () => {
		writeProgram(folder);
		write("rom.lds", ROM_SCRIPT);
		run(folder, "gcc", ...free, ...link, "-Wl,-T,rom.lds", "-o", "rom.o");
		run(folder, "gcc", ...free, ...link, "-Wl,-Ttext=0x6a60", "-o", "rom16.o");
		const addressOf = (file: string, name: string): bigint =>
			BigInt(`0x${new RegExp(`^(\\S+) [Tt] ${name}$`, "m").exec(run(folder, "nm", file))?.[1]}`);
		run(folder, "objcopy", "-O", "binary", "-j", ".text", "rom.o", "rom.bin");
		const memory = new SparseMemory();
		const code = readFileSync(join(folder, "rom.bin")).subarray(0, 0x200);
		// As relocation leaves it: some words differ.
		for (let at = 7; at < code.length; at += 48) code[at] = code[at]! ^ 0x5a;
		memory.write(high + 0xe1000n, code);
		const view = (): GuestView => memory.view();
		const { symbols, problems } = create({ sources: [{ path: join(folder, "rom.o") }], view });
		for (const name of ["middle", "leaf", "other"]) {
			const linked = addressOf("rom.o", name);
			const place = symbols.at(linked + 1n);
			expect(place).toMatchObject({ module: "rom", symbol: name, offset: 1 });
			expect(place?.line).toBeGreaterThan(0);
			expect(symbols.at(0xfff0_0000n + linked + 1n), `${name} in the ROM`).toEqual(place);
			expect(symbols.at(high + linked + 1n), `${name} at the end of RAM`).toEqual(place);
		}
		const entry = 0xf_0000n + addressOf("rom16.o", "_start");
		expect(symbols.at(entry)).toMatchObject({ module: "rom16", symbol: "_start", offset: 0 });
		memory.write(high + 0xe1000n, new Uint8Array(0x200).fill(0x90));
		expect(symbols.at(high + addressOf("rom.o", "leaf"))).toBeUndefined();
		expect(problems).toEqual([]);
	});
});

describeWith(["gcc"], "a kernel", () => {
	test("that is an ELF file has its own symbols, also at its physical addresses; any other has none, and nothing is said", () => {
		writeProgram(folder);
		const free = ["-nostdlib", "-ffreestanding", "-fcf-protection=none", "-fno-pic", "-no-pie", "-Wl,--build-id=none"];
		write(
			"high.lds",
			"SECTIONS { . = 0xffffffff80100000; .all : AT(0x100000) { *(.text*) *(.rodata*) *(.eh_frame*) *(.data*) *(.bss*) *(COMMON) } }\n",
		);
		const words = [
			...free,
			"-mcmodel=kernel",
			"-g",
			"-static",
			"-Wl,-T,high.lds",
			"main.c",
			"sub/other.c",
			"-o",
			"high.elf",
		];
		run(folder, "gcc", ...words);
		const { symbols, problems } = create({ kernel: join(folder, "high.elf") });
		const leaf = BigInt(`0x${/^(\S+) t leaf$/m.exec(run(folder, "nm", "high.elf"))?.[1]}`);
		expect(symbols.at(leaf)).toMatchObject({ module: "high", symbol: "leaf", offset: 0, file: "main.c" });
		expect(symbols.at(leaf - 0xffffffff80000000n)).toEqual(symbols.at(leaf));
		const none = create({ kernel: write("flat.bin", "\u0001\u0002") });
		expect([none.symbols.at(0n), problems, none.problems]).toEqual([undefined, [], []]);
	});
});
