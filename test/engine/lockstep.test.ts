import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { silentLogger } from "../../src/base/logger.ts";
import { machineConfig } from "../../src/config/index.ts";
import { nullSink } from "../../src/host/byte-writer.ts";
import { QueuedSource } from "../../src/host/stdin.ts";
import { Machine, type OptionTexts } from "../../src/index.ts";
import { Lockstep } from "../../src/machine/lockstep/lockstep.ts";
import { Requests } from "../../src/machine/requests.ts";
import { Sleep } from "../../src/machine/sleep.ts";
import { RecordedBytes } from "../support/lines.ts";
import { runMachine } from "../support/run-machine.ts";
import { type Code, exit, inByte, say, sayAl, storeByte, temporaryFiles, tinyRom } from "../support/tiny-rom.ts";

const file = temporaryFiles();
const rom = (code: Code): string => file("rom", tinyRom(code));

/** mov cx, times; 1: code; loop 1b */
const repeat = (times: number, code: Code): Code => [
	...[0xb9, times & 0xff, times >>> 8],
	...code,
	...[0xe2, 256 - code.length - 2],
];
/** add ebx, ecx; rol ebx, 3; xor edx, ebx; mov [0x600], edx; adc eax, [0x600] */
const WORK: Code = [
	...[0x66, 0x01, 0xcb, 0x66, 0xc1, 0xc3, 0x03, 0x66, 0x31, 0xda],
	...[0x66, 0x89, 0x16, 0x00, 0x06, 0x66, 0x13, 0x06, 0x00, 0x06],
];

function lockstep(code: Code, options: OptionTexts = {}) {
	return runMachine({ bios: rom(code), memory: "1M", engine: "lockstep", "max-instructions": "10M", ...options });
}

describe("--engine lockstep", () => {
	test("runs as the other engines do, and says everything once", async () => {
		const code = [...repeat(2000, WORK), ...say("hello"), ...exit(7)];
		const both = await lockstep(code);
		expect(both.debugcon).toBe("hello");
		expect(both.outcome.end).toEqual({ kind: "debug-exit", value: 7 });
		const interpreted = await lockstep(code, { engine: "interpreter" });
		expect(both).toEqual(interpreted);
	});

	test.each(["1", "17", "12345"])("ends after exactly %s instructions", async (limit) => {
		const { outcome } = await lockstep([...repeat(60000, WORK), ...exit(0)], { "max-instructions": limit });
		expect(outcome.end).toEqual({ kind: "instruction-limit" });
		expect(outcome.instructions).toBe(Number(limit));
	});

	test("writes flash once, and reads what it has written", async () => {
		const path = file("flash", new Uint8Array(0x10000).fill(0xff));
		// Byte program of 0x3c at the start of the unit below the ROM, then the same byte on the console.
		const address = 0x1_0000_0000 - 0x20000;
		const far = [0, 8, 16, 24].map((shift) => (address >>> shift) & 0xff);
		const store = (value: number): Code => [0x67, 0xc6, 0x05, ...far, value];
		const code = [...bigDs(), ...store(0x10), ...store(0x3c), ...store(0xff), 0x67, 0xa0, ...far, ...sayAl, ...exit(0)];
		const { debugcon, outcome } = await lockstep(code, { flash: path });
		expect(debugcon).toBe("\x3c");
		expect(outcome.flash).toEqual([{ romdSwitches: 2, erasedBlocks: 0, programmedBytes: 1 }]);
		expect([...readFileSync(path).subarray(0, 2)]).toEqual([0x3c, 0xff]);
	});

	test("hears on every machine what comes in, when it comes", async () => {
		const input = new QueuedSource();
		const out = new RecordedBytes();
		// 1: in al, 0x3fd; test al, 1; jz 1b; in al, 0x3f8; out 0xe9, al; cmp al, '!'; jnz 1b
		const echo = [...inByte(0x3fd), 0xa8, 0x01, 0x74, 0xf8, ...inByte(0x3f8), ...sayAl, 0x3c, 0x21, 0x75, 0xee];
		const config = machineConfig({
			bios: rom([...echo, ...exit(0)]),
			memory: "1M",
			engine: "lockstep",
			timeout: "60s",
		});
		const port = { output: nullSink };
		const machine = new Machine(config, {
			serial: [{ output: nullSink, input }, port, port, port],
			debugcon: out,
			log: silentLogger,
			romWrites: { record: () => {} },
		});
		const keys = [..."ab!"];
		const typing = setInterval(() => input.push(Buffer.from(keys.shift() ?? "!")), 20);
		const { end } = await machine.run();
		clearInterval(typing);
		expect(end).toEqual({ kind: "debug-exit", value: 0 });
		expect(out.text).toBe("ab!");
	});
});

describe("a difference between the engines", () => {
	/** Runs `code`; when it writes to the debug console, the first machine is tampered with. */
	async function tampered(code: Code, tamper: (machine: Lockstep["first"]) => void): Promise<string> {
		const config = machineConfig({ bios: rom(code), memory: "1M", "max-instructions": "1M" });
		const port = { output: nullSink };
		const parts = {
			config,
			host: {
				serial: [port, port, port, port],
				debugcon: { write: () => tamper(pair.first) },
				log: silentLogger,
				romWrites: { record: () => {} },
			},
			requests: new Requests(() => {}),
			sleep: new Sleep(),
			shadow: false,
			hostTime: () => 0,
			startUtcMs: 0,
			deadline: Number.POSITIVE_INFINITY,
			turned: () => {},
		};
		const pair = await Lockstep.build(parts);
		try {
			return await pair.run().then(
				({ kind }) => kind,
				(error: Error) => error.message,
			);
		} finally {
			pair.close();
			pair.first.close();
		}
	}

	const code = [...repeat(500, WORK), ...say("x"), ...repeat(500, WORK), ...exit(0)];

	test("is none where nothing is tampered with", async () => {
		expect(await tampered(code, () => {})).toBe("debug-exit");
	});

	test("in a register is reported with what ran, disassembled, and what differs", async () => {
		const message = await tampered(code, ({ vcpu }) => vcpu.processor.setGpr(5, 0x1234n));
		expect(message).toMatch(/^lockstep: the engines differ; they were equal after \d+ instructions, at f000:/);
		expect(message).toMatch(/^ {2}rbp +0x00001234 +0x00000000$/m);
		expect(message).toMatch(/^ +\d+ . f000:[0-9a-f]{8} e6e9 +out 0xe9, al$/m);
	});

	test("in a segment's hidden part is reported", async () => {
		const message = await tampered(code, ({ vcpu }) => vcpu.processor.setSegment(5, 0, 0x10n, 0xffffn, 0x93));
		expect(message).toMatch(/^ {2}gs\+8 +0x00000010 +0x00000000$/m);
	});

	test("in RAM is reported with its address", async () => {
		const message = await tampered(code, ({ pc }) => {
			pc.ram.view[0x54321] = 0x99;
		});
		expect(message).toMatch(/^lockstep: RAM differs; it was equal after \d+ instructions\n {2}0x00054321: compiled /);
	});
});

describe("random programs, hot, on both engines", () => {
	const SEED = Number(process.env["LOCKSTEP_SEED"] ?? 386);
	const PROGRAMS = Number(process.env["LOCKSTEP_PROGRAMS"] ?? 12);
	test.each(Array.from({ length: PROGRAMS }, (_, n) => SEED + n))("of 16-bit code, seed %i", async (seed) => {
		await agree(randomRom(seed, 16));
	});
	test.each(Array.from({ length: PROGRAMS }, (_, n) => SEED + n))("of 32-bit code, seed %i", async (seed) => {
		await agree(randomRom(seed, 32));
	});

	async function agree(image: Uint8Array): Promise<void> {
		const { outcome } = await runMachine({
			bios: file("random", image),
			memory: "1M",
			engine: "lockstep",
			"max-instructions": "100000",
		});
		// It may also switch off, reset for ever, or halt: all that matters is that both did.
		expect(outcome.instructions).toBeGreaterThan(100);
	}
});

/** Gives DS a limit of 4 GiB in real mode: through protected mode and back, with a descriptor table in the code itself. */
function bigDs(): Code {
	const table = [...[0, 0, 0, 0, 0, 0, 0, 0], ...[0xff, 0xff, 0, 0, 0, 0x93, 0xcf, 0]];
	const body = [
		// mov eax, cr0; or al, 1; mov cr0, eax; mov bx, 8; mov ds, bx; and al, 0xfe; mov cr0, eax; xor bx, bx; mov ds, bx
		...[0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, 0xbb, 0x08, 0x00, 0x8e, 0xdb],
		...[0x24, 0xfe, 0x0f, 0x22, 0xc0, 0x31, 0xdb, 0x8e, 0xdb],
	];
	const store = (at: number, bytes: Code): Code => bytes.flatMap((byte, n) => storeByte(at + n, byte));
	return [...store(0x700, table), ...store(0x720, [15, 0, 0, 7, 0, 0]), 0x0f, 0x01, 0x16, 0x20, 0x07, ...body];
}

/** The code that every program runs: 4 KiB at this address, in RAM, where it may write to itself. */
const PROGRAM = 0x10000;
const PROGRAM_BYTES = 0x1000;
/** Where the ROM keeps it, and what goes on after a fault. */
const ROM_PROGRAM = 0x4000;
const ROM_HANDLER = 0x3000;

/**
 * A ROM that runs random instructions over and over. Every fault starts anew somewhere in the middle, with registers that
 * point into RAM.
 */
function randomRom(seed: number, bits: 16 | 32): Uint8Array {
	let state = Math.imul(seed, 0x9e3779b1) >>> 0;
	const random = (below: number): number => {
		state = (state + 0x6d2b79f5) >>> 0;
		let x = Math.imul(state ^ (state >>> 15), state | 1);
		x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
		return ((x ^ (x >>> 14)) >>> 0) % below;
	};
	// 32-bit code with all segments flat, or with a code segment that ends at 1 MiB.
	const flat = bits === 32 && seed % 2 === 0;
	const image = new Uint8Array(0x10000);
	for (let at = 0; at < PROGRAM_BYTES; ) {
		const bytes = instruction(random, bits, flat);
		// No HLT: with interrupts off it would be the end.
		image.set(
			bytes.slice(0, PROGRAM_BYTES - at).map((value) => (value === 0xf4 ? 0x90 : value)),
			ROM_PROGRAM + at,
		);
		at += bytes.length;
	}
	image.set(bits === 16 ? START_16 : START_32, 0);
	if (bits === 32 && !flat) image[GDT + 14] = 0x4f;
	image.set(bits === 16 ? HANDLER_16 : HANDLER_32, ROM_HANDLER);
	image.set([0xea, 0x00, 0x00, 0x00, 0xf0], 0xfff0);
	return image;
}

function instruction(random: (below: number) => number, bits: 16 | 32, flat: boolean): number[] {
	const byte = (): number => random(256);
	const immediate = (): number[] => Array.from({ length: bits / 8 }, () => (random(3) ? 0 : byte()));
	/** A register, or memory at BX, SI, DI or BP with a displacement of a byte. */
	const modrm = (reg = random(8)): number[] =>
		random(2)
			? [0xc0 | (reg << 3) | random(8)]
			: [0x40 | (reg << 3) | (bits === 16 ? 4 + random(4) : [3, 5, 6, 7][random(4)]!), byte()];
	const prefix = random(6) === 0 ? [[0x66, 0x67, 0x2e, 0x36, 0x64, 0xf3][random(6)]!] : [];
	const high = random(2) ? 0 : 0xff;
	const body = (): number[] => {
		switch (random(24)) {
			case 0:
				return [0x70 + random(16), byte()];
			case 1:
				return [0xe0 + random(4), 256 - 2 - random(60)];
			case 2:
				return [0xe8, random(200), ...Array.from({ length: bits / 8 - 1 }, () => high)];
			case 3:
				return [0x50 + random(16)];
			case 4:
				// Where code may be anywhere, nothing would bring a stray return back.
				return [flat ? 0x5a : 0xc3];
			case 5:
				return [0x0f, 0x80 + random(16), random(100), ...Array.from({ length: bits / 8 - 1 }, () => 0)];
			case 6:
				return [0x0f, 0x40 + random(16), ...modrm()];
			case 7:
				return [0x0f, 0x90 + random(16), ...modrm()];
			case 8:
				return [
					0x0f,
					[0xa3, 0xab, 0xb3, 0xbb, 0xa5, 0xad, 0xaf, 0xb6, 0xb7, 0xbe, 0xbf, 0xbc, 0xbd, 0xc0, 0xc1, 0xb1][random(16)]!,
					...modrm(),
				];
			case 9:
				return [[0xd0, 0xd1, 0xd2, 0xd3][random(4)]!, ...modrm()];
			case 10:
				return [[0xc0, 0xc1][random(2)]!, ...modrm(), random(40)];
			case 11:
				return [0xf6 + random(2), ...modrm(2 + random(6))];
			case 12:
				return [0x81, ...modrm(), ...immediate()];
			case 13:
				return [[0x80, 0x83][random(2)]!, ...modrm(), byte()];
			case 14:
				return [[0xa4, 0xa5, 0xaa, 0xab, 0xac, 0xad, 0xa6, 0xa7, 0xae, 0xaf][random(10)]!];
			case 15:
				return [
					[0x27, 0x2f, 0x37, 0x3f, 0x98, 0x99, 0x9b, 0x9c, 0x9e, 0x9f, 0xf5, 0xf8, 0xf9, 0xfc, 0xfd, 0xd6][random(16)]!,
				];
			case 16:
				return [0xb0 + random(8), byte()];
			case 17:
				return [0xfe, ...modrm(random(2))];
			case 18:
				return [0xff, ...modrm([0, 1, 6][random(3)])];
			case 19:
				return [0x86 + random(2), ...modrm()];
			case 20:
				return Array.from({ length: 1 + random(4) }, byte);
			default:
				return [(random(8) << 3) + random(4), ...modrm()];
		}
	};
	return [...prefix, ...body()];
}

/** Every vector leads to the handler; the program goes to RAM, amid INT3. */
const START_16: Code = [
	// cli; cld; xor ax, ax; mov es, ax; xor di, di; mov cx, 256; 1: mov ax, handler; stosw; mov ax, 0xf000; stosw; loop 1b
	...[0xfa, 0xfc, 0x31, 0xc0, 0x8e, 0xc0, 0x31, 0xff, 0xb9, 0x00, 0x01],
	...[0xb8, ROM_HANDLER & 0xff, ROM_HANDLER >> 8, 0xab, 0xb8, 0x00, 0xf0, 0xab, 0xe2, 0xf6],
	// mov ax, 0xf000; mov ds, ax; mov ax, 0x1000; mov es, ax; xor di, di; mov cx, 0x4000; mov eax, INT3s; rep stosd
	...[0xb8, 0x00, 0xf0, 0x8e, 0xd8, 0xb8, 0x00, 0x10, 0x8e, 0xc0, 0x31, 0xff, 0xb9, 0x00, 0x40],
	...[0x66, 0xb8, 0xcc, 0xcc, 0xcc, 0xcc, 0xf3, 0x66, 0xab],
	// mov si, program; xor di, di; mov cx, bytes; rep movsb
	...[0xbe, ROM_PROGRAM & 0xff, ROM_PROGRAM >> 8, 0x31, 0xff, 0xb9, 0x00, PROGRAM_BYTES >> 8, 0xf3, 0xa4],
	// jmp handler
	...[0xea, ROM_HANDLER & 0xff, ROM_HANDLER >> 8, 0x00, 0xf0],
];

const HANDLER_16: Code = [
	// mov ax, 0x1000; mov ds, ax; mov es, ax; mov ss, ax; mov sp, 0x8000
	...[0xb8, 0x00, 0x10, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0xbc, 0x00, 0x80],
	// imul eax, [0x7000], 1103515245; add eax, 12345; mov [0x7000], eax
	...[0x66, 0x69, 0x06, 0x00, 0x70, 0x6d, 0x4e, 0xc6, 0x41, 0x66, 0x05, 0x39, 0x30, 0x00, 0x00, 0x66, 0xa3, 0x00, 0x70],
	// mov bx, 0x0f00; mov si, 0x5000; mov di, 0x6000; mov bp, 0x5800; mov ecx, 20; push 2; popf
	...[0xbb, 0x00, 0x0f, 0xbe, 0x00, 0x50, 0xbf, 0x00, 0x60, 0xbd, 0x00, 0x58, 0x66, 0xb9, 0x14, 0x00, 0x00, 0x00],
	...[0x6a, 0x02, 0x9d],
	// shr eax, 8; and ax, 0x0ff0; push 0x1000; push ax; retf
	...[0x66, 0xc1, 0xe8, 0x08, 0x25, 0xf0, 0x0f, 0x68, 0x00, 0x10, 0x50, 0xcb],
];

/** Offsets of what {@link START_32} refers to, in its segment. */
const GDT_POINTER = 0x100;
const GDT = 0x110;
const IN_32 = 0x40;

const START_32: Code = (() => {
	const bytes = new Uint8Array(0x130);
	const u32 = (value: number): Code => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
	// cli; cs lgdt [pointer]; mov eax, cr0; or al, 1; mov cr0, eax; jmp dword 8:in32
	bytes.set([0xfa, 0x2e, 0x66, 0x0f, 0x01, 0x16, GDT_POINTER & 0xff, GDT_POINTER >> 8, 0x0f, 0x20, 0xc0, 0x0c, 0x01]);
	bytes.set([0x0f, 0x22, 0xc0, 0x66, 0xea, ...u32(0xf0000 + IN_32), 0x08, 0x00], 13);
	bytes.set(
		[
			// mov ax, 0x10; mov ds, es, ss, fs, gs from it; cld
			...[0x66, 0xb8, 0x10, 0x00, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0x8e, 0xe0, 0x8e, 0xe8, 0xfc],
			// xor edi, edi; mov ecx, 0x4000; mov eax, INT3s; rep stosd; mov ecx, 0x4000; mov eax, program; rep stosd
			...[0x31, 0xff, 0xb9, ...u32(0x4000), 0xb8, 0xcc, 0xcc, 0xcc, 0xcc, 0xf3, 0xab],
			...[0xb9, ...u32(0x4000), 0xb8, ...u32(PROGRAM), 0xf3, 0xab],
			// mov edi, 0x2000; mov ecx, 256; 1: mov eax, low; stosd; mov eax, high; stosd; loop 1b
			...[0xbf, ...u32(0x2000), 0xb9, ...u32(256)],
			...[0xb8, ...u32(0x80000 | (ROM_HANDLER & 0xffff)), 0xab, 0xb8, ...u32(0xf8e00), 0xab, 0xe2, 0xf2],
			// mov dword [0x1ff0], 0x200007ff; mov dword [0x1ff4], 0; lidt [0x1ff0]
			...[0xc7, 0x05, ...u32(0x1ff0), ...u32(0x200007ff), 0xc7, 0x05, ...u32(0x1ff4), ...u32(0)],
			...[0x0f, 0x01, 0x1d, ...u32(0x1ff0)],
			// mov esi, program in ROM; mov edi, program; mov ecx, bytes; rep movsb; mov esp, 0x18000; push handler; ret
			...[0xbe, ...u32(0xf0000 + ROM_PROGRAM), 0xbf, ...u32(PROGRAM), 0xb9, ...u32(PROGRAM_BYTES), 0xf3, 0xa4],
			...[0xbc, ...u32(0x18000), 0x68, ...u32(0xf0000 + ROM_HANDLER), 0xc3],
		],
		IN_32,
	);
	bytes.set([0x17, 0x00, ...u32(0xf0000 + GDT)], GDT_POINTER);
	bytes.set([...u32(0x0000ffff), ...u32(0x00cf9b00), ...u32(0x0000ffff), ...u32(0x00cf9300)], GDT + 8);
	return [...bytes];
})();

const HANDLER_32: Code = (() => {
	const u32 = (value: number): Code => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
	return [
		// mov ax, 0x10; mov ds, ax; mov es, ax; mov ss, ax; mov esp, 0x18000
		...[0x66, 0xb8, 0x10, 0x00, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0xbc, ...u32(0x18000)],
		// imul eax, [0x7000], 1103515245; add eax, 12345; mov [0x7000], eax
		...[0x69, 0x05, ...u32(0x7000), ...u32(1103515245), 0x05, ...u32(12345), 0xa3, ...u32(0x7000)],
		// mov ebx, 0x10f00; mov esi, 0x15000; mov edi, 0x16000; mov ebp, 0x15800; mov ecx, 20; push 2; popf
		...[0xbb, ...u32(0x10f00), 0xbe, ...u32(0x15000), 0xbf, ...u32(0x16000), 0xbd, ...u32(0x15800), 0xb9, ...u32(20)],
		...[0x6a, 0x02, 0x9d],
		// shr eax, 8; and eax, 0xff0; add eax, program; push eax; ret
		...[0xc1, 0xe8, 0x08, 0x25, ...u32(0xff0), 0x05, ...u32(PROGRAM), 0x50, 0xc3],
	];
})();
