import { describe, expect, it } from "vitest";
import { EXIT_REASON } from "../../src/kvm/vcpu.ts";
import { ATTR, F } from "../../src/vcpu/layout.ts";
import { ENGINES, type GuestOptions, TestGuest } from "../support/engine.ts";

const HLT = 0xf4;
const [INSB, INSD, OUTSB, OUTSD, REP] = [0x6c, 0x6d, 0x6e, 0x6f, 0xf3];
const [DF, IOPL3, VM] = [0x400, 0x3000, 0x20000];
const RAM = 1 << 20;
const CODE = 0x1000;
const TSS = 0x3000;

/** A guest at CPL 3 with flat segments and, at {@link TSS}, a 32-bit TSS whose permission map starts at 0x70. */
async function userGuest(
	engine: (typeof ENGINES)[number],
	options: GuestOptions,
	map: readonly number[],
): Promise<TestGuest> {
	const guest = await TestGuest.create(engine, options);
	const { processor } = guest;
	for (const n of [0, 2, 3, 4, 5]) processor.setSegment(n, 0x23, 0n, 0xffffffffn, 0xcf3);
	processor.setSegment(1, 0x1b, 0n, 0xffffffffn, 0xcfb);
	processor.setSegment(7, 0x28, BigInt(TSS), BigInt(0x70 + map.length - 1), ATTR.present | 0xb);
	processor.set(F.cpl, 3);
	guest.ram.set([0x70, 0], TSS + 102);
	guest.ram.set(map, TSS + 0x70);
	processor.set64(F.idtLimit, 0n);
	processor.refresh();
	return guest;
}

describe.each(ENGINES)("port instructions on the %s engine", (engine) => {
	it.each([
		["AL", [0xe4, 0x71], 0x71, 1, 0xaabbcc99],
		["AX", [0x66, 0xed], 0xfe08, 2, 0xaabb8899],
		["EAX", [0xed], 0xfe08, 4, 0x66778899],
	])("IN waits for its answer with RIP at the instruction, then loads %s", async (_name, code, port, size, result) => {
		const guest = await TestGuest.create(engine, {
			code: [...code, HLT],
			registers: { eax: 0xaabbccdd, edx: 0x1234fe08 },
		});
		expect(guest.run()).toBe(EXIT_REASON.io);
		const { exit } = guest.vcpu;
		expect([exit.direction, exit.port, exit.size, exit.count]).toEqual([0, port, size, 1]);
		expect([guest.eip, guest.register("eax")]).toEqual([CODE, 0xaabbccdd]);
		exit.portWords[0] = 0x66778899;
		guest.runToHalt();
		expect(guest.register("eax")).toBe(result);
		expect(guest.processor.retired()).toBe(2);
	});

	it.each([
		[[0xe6, 0x80], 0x80, 1, 0xdd],
		[[0x66, 0xef], 0xfe08, 2, 0xccdd],
		[[0xef], 0xfe08, 4, 0xaabbccdd],
	])("OUT %j exits with RIP behind it", async (code, port, size, value) => {
		const guest = await TestGuest.create(engine, {
			code: [...code, HLT],
			registers: { eax: 0xaabbccdd, edx: 0xfe08 },
		});
		expect(guest.run()).toBe(EXIT_REASON.io);
		const { exit } = guest.vcpu;
		expect([exit.direction, exit.port, exit.size, exit.count, exit.portWords[0]]).toEqual([1, port, size, 1, value]);
		expect(guest.eip).toBe(CODE + code.length);
		guest.runToHalt();
	});

	it("REP INSD asks once for a batch that ends with the destination's page", async () => {
		const guest = await TestGuest.create(engine, {
			code: [REP, INSD, HLT],
			registers: { edx: 0x1f0, edi: 0x20ff8, ecx: 5 },
		});
		const { exit } = guest.vcpu;
		expect(guest.run()).toBe(EXIT_REASON.io);
		expect([exit.direction, exit.port, exit.size, exit.count]).toEqual([0, 0x1f0, 4, 2]);
		expect([guest.eip, guest.register("ecx"), guest.register("edi")]).toEqual([CODE, 5, 0x20ff8]);
		exit.portWords.set([0x11111111, 0x22222222]);
		expect(guest.run()).toBe(EXIT_REASON.io);
		expect([exit.count, guest.register("ecx"), guest.register("edi")]).toEqual([3, 3, 0x21000]);
		exit.portWords.set([3, 4, 5]);
		guest.runToHalt();
		expect([...new Uint32Array(guest.ram.buffer, guest.ram.byteOffset + 0x20ff8, 5)]).toEqual([
			0x11111111, 0x22222222, 3, 4, 5,
		]);
		expect([guest.register("ecx"), guest.register("edi"), guest.processor.retired()]).toEqual([0, 0x2100c, 6]);
	});

	it("INSB downwards stores the answers at falling addresses", async () => {
		const guest = await TestGuest.create(engine, {
			code: [REP, INSB, HLT],
			registers: { edx: 0x60, edi: 0x20002, ecx: 3 },
			eflags: 2 | DF,
		});
		expect(guest.run()).toBe(EXIT_REASON.io);
		expect(guest.vcpu.exit.count).toBe(3);
		guest.vcpu.exit.portData.set([1, 2, 3]);
		guest.runToHalt();
		expect([...guest.ram.subarray(0x20000, 0x20003)]).toEqual([3, 2, 1]);
		expect(guest.register("edi")).toBe(0x1ffff);
	});

	it("a batch is no larger than the budget", async () => {
		const guest = await TestGuest.create(engine, {
			code: [REP, INSB, HLT],
			registers: { edx: 0x60, edi: 0x20000, ecx: 10 },
		});
		expect(guest.run(4)).toBe(EXIT_REASON.io);
		expect(guest.vcpu.exit.count).toBe(4);
		guest.vcpu.exit.portData.set([1, 2, 3, 4]);
		expect(guest.vcpu.run()).toBe(0);
		expect([guest.vcpu.exit.reason, guest.register("ecx"), guest.processor.retired()]).toEqual([
			EXIT_REASON.budget,
			6,
			4,
		]);
	});

	it("REP INSB into a hole asks once and writes in pieces of eight bytes", async () => {
		const guest = await TestGuest.create(engine, {
			code: [REP, INSB, HLT],
			registers: { edx: 0x60, edi: RAM, ecx: 10 },
		});
		const { exit } = guest.vcpu;
		expect(guest.run()).toBe(EXIT_REASON.io);
		expect(exit.count).toBe(10);
		exit.portData.set([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
		expect(guest.run()).toBe(EXIT_REASON.mmio);
		expect([exit.physAddr, exit.len, [...exit.data]]).toEqual([RAM, 8, [1, 2, 3, 4, 5, 6, 7, 8]]);
		expect(guest.run()).toBe(EXIT_REASON.mmio);
		expect([exit.physAddr, exit.len, exit.data[0], exit.data[1]]).toEqual([RAM + 8, 2, 9, 10]);
		guest.runToHalt();
	});

	it("a destination that faults is found before the port is read", async () => {
		const guest = await TestGuest.create(engine, { code: [INSB, HLT], registers: { edx: 0x60, edi: 0x2000 } });
		guest.processor.setSegment(0, 16, 0n, 0x1fffn, 0x493);
		guest.processor.set64(F.idtLimit, 0n);
		guest.processor.refresh();
		expect(guest.run()).toBe(EXIT_REASON.shutdown);
		expect(guest.eip).toBe(CODE);
	});

	it("REP OUTSB makes one exit per byte, with RIP at the instruction throughout", async () => {
		const guest = await TestGuest.create(engine, {
			code: [REP, OUTSB, HLT],
			memory: { 131072: [0x41, 0x42, 0x43] },
			registers: { edx: 0x402, esi: 0x20000, ecx: 3 },
		});
		const { exit } = guest.vcpu;
		for (let n = 0; n < 3; n++) {
			expect(guest.run()).toBe(EXIT_REASON.io);
			expect([exit.direction, exit.size, exit.count, exit.portWords[0]]).toEqual([1, 1, 1, 0x41 + n]);
			expect([guest.register("ecx"), guest.register("esi")]).toEqual([2 - n, 0x20001 + n]);
			expect(guest.eip).toBe(CODE);
		}
		guest.runToHalt();
		expect(guest.processor.retired()).toBe(4);
	});

	it("REP OUTSD from a hole alternates MMIO reads and port writes", async () => {
		const guest = await TestGuest.create(engine, {
			code: [REP, OUTSD, HLT],
			registers: { edx: 0x402, esi: RAM, ecx: 2 },
		});
		const { exit } = guest.vcpu;
		for (let n = 0; n < 2; n++) {
			expect(guest.run()).toBe(EXIT_REASON.mmio);
			expect([exit.isWrite, exit.physAddr]).toEqual([false, RAM + 4 * n]);
			exit.words[0] = 0x55550000 + n;
			expect(guest.run()).toBe(EXIT_REASON.io);
			expect([exit.direction, exit.portWords[0]]).toEqual([1, 0x55550000 + n]);
		}
		guest.runToHalt();
	});

	it("the permission map allows single ports at CPL 3", async () => {
		// Ports 0 to 15: only 9 and 10 are allowed.
		const map = [0xff, 0b1111_1001, 0xff];
		const allowed = await userGuest(engine, { code: [0x66, 0xe7, 9, HLT] }, map);
		expect(allowed.run()).toBe(EXIT_REASON.io);
		for (const code of [
			[0xe6, 8],
			[0xe7, 9],
			[0x66, 0xe7, 10],
			[0xe4, 11],
		]) {
			const refused = await userGuest(engine, { code: [...code, HLT] }, map);
			expect(refused.run(), `${code}`).toBe(EXIT_REASON.shutdown);
			expect(refused.eip).toBe(CODE);
		}
	});

	it("IOPL 3 allows every port at CPL 3, but not in virtual-8086 mode", async () => {
		const free = await userGuest(engine, { code: [0xe6, 8, HLT], eflags: 2 | IOPL3 }, [0xff, 0xff]);
		expect(free.run()).toBe(EXIT_REASON.io);
		const virtual = await userGuest(engine, { code: [0xe6, 8, HLT], eflags: 2 | IOPL3 | VM }, [0xff, 0xff]);
		expect(virtual.run()).toBe(EXIT_REASON.shutdown);
	});
});
