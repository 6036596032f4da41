import { describe, expect, it } from "vitest";
import { EXIT_REASON } from "../../src/kvm/vcpu.ts";
import { ATTR, F, PENDING } from "../../src/vcpu/layout.ts";
import { ENGINES, type GuestOptions, TestGuest } from "../support/engine.ts";

const HLT = 0xf4;
const NAMES = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"] as const;

function little32(value: number): number[] {
	return [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, (value >> 24) & 0xff];
}

/** Numbers that look random and are the same every time. */
function numbers(seed: number): (below: number) => number {
	let state = seed;
	return (below) => {
		state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
		return Math.floor((state / 0x1_0000_0000) * below);
	};
}

interface Program {
	readonly name: string;
	readonly options: GuestOptions;
}

/** MOV r32, imm32. */
const mov = (register: number, value: number): number[] => [0xb8 + register, ...little32(value)];
const [EAX, ECX, EDX] = [0, 1, 2];

/** Programs that end in HLT, one for each way in which instructions follow each other. */
const PROGRAMS: readonly Program[] = [
	{
		name: "a straight line longer than a block",
		options: { code: [...Array.from({ length: 150 }, () => [0x40, 0x01, 0xc3]).flat(), HLT] },
	},
	{
		name: "a loop of one block",
		// L: add ebx, ecx; rol ebx, 3; dec ecx; jnz L
		options: { code: [...mov(ECX, 60), 0x01, 0xcb, 0xc1, 0xc3, 3, 0x49, 0x75, 0xf8, HLT] },
	},
	{
		name: "nested loops",
		// O: mov ecx, 7; I: inc ebx; loop I; dec edx; jnz O
		options: { code: [...mov(EDX, 9), ...mov(ECX, 7), 0x43, 0xe2, 0xfd, 0x4a, 0x75, 0xf5, HLT] },
	},
	{
		name: "conditional jumps that go either way",
		// L: shr eax, 1; jnc S; xor ebx, ecx; S: adc edx, 0; dec ecx; jnz L
		options: {
			code: [
				...mov(EAX, 0x9a3c5a71),
				...mov(ECX, 31),
				0xd1,
				0xe8,
				0x73,
				2,
				0x31,
				0xcb,
				0x83,
				0xd2,
				0,
				0x49,
				0x75,
				0xf4,
				HLT,
			],
		},
	},
	{
		name: "calls and returns, one of them recursive",
		// mov ecx, 12; L: push ecx; call F; pop ecx; loop L; hlt; F: inc eax; dec ecx; jz R; call F; R: ret
		options: {
			code: [
				...mov(ECX, 12),
				0x51,
				0xe8,
				4,
				0,
				0,
				0,
				0x59,
				0xe2,
				0xf7,
				HLT,
				0x40,
				0x49,
				0x74,
				5,
				0xe8,
				0xf7,
				0xff,
				0xff,
				0xff,
				0xc3,
			],
		},
	},
	{
		name: "indirect jumps through a table",
		// L: mov eax, ecx; and eax, 3; jmp [table + eax * 4]
		options: {
			code: [...mov(ECX, 40), 0x89, 0xc8, 0x83, 0xe0, 3, 0xff, 0x24, 0x85, ...little32(0x3000)],
			memory: {
				12288: [0x2000, 0x2010, 0x2020, 0x2000].flatMap(little32),
				8192: [0x43, 0xe9, ...little32(0x2030 - 0x2006)],
				8208: [0x01, 0xcb, 0xe9, ...little32(0x2030 - 0x2017)],
				8224: [0xf7, 0xd3, 0xe9, ...little32(0x2030 - 0x2027)],
				// dec ecx; jnz L; hlt
				8240: [0x49, 0x0f, 0x85, ...little32(0x1005 - 0x2037), HLT],
			},
		},
	},
	{
		name: "string instructions, each iteration an instruction",
		// L: mov ecx, 9; mov esi, 3000; mov edi, 3100; rep movsb; lodsb; mov ecx, 5; repne scasb; dec edx; jnz L
		options: {
			code: [
				...[...mov(EDX, 6), ...mov(ECX, 9), 0xbe, ...little32(0x3000), 0xbf, ...little32(0x3100), 0xf3, 0xa4, 0xac],
				...[...mov(ECX, 5), 0xf2, 0xae, 0x4a, 0x75, 0xe2, HLT],
			],
			memory: { 12288: Array.from({ length: 32 }, (_, n) => n * 5) },
		},
	},
	{
		name: "software interrupts and their returns, in real mode",
		// L: int 0x20; dec cx; jnz L
		options: {
			mode: "real",
			code: [0xb9, 20, 0, 0xcd, 0x20, 0x49, 0x75, 0xfb, HLT],
			memory: { 128: [0x00, 0x20, 0, 0], 8192: [0x40, 0x83, 0xc3, 3, 0xcf] },
		},
	},
	{
		name: "faults and their handlers, in real mode",
		// L: div dl (0); dec cx; jnz L. The handler steps over the DIV: pop ax; add ax, 2; push ax; iret
		options: {
			mode: "real",
			code: [0x31, 0xd2, 0xb9, 20, 0, 0xf6, 0xf2, 0x49, 0x75, 0xfb, HLT],
			memory: { 0: [0x00, 0x20, 0, 0], 8192: [0x58, 0x83, 0xc0, 2, 0x50, 0xcf] },
		},
	},
	{
		name: "code that patches itself",
		// L: inc dword [P + 1]; P: add eax, 0; dec ecx; jnz L
		options: {
			code: [...mov(ECX, 25), 0xff, 0x05, ...little32(0x100c), 0x05, 0, 0, 0, 0, 0x49, 0x75, 0xf2, HLT],
		},
	},
	{
		name: "instructions over the end of a page",
		// At 1FFD: L: add eax, 12345678; dec ecx; jnz L
		options: {
			origin: 0x1ff8,
			code: [...mov(ECX, 30), 0x05, ...little32(0x12345678), 0x49, 0x75, 0xf8, HLT],
		},
	},
	{
		name: "STI and MOV SS, which hold interrupts off",
		// L: sti; mov ss, [3000]; cli; dec ecx; jnz L
		options: {
			mode: "real",
			code: [0xb9, 15, 0, 0xfb, 0x8e, 0x16, 0, 0x30, 0xfa, 0x49, 0x75, 0xf7, HLT],
		},
	},
	{
		name: "a trap behind every instruction",
		// TF is set by POPF; the handler of vector 1 counts in EBP.
		options: {
			mode: "real",
			code: [0x68, 0x02, 0x01, 0xb9, 10, 0, 0x9d, 0x43, 0x01, 0xcb, 0xe2, 0xfb, HLT],
			memory: { 4: [0x00, 0x20, 0, 0], 8192: [0x45, 0xcf] },
		},
	},
];

/** All that an instruction can change, but for memory. */
function stateOf(guest: TestGuest): string {
	const registers = NAMES.map((name) => guest.register(name).toString(16));
	return `${registers.join(" ")} eip ${guest.eip.toString(16)} eflags ${guest.eflags.toString(16)}`;
}

async function trace(options: GuestOptions): Promise<string[]> {
	const guest = await TestGuest.create("interpreter", options);
	const states = [stateOf(guest)];
	while (guest.run(1) === EXIT_REASON.budget) {
		expect(guest.processor.retired()).toBe(states.length);
		states.push(stateOf(guest));
		expect(states.length).toBeLessThan(5000);
	}
	states.push(stateOf(guest));
	return states;
}

describe.each(ENGINES)("instruction budgets on the %s", (engine) => {
	it.each(PROGRAMS)("stop after exactly as many instructions: $name", async ({ options }) => {
		const states = await trace(options);
		expect(states.length).toBeGreaterThan(30);
		const random = numbers(7);
		for (let round = 0; round < 8; round++) {
			const guest = await TestGuest.create(engine, options);
			let done = 0;
			for (;;) {
				// Small pieces, large ones, and once all of it.
				const piece = round === 0 ? 100_000 : 1 + random(round < 4 ? 4 : 60);
				const reason = guest.run(piece);
				if (reason === EXIT_REASON.hlt) break;
				expect(reason).toBe(EXIT_REASON.budget);
				done += piece;
				expect(guest.processor.retired()).toBe(done);
				expect(stateOf(guest)).toBe(states[done]);
			}
			expect(guest.processor.retired()).toBe(states.length - 1);
			expect(stateOf(guest)).toBe(states.at(-1));
		}
	});
});

describe.each(ENGINES)("code that changes, on the %s", (engine) => {
	/** Times round each loop. */
	const ROUNDS = 50;

	it("runs a store into the next instruction", async () => {
		// L: mov [P + 1], cl; P: add al, 0; add ebx, eax; dec ecx; jnz L
		const guest = await TestGuest.create(engine, {
			code: [...mov(ECX, ROUNDS), 0x88, 0x0d, ...little32(0x100c), 0x04, 0, 0x01, 0xc3, 0x49, 0x75, 0xf3, HLT],
		});
		guest.runToHalt();
		let [eax, ebx] = [0, 0];
		for (let ecx = ROUNDS; ecx > 0; ecx--) {
			eax = (eax + ecx) & 0xff;
			ebx += eax;
		}
		expect([guest.register("eax"), guest.register("ebx")]).toEqual([eax, ebx]);
	});

	it("finishes the instruction that overwrites itself", async () => {
		// mov dword [own address], 90909090, executed once; then the NOPs are there.
		const guest = await TestGuest.create(engine, {
			code: [0xc7, 0x05, ...little32(0x1000), 0x90, 0x90, 0x90, 0x90, 0x43, HLT],
			registers: { ebx: 0 },
		});
		guest.runToHalt();
		expect(guest.register("ebx")).toBe(1);
		expect([...guest.ram.subarray(0x1000, 0x1004)]).toEqual([0x90, 0x90, 0x90, 0x90]);
	});

	it("runs a function on another page as it is rewritten between calls", async () => {
		// L: mov [2001], ecx; call 2000; dec ecx; jnz L. At 2000: mov eax, imm32; add ebx, eax; ret
		const guest = await TestGuest.create(engine, {
			code: [
				...[...mov(ECX, ROUNDS), 0x89, 0x0d, ...little32(0x2001), 0xe8, ...little32(0x2000 - 0x1010)],
				...[0x49, 0x75, 0xf2, HLT],
			],
			memory: { 8192: [...mov(EAX, 0), 0x01, 0xc3, 0xc3] },
		});
		guest.runToHalt();
		expect(guest.register("ebx")).toBe((ROUNDS * (ROUNDS + 1)) / 2);
	});

	/** Four bytes at the start of a function that goes on with INC EBX, and what a call then adds to EBX. */
	const add5 = { bytes: [0x83, 0xc3, 5, 0x90], sum: 6 };
	const fourIncrements = { bytes: [0x43, 0x43, 0x43, 0x43], sum: 5 };

	it.each([
		["another operand", add5, { bytes: [0x83, 0xc3, 7, 0x90], sum: 8 }],
		["other lengths", add5, fourIncrements],
		["an end in the middle", fourIncrements, { bytes: [0x43, 0xc3, 0x90, 0x90], sum: 1 }],
		["a jump past the end", fourIncrements, { bytes: [0x43, 0xeb, 1, 0x90], sum: 2 }],
		["the same bytes", add5, add5],
	])("runs a function whose first bytes are written before each call: %s", async (_, one, other) => {
		// L: mov eax, esi; xchg esi, edi; mov [2000], eax; call 2000; dec ecx; jnz L. At 2000: four bytes; inc ebx; ret
		const guest = await TestGuest.create(engine, {
			code: [
				...[0x89, 0xf0, 0x87, 0xf7, 0xa3, ...little32(0x2000), 0xe8, ...little32(0x2000 - 0x100e)],
				...[0x49, 0x75, 0xef, HLT],
			],
			memory: { 8192: [0x90, 0x90, 0x90, 0x90, 0x43, 0xc3] },
			registers: {
				ecx: ROUNDS,
				esi: Buffer.from(one.bytes).readUInt32LE(),
				edi: Buffer.from(other.bytes).readUInt32LE(),
			},
		});
		guest.runToHalt();
		expect(guest.register("ebx")).toBe((ROUNDS / 2) * (one.sum + other.sum));
	});

	it("runs an operand that was written byte by byte", async () => {
		// L: mov [2001], cl; mov [2002], cl; mov [2003], cl; mov [2004], cl; call 2000; dec ecx; jnz L. At 2000: mov eax, imm32; xor ebx, eax; ret
		const store = (address: number): number[] => [0x88, 0x0d, ...little32(address)];
		const guest = await TestGuest.create(engine, {
			code: [
				...[
					...mov(ECX, ROUNDS),
					...[0x2001, 0x2002, 0x2003, 0x2004].flatMap(store),
					0xe8,
					...little32(0x2000 - 0x1022),
				],
				...[0x49, 0x75, 0xe0, HLT],
			],
			memory: { 8192: [...mov(EAX, 0), 0x31, 0xc3, 0xc3] },
		});
		guest.runToHalt();
		let ebx = 0;
		for (let ecx = ROUNDS; ecx > 0; ecx--) ebx ^= ecx * 0x01010101;
		expect(guest.register("ebx")).toBe(ebx >>> 0);
	});

	it("a page takes stores at full speed again when code in it was written over", async () => {
		// call 2000; 20 times: inc byte [2000]; hlt
		const guest = await TestGuest.create(engine, {
			code: [
				...[0xe8, ...little32(0x2000 - 0x1005)],
				...Array.from({ length: 20 }, () => [0xfe, 0x05, ...little32(0x2000)]).flat(),
				HLT,
			],
			memory: { 8192: [0x43, 0xc3] },
		});
		guest.runToHalt();
		expect(guest.processor.code.holdsCode(guest.ram.byteOffset + 0x2000, 4096)).toBe(false);
	});

	it("runs an instruction over two pages after a store to its second half", async () => {
		// The immediate of the instruction at 1FFE lies in page 2000 but for its first byte.
		const guest = await TestGuest.create(engine, {
			code: [...mov(ECX, ROUNDS), 0xe9, ...little32(0x1ff0 - 0x100a)],
			memory: {
				// L: mov [2001], cl; ...; 1FFE: mov eax, imm32; add ebx, eax; dec ecx; jnz L
				[0x1ff0]: [0x88, 0x0d, ...little32(0x2001), ...Array.from({ length: 8 }, () => 0x90)],
				[0x1ffe]: [...mov(EAX, 0), 0x01, 0xc3, 0x49, 0x75, 0xe8, HLT],
			},
		});
		guest.runToHalt();
		let ebx = 0;
		for (let ecx = ROUNDS; ecx > 0; ecx--) ebx += ecx << 16;
		expect(guest.register("ebx")).toBe(ebx >>> 0);
	});

	it("sees a string instruction copy other code over what ran before", async () => {
		// L: choose the source by the parity of ECX; copy 8 bytes to 2000; call 2000; dec ecx; jnz L
		const guest = await TestGuest.create(engine, {
			code: [
				...[0x89, 0xce, 0x83, 0xe6, 1, 0xc1, 0xe6, 3, 0x81, 0xc6, ...little32(0x3000), 0xbf, ...little32(0x2000)],
				...[0x51, ...mov(ECX, 8), 0xf3, 0xa4, 0x59, 0xe8, ...little32(0x2000 - 0x1021)],
				...[0x49, 0x75, 0xdc, HLT],
			],
			memory: { [0x3000]: [0x43, 0xc3, 0, 0, 0, 0, 0, 0, 0x83, 0xc3, 100, 0xc3] },
			registers: { ecx: ROUNDS },
		});
		guest.runToHalt();
		expect(guest.register("ebx")).toBe((ROUNDS / 2) * 101);
	});

	it("runs what a device has written by DMA", async () => {
		// call 2000; hlt
		const guest = await TestGuest.create(engine, { code: [0xe8, ...little32(0x2000 - 0x1005), HLT] });
		let expected = 0;
		for (let value = 1; value <= ROUNDS; value++) {
			guest.ram.set([0x81, 0xc3, ...little32(value), 0xc3], 0x2000);
			guest.vm.written(guest.ram.byteOffset + 0x2000, 7);
			guest.processor.set(F.rip, 0x1000);
			guest.runToHalt();
			expected += value;
			expect(guest.register("ebx")).toBe(expected);
		}
	});

	it("takes code as it was where only the bytes beside it change", async () => {
		// L: mov [2010], ecx; call 2000; dec ecx; jnz L; the function ends at 2002.
		const guest = await TestGuest.create(engine, {
			code: [
				...[...mov(ECX, ROUNDS), 0x89, 0x0d, ...little32(0x2010), 0xe8, ...little32(0x2000 - 0x1010)],
				...[0x49, 0x75, 0xf2, HLT],
			],
			memory: { 8192: [0x43, 0xc3] },
		});
		guest.runToHalt();
		expect(guest.register("ebx")).toBe(ROUNDS);
		expect(guest.ram[0x2010]).toBe(1);
	});

	it("a page that lost its code to a store on another page takes stores at full speed again", async () => {
		// The instruction at 1FFE reaches into page 2000; a store to its first byte removes it.
		const guest = await TestGuest.create(engine, {
			code: [0xe8, ...little32(0x1ffe - 0x1005), 0xc6, 0x05, ...little32(0x1ffe), 0xb8, HLT],
			memory: { [0x1ffe]: [0xe9, ...little32(0x3100 - 0x2003)], [0x3100]: [0xc3] },
		});
		const { processor } = guest;
		const holdsCode = (): boolean => processor.code.holdsCode(guest.ram.byteOffset + 0x2000, 4096);
		guest.run(2);
		expect(holdsCode()).toBe(true);
		guest.runToHalt();
		// mov byte [2001], 1
		guest.ram.set([0xc6, 0x05, ...little32(0x2001), 1, HLT], 0x3000);
		processor.set(F.rip, 0x3000);
		guest.runToHalt();
		expect(holdsCode()).toBe(false);
		expect(guest.ram[0x2001]).toBe(1);
	});

	it("changes as often as the guest likes without using up memory", async () => {
		// L: mov [P + 1], cl; P: add al, 0; dec ecx; jnz L
		const guest = await TestGuest.create(engine, {
			code: [...mov(ECX, 300_000), 0x88, 0x0d, ...little32(0x100c), 0x04, 0, 0x49, 0x75, 0xf5, HLT],
		});
		const { size } = guest.processor.memory;
		guest.runToHalt();
		expect(guest.register("ecx")).toBe(0);
		expect(guest.processor.memory.size).toBe(size);
	});
});

describe.each(ENGINES)("16-bit code in a segment beyond 64 KiB, on the %s", (engine) => {
	it("runs on behind FFFF; jumps wrap", async () => {
		const guest = await TestGuest.create(engine, { mode: "prot16", origin: 0xffe0 });
		guest.processor.setSegment(1, 8, 0n, 0xfffffn, ATTR.present | ATTR.s | 0xb);
		guest.processor.refresh();
		// 25 INC AX from FFF0 on; then JMP behind itself, which is cut to 16 bits.
		guest.ram.fill(0x40, 0xfff0, 0x10009);
		guest.ram.set([0xeb, 2], 0x10009);
		guest.ram.set([HLT], 0xd);
		for (let n = 1; n <= 6; n++) {
			guest.processor.set(F.rip, 0xfff0);
			guest.runToHalt();
			expect(guest.eip).toBe(0xe);
			expect(guest.register("eax")).toBe(25 * n);
		}
	});
});

describe.each(ENGINES)("hot code on the %s", (engine) => {
	it("knows its IP in each of the segments that reach it", async () => {
		// L: three far calls of linear 2000; loop L. There: call next; next: pop ax; add bx, ax; retf
		const far = (segment: number, offset: number): number[] => [
			0x9a,
			...little32(offset).slice(0, 2),
			...little32(segment).slice(0, 2),
		];
		const guest = await TestGuest.create(engine, {
			mode: "real",
			code: [...far(0, 0x2000), ...far(0x100, 0x1000), ...far(0x1ff, 0x10), 0xe2, 0xef, HLT],
			memory: { [0x2000]: [0xe8, 0, 0, 0x58, 0x01, 0xc3, 0xcb] },
			registers: { ecx: 20 },
		});
		guest.runToHalt();
		expect(guest.register("ebx")).toBe((20 * (0x2003 + 0x1003 + 0x13)) & 0xffff);
	});

	it("takes interrupts and NMIs exactly where the budget ended", async () => {
		// inc eax; add ebx, eax; rol ebx, 5; jmp. The handlers record EAX, EBX and the IP they came from.
		const options: GuestOptions = {
			mode: "real",
			code: [0x66, 0x40, 0x66, 0x01, 0xc3, 0x66, 0xc1, 0xc3, 5, 0xeb, 0xf5],
			memory: {
				8: [0x10, 0x20, 0, 0],
				128: [0, 0x20, 0, 0],
				// add si, ax; add si, bx; pop bp; push bp; add si, bp; iret
				8192: [0x01, 0xc6, 0x01, 0xde, 0x5d, 0x55, 0x01, 0xee, 0xcf],
				8208: [0x31, 0xc6, 0x46, 0xcf],
			},
			eflags: 0x202,
		};
		const random = numbers(3);
		const slices = Array.from({ length: 60 }, () => 1 + random(40));
		const traces = await Promise.all(
			(["interpreter", engine] as const).map(async (name) => {
				const guest = await TestGuest.create(name, options);
				return slices.map((count, n) => {
					expect(guest.run(count)).toBe(EXIT_REASON.budget);
					if (n % 3 === 0) guest.processor.nmi();
					else if (guest.processor.interruptible()) {
						guest.processor.set(F.interruptQueued, 0x20);
						guest.processor.set(F.pending, guest.processor.get(F.pending) | PENDING.interrupt);
					}
					return stateOf(guest);
				});
			}),
		);
		expect(traces[1]).toEqual(traces[0]);
		expect(new Set(traces[0]).size).toBe(slices.length);
	});

	it("sees a segment move between two runs", async () => {
		// L: mov eax, fs:[esi]; add ebx, eax; loop L
		const guest = await TestGuest.create(engine, {
			code: [0x64, 0x8b, 0x06, 0x01, 0xc3, 0xe2, 0xf9, HLT],
			memory: { [0x3000]: [1, 0, 0, 0], [0x13000]: [100, 0, 0, 0] },
		});
		for (const [base, value] of [
			[0n, 1],
			[0x10000n, 100],
			[0n, 1],
		] as const) {
			guest.processor.setSegment(4, 16, base, 0xffffffffn, ATTR.present | ATTR.s | 3 | ATTR.big | ATTR.granular);
			guest.processor.refresh();
			guest.processor.set(F.rip, 0x1000);
			guest.setRegister("esi", 0x3000);
			guest.setRegister("ecx", 20);
			guest.setRegister("ebx", 0);
			guest.runToHalt();
			expect(guest.register("ebx")).toBe(20 * value);
		}
	});
});
