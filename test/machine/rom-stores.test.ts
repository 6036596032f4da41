import { describe, expect, test } from "vitest";
import { MACHINE_ENGINES, type MachineRun, runMachine } from "../support/run-machine.ts";
import {
	bigReal,
	type Code,
	exit,
	outByte,
	outLong,
	sayAl,
	storeByte,
	storeFar,
	storeWord,
	temporaryFiles,
	tinyRom,
} from "../support/tiny-rom.ts";

const file = temporaryFiles();
let number = 0;

/** A #GP handler of real mode in the ROM, and what points to it. */
const HANDLER = 0x1000;
const onGp: Code = [...storeWord(4 * 13, HANDLER), ...storeWord(4 * 13 + 2, 0xf000)];
/** C8000 to CFFFF are RAM, D0000 to D3FFF are RAM that cannot be written. */
const ramAndRom: Code = [
	...[...outLong(0xcf8, 0x80000058), ...outByte(0xcff, 0x33)],
	...[...outLong(0xcf8, 0x8000005c), ...outByte(0xcfc, 0x01)],
];
const dsRom: Code = [0xb8, 0x00, 0xf0, 0x8e, 0xd8];
/** mov ax, value; mov es, ax */
const loadEs = (value: number): Code => [0xb8, value & 0xff, value >> 8, 0x8e, 0xc0];
/** mov sp, 0x7000 */
const stack: Code = [0xbc, 0x00, 0x70];

describe.each(MACHINE_ENGINES)("%s", (engine) => {
	async function run(
		code: Code,
		options: Record<string, string | string[]> = {},
		more: Record<number, Code> = {},
	): Promise<MachineRun> {
		const rom = tinyRom(code, more);
		return runMachine({ engine, "max-instructions": "1M", bios: file(`rom${number++}`, rom), ...options });
	}

	describe("--rom-writes fault", () => {
		const fault = { "rom-writes": "fault" };

		test("a store is #GP at the instruction, time and again, and has not happened", async () => {
			// mov cx, 3000; mov byte [0x2000], 0x5a; loop
			const loop = [0xb9, 0xb8, 0x0b, ...storeByte(0x2000, 0x5a), 0xe2, 0xf9];
			// push bp; mov bp, sp; add word [bp + 2], 5; pop bp; iret
			const skip = [0x55, 0x89, 0xe5, 0x83, 0x46, 0x02, 0x05, 0x5d, 0xcf];
			const before = [...stack, ...onGp, ...dsRom];
			// mov al, [0x2000]; out 0xe9, al
			const code = [...before, ...loop, 0xa0, 0x00, 0x20, ...sayAl, ...exit(0)];
			const { romWrites, debugcon, outcome } = await run(code, fault, { 8192: [0x41], [HANDLER]: skip });
			expect(outcome.end).toEqual({ kind: "debug-exit", value: 0 });
			expect(debugcon).toBe("A");
			expect(romWrites).toHaveLength(3000);
			for (const write of [romWrites[0], romWrites[2999]]) {
				expect(write).toMatchObject({
					...{ gpa: 0xf2000, target: 0xf2000n, size: 1, faulted: true, by: { kind: "instruction" } },
					...{ cs: 0xf000, rip: BigInt(before.length + 3), mode: "real", cpl: 0 },
					...{ data: Uint8Array.of(0x5a), old: Uint8Array.of(0x41) },
				});
			}
			// A store that faults does not retire; the delivery, five instructions of the handler and LOOP do.
			expect(romWrites[2999]!.instructions - romWrites[2998]!.instructions).toBe(7);
		});

		test("a REP stops at the element that does not fit, its registers ahead of it", async () => {
			// xor di, di; mov cx, 0x20; mov al, 0x5a; rep stosb
			const rep = [0x31, 0xff, 0xb9, 0x20, 0x00, 0xb0, 0x5a];
			const before = [...stack, ...onGp, ...ramAndRom, ...loadEs(0xcfff), ...rep];
			// mov ax, cx; out; mov ax, di; out; pop ax; sub ax, offset of the REP; out; mov al, es:[0xf]; out
			const say = [
				...[0x88, 0xc8, ...sayAl, 0x89, 0xf8, ...sayAl, 0x58, 0x2d, before.length & 0xff, before.length >> 8, ...sayAl],
				...[0x26, 0xa0, 0x0f, 0x00, ...sayAl, ...exit(0)],
			];
			const { romWrites, debugcon } = await run([...before, 0xf3, 0xaa, ...exit(1)], fault, { [HANDLER]: say });
			expect([...Buffer.from(debugcon, "latin1")]).toEqual([0x10, 0x10, 0, 0x5a]);
			expect(romWrites).toMatchObject([{ gpa: 0xd0000, size: 1, region: "pam d0000", faulted: true }]);
		});

		test("a store over the end of RAM leaves RAM as it was, and tells its part in ROM", async () => {
			// mov word es:[0xf], 0x1234
			const store = [0x26, 0xc7, 0x06, 0x0f, 0x00, 0x34, 0x12];
			const code = [...stack, ...onGp, ...ramAndRom, ...loadEs(0xcfff), ...store, ...exit(1)];
			// mov al, es:[0xf]; out
			const say = [0x26, 0xa0, 0x0f, 0x00, ...sayAl, ...exit(0)];
			const { romWrites, debugcon, outcome } = await run(code, fault, { [HANDLER]: say });
			expect([outcome.end, debugcon]).toEqual([{ kind: "debug-exit", value: 0 }, "\0"]);
			const [write] = romWrites;
			expect(write).toMatchObject({ gpa: 0xd0000, target: 0xd0000n, size: 1, storeSize: 2 });
			expect(write!.data).toEqual(Uint8Array.of(0x12));
		});

		test("an instruction that reads first faults before it knows its value", async () => {
			// inc byte [0x2000]
			const code = [...stack, ...onGp, ...dsRom, 0xfe, 0x06, 0x00, 0x20, ...exit(1)];
			const { romWrites, outcome } = await run(code, fault, { [HANDLER]: exit(0) });
			expect(outcome.end).toEqual({ kind: "debug-exit", value: 0 });
			expect(romWrites).toMatchObject([{ gpa: 0xf2000, size: 1, data: undefined, faulted: true }]);
		});

		test("with the stack in ROM the delivery faults too: each is told, and then it is a triple fault", async () => {
			// mov ax, 0xf000; mov ss, ax; mov sp, 0x3000; push ax
			const code = [...onGp, 0xb8, 0x00, 0xf0, 0x8e, 0xd0, 0xbc, 0x00, 0x30, 0x50];
			const { romWrites, outcome } = await run(code, fault);
			expect(outcome.end.kind).toBe("triple-fault");
			expect(romWrites.map(({ gpa, by }) => [gpa, by])).toEqual([
				[0xf2ffe, { kind: "instruction" }],
				[0xf2ffe, { kind: "delivery", vector: 13 }],
				[0xf2ffe, { kind: "delivery", vector: 8 }],
			]);
		});

		test("INS to ROM faults before the port is read", async () => {
			// mov dx, 0x60; mov di, 0x2000; insb
			const code = [...stack, ...onGp, ...loadEs(0xf000), 0xba, 0x60, 0, 0xbf, 0, 0x20, 0x6c, ...exit(1)];
			const { romWrites, outcome } = await run(code, fault, { [HANDLER]: exit(0) });
			expect(outcome.end).toEqual({ kind: "debug-exit", value: 0 });
			expect(romWrites).toMatchObject([{ gpa: 0xf2000, data: undefined, faulted: true }]);
		});

		test("a descriptor in ROM that should be marked accessed is dropped and told, without a fault", async () => {
			const { romWrites, outcome } = await run([...bigReal, ...exit(0)], fault, {});
			expect([outcome.end, romWrites]).toEqual([{ kind: "debug-exit", value: 0 }, []]);
			const rom = tinyRom([...bigReal, ...exit(0)]);
			rom[0xff15] = 0x92;
			const marked = await runMachine({ engine, bios: file(`rom${number++}`, rom), ...fault });
			expect(marked.outcome.end).toEqual({ kind: "debug-exit", value: 0 });
			expect(marked.romWrites).toMatchObject([
				{
					gpa: 0xfff15,
					by: { kind: "descriptor" },
					data: Uint8Array.of(0x93),
					old: Uint8Array.of(0x92),
					faulted: false,
				},
			]);
		});

		test("commands to flash do not fault", async () => {
			const flash = file(`flash${number++}`, new Uint8Array(0x10000));
			const code = [...bigReal, ...storeFar(0xfffe0000, 0x90), ...storeFar(0xfffe0000, 0xff), ...exit(0)];
			const { flashCommands, romWrites, outcome } = await run(code, { ...fault, flash: [flash] });
			expect(romWrites).toEqual([]);
			expect(outcome.end).toEqual({ kind: "debug-exit", value: 0 });
			expect(flashCommands.map(({ gpa, region, command, faulted }) => [gpa, region, command, faulted])).toEqual([
				[0xfffe0000, "flash 0", "read-id", false],
				[0xfffe0000, "flash 0", "read-array", false],
			]);
		});
	});

	describe("stores that ROM drops", () => {
		test("a store of 16 bytes over two pages is one, with the value and what the ROM holds", async () => {
			// mov eax, cr4; or ax, 0x200; mov cr4, eax; movups xmm0, [0x100]; movups [0x2ff8], xmm0
			const sse = [0x0f, 0x20, 0xe0, 0x0d, 0x00, 0x02, 0x0f, 0x22, 0xe0];
			const move = [0x0f, 0x10, 0x06, 0x00, 0x01, 0x0f, 0x11, 0x06, 0xf8, 0x2f];
			const value = Array.from({ length: 16 }, (_, n) => n + 1);
			const old = Array.from({ length: 16 }, (_, n) => 0x80 + n);
			const { romWrites } = await run([...dsRom, ...sse, ...move, ...exit(0)], {}, { 256: value, 12280: old });
			expect(romWrites).toHaveLength(1);
			expect(romWrites[0]).toMatchObject({
				...{ gpa: 0xf2ff8, target: 0xf2ff8n, size: 16, storeSize: 16, crossing: { offset: 8, gpa: 0xf3000 } },
				...{ data: Uint8Array.from(value), old: Uint8Array.from(old) },
			});
		});

		test("of a store over the end of RAM, the part in ROM is told", async () => {
			const store = [0x26, 0xc7, 0x06, 0x0f, 0x00, 0x34, 0x12];
			const { romWrites } = await run([...ramAndRom, ...loadEs(0xcfff), ...store, ...exit(0)]);
			expect(romWrites).toMatchObject([{ gpa: 0xd0000, target: 0xd0000n, size: 1, storeSize: 2 }]);
			expect([...romWrites[0]!.data!]).toEqual([0x12]);
		});

		test("REP MOVSD to ROM is a store for each element, by one instruction", async () => {
			// xor si, si; mov di, 0x2000; mov cx, 100; rep movsd
			const rep = [0x31, 0xf6, 0xbf, 0x00, 0x20, 0xb9, 0x64, 0x00];
			const before = [...dsRom, ...loadEs(0xf000), ...rep];
			const { romWrites, outcome } = await run([...before, 0xf3, 0x66, 0xa5, ...exit(0)]);
			expect(outcome.end).toEqual({ kind: "debug-exit", value: 0 });
			expect(romWrites.map(({ gpa }) => gpa)).toEqual(Array.from({ length: 100 }, (_, n) => 0xf2000 + 4 * n));
			expect(new Set(romWrites.map(({ rip }) => rip))).toEqual(new Set([BigInt(before.length)]));
			const counts = romWrites.map(({ instructions }) => instructions - romWrites[0]!.instructions);
			expect(counts).toEqual(Array.from({ length: 100 }, (_, n) => n));
		});

		test("accessed and dirty bits that page tables in ROM do not take, with the instruction whose walk it was", async () => {
			const directory = 0x4000;
			const lgdt = bigReal.slice(0, 6);
			// mov eax, cr4; or al, 0x10; mov cr4, eax; mov eax, 0xf4000; mov cr3, eax; mov eax, cr0; or eax, 0x80000001; mov cr0, eax
			const paging = [
				...[0x0f, 0x20, 0xe0, 0x0c, 0x10, 0x0f, 0x22, 0xe0, 0x66, 0xb8, 0x00, 0x40, 0x0f, 0x00, 0x0f, 0x22, 0xd8],
				...[0x0f, 0x20, 0xc0, 0x66, 0x0d, 0x01, 0x00, 0x00, 0x80, 0x0f, 0x22, 0xc0],
			];
			const before = [...lgdt, ...paging];
			const code = [...before, ...storeByte(0x600, 1), ...exit(0)];
			// One page of 4 MiB, where both linear and physical addresses begin.
			const { romWrites, outcome } = await run(code, {}, { [directory]: [0x83, 0, 0, 0] });
			expect(outcome.end).toEqual({ kind: "debug-exit", value: 0 });
			const walks = romWrites.filter(({ by }) => by.kind === "page-walk");
			expect(walks.map(({ gpa, data, old }) => [gpa, [...data!], [...old]])).toEqual([
				[0xf4000, [0xa3, 0, 0, 0], [0x83, 0, 0, 0]],
				[0xf4000, [0xe3, 0, 0, 0], [0x83, 0, 0, 0]],
			]);
			expect(walks.map(({ rip, instructions }) => [rip, instructions])).toEqual([
				[BigInt(before.length), 9 + 1],
				[BigInt(before.length), 9 + 1],
			]);
		});

		test("a device's DMA to ROM is told with the device", async () => {
			// fw_cfg: 4 bytes of item 0, "QEMU", to F2000; big-endian at 0x600.
			const words = [0x0000, 0x0a00, 0x0000, 0x0400, 0x0000, 0x0000, 0x0f00, 0x0020];
			const command = words.flatMap((word, n) => storeWord(0x600 + 2 * n, word));
			const { romWrites, outcome } = await run(
				[...command, ...outLong(0x518, 0x00060000), ...exit(0)],
				{},
				{ 8192: [1, 2, 3, 4] },
			);
			expect(outcome.end).toEqual({ kind: "debug-exit", value: 0 });
			expect(romWrites).toMatchObject([
				{
					...{ gpa: 0xf2000, size: 4, target: undefined, by: { kind: "dma", device: "fw_cfg" }, region: "bios" },
					...{ data: Uint8Array.from(Buffer.from("QEMU")), old: Uint8Array.of(1, 2, 3, 4) },
				},
			]);
		});
	});

	describe("a run ends", () => {
		const stores = [...dsRom, ...storeByte(0x2000, 1), ...storeByte(0x3000, 2), ...storeByte(0x4000, 3), ...exit(0)];

		test.each([
			["rom-write", 0xf2000, 3],
			["rom-write:0xf3000-0xf3fff", 0xf3000, 4],
			["rom-write:0xf3000+1", 0xf3000, 4],
			["rom-write:0xf4000", 0xf4000, 5],
		])("at --break %s", async (wish, gpa, instructions) => {
			const { outcome } = await run(stores, { break: [wish] });
			expect(outcome.end).toEqual({ kind: "break", on: "rom-write", store: { gpa, linear: BigInt(gpa), size: 1 } });
			// The jump of the reset vector, MOV, MOV, and the stores.
			expect(outcome.instructions).toBe(instructions + 1);
		});

		test("not at a --break elsewhere", async () => {
			const { outcome } = await run(stores, { break: ["rom-write:0xf2001-0xf2fff", "rom-write:0xf5000"] });
			expect(outcome.end).toEqual({ kind: "debug-exit", value: 0 });
		});

		test("at the first store with --rom-writes stop", async () => {
			const { outcome } = await run(stores, { "rom-writes": "stop" });
			expect(outcome.end).toEqual({ kind: "rom-write", store: { gpa: 0xf2000, linear: 0xf2000n, size: 1 } });
		});

		test("at a --break whose store faults, before it does", async () => {
			const { outcome } = await run(stores, { break: ["rom-write"], "rom-writes": "fault" });
			expect(outcome).toMatchObject({ end: { kind: "break" }, instructions: 3 });
		});
	});
});
