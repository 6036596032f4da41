import { describe, expect, test } from "vitest";
import { UserError } from "../../src/base/errors.ts";
import { planBoot, recogniseKernel } from "../../src/boot/boot.ts";
import { ImageFile } from "../../src/boot/image-file.ts";
import type { EntryChoice, Payload } from "../../src/boot/kernel.ts";
import { MEMORY_TYPE } from "../../src/boot/load-map.ts";
import { bzImage, CODE_AT, elf, multiboot2Header, multibootHeader, words } from "../support/kernel-images.ts";

const MIB = 2 ** 20;
const HLT = [0xf4];

function payload(more: Partial<Payload> = {}): Payload {
	return {
		path: "kernel",
		commandLine: "",
		modules: [],
		platform: {
			map: [
				{ first: 0, size: 0xa0000, type: MEMORY_TYPE.ram },
				{ first: 0xe0000, size: 0x20000, type: MEMORY_TYPE.reserved },
				{ first: MIB, size: 63 * MIB, type: MEMORY_TYPE.ram },
			],
			rsdp: 0xf0000,
			rsdpBytes: new Uint8Array(20),
			longMode: true,
			textScreen: false,
		},
		...more,
	};
}

const file = (bytes: Uint8Array | readonly number[]): ImageFile => new ImageFile("--kernel: k", Uint8Array.from(bytes));

function protocol(bytes: Uint8Array | readonly number[], entry: EntryChoice = "auto", address?: number): string {
	return recogniseKernel(file(bytes), entry, address).protocol;
}

/** The message of the error that recognising or loading ends with. */
function problem(
	bytes: Uint8Array | readonly number[],
	{ entry = "auto", address, ...more }: { entry?: EntryChoice; address?: number } & Partial<Payload> = {},
): string {
	try {
		planBoot(recogniseKernel(file(bytes), entry, address), payload(more));
	} catch (error) {
		if (error instanceof UserError) return error.message;
		throw error;
	}
	return "accepted";
}

describe("a kernel's protocol", () => {
	const multiboot = elf({ code: [...multibootHeader(), ...HLT] });
	const both = elf({ bits: 64, code: [...multibootHeader(), ...HLT], pvh: CODE_AT });
	test.each<[string, Uint8Array, EntryChoice, string]>([
		["bzImage", bzImage({ code: HLT }), "auto", "Linux, 64-bit entry"],
		["bzImage, by choice", bzImage({ code: HLT }), "32", "Linux, 32-bit entry"],
		["bzImage, in real mode", bzImage({ code: HLT }), "16", "Linux, 16-bit entry"],
		["bzImage without 64-bit entry", bzImage({ code: HLT, xloadFlags: 0 }), "auto", "Linux, 32-bit entry"],
		[
			"bzImage of protocol 2.11, where a bit means nothing yet",
			bzImage({ code: HLT, version: 0x020b }),
			"auto",
			"Linux, 32-bit entry",
		],
		["ELF32 with a Multiboot header", multiboot, "auto", "Multiboot"],
		["ELF32 with a Multiboot header, by choice", multiboot, "32", "ELF32"],
		["ELF32 with a Multiboot 2 header", elf({ code: multiboot2Header() }), "auto", "Multiboot 2"],
		["ELF64 with PVH", elf({ bits: 64, code: HLT, pvh: CODE_AT }), "auto", "PVH"],
		["ELF64 with PVH, by choice", elf({ bits: 64, code: HLT, pvh: CODE_AT }), "64", "ELF64"],
		["Multiboot goes before PVH", both, "auto", "Multiboot"],
		["Multiboot and PVH, by choice", both, "pvh", "PVH"],
		["ELF32", elf({ code: HLT }), "auto", "ELF32"],
		["ELF64", elf({ bits: 64, code: HLT }), "auto", "ELF64"],
	])("%s", (_name, bytes, entry, expected) => {
		expect(protocol(bytes, entry)).toBe(expected);
	});

	test("a flat binary is what the user says", () => {
		expect(protocol(HLT, "auto", 0x10_0000)).toBe("flat, 32-bit");
		expect(protocol(elf({ code: HLT }), "16", 0x7c00)).toBe("flat, 16-bit");
	});
});

describe("what cannot be booted is refused, saying why", () => {
	test("nothing known", () => {
		expect(problem([0x1f, 0x8b, 8, 0])).toBe(
			"--kernel: k is no kernel that can be booted; looked for a Linux setup header (HdrS at 0x202), a Multiboot header in the first 8 KiB, a Multiboot 2 header in the first 32 KiB, an ELF note with a PVH entry, an ELF header. A flat binary needs --kernel-address",
		);
		expect(problem(elf({ code: HLT }), { entry: "multiboot" })).toMatch(
			/booted \(--kernel-entry multiboot\); looked for a Multiboot header/,
		);
	});

	const good = elf({ code: [...multibootHeader(), ...HLT] });
	test.each<[string, Uint8Array | readonly number[], RegExp]>([
		[
			"ELF, cut in its header",
			good.subarray(0, 20),
			/^--kernel: k is truncated: its ELF header ends at byte \d+, and the file has 20$/,
		],
		["ELF, cut in its program headers", good.subarray(0, 60), /is truncated: ELF program header 0/],
		["ELF, cut in its segment", elf({ code: HLT, missing: 4096 }), /is truncated: ELF segment 0/],
		["ELF for ARM", elf({ code: HLT, machine: 40 }), /for another kind of processor \(machine 40/],
		["ELF of another byte order", elf({ code: HLT }).map((byte, at) => (at === 5 ? 2 : byte)), /big-endian/],
		["relocatable ELF", elf({ code: HLT }).map((byte, at) => (at === 0x10 ? 1 : byte)), /no linked program/],
		["ELF entered outside", elf({ code: HLT, entry: 0x5000 }), /entry point 0x5000 lies in no ELF segment/],
		["PVH entered outside", elf({ bits: 64, code: HLT, pvh: 0x5000 }), /PVH entry point 0x5000 lies in no ELF segment/],
		[
			"ELF beyond memory",
			elf({ code: HLT, at: 0x1000_0000 }),
			/ELF segment 0 needs memory at 0x10000000\.\.0x10002000, but RAM is at/,
		],
		["ELF over the VGA window", elf({ code: HLT, at: 0xb8000 }), /needs memory at 0xb8000/],
		["Multiboot without ELF or addresses", multibootHeader(), /without load addresses, and is no ELF image/],
		["Multiboot that asks for more", elf({ code: multibootHeader({ flags: 8 }) }), /unknown here: flags 0x8/],
		[
			"Multiboot with addresses before the file",
			[0, 0, 0, 0, ...multibootHeader({ load: CODE_AT }).with(16, 1)],
			/contradict/,
		],
		[
			"Multiboot 2 that asks for an unknown tag",
			elf({ code: multiboot2Header([77, 0, words(0)]) }),
			/unknown here: tag 77/,
		],
		["Multiboot 2 that needs a network", elf({ code: multiboot2Header([1, 0, words(16)]) }), /does not have: tag 16/],
		["Multiboot 2 for MIPS", multiboot2For(4), /another kind of processor/],
		["bzImage, cut in its setup code", bzImage({ code: HLT }).subarray(0, 0x300), /truncated: its Linux setup code/],
		["bzImage, cut in its kernel", bzImage({ code: HLT }).subarray(0, 0x500), /truncated: Linux's kernel/],
		["bzImage, cut in its header", bzImage({ code: HLT }).subarray(0, 0x20a), /truncated: its Linux setup header/],
		["a very old Linux", bzImage({ code: HLT, version: 0x0201 }), /protocol 2\.1; at least 2\.2/],
		["a zImage", bzImage({ code: HLT, loadFlags: 0 }), /zImage/],
		[
			"bzImage larger than memory",
			bzImage({ code: HLT, initSize: 0x1000_0000 }),
			/the kernel needs memory at 0x200000\.\.0x101fffff/,
		],
	])("%s", (_name, bytes, expected) => {
		expect(problem(bytes)).toMatch(expected);
	});

	test("64-bit entries on a processor without long mode", () => {
		const { platform } = payload();
		const small = { platform: { ...platform, longMode: false } };
		expect(problem(bzImage({ code: HLT }), small)).toMatch(/^--cpu: .*Linux, 64-bit entry.* starts in 64-bit mode/);
		expect(problem(elf({ bits: 64, code: HLT }), small)).toMatch(/^--cpu: .*ELF64.* starts in 64-bit mode/);
		expect(problem(bzImage({ code: HLT }), { ...small, entry: "32" })).toBe("accepted");
	});

	test("entries that the image does not have", () => {
		expect(problem(bzImage({ code: HLT, xloadFlags: 0 }), { entry: "64" })).toMatch(/has no 64-bit entry/);
		expect(problem(elf({ code: HLT }), { entry: "64" })).toMatch(/ELF32 image, which has no 64-bit entry/);
		expect(problem(HLT, { entry: "16", address: MIB })).toMatch(
			/--kernel-address: 0x100000 cannot be reached in real mode/,
		);
		expect(problem(HLT, { entry: "pvh", address: MIB })).toMatch(
			/--kernel-entry: pvh does not go with --kernel-address/,
		);
	});

	test("a command line that is too long", () => {
		const image = bzImage({ code: HLT, commandLineSize: 10 });
		expect(problem(image, { commandLine: "0123456789" })).toBe("accepted");
		expect(problem(image, { commandLine: "0123456789é" })).toBe("--append: 12 bytes; --kernel: k takes at most 10");
	});

	test("a RAM disk that does not fit", () => {
		const initrd = (size: number) => ({ modules: [{ name: "--initrd: i", bytes: new Uint8Array(size), text: "i" }] });
		for (const bytes of [bzImage({ code: HLT }), elf({ code: HLT }), elf({ code: multibootHeader() })]) {
			expect(problem(bytes, initrd(40 * MIB))).toBe("accepted");
			expect(problem(bytes, initrd(64 * MIB))).toMatch(/^--initrd: i: no room for 65536 KiB/);
		}
		expect(problem(bzImage({ code: HLT, initrdMax: 0x1f_ffff }), initrd(2 * MIB))).toMatch(
			/no room for 2048 KiB .* below 0x200000/,
		);
	});
});

function multiboot2For(architecture: number): number[] {
	const header = multiboot2Header();
	const change = (at: number, by: number): void => {
		header.splice(at, 4, ...words(new DataView(Uint8Array.from(header).buffer).getUint32(at, true) + by));
	};
	change(4, architecture);
	change(12, -architecture);
	return header;
}

describe("where things go", () => {
	test("Linux at the address that it prefers, or as low as it can where that is taken or missing", () => {
		const entry = (prefAddress: number, relocatable = true) =>
			planBoot(recogniseKernel(file(bzImage({ code: HLT, prefAddress, relocatable })), "32"), payload()).start.entry;
		expect(entry(0x100_0000)).toBe(0x100_0000);
		expect(entry(0x1000_0000)).toBe(0x20_0000);
		expect(entry(0x30_0000, false)).toBe(0x30_0000);
	});

	test("no two pieces overlap, whatever the kernel", () => {
		const modules = [1, 2, 3].map((n) => ({ name: `m${n}`, bytes: new Uint8Array(n * 5000), text: `m${n} x` }));
		for (const bytes of [
			bzImage({ code: HLT }),
			elf({ code: multibootHeader(), at: 0x1000 }),
			elf({ code: multiboot2Header(), at: 0x2000 }),
			elf({ bits: 64, code: HLT, pvh: 0x1_0000, at: 0x1_0000 }),
		]) {
			const { pieces } = planBoot(recogniseKernel(file(bytes), "auto"), payload({ modules, commandLine: "a b" }));
			const sorted = pieces.toSorted((a, b) => a.address - b.address);
			expect(sorted.length).toBeGreaterThan(5);
			sorted.slice(1).forEach((piece, n) => {
				expect(piece.address).toBeGreaterThanOrEqual(sorted[n]!.address + sorted[n]!.bytes.length);
			});
		}
	});
});
