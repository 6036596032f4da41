import { describe, expect, it } from "vitest";
import { EXIT_REASON } from "../../src/kvm/vcpu.ts";
import { ATTR, F } from "../../src/vcpu/layout.ts";
import { ENGINES, type EngineName, type GuestOptions, TestGuest } from "../support/engine.ts";
import { enterUserMode, faultOf, installFaultTable } from "../support/fault-table.ts";

const HLT = 0xf4;
const [DE, UD, DF, NP, SS, GP, AC] = [0, 6, 8, 11, 12, 13, 17];
const IDT = 0x5800;
const [ES, CS, STACK, DS] = [0, 1, 2, 3];
const [READABLE, WRITABLE_DATA, DOWN] = [0xb, 3, 7];
const BIG = ATTR.big | ATTR.granular;
const ROUNDS = 40;

function little32(value: number): number[] {
	return [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, (value >> 24) & 0xff];
}

const mov = (register: number, value: number): number[] => [0xb8 + register, ...little32(value)];

/** A guest in protected mode whose faults end in HLT. */
async function guarded(engine: EngineName, options: GuestOptions): Promise<TestGuest> {
	const guest = await TestGuest.create(engine, options);
	installFaultTable(guest);
	return guest;
}

/** The frame that an exception from the same privilege level has pushed. */
function frameOf(guest: TestGuest, hasCode: boolean): { code: number; eip: number; eflags: number; esp: number } {
	const words = new DataView(guest.ram.buffer, guest.ram.byteOffset);
	const esp = guest.register("esp") + (hasCode ? 4 : 0);
	return {
		code: hasCode ? words.getUint32(esp - 4, true) : 0,
		eip: words.getUint32(esp, true),
		eflags: words.getUint32(esp + 8, true),
		esp: esp + 12,
	};
}

describe.each(ENGINES)("faults on the %s", (engine) => {
	it("a handler that faults at once, for ever, ends with the budget", async () => {
		const real = await TestGuest.create(engine, { mode: "real", code: [0x0f, 0x0b], memory: { 24: [0, 0x10, 0, 0] } });
		// The stack wraps around in 64 KiB of its own.
		real.processor.setSegment(STACK, 0x2000, 0x20000n, 0xffffn, ATTR.present | ATTR.s | WRITABLE_DATA);
		real.processor.refresh();
		expect(real.run(10_000)).toBe(EXIT_REASON.budget);
		expect(real.processor.retired()).toBe(10_000);
		expect(real.eip).toBe(0x1000);
	});

	it("the delivery of an exception counts as one instruction", async () => {
		const guest = await guarded(engine, { code: [0x40, 0x0f, 0x0b, HLT] });
		expect(guest.run(1)).toBe(EXIT_REASON.budget);
		expect(guest.eip).toBe(0x1001);
		expect(guest.run(1)).toBe(EXIT_REASON.budget);
		expect(guest.eip).toBe(0x7000 + UD);
		expect(guest.processor.retired()).toBe(2);
	});

	it("of a hot loop leave everything as it was before the faulting instruction", async () => {
		// L: mov eax, 100; cdq; add ebx, ecx; div ecx (0 in the end); dec ecx; jmp L
		const guest = await guarded(engine, {
			code: [...mov(0, 100), 0x99, 0x01, 0xcb, 0xf7, 0xf1, 0x49, 0xeb, 0xf3],
			registers: { ecx: ROUNDS },
		});
		expect(faultOf(guest)).toBe(DE);
		const frame = frameOf(guest, false);
		expect(frame.eip).toBe(0x1008);
		expect(guest.register("ecx")).toBe(0);
		expect(guest.register("eax")).toBe(100);
		expect(guest.register("ebx")).toBe((ROUNDS * (ROUNDS + 1)) / 2);
		// ADD EBX, 0: ZF, SF, CF and OF are 0, PF by the low byte of 820: 0x34 has three ones. RF is set.
		expect(frame.eflags).toBe(0x10002);
	});

	it("IDIV of the smallest number by -1 is a #DE, not the host's", async () => {
		const guest = await guarded(engine, {
			code: [...mov(0, 0), ...mov(2, 0x80000000), 0xf7, 0xfb, HLT],
			registers: { ebx: 0xffffffff },
		});
		expect(faultOf(guest)).toBe(DE);
	});

	it("alignment is checked at CPL 3 with AC, in hot code too", async () => {
		// L: mov eax, [esi]; dec ecx; jnz L; inc esi; popf with AC; mov eax, [esi] in the same loop again
		const code = [0x8b, 0x06, 0x49, 0x75, 0xfb, 0x46, ...mov(1, 4), 0x68, ...little32(0x40202), 0x9d, 0xeb, 0xed];
		const guest = await guarded(engine, { code, registers: { esi: 0x3000, ecx: ROUNDS } });
		guest.processor.set64(F.cr0, guest.processor.get64(F.cr0) | 0x40000n);
		enterUserMode(guest);
		expect(faultOf(guest)).toBe(AC);
		expect(guest.register("esi")).toBe(0x3001);
		expect(guest.register("ecx")).toBe(4);
	});

	it("two contributory exceptions make a double fault, a third one a shutdown", async () => {
		const guest = await guarded(engine, { code: [0x0f, 0x0b] });
		// #UD has no gate: #GP; #GP neither: #DF, whose gate is there.
		guest.ram.fill(0, IDT + UD * 8, IDT + UD * 8 + 8);
		guest.ram.fill(0, IDT + GP * 8, IDT + GP * 8 + 8);
		expect(faultOf(guest)).toBe(DF);
		expect(frameOf(guest, true)).toMatchObject({ code: 0, eip: 0x1000 });
	});

	it("a benign exception before a fault does not make a double fault", async () => {
		const guest = await guarded(engine, { code: [0x0f, 0x0b] });
		guest.ram[IDT + UD * 8 + 5] = 0x0e;
		expect(faultOf(guest)).toBe(NP);
		expect(frameOf(guest, true)).toMatchObject({ code: UD * 8 + 3, eip: 0x1000 });
	});

	it("without an IDT the first fault is a shutdown, again on every run", async () => {
		const guest = await guarded(engine, { code: [0x0f, 0x0b] });
		guest.processor.set64(F.idtLimit, 0n);
		for (let n = 0; n < 3; n++) {
			expect(guest.run()).toBe(EXIT_REASON.shutdown);
			expect(guest.eip).toBe(0x1000);
		}
	});
});

describe.each(ENGINES)("segment limits on the %s", (engine) => {
	const data = ATTR.present | ATTR.s;

	it.each([
		{
			name: "up to the limit",
			attributes: WRITABLE_DATA | BIG,
			limit: 0x2fff,
			good: 0x2ffc,
			bad: 0x2ffd,
			outside: 0x3000,
			esp: 0x2800,
		},
		{
			name: "from behind the limit of an expand-down segment",
			attributes: DOWN | BIG,
			limit: 0x2fff,
			good: 0x3000,
			bad: 0x2fff,
			outside: 0x2fff,
			esp: 0xf000,
		},
		{
			name: "up to 64 KiB of a small expand-down segment",
			attributes: DOWN,
			limit: 0x2fff,
			good: 0xfffc,
			bad: 0xfffd,
			outside: 0x10000,
			esp: 0xf000,
		},
	])("allow accesses $name, in hot code too", async ({ attributes, limit, good, bad, outside, esp }) => {
		for (const [opcode, segment, vector] of [
			[[0x8b, 0x06], DS, GP],
			[[0x89, 0x06], DS, GP],
			[[0xff, 0x06], DS, GP],
			[[0x36, 0x8b, 0x06], STACK, SS],
		] as const) {
			// L: access [esi]; dec ecx; jnz L; mov esi, bad; inc ecx; jmp L
			const body = [...opcode, 0x49, 0x75, 0];
			body[body.length - 1] = 256 - body.length;
			const code = [...body, 0xbe, ...little32(bad), 0x41, 0xeb, 0];
			code[code.length - 1] = 256 - code.length;
			const guest = await guarded(engine, { code, registers: { esi: good, ecx: ROUNDS, esp } });
			guest.processor.setSegment(segment, 16, 0n, BigInt(limit), data | attributes);
			guest.processor.refresh();
			expect(faultOf(guest)).toBe(vector);
			expect(guest.register("esi")).toBe(bad);
			expect(guest.register("ecx")).toBe(1);
			expect(guest.ram[outside]).toBe(0);
		}
	});

	it.each([
		{ name: "a store to code", attributes: READABLE, opcode: [0x26, 0x89, 0x06], segment: ES },
		{ name: "a load from execute-only code", attributes: 9, opcode: [0x26, 0x8b, 0x06], segment: ES },
		{ name: "a store to readonly data", attributes: 1, opcode: [0x26, 0x89, 0x06], segment: ES },
		{ name: "INC of readonly data", attributes: 1, opcode: [0x26, 0xff, 0x06], segment: ES },
	])("refuse $name, in hot code too", async ({ attributes, opcode, segment }) => {
		const body = [...opcode, 0x49, 0x75, 0];
		body[body.length - 1] = 256 - body.length;
		const guest = await guarded(engine, { code: [...body, HLT], registers: { esi: 0x3000, ecx: ROUNDS } });
		guest.runToHalt();
		// The same code, hot by now, with another segment.
		guest.processor.setSegment(segment, 16, 0n, 0xffffffffn, data | attributes | BIG);
		guest.processor.refresh();
		guest.processor.set(F.rip, 0x1000);
		guest.setRegister("ecx", 5);
		expect(faultOf(guest)).toBe(GP);
		expect(guest.register("ecx")).toBe(5);
	});

	it("a null segment refuses every access", async () => {
		const guest = await guarded(engine, { code: [0x8e, 0xdb, 0x8b, 0x06, HLT], registers: { ebx: 0, esi: 0x3000 } });
		expect(faultOf(guest)).toBe(GP);
		expect(frameOf(guest, true)).toMatchObject({ code: 0, eip: 0x1002 });
	});

	it("an instruction that runs over the limit of CS faults, and runs once the limit is higher", async () => {
		const guest = await guarded(engine, { code: [0x90, ...mov(0, 7), HLT] });
		const code = ATTR.present | ATTR.s | READABLE | BIG;
		guest.processor.setSegment(CS, 8, 0n, 0x1003n, code);
		guest.processor.refresh();
		expect(guest.run(1)).toBe(EXIT_REASON.budget);
		expect(guest.run(1)).toBe(EXIT_REASON.budget);
		expect(frameOf(guest, true)).toMatchObject({ code: 0, eip: 0x1001 });
		expect(guest.eip).toBe(0x7000 + GP);
		guest.processor.setSegment(CS, 8, 0n, 0x1fffn, code);
		guest.processor.refresh();
		guest.processor.set(F.rip, 0x1001);
		expect(faultOf(guest)).toBe(-1);
		expect(guest.register("eax")).toBe(7);
	});

	it.each([
		{ name: "JMP", code: [0x66, 0xe9, ...little32(0x12345)] },
		{ name: "JNZ", code: [0x66, 0x0f, 0x85, ...little32(0x12345)] },
		{ name: "CALL", code: [0x66, 0xe8, ...little32(0x12345)] },
	])("$name beyond the limit faults at the jump and does nothing else", async ({ code }) => {
		// L: inc bx; loop L; or bx, bx; the jump. Vector 13 stops at 2000.
		const guest = await TestGuest.create(engine, {
			mode: "real",
			code: [0x43, 0xe2, 0xfd, 0x09, 0xdb, ...code],
			memory: { 52: [0x00, 0x20, 0, 0], 8192: [HLT] },
			registers: { ecx: ROUNDS },
		});
		for (let n = 0; n < 6; n++) {
			guest.processor.set(F.rip, 0x1000);
			guest.setRegister("ecx", ROUNDS);
			guest.setRegister("esp", 0x8000);
			guest.runToHalt();
			expect(guest.eip).toBe(0x2001);
			expect(guest.register("esp")).toBe(0x7ffa);
			expect([guest.ram[0x7ffa], guest.ram[0x7ffb]]).toEqual([0x05, 0x10]);
		}
	});
});

describe.each(ENGINES)("real mode on the %s", (engine) => {
	/** Vectors 12 and 13 stop at 2000 and 2010. */
	const vectors = { 48: [0x00, 0x20, 0, 0], 52: [0x10, 0x20, 0, 0], 8192: [HLT], 8208: [HLT] };
	const stops = async (code: number[], registers: GuestOptions["registers"]): Promise<TestGuest> => {
		const guest = await TestGuest.create(engine, { mode: "real", code, memory: vectors, registers: registers ?? {} });
		guest.runToHalt();
		return guest;
	};

	it("the stack pointer wraps from 0 to FFFE and back", async () => {
		const guest = await stops([0x50, 0x5b, HLT], { eax: 0x1234, esp: 0xabcd0000 });
		expect(guest.register("ebx")).toBe(0x1234);
		expect(guest.register("esp")).toBe(0xabcd0000);
		expect(guest.eip).toBe(0x1003);
		expect([guest.ram[0xfffe], guest.ram[0xffff]]).toEqual([0x34, 0x12]);
	});

	it("PUSHA wraps in the middle", async () => {
		const guest = await stops([0x60, HLT], { eax: 0x1111, ecx: 0x2222, edx: 0x3333, edi: 0x8888, esp: 4 });
		expect(guest.register("esp")).toBe(0xfff4);
		expect([guest.ram[2], guest.ram[0], guest.ram[0xfffe], guest.ram[0xfff4]]).toEqual([0x11, 0x22, 0x33, 0x88]);
	});

	it.each([
		{ name: "a push over the end of the stack segment", code: [0x66, 0x50], esp: 2 },
		{ name: "a pop over the end of the stack segment", code: [0x5b], esp: 0xffff },
	])("$name: #SS", async ({ code, esp }) => {
		const guest = await TestGuest.create(engine, {
			mode: "real",
			code,
			memory: vectors,
			registers: { esp, eax: 0x11223344, ebx: 5 },
		});
		guest.run(1);
		expect(guest.register("ebx")).toBe(5);
		expect(guest.eip).toBe(0x2000);
	});

	it("a word at FFFF is beyond the limit", async () => {
		expect((await stops([0x8b, 0x07, HLT], { ebx: 0xffff })).eip).toBe(0x2011);
		expect((await stops([0x36, 0x8b, 0x07, HLT], { ebx: 0xffff })).eip).toBe(0x2001);
		expect((await stops([0x67, 0x8b, 0x03, HLT], { ebx: 0x10000 })).eip).toBe(0x2011);
		expect((await stops([0x8a, 0x07, HLT], { ebx: 0xffff })).eip).toBe(0x1003);
	});

	it("code runs up to FFFF and faults behind it", async () => {
		const guest = await TestGuest.create(engine, {
			mode: "real",
			origin: 0xfff0,
			code: Array.from({ length: 16 }, () => 0x40),
			memory: vectors,
		});
		for (let n = 0; n < 5; n++) {
			guest.setRegister("esp", 0x8000);
			guest.processor.set(F.rip, 0xfff0);
			guest.runToHalt();
			expect(guest.eip).toBe(0x2011);
			expect(guest.register("eax")).toBe(16 * (n + 1));
			// IP of the frame: 10000 cannot be told from 0.
			expect([guest.ram[0x7ffa], guest.ram[0x7ffb]]).toEqual([0, 0]);
		}
	});

	it("a target wraps within 64 KiB where operands have 16 bits", async () => {
		const guest = await TestGuest.create(engine, {
			mode: "real",
			origin: 0xfff0,
			code: [0x40, 0xeb, 0x7d],
			memory: { ...vectors, [0x70]: [0xe9, 0x7d, 0xff] },
			registers: { ecx: 0 },
		});
		expect(guest.run(30)).toBe(EXIT_REASON.budget);
		expect(guest.register("eax")).toBe(10);
		expect(guest.eip).toBe(0xfff0);
	});
});

describe.each(ENGINES)("the A20 gate on the %s", (engine) => {
	it("closed, drops bit 20 of addresses for data and code", async () => {
		// L: mov eax, [esi]; mov [edi], eax; call 101800; dec ecx; jnz L
		const guest = await guarded(engine, {
			ram: 0x200000,
			code: [0x8b, 0x06, 0x89, 0x07, 0xe8, ...little32(0x101800 - 0x1009), 0x49, 0x75, 0xf4, HLT],
			registers: { esi: 0x103000, edi: 0x104000, ecx: ROUNDS },
			memory: { [0x3000]: [1, 0, 0, 0], [0x103000]: [2, 0, 0, 0], [0x1800]: [0x43, 0xc3], [0x101800]: [0x42, 0xc3] },
		});
		for (const open of [true, false, true]) {
			guest.processor.setA20(open);
			guest.processor.set(F.rip, 0x1000);
			guest.setRegister("ecx", ROUNDS);
			guest.setRegister("edx", 0);
			guest.setRegister("ebx", 0);
			guest.runToHalt();
			expect(guest.ram[open ? 0x104000 : 0x4000]).toBe(open ? 2 : 1);
			expect([guest.register("edx"), guest.register("ebx")]).toEqual(open ? [ROUNDS, 0] : [0, ROUNDS]);
		}
	});
});
