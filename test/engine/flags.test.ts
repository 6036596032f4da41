import { describe, expect, it } from "vitest";
import { EXIT_REASON } from "../../src/kvm/vcpu.ts";
import { F } from "../../src/vcpu/layout.ts";
import { ENGINES, type GuestOptions, TestGuest } from "../support/engine.ts";
import { enterUserMode, faultOf, installFaultTable } from "../support/fault-table.ts";

const HLT = 0xf4;
const [PUSHF, POPF, CLI, STI, O16] = [0x9c, 0x9d, 0xfa, 0xfb, 0x66];
const [TF, IF, IOPL3, NT, RF, AC, VIF, VIP, ID] = [
	0x100, 0x200, 0x3000, 0x4000, 0x10000, 0x40000, 0x80000, 0x100000, 0x200000,
];
const [GP, DB] = [13, 1];
const [VME, PVI] = [1n, 2n];
const RAM = 1 << 20;

const dword = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
const push = (value: number): number[] => [0x68, ...dword(value)];
/** OUT to port 0x80: outside virtual-8086 mode and with IOPL 3 an end that needs no rights. */
const END = [0xe6, 0x80];

type Engine = (typeof ENGINES)[number];

async function user(engine: Engine, options: GuestOptions, mode: "flat" | "v86" = "flat"): Promise<TestGuest> {
	const guest = await TestGuest.create(engine, options);
	// All ports up to 0xff may be used: an exit is the end of a program that nothing refused.
	installFaultTable(guest, [...new Array<number>(32).fill(0), 0xff]);
	enterUserMode(guest, mode);
	return guest;
}

describe.each(ENGINES)("flag instructions on the %s engine", (engine) => {
	it("POPF at CPL 0 changes everything but VM, VIF, VIP and RF", async () => {
		const guest = await TestGuest.create(engine, { code: [...push(0xffffffff & ~TF), POPF, HLT] });
		guest.runToHalt();
		expect(guest.eflags >>> 0).toBe(0xed7 | IOPL3 | NT | AC | ID);
	});

	it("POPF with a 16-bit operand leaves the upper half", async () => {
		const guest = await TestGuest.create(engine, {
			code: [O16, POPF, HLT],
			memory: { 32768: [0x01, 0x04] },
			eflags: 2 | ID,
		});
		guest.runToHalt();
		expect(guest.eflags).toBe(0x403 | ID);
		expect(guest.register("esp")).toBe(0x8002);
	});

	it("POPF at CPL 3 changes IF only where IOPL allows it, and never IOPL", async () => {
		const denied = await user(engine, { code: [...push(IF | IOPL3 | 1), POPF, ...END] });
		expect(denied.run()).toBe(EXIT_REASON.io);
		expect(denied.eflags).toBe(3);
		const allowed = await user(engine, { code: [...push(IF | 1), POPF, ...END], eflags: 2 | IOPL3 });
		expect(allowed.run()).toBe(EXIT_REASON.io);
		expect(allowed.eflags).toBe(3 | IF | IOPL3);
	});

	it("PUSHF never shows RF and VM", async () => {
		const guest = await user(engine, { code: [PUSHF, ...END], eflags: 2 | IOPL3 | IF | RF }, "v86");
		guest.setRegister("esp", 0x4000);
		expect(guest.run()).toBe(EXIT_REASON.io);
		expect([...guest.ram.subarray(0x3ffe, 0x4000)]).toEqual([0x02, 0x32]);
	});

	it("PUSHF and POPF with 32 bits need IOPL 3 in virtual-8086 mode, VME or not", async () => {
		for (const [code, eflags, vector] of [
			[[O16, PUSHF, ...END], 2, GP],
			[[O16, POPF, ...END], 2, GP],
			[[PUSHF, ...END], 2, -1],
		] as const) {
			const guest = await user(engine, { code, eflags }, "v86");
			guest.processor.set64(F.cr4, VME);
			if (vector === GP) expect(faultOf(guest)).toBe(GP);
			else expect(guest.run()).toBe(EXIT_REASON.io);
		}
	});

	it("with VME, PUSHF shows VIF as IF with IOPL 3, and POPF writes VIF", async () => {
		const shown = await user(engine, { code: [PUSHF, ...END], eflags: 2 | VIF }, "v86");
		shown.processor.set64(F.cr4, VME);
		expect(shown.run()).toBe(EXIT_REASON.io);
		expect([...shown.ram.subarray(0x7ffe, 0x8000)]).toEqual([0x02, 0x32]);
		const written = await user(
			engine,
			{ code: [POPF, ...END], memory: { 32768: [0x03, 0x02] }, eflags: 2 | IF },
			"v86",
		);
		written.processor.set64(F.cr4, VME);
		expect(written.run()).toBe(EXIT_REASON.io);
		expect(written.eflags).toBe(3 | IF | VIF | 0x20000);
	});

	it("with VME, POPF faults where a pending virtual interrupt would be let in, and for TF", async () => {
		for (const [image, eflags] of [
			[IF, VIP],
			[TF, 0],
		] as const) {
			const guest = await user(
				engine,
				{ code: [POPF, ...END], memory: { 32768: dword(image) }, eflags: 2 | eflags },
				"v86",
			);
			guest.processor.set64(F.cr4, VME);
			expect(faultOf(guest)).toBe(GP);
		}
	});

	it.each([
		["CPL 0", CLI, 2 | IF, 2, "kernel", 0n],
		["CPL 3 with IOPL 3", CLI, 2 | IF | IOPL3, 2 | IOPL3, "flat", 0n],
		["PVI", CLI, 2 | IF | VIF, 2 | IF, "flat", PVI],
		["VME", CLI, 2 | IF | VIF, 0x20002 | IF, "v86", VME],
		["PVI", STI, 2, 2 | VIF, "flat", PVI],
		["VME", STI, 2, 0x20002 | VIF, "v86", VME],
		["CPL 3 with IOPL 3", STI, 2 | IOPL3, 2 | IOPL3 | IF, "flat", 0n],
	] as const)("in %s, instruction %i turns flags %i into %i", async (_name, opcode, before, after, mode, cr4) => {
		const options = { code: [opcode, ...END], eflags: before };
		const guest = mode === "kernel" ? await TestGuest.create(engine, options) : await user(engine, options, mode);
		guest.processor.set64(F.cr4, cr4);
		expect(guest.run()).toBe(EXIT_REASON.io);
		expect(guest.eflags).toBe(after);
	});

	it.each([
		["CLI at CPL 3", CLI, 2, "flat", VME],
		["STI at CPL 3", STI, 2, "flat", VME],
		["CLI in virtual-8086 mode", CLI, 2, "v86", PVI],
		["STI with VIP set", STI, 2 | VIP, "flat", PVI],
	] as const)("%s is #GP", async (_name, opcode, eflags, mode, cr4) => {
		const guest = await user(engine, { code: [opcode, ...END], eflags }, mode);
		guest.processor.set64(F.cr4, cr4);
		expect(faultOf(guest)).toBe(GP);
	});

	it("TF set by POPF traps behind the next instruction, and once per iteration of REP", async () => {
		const guest = await TestGuest.create(engine, {
			code: [...push(TF | 2), POPF, 0x90, 0x90, HLT],
		});
		installFaultTable(guest);
		expect(faultOf(guest)).toBe(DB);
		const stack = new DataView(guest.ram.buffer, guest.ram.byteOffset + guest.register("esp"));
		expect(stack.getUint32(0, true)).toBe(0x1000 + 7);

		const repeat = await TestGuest.create(engine, {
			code: [0xf3, 0xaa, HLT],
			registers: { edi: 0x20000, ecx: 3 },
			eflags: 2 | TF,
		});
		installFaultTable(repeat);
		expect(faultOf(repeat)).toBe(DB);
		const frame = new DataView(repeat.ram.buffer, repeat.ram.byteOffset + repeat.register("esp"));
		expect([repeat.register("ecx"), frame.getUint32(0, true)]).toEqual([2, 0x1000]);
		// RF, so that a code breakpoint on the instruction does not fire again.
		expect(frame.getUint32(8, true) & RF).toBe(RF);
	});

	it("an interrupt waits for the instruction behind STI, and is taken between iterations of REP", async () => {
		const guest = await TestGuest.create(engine, {
			code: [STI, 0xf3, 0xaa, HLT],
			registers: { edi: 0x20000, ecx: 3 },
		});
		installFaultTable(guest);
		guest.processor.set(F.interruptQueued, 20);
		guest.processor.set(F.pending, 4);
		expect(faultOf(guest)).toBe(20);
		expect(guest.register("ecx")).toBe(2);
	});
});

describe.each(ENGINES)("stack frame instructions on the %s engine", (engine) => {
	const registers = { eax: 1, ecx: 2, edx: 3, ebx: 4, ebp: 6, esi: 7, edi: 8 };
	const words32 = (guest: TestGuest, at: number, count: number): number[] => [
		...new Uint32Array(guest.ram.buffer, guest.ram.byteOffset + at, count),
	];

	it("PUSHAD and POPAD keep the order and pass over ESP", async () => {
		const guest = await TestGuest.create(engine, { code: [0x60, 0x61, HLT], registers });
		guest.runToHalt();
		expect(words32(guest, 0x7fe0, 8)).toEqual([8, 7, 6, 0x8000, 4, 3, 2, 1]);
		expect(guest.register("esp")).toBe(0x8000);
		expect(guest.register("eax")).toBe(1);
		guest.ram.set([9, 9, 9, 9], 0x7fec);
		const back = await TestGuest.create(engine, {
			code: [0x61, HLT],
			memory: { 32768: [1, 2, 3, 4, 5, 6, 7, 8].flatMap(dword) },
		});
		back.runToHalt();
		expect(
			(["edi", "esi", "ebp", "ebx", "edx", "ecx", "eax", "esp"] as const).map((name) => back.register(name)),
		).toEqual([1, 2, 3, 5, 6, 7, 8, 0x8020]);
	});

	it("PUSHA wraps in a 16-bit stack, and refuses the stack pointers that the manual names", async () => {
		const guest = await TestGuest.create(engine, {
			mode: "real",
			code: [0x60, HLT],
			registers: { ...registers, esp: 4 },
		});
		guest.runToHalt();
		expect([...guest.ram.subarray(0, 4)]).toEqual([2, 0, 1, 0]);
		expect([...guest.ram.subarray(0xfff4, 0x10000)]).toEqual([8, 0, 7, 0, 6, 0, 4, 0, 4, 0, 3, 0]);
		expect(guest.register("esp")).toBe(0xfff4);
		const refused = await TestGuest.create(engine, { mode: "real", code: [0x60, HLT], registers: { esp: 9 } });
		refused.ram.set([0, 0x70, 0, 0], GP * 4);
		refused.ram[0x7000] = HLT;
		refused.runToHalt();
		expect(refused.eip).toBe(0x7001);
	});

	it("PUSHA to a hole reports all eight stores in order", async () => {
		const guest = await TestGuest.create(engine, { code: [0x60, HLT], registers: { ...registers, esp: RAM + 0x100 } });
		const { exit } = guest.vcpu;
		for (const [n, value] of [1, 2, 3, 4, RAM + 0x100, 6, 7, 8].entries()) {
			expect(guest.run()).toBe(EXIT_REASON.mmio);
			expect([exit.isWrite, exit.physAddr, exit.len, exit.words[0]]).toEqual([true, RAM + 0xfc - 4 * n, 4, value]);
		}
		guest.runToHalt();
		expect(guest.register("esp")).toBe(RAM + 0xe0);
	});

	it("ENTER copies the display of outer frames", async () => {
		const guest = await TestGuest.create(engine, {
			code: [0xc8, 0x10, 0x00, 0x03, HLT],
			registers: { ebp: 0x9000 },
			memory: { 36856: [0x22, 0, 0, 0, 0x11, 0, 0, 0] },
		});
		guest.runToHalt();
		expect(words32(guest, 0x7ff0, 4)).toEqual([0x7ffc, 0x22, 0x11, 0x9000]);
		expect([guest.register("ebp"), guest.register("esp")]).toEqual([0x7ffc, 0x7fe0]);
	});

	it("ENTER changes nothing where the end of its frame cannot be written", async () => {
		const guest = await TestGuest.create(engine, {
			code: [0xc8, 0x00, 0x10, 0x00, HLT],
			registers: { ebp: 0x12345678, esp: 0x8800 },
		});
		installFaultTable(guest);
		// An expand-down stack that ends at 0x8000.
		guest.processor.setSegment(2, 0x10, 0n, 0x7fffn, 0xc97);
		guest.processor.refresh();
		expect(guest.run()).toBe(EXIT_REASON.hlt);
		expect([guest.eip, guest.register("ebp")]).toEqual([0x7000 + 12 + 1, 0x12345678]);
		expect([...guest.ram.subarray(0x87f0, 0x8800)].slice(12)).not.toEqual([0x78, 0x56, 0x34, 0x12]);
	});
});
