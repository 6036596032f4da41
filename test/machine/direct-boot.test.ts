import { describe, expect, test } from "vitest";
import type { OptionTexts } from "../../src/index.ts";
import { describeWith } from "../support/guest-files.ts";
import { bzImage, code32, elf, multiboot2Header, multibootHeader } from "../support/kernel-images.ts";
import { MACHINE_ENGINES, runMachine } from "../support/run-machine.ts";
import { temporaryFiles, tinyRom } from "../support/tiny-rom.ts";

const file = temporaryFiles();
const { sayEax, sayString, esiFromEbx, esiFromEsi, ebxEsi, esiEbx, exit } = code32;

/** What the kernel says on the debug console; it must end with status 0. */
async function say(image: Uint8Array, options: OptionTexts = {}): Promise<string> {
	const kernel = file("kernel", image);
	const { outcome, debugcon } = await runMachine({ kernel, memory: "16M", "max-instructions": "1M", ...options });
	expect(outcome.end).toEqual({ kind: "debug-exit", value: 0 });
	return debugcon.replaceAll(/[^ -~]/g, (byte) => `<${byte.charCodeAt(0).toString(16)}>`);
}

const entered = (header: readonly number[], code: readonly number[]): Uint8Array => {
	// jmp over the header
	const jump = [0xe9, ...[header.length + 3, 0, 0, 0], 0, 0, 0];
	return elf({ code: [...jump, ...header, ...code] });
};

describe.each(MACHINE_ENGINES)("a kernel starts as its protocol says: %s", (engine) => {
	test("Multiboot: magic, command line with the kernel's name, modules with arguments", async () => {
		const code = [
			...sayEax,
			...[...esiFromEbx(16), ...sayString],
			// The second module: its text, then its contents.
			...[...esiFromEbx(24), ...ebxEsi, ...esiFromEbx(24), ...sayString, ...esiFromEbx(16), ...sayString],
			...exit(0),
		];
		const [one, two] = [file("one", Uint8Array.of(0x31, 0)), file("two", Uint8Array.of(0x32, 0x33, 0))];
		const text = await say(entered(multibootHeader(), code), { engine, append: "a b", initrd: `${one}, ${two} x=1 y` });
		expect(text).toMatch(/^<2><b0><ad>\+\S*kernel a b\S*two x=1 y23$/);
	});

	test("Multiboot 2: magic and information", async () => {
		// The first tag is the command line; its text is 16 bytes into the information.
		const code = [...sayEax, 0x8d, 0x73, 0x10, ...sayString, ...exit(0)];
		expect(await say(entered(multiboot2Header(), code), { engine, append: "quiet" })).toBe("<89>b<d7>6quiet");
	});

	test("PVH: start information with magic and command line", async () => {
		// mov eax, [ebx]
		const code = [0x8b, 0x03, ...sayEax, ...esiFromEbx(24), ...sayString, ...exit(0)];
		const image = elf({ bits: 64, code, pvh: 0x10_0000 });
		expect(await say(image, { engine, append: "pvh" })).toBe("x<c5>n3pvh");
	});

	test("Linux, 32-bit: zero page in ESI, with command line, RAM disk and memory map", async () => {
		const initrd = file("initrd", new TextEncoder().encode("initrd\0"));
		const code = [
			...[...ebxEsi, ...esiFromEbx(0x228), ...sayString],
			...[...esiFromEbx(0x218), ...sayString],
			// movzx eax, byte [ebx + 0x1e8]: entries; then the length of the third
			...[0x0f, 0xb6, 0x83, 0xe8, 0x01, 0, 0, ...sayEax],
			...[...esiEbx, 0x8b, 0x86, ...[0x00, 0x03, 0, 0], ...sayEax],
			...exit(0),
		];
		const text = await say(bzImage({ code, prefAddress: 0x40_0000 }), {
			engine,
			...{ append: "console=ttyS0", initrd, "kernel-entry": "32" },
		});
		expect(text).toBe("console=ttyS0initrd<3><0><0><0><0><0><f0><0>");
	});

	test("Linux, plain ELF64 and flat binaries in 64 bits: zero page in RSI, the first 4 GiB mapped to themselves", async () => {
		// mov eax, 0; inc rax, which is dec eax; inc eax in 32 bits; add al, '0'; out 0xe9, al; mov [0x7ffffffc], al, which is nobody's
		const is64 = [0xb8, 0, 0, 0, 0, 0x48, 0xff, 0xc0, 0x04, 0x30, 0xe6, 0xe9, 0x88, 0x04, 0x25, 0xfc, 0xff, 0xff, 0x7f];
		const code = [...is64, ...esiFromEsi(0x228), ...sayString, ...exit(0)];
		const options = { engine, append: " x" };
		const linux = bzImage({ code: exit(1), code64: code, prefAddress: 0x40_0000 });
		expect(await say(linux, options)).toBe("1 x");
		expect(await say(elf({ bits: 64, code }), options)).toBe("1 x");
		const flat = { "kernel-address": "0x200000", "kernel-entry": "64" };
		expect(await say(Uint8Array.from(code), { ...options, ...flat })).toBe("1 x");
	});

	test("64-bit code jumps to and fro between both ends of the address space", async () => {
		const u32 = (value: number): number[] => [value, value >> 8, value >> 16, value >> 24].map((byte) => byte & 0xff);
		const GIB = 0x4000_0000;
		// The last entries of both upper tables become the first ones: the first GiB appears at the end, too.
		const tables = [
			...[
				0x0f, 0x20, 0xd8, 0x48, 0x8b, 0x18, 0x48, 0x89, 0x98, 0xf8, 0x0f, 0, 0, 0x48, 0x81, 0xe3, 0, 0xf0, 0xff, 0xff,
			],
			...[0x48, 0x8b, 0x13, 0x48, 0x89, 0x93, 0xf8, 0x0f, 0, 0, 0xb9, ...u32(10_000)],
		];
		// again: dec ecx; jz over; jmp there, 1 GiB below 0; over: exit; there: jmp again
		const done = exit(0);
		const there = tables.length + 4 + 5 + done.length;
		const forth = [0xff, 0xc9, 0x74, 0x05, 0xe9, ...u32(there - GIB - (tables.length + 9))];
		const back = [0xe9, ...u32(tables.length + GIB - (there + 5))];
		const code = Uint8Array.from([...tables, ...forth, ...done, ...back]);
		const options = { engine, "kernel-address": "0x200000", "kernel-entry": "64" };
		expect(await say(code, options)).toBe("");
	});

	test("plain ELF32: the same, entered at its entry point", async () => {
		const image = elf({ code: [...esiFromEsi(0x228), ...sayString, ...exit(0)] });
		expect(await say(image, { engine, append: "plain" })).toBe("plain");
	});

	test("flat binaries at their address, in 32 and 16 bits", async () => {
		const flat = Uint8Array.from([...esiFromEsi(0x228), ...sayString, ...exit(0)]);
		expect(await say(flat, { engine, "kernel-address": "0x12345", append: "flat" })).toBe("flat");
		// call next; pop ax: the address by CS of 0; mov ax, cs
		const real = Uint8Array.from([0xe8, 0, 0, 0x58, 0xe6, 0xe9, 0x8c, 0xc8, 0xe6, 0xe9, ...exit(0)]);
		expect(await say(real, { engine, "kernel-address": "0x7c00", "kernel-entry": "16" })).toBe("<3><0>");
	});
});

/**
 * Real-mode setup code: CS and DS, the RAM disk's size, the command line at 0x2000:0, then what INT 15 E820 says first: where to go
 * on and the third byte of the length.
 */
const setup = [
	...[0x8c, 0xc8, 0xe6, 0xe9, 0x86, 0xe0, 0xe6, 0xe9, 0x8c, 0xd8, 0xe6, 0xe9, 0x86, 0xe0, 0xe6, 0xe9],
	...[0xa0, 0x1c, 0x02, 0xe6, 0xe9, 0xb8, 0x00, 0x20, 0x8e, 0xd8, 0x31, 0xf6, ...sayString],
	...[0xb8, 0x00, 0x30, 0x8e, 0xc0, 0x31, 0xff, 0x66, 0xb8, 0x20, 0xe8, 0, 0, 0x66, 0xba, 0x50, 0x41, 0x4d, 0x53],
	...[
		0x66, 0xb9, 20, 0, 0, 0, 0x66, 0x31, 0xdb, 0xcd, 0x15, 0x88, 0xd8, 0xe6, 0xe9, 0x26, 0xa0, 0x0a, 0x00, 0xe6, 0xe9,
	],
	...exit(0),
];
const REAL_MODE_START = " <10><0><10><5>";

test("Linux by its 16-bit entry finds command line, RAM disk and the memory map", async () => {
	const initrd = file("initrd", new Uint8Array(5));
	const options = { append: "console=ttyS0", initrd, "kernel-entry": "16" };
	expect(await say(bzImage({ code: [], setup }), options)).toBe(`${REAL_MODE_START}console=ttyS0<1><a>`);
});

test("a kernel that ends by QEMU's encoding finds QEMU's test device", async () => {
	// mov [0xff000000], bl; mov al, [0xff000000]; out 0xe9, al
	const code = [0xb3, 0x41, 0x88, 0x1d, 0, 0, 0, 0xff, 0xa0, 0, 0, 0, 0xff, 0xe6, 0xe9, ...exit(0)];
	expect(await say(elf({ code }))).toBe("<ff>");
	expect(await say(elf({ code }), { "debug-exit-encoding": "qemu" })).toBe("A");
});

describeWith(["seabios"], "SeaBIOS", (bios) => {
	test("boots Linux from fw_cfg by its 16-bit entry", async () => {
		const initrd = file("initrd", new Uint8Array(5));
		const kernel = file("kernel", bzImage({ code: [], setup }));
		const { outcome, debugcon } = await runMachine({ bios, kernel, initrd, append: "quiet", memory: "64M" });
		expect(outcome.end).toEqual({ kind: "debug-exit", value: 0 });
		const said = debugcon.slice(debugcon.indexOf("Booting from c"));
		const bytes = said.replaceAll(/[^ -~\n]/g, (byte) => `<${byte.charCodeAt(0).toString(16)}>`);
		expect(bytes).toBe(`Booting from c000:005b\n${REAL_MODE_START}quiet<1><9>`);
	});
});

describe("with firmware", () => {
	const bios = file("rom", tinyRom([0xb0, 0, 0xe6, 0xf4]));
	const error = (kernel: Uint8Array, options: OptionTexts = {}) =>
		expect(runMachine({ bios, kernel: file("kernel", kernel), memory: "16M", ...options })).rejects;

	test("a kernel that is no bzImage is refused", async () => {
		await error(elf({ code: [] })).toThrow(/is no Linux bzImage, and firmware can boot no other kernel/);
	});

	test("it decides about the way into the kernel", async () => {
		const message = (name: string) =>
			`--${name}: with --bios or --flash, firmware loads and enters the kernel; leave this out`;
		await error(bzImage({ code: [] }), { "kernel-entry": "64" }).toThrow(message("kernel-entry"));
		await error(bzImage({ code: [] }), { "kernel-address": "0" }).toThrow(message("kernel-address"));
	});

	test("a RAM disk and a command line that do not fit are refused", async () => {
		const initrd = file("initrd", new Uint8Array(15 << 20));
		await error(bzImage({ code: [] }), { initrd }).toThrow(/--initrd: \S+initrd: no room for 15728640 bytes/);
		await error(bzImage({ code: [] }), { append: "x".repeat(2048) }).toThrow(/--append: 2048 bytes; .* at most 2047/);
	});
});

describe("files that cannot be read", () => {
	test("a missing kernel, an empty one, a RAM disk larger than memory", async () => {
		const kernel = file("kernel", elf({ code: [] }));
		const big = file("big", new Uint8Array(3 << 20));
		const run = (options: OptionTexts) => expect(runMachine({ memory: "2M", ...options })).rejects;
		await run({ kernel: "/no/such/kernel" }).toThrow(/^--kernel: \/no\/such\/kernel does not exist/);
		await run({ kernel: file("empty", new Uint8Array()) }).toThrow(/^--kernel: \S+empty is empty/);
		await run({ kernel: big }).toThrow(/^--kernel: \S+big is 3145728 bytes long; at most 2097152 are possible/);
		await run({ kernel, initrd: big }).toThrow(/^--initrd: \S+big is 3145728 bytes long; at most 2097152 are possible/);
	});
});

/** mov dx, port; in al, dx; out 0xe9, al */
const sayPort = (port: number): number[] => [0x66, 0xba, port & 0xff, port >> 8, 0xec, 0xe6, 0xe9];
/** mov eax, address; mov dx, 0xcf8; out dx, eax */
const selectConfig = (devfn: number, register: number): number[] => {
	const address = [register, devfn, 0, 0x80];
	return [0xb8, ...address, 0x66, 0xba, 0xf8, 0x0c, 0xef];
};

test("the board is as a BIOS leaves it: interrupts masked, base addresses assigned, power management in place", async () => {
	const code = [
		...[...sayPort(0x21), ...sayPort(0xa1), ...sayPort(0x4d1)],
		...[...selectConfig(0x08, 0x60), ...sayPort(0xcfc), ...sayPort(0xcff)],
		...[...selectConfig(0x09, 0x20), ...sayPort(0xcfc), ...sayPort(0xcfd)],
		...[...selectConfig(0x09, 0x40), ...sayPort(0xcfd), ...selectConfig(0x09, 0x04), ...sayPort(0xcfc)],
		...[...selectConfig(0x0b, 0x40), ...sayPort(0xcfd), ...selectConfig(0x0b, 0x3c), ...sayPort(0xcfc)],
		...exit(0),
	];
	expect(await say(elf({ code }))).toBe("<fa><ff><c><a><b><1><c0><80><3><6><9>");
});

test("the ACPI root pointer is where the zero page says and where it is searched for, and cannot be overwritten", async () => {
	const code = [
		// mov esi, [esi + 0x70]; mov byte [esi + 8], 0: dropped; eight characters; then the RSDT's signature
		...[...esiFromEsi(0x70), 0x89, 0xf3, 0xb9, 8, 0, 0, 0, 0xac, 0xe6, 0xe9, 0xe2, 0xfb],
		...[0xc6, 0x03, 0x21, 0x8a, 0x03, 0xe6, 0xe9],
		...[0x8b, 0x73, 0x10, 0x8b, 0x06, ...sayEax, ...exit(0)],
	];
	expect(await say(elf({ code }))).toBe("RSD PTR RRSDT");
});
