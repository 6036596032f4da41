import { describe, expect, it } from "vitest";
import { EXIT_REASON } from "../../src/kvm/vcpu.ts";
import { F } from "../../src/vcpu/layout.ts";
import { ENGINES, type GuestOptions, TestGuest } from "../support/engine.ts";
import { installFaultTable } from "../support/fault-table.ts";
import { type Fragment, Patchwork } from "./patchwork.ts";

const HLT = 0xf4;
const CODE = 0x1000;
/** Nothing is there; ROM is one page before. */
const HOLE = 0x102000;
const ROM = 0x100000;
const ROUNDS = 20;

function little32(value: number): number[] {
	return [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, (value >> 24) & 0xff];
}

const mov = (register: number, value: number): number[] => [0xb8 + register, ...little32(value)];

/** An exit as `R 102000 4`. */
function short({ write, gpa, length }: Fragment): string {
	return `${write ? "W" : "R"} ${gpa.toString(16)} ${length}`;
}

interface Case {
	readonly name: string;
	readonly code: readonly number[];
	readonly registers?: GuestOptions["registers"];
	readonly exits: readonly string[];
	/** Distance from the instruction of IP at each exit; 0 for reads, its length for writes. */
	readonly ips?: readonly number[];
	/** How many instructions `code` is, if not one. */
	readonly instructions?: number;
}

const CASES: readonly Case[] = [
	{ name: "MOV from a hole", code: [0x8b, 0x06], exits: ["R 102000 4"], ips: [0] },
	{ name: "MOV to a hole", code: [0x89, 0x06], exits: ["W 102000 4"], ips: [2] },
	{ name: "MOV to ROM", code: [0x88, 0x07], registers: { edi: ROM }, exits: ["W 100000 1"], ips: [2] },
	{ name: "ADD to a hole", code: [0x01, 0x06], exits: ["R 102000 4", "W 102000 4"], ips: [0, 2] },
	{ name: "ADD to ROM reads directly", code: [0x01, 0x07], registers: { edi: ROM }, exits: ["W 100000 4"], ips: [2] },
	{ name: "CMP with a hole", code: [0x39, 0x06], exits: ["R 102000 4"], ips: [0] },
	{ name: "XCHG with a hole", code: [0x87, 0x06], exits: ["R 102000 4", "W 102000 4"], ips: [0, 2] },
	{
		name: "BTS far from its operand",
		code: [0x0f, 0xab, 0x06],
		registers: { eax: 100 },
		exits: ["R 10200c 4", "W 10200c 4"],
	},
	{ name: "BT does not write", code: [0x0f, 0xa3, 0x06], registers: { eax: 100 }, exits: ["R 10200c 4"] },
	{ name: "CMPXCHG8B of a hole", code: [0x0f, 0xc7, 0x0e], exits: ["R 102000 8", "W 102000 8"], ips: [0, 3] },
	{ name: "PUSH of a hole", code: [0xff, 0x36], exits: ["R 102000 4"], ips: [0] },
	{ name: "POP to a hole", code: [0x8f, 0x06], exits: ["W 102000 4"], ips: [2] },
	{
		name: "PUSH of a hole onto a hole",
		code: [0xff, 0x36],
		registers: { esp: HOLE + 0x104 },
		exits: ["R 102000 4", "W 102100 4"],
		ips: [0, 2],
	},
	{
		name: "PUSHA onto a hole",
		code: [0x60],
		registers: { esp: HOLE + 0x20 },
		exits: [28, 24, 20, 16, 12, 8, 4, 0].map((offset) => `W ${(HOLE + offset).toString(16)} 4`),
	},
	{
		name: "POPA from a hole",
		code: [0x61],
		registers: { esp: HOLE },
		exits: [0, 4, 8, 16, 20, 24, 28].map((offset) => `R ${(HOLE + offset).toString(16)} 4`),
		ips: [0, 0, 0, 0, 0, 0, 0],
	},
	{ name: "XLAT", code: [0xd7], registers: { ebx: HOLE, eax: 0x20 }, exits: ["R 102020 1"], ips: [0] },
	{
		name: "CMPS of two holes",
		code: [0xa7],
		registers: { edi: HOLE + 8 },
		exits: ["R 102000 4", "R 102008 4"],
		ips: [0, 0],
	},
	{
		name: "MOVS from a hole to a hole",
		code: [0xa5],
		registers: { edi: HOLE + 8 },
		exits: ["R 102000 4", "W 102008 4"],
		ips: [0, 1],
	},
	{ name: "LEA and INVLPG ask nobody", code: [0x8d, 0x06, 0x0f, 0x01, 0x3e], exits: [], instructions: 2 },
	{ name: "SETC to a hole", code: [0x0f, 0x92, 0x06], exits: ["W 102000 1"], ips: [3] },
	{ name: "SGDT to a hole", code: [0x0f, 0x01, 0x06], exits: ["W 102000 6"] },
];

describe.each(ENGINES)("MMIO exits on the %s", (engine) => {
	it.each(CASES)("$name, again and again", async ({ code, registers, exits, ips, instructions = 1 }) => {
		// The registers anew each time round; ECX counts in memory, so that every instruction may use it.
		const all = { eax: 1, ebx: 2, ecx: 3, edx: 4, esp: 0x8000, ebp: 5, esi: HOLE, edi: 0x9000, ...registers };
		const set = (["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"] as const).flatMap((name, n) =>
			mov(n, all[name]),
		);
		// L: set; code; dec dword [3000]; jnz L
		const tail = [0xff, 0x0d, ...little32(0x3000), 0x0f, 0x85];
		const length = set.length + code.length + tail.length + 4;
		const memory = await Patchwork.create(engine, {
			code: [...set, ...code, ...tail, ...little32(-length), HLT],
			memory: { [0x3000]: little32(ROUNDS) },
		});
		expect(memory.run()).toBe(EXIT_REASON.hlt);
		const wanted = Array.from({ length: ROUNDS }, () => exits).flat();
		expect(memory.exits.map(short)).toEqual(wanted);
		const start = CODE + set.length;
		if (ips) expect(memory.ips.map((ip) => ip - start)).toEqual(Array.from({ length: ROUNDS }, () => ips).flat());
		// However often an instruction is left for an answer, it counts once.
		expect(memory.guest.processor.retired()).toBe(ROUNDS * (set.length / 5 + instructions + 2) + 1);
	});

	it("a read leaves registers, flags and the stack alone until it is answered", async () => {
		// pop eax from a hole; add ebx, [hole]
		const guest = await TestGuest.create(engine, {
			code: [0x58, 0xbc, ...little32(0x8000), 0x03, 0x1e, HLT],
			registers: { esp: HOLE, esi: HOLE + 4, eax: 7, ebx: 0xffffffff },
			eflags: 0x46,
		});
		expect(guest.run()).toBe(EXIT_REASON.mmio);
		expect([guest.register("eax"), guest.register("esp"), guest.eip]).toEqual([7, HOLE, CODE]);
		guest.vcpu.exit.words[0] = 0x11111111;
		expect(guest.run()).toBe(EXIT_REASON.mmio);
		expect([guest.register("eax"), guest.register("esp"), guest.eip]).toEqual([0x11111111, 0x8000, CODE + 6]);
		expect([guest.register("ebx"), guest.eflags]).toEqual([0xffffffff, 0x46]);
		guest.vcpu.exit.words[0] = 1;
		guest.runToHalt();
		expect([guest.register("ebx"), guest.eflags & 1]).toEqual([0, 1]);
	});

	it("a write is complete when it is reported: the stack pointer has moved, the next run goes on", async () => {
		const guest = await TestGuest.create(engine, { code: [0x50, 0x43, HLT], registers: { esp: HOLE + 4, eax: 9 } });
		expect(guest.run()).toBe(EXIT_REASON.mmio);
		expect([guest.register("esp"), guest.eip, guest.register("ebx")]).toEqual([HOLE, CODE + 1, 0]);
		guest.runToHalt();
		expect(guest.register("ebx")).toBe(1);
	});

	it("CALL onto a hole arrives at its target before the write is reported", async () => {
		const guest = await TestGuest.create(engine, { code: [0xe8, 1, 0, 0, 0, HLT, 0xf4], registers: { esp: HOLE + 4 } });
		expect(guest.run()).toBe(EXIT_REASON.mmio);
		expect([guest.eip, guest.register("esp"), guest.vcpu.exit.words[0]]).toEqual([CODE + 6, HOLE, CODE + 5]);
	});

	it("the budget covers an instruction with exits once", async () => {
		const memory = await Patchwork.create(engine, { code: [0x01, 0x06, 0x01, 0x06, HLT], registers: { esi: HOLE } });
		expect(memory.run(1)).toBe(EXIT_REASON.budget);
		expect(memory.guest.eip).toBe(CODE + 2);
		expect(memory.exits.map(short)).toEqual(["R 102000 4", "W 102000 4"]);
		expect(memory.guest.processor.retired()).toBe(1);
	});

	it("an operation under way is not changed by a slot that appears", async () => {
		const guest = await TestGuest.create(engine, { code: [0xff, 0x06, 0xff, 0x06, HLT], registers: { esi: HOLE } });
		expect(guest.run()).toBe(EXIT_REASON.mmio);
		const { view, userspaceAddr } = guest.vm.allocate(4096);
		const region = { slot: 5, flags: 0, guestPhysAddr: BigInt(HOLE), memorySize: 4096n, userspaceAddr };
		expect(guest.vm.setUserMemoryRegion(region)).toBe(0);
		view[0] = 50;
		guest.vcpu.exit.words[0] = 7;
		guest.runToHalt();
		// The first INC takes the answer and stores to the new memory, the second one has both halves there.
		expect(view[0]).toBe(9);
	});

	it("code in a hole is an emulation error, over and over", async () => {
		const guest = await TestGuest.create(engine, { code: [0xe9, ...little32(HOLE - CODE - 5)] });
		for (let n = 0; n < 3; n++) {
			expect(guest.run()).toBe(EXIT_REASON.internalError);
			expect([guest.vcpu.exit.suberror, guest.eip]).toEqual([1, HOLE]);
		}
	});

	it("an instruction whose second half lies in a hole is an emulation error at its start", async () => {
		const memory = await Patchwork.create(engine, {
			code: [0xe9, ...little32(0x105ffe - CODE - 5)],
		});
		const slot = memory.guest.vm.allocate(4096);
		slot.view.set([0xb8, 1], 0xffe);
		const region = {
			slot: 6,
			flags: 0,
			guestPhysAddr: 0x10f000n,
			memorySize: 4096n,
			userspaceAddr: slot.userspaceAddr,
		};
		expect(memory.guest.vm.setUserMemoryRegion(region)).toBe(0);
		memory.guest.processor.set(F.rip, 0x10fffe);
		expect(memory.run()).toBe(EXIT_REASON.internalError);
		expect(memory.guest.eip).toBe(0x10fffe);
	});

	it("HLT comes out behind itself and the next run goes on there", async () => {
		const guest = await TestGuest.create(engine, { code: [HLT, 0x43, HLT] });
		guest.runToHalt();
		expect(guest.eip).toBe(CODE + 1);
		guest.runToHalt();
		expect([guest.eip, guest.register("ebx")]).toEqual([CODE + 3, 1]);
	});

	it("gates and descriptors may lie in a hole", async () => {
		// int 0x21 through a gate that a device answers; then the handler reads the device once more
		const guest = await TestGuest.create(engine, { code: [0xcd, 0x21, HLT], registers: { esi: HOLE } });
		installFaultTable(guest);
		guest.processor.set64(F.idtBase, BigInt(HOLE));
		guest.processor.set64(F.idtLimit, 0x7ffn);
		guest.ram.set([0x8b, 0x06, 0x8b, 0x5e, 4, HLT], 0x2000);
		const asked: [number, number][] = [];
		const answers = [0x00082000n | (0x8e00n << 32n), 0x1234n, 0x5678n];
		for (const answer of answers) {
			expect(guest.run()).toBe(EXIT_REASON.mmio);
			const { exit } = guest.vcpu;
			asked.push([exit.physAddr, exit.len]);
			exit.words[0] = Number(answer & 0xffffffffn);
			exit.words[1] = Number(answer >> 32n);
		}
		guest.runToHalt();
		expect(asked).toEqual([
			[HOLE + 0x21 * 8, 8],
			[HOLE, 4],
			[HOLE + 4, 4],
		]);
		expect([guest.register("eax"), guest.register("ebx")]).toEqual([0x1234, 0x5678]);
	});

	it("so may the gate of an exception, whose handler reads devices too", async () => {
		const guest = await TestGuest.create(engine, { code: [0x0f, 0x0b, HLT], registers: { esi: HOLE } });
		installFaultTable(guest);
		guest.processor.set64(F.idtBase, BigInt(HOLE));
		guest.ram.set([0x8b, 0x06, 0x8b, 0x5e, 4, HLT], 0x2000);
		for (const answer of [0x00082000n | (0x8e00n << 32n), 0x1234n, 0x5678n]) {
			expect(guest.run()).toBe(EXIT_REASON.mmio);
			guest.vcpu.exit.words[0] = Number(answer & 0xffffffffn);
			guest.vcpu.exit.words[1] = Number(answer >> 32n);
		}
		guest.runToHalt();
		expect([guest.register("eax"), guest.register("ebx")]).toEqual([0x1234, 0x5678]);
	});

	it("a read that is answered under single-stepping traps once, behind the instruction", async () => {
		const guest = await TestGuest.create(engine, {
			code: [0x8b, 0x06, 0x43, HLT],
			registers: { esi: HOLE },
			eflags: 0x102,
		});
		installFaultTable(guest);
		expect(guest.run()).toBe(EXIT_REASON.mmio);
		guest.vcpu.exit.words[0] = 3;
		guest.runToHalt();
		const words = new DataView(guest.ram.buffer, guest.ram.byteOffset);
		expect(guest.eip).toBe(0x7000 + 1 + 1);
		expect([words.getUint32(guest.register("esp"), true), guest.register("eax")]).toEqual([CODE + 2, 3]);
	});
});
