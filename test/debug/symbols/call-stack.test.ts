import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { callBefore } from "../../../src/debug/symbols/call-before.ts";
import { callStack } from "../../../src/debug/symbols/call-stack.ts";
import type { GuestView, StackRegisters } from "../../../src/debug/symbols/guest-view.ts";
import { loadSymbols } from "../../../src/debug/symbols/load-symbols.ts";
import type { Frame, MemoryReader } from "../../../src/debug/symbols/symbols.ts";
import { Machine, machineConfig, nullSink, type OptionTexts, silentLogger } from "../../../src/index.ts";
import { describeWith } from "../../support/guest-files.ts";
import { run, testWith, workFolder } from "./toolchain.ts";

const folder = workFolder();

/** Four functions deep, each with something on its stack, into a halt that nothing ends. */
const DEEP = `#define KEPT __attribute__((noinline, noclone))
volatile int depth;
static KEPT int inner(int value)
{
	volatile char room[40];
	room[value & 31] = 7;
	__asm__ volatile("cli; hlt");
	return room[3];
}
static KEPT int middle(int value)
{
	volatile int before = value;
	int result = inner(value + 1) + before;
	depth++;
	return result;
}
static KEPT int outer(int (*next)(int), int value)
{
	volatile long many[12] = { value };
	int result = next(value * 3) + (int)many[2];
	depth++;
	return result;
}
void _start(void)
{
	depth = outer(middle, 2);
	for (;;)
		depth++;
}
`;

async function halted(options: OptionTexts): Promise<GuestView> {
	const machine = new Machine(machineConfig({ memory: "16M", ...options }), {
		serial: Array(4).fill({ output: nullSink }),
		debugcon: nullSink,
		log: silentLogger,
		romWrites: { record: () => {} },
	});
	expect((await machine.run()).end).toMatchObject({ kind: "halted" });
	return machine.view;
}

const names = (frames: readonly Frame[]): (string | undefined)[] => frames.map(({ place }) => place?.symbol);
const ways = (frames: readonly Frame[]): string[] => frames.map(({ how }) => how);

writeFileSync(join(folder, "deep.c"), DEEP);

const FREE = [
	"-nostdlib",
	"-ffreestanding",
	"-fno-stack-protector",
	"-fcf-protection=none",
	"-fno-pic",
	"-no-pie",
	"-static",
];
const LINK = ["-Wl,--build-id=none", "-Wl,-Ttext=0x100000", "-Wl,-z,max-page-size=4096", "-Wl,-n"];

/** Boots the program, which is its own source of symbols. */
async function stackOf(bits: 32 | 64, ...words: readonly string[]): Promise<{ frames: Frame[]; bare: Frame[] }> {
	const file = join(folder, `deep${bits}${words.join("")}.elf`);
	run(folder, "gcc", `-m${bits}`, ...FREE, ...LINK, ...words, "deep.c", "-o", file);
	const view = await halted({ kernel: file, "kernel-entry": `${bits}` });
	const frames = callStack(view.registers(), view.read, loadSymbols(file));
	return { frames, bare: callStack(view.registers(), view.read) };
}

const EXPECTED = ["inner", "middle", "outer", "_start"];

describeWith(["gcc"], "the call stack", () => {
	describe.each([32, 64] as const)("of %i-bit code", (bits) => {
		test("follows frame pointers, and needs no symbols for that", async () => {
			const { frames, bare } = await stackOf(bits, "-O0", "-fno-asynchronous-unwind-tables");
			expect(names(frames).slice(0, 4)).toEqual(EXPECTED);
			expect(ways(frames).slice(0, 4)).toEqual(["exact", "frame-pointer", "frame-pointer", "frame-pointer"]);
			expect(bare.slice(0, 4).map(({ address }) => address)).toEqual(frames.slice(0, 4).map(({ address }) => address));
		});

		test("follows unwind tables in code without frame pointers, to its end, and names the lines of the calls", async () => {
			const { frames } = await stackOf(bits, "-O2", "-g", "-fomit-frame-pointer");
			expect(names(frames).slice(0, 4)).toEqual(EXPECTED);
			expect(ways(frames).slice(0, 4)).toEqual(["exact", "cfi", "cfi", "cfi"]);
			expect(frames.slice(0, 4).map(({ place }) => place?.line)).toEqual([8, 13, 20, 26]);
		});

		test("finds return addresses on the stack where there is nothing else, and says so", async () => {
			const { frames } = await stackOf(bits, "-O2", "-fomit-frame-pointer", "-fno-asynchronous-unwind-tables");
			expect(names(frames).slice(0, 4)).toEqual(EXPECTED);
			expect(ways(frames).slice(0, 4)).toEqual(["exact", "scan", "scan", "scan"]);
		});
	});
});

describe("the call stack of 16-bit code", () => {
	const SOURCE = `[map all calls.map]
bits 16
org 0
start:
	xor ax, ax
	mov ss, ax
	mov sp, 0x7000
	push word 0x1234
	call near_one
.back:
	hlt
near_one:
	push bp
	mov bp, sp
	sub sp, 6
	call 0xf000:far_two
.back:
	hlt
far_two:
	push bp
	mov bp, sp
	push ax
	call dword near_three
.back:
	hlt
near_three:
	push ebp
	mov ebp, esp
	sub esp, 8
.halt:
	cli
	hlt
times 0xfff0 - ($ - $$) db 0x90
	jmp 0xf000:start
times 0x10000 - ($ - $$) db 0
`;

	testWith("nasm")("follows near and far calls of either operand size from the map that NASM writes", async () => {
		writeFileSync(join(folder, "calls.asm"), SOURCE);
		run(folder, "nasm", "-f", "bin", "calls.asm", "-o", "calls.bin");
		const view = await halted({ bios: join(folder, "calls.bin") });
		const symbols = loadSymbols(join(folder, "calls.map"), { address: 0xf_0000n });
		const frames = callStack(view.registers(), view.read, symbols);
		expect(names(frames)).toEqual(["near_three.halt", "far_two", "near_one", "start"]);
		expect(ways(frames)).toEqual(["exact", "frame-pointer", "frame-pointer", "frame-pointer"]);
	});
});

describe("callBefore", () => {
	const reader =
		(bytes: readonly number[]): MemoryReader =>
		(address, length) => {
			const at = Number(address) - 0x1000 + bytes.length;
			return at < 0 || at + length > bytes.length ? undefined : Uint8Array.from(bytes.slice(at, at + length));
		};

	/** Encodings as NASM and objdump have them. */
	test.each<[16 | 32 | 64, string, readonly number[], object | undefined]>([
		[64, "call rel32", [0x90, 0x90, 0x90, 0xe8, 0x10, 0, 0, 0], { kind: "near", width: 8, target: 0x1010n }],
		[64, "call rax", [0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0xd0], { kind: "near" }],
		[64, "call [rip+0x1234]", [0x90, 0x90, 0xff, 0x15, 0x34, 0x12, 0, 0], { kind: "near" }],
		[64, "call [r12+0x18]", [0x90, 0x90, 0x90, 0x41, 0xff, 0x54, 0x24, 0x18], { kind: "near" }],
		[64, "call [rax+rcx*8+0x12345]", [0x90, 0xff, 0x94, 0xc8, 0x45, 0x23, 1, 0], { kind: "near" }],
		[64, "call [0x12345]", [0x90, 0xff, 0x14, 0x25, 0x45, 0x23, 1, 0], { kind: "near" }],
		[64, "jmp rax", [0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0xe0], undefined],
		[64, "no call", [0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90], undefined],
		[32, "call rel32", [0x90, 0x90, 0x90, 0xe8, 0xf0, 0xff, 0xff, 0xff], { kind: "near", width: 4, target: 0xff0n }],
		[32, "call [ebx*4+0x1000]", [0x90, 0xff, 0x14, 0x9d, 0, 0x10, 0, 0], { kind: "near" }],
		[32, "call [ebp-4]", [0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0x55, 0xfc], { kind: "near" }],
		[32, "call 8:0x100000", [0x90, 0x9a, 0, 0, 0x10, 0, 8, 0], { kind: "far" }],
		[16, "call rel16", [0x90, 0x90, 0x90, 0x90, 0x90, 0xe8, 2, 0], { kind: "near", width: 2, target: 0x1002n }],
		[16, "o32 call rel32", [0x90, 0x90, 0x66, 0xe8, 2, 0, 0, 0], { kind: "near", width: 4, target: 0x1002n }],
		[16, "call [0x1234]", [0x90, 0x90, 0x90, 0x90, 0xff, 0x16, 0x34, 0x12], { kind: "near", width: 2 }],
		[16, "o32 call ax", [0x90, 0x90, 0x90, 0x90, 0x90, 0x66, 0xff, 0xd0], { kind: "near", width: 4 }],
		[16, "call [bp+4] far", [0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0x5e, 4], { kind: "far", width: 2 }],
		[16, "int 0x10", [0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xcd, 0x10], { kind: "interrupt" }],
	])("%i-bit %s", (bits, _name, bytes, wanted) => {
		const found = callBefore(reader(bytes), 0n, 0x1000n, bits);
		if (wanted === undefined) expect(found).toBeUndefined();
		else expect(found).toMatchObject(wanted);
	});
});

test("a stack of anything ends within its limit, and reads no more than a bound", () => {
	const value = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
	fc.assert(
		fc.property(
			fc.uint8Array({ minLength: 64, maxLength: 256 }),
			value,
			value,
			fc.constantFrom("long", "prot32", "real", "prot16", "v86"),
			(memory, a, b, mode) => {
				let reads = 0;
				const read: MemoryReader = (address, length) => {
					reads++;
					return Uint8Array.from({ length }, (_, n) => memory[Number((address + BigInt(n)) % BigInt(memory.length))]!);
				};
				const regs = { rip: a, rsp: b, rbp: b + 8n } as StackRegisters["regs"];
				const all = Object.fromEntries(
					[
						"rax",
						"rbx",
						"rcx",
						"rdx",
						"rsi",
						"rdi",
						"r8",
						"r9",
						"r10",
						"r11",
						"r12",
						"r13",
						"r14",
						"r15",
						"rflags",
					].map((name) => [name, a]),
				);
				const registers = {
					regs: { ...all, ...regs },
					mode,
					codeBase: 0xf0000n,
					stackBase: 0n,
					stackBits: mode === "long" ? 64 : 16,
				} as const;
				const frames = callStack(registers, read, undefined, 12);
				expect(frames.length).toBeLessThanOrEqual(12);
				expect(reads).toBeLessThan(30_000);
			},
		),
		{ numRuns: 300 },
	);
});
