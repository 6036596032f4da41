import { describe, expect, test } from "vitest";
import { KVM_GUESTDBG } from "../../src/kvm/index.ts";
import { KVM_MEM_READONLY } from "../../src/kvm/memslots.ts";
import { EXIT_REASON } from "../../src/kvm/vcpu.ts";
import { F, GUEST_DEBUG, HIT, PENDING, WATCH_KIND } from "../../src/vcpu/layout.ts";
import { ENGINES, type GuestOptions, LONG_HIGH, TestGuest } from "../support/engine.ts";

const ORIGIN = 0x1000;
const { debug, mmio } = EXIT_REASON;
const { enable, singlestep } = KVM_GUESTDBG;

/** L: inc eax; inc ebx; add [0x5000], eax; dec ecx; jnz L; hlt */
const LOOP = [0xff, 0xc0, 0xff, 0xc3, 0x01, 0x05, 0, 0x50, 0, 0, 0xff, 0xc9, 0x75, 0xf2, 0xf4];
/** Offsets of its instructions, behind the first. */
const [INC_EBX, ADD, DEC, JNZ] = [2, 4, 10, 12] as const;

const at = (offset: number): bigint => BigInt(ORIGIN + offset);

/** Runs to the next stop of a debugger's: what it is, where, and RIP. */
function stop(guest: TestGuest): readonly [kind: number, address: bigint, rip: bigint] {
	expect(guest.run(10_000_000)).toBe(debug);
	const { kind, address } = guest.processor.breakpoints.takeHit();
	return [kind, address, guest.rip];
}

/** Over the instruction at RIP, as debuggers go on from a breakpoint. */
function step(guest: TestGuest): void {
	guest.vcpu.setGuestDebug({ control: enable | singlestep });
	expect(guest.run()).toBe(debug);
	guest.vcpu.setGuestDebug({ control: 0 });
	expect(guest.processor.breakpoints.takeHit().kind).toBe(HIT.none);
}

describe.each(ENGINES)("a debugger's breakpoints on the %s", (engine) => {
	const create = (options: GuestOptions): Promise<TestGuest> => TestGuest.create(engine, { code: LOOP, ...options });

	test("stop before their instruction, in code that has long been hot, each time round", async () => {
		const guest = await create({ registers: { ecx: 5000 } });
		guest.run(10_000);
		const { breakpoints } = guest.processor;
		breakpoints.setStops(new Set([at(ADD), at(JNZ)]));
		for (let round = 0; round < 20; round++) {
			expect(stop(guest)).toEqual([HIT.breakpoint, at(ADD), at(ADD)]);
			expect(guest.register("eax")).toBe(guest.register("ebx"));
			step(guest);
			expect(stop(guest)).toEqual([HIT.breakpoint, at(JNZ), at(JNZ)]);
			step(guest);
		}
		// Where one was, none is any more.
		breakpoints.setStops(new Set());
		guest.runToHalt();
		expect([guest.register("eax"), guest.register("ecx")]).toEqual([5000, 0]);
	});

	test("cost no instruction: the count at the end is that of a run without them", async () => {
		const plain = await create({ registers: { ecx: 300 } });
		plain.runToHalt();
		const guest = await create({ registers: { ecx: 300 } });
		guest.processor.breakpoints.setStops(new Set([at(DEC)]));
		for (let round = 0; round < 300; round++) {
			expect(stop(guest)[2]).toBe(at(DEC));
			step(guest);
		}
		guest.runToHalt();
		expect(guest.processor.retired()).toBe(plain.processor.retired());
		expect(Buffer.from(guest.ram).equals(Buffer.from(plain.ram))).toBe(true);
	});

	test("belong to linear addresses: the same memory elsewhere runs through", async () => {
		const code = [0xff, 0xc0, 0xff, 0xc3, 0xff, 0xc9, 0x75, 0xf8, 0xf4];
		const guest = await create({ mode: "long", code, registers: { ecx: 200 }, ram: 1 << 21 });
		const { breakpoints } = guest.processor;
		breakpoints.setStops(new Set([LONG_HIGH + at(INC_EBX)]));
		guest.runToHalt();
		guest.processor.set64(F.rip, LONG_HIGH + at(0));
		guest.setRegister("ecx", 200);
		expect(stop(guest)).toEqual([HIT.breakpoint, LONG_HIGH + at(INC_EBX), LONG_HIGH + at(INC_EBX)]);
		step(guest);
		expect(stop(guest)[2]).toBe(LONG_HIGH + at(INC_EBX));
		expect(guest.register("ecx")).toBe(199);
	});

	test("count where they are with a code segment's base", async () => {
		const guest = await create({ mode: "real", code: [0x40, 0x43, 0xeb, 0xfc], rip: 0x200n });
		guest.processor.setSegment(1, 0xe0, 0xe00n, 0xffffn, 0x9b);
		guest.processor.refresh();
		guest.processor.breakpoints.setStops(new Set([at(1)]));
		for (let round = 0; round < 12; round++) {
			expect(stop(guest)).toEqual([HIT.breakpoint, at(1), 0x201n]);
			step(guest);
		}
	});

	test("stop once at a repeated instruction, however often it is interrupted", async () => {
		// rep stosb; hlt
		const code = [0xf3, 0xaa, 0xf4];
		const guest = await create({ code, registers: { ecx: 5000, edi: 0x4000 } });
		guest.processor.breakpoints.setStops(new Set([at(0)]));
		expect(stop(guest)[2]).toBe(at(0));
		step(guest);
		expect([guest.rip, guest.register("ecx")]).toEqual([at(0), 4999]);
		for (let n = 0; n < 4; n++) expect(guest.run(7)).toBe(EXIT_REASON.budget);
		guest.runToHalt();
	});

	test("any number of them may be there", async () => {
		const code = [...Array.from({ length: 2000 }, () => 0x90), 0xf4];
		const guest = await create({ code });
		guest.processor.breakpoints.setStops(new Set(Array.from({ length: 1000 }, (_, n) => at(2 * n))));
		for (let n = 0; n < 1000; n++) {
			expect(stop(guest)[2]).toBe(at(2 * n));
			step(guest);
		}
		guest.processor.breakpoints.clear();
		guest.runToHalt();
	});
});

describe.each(ENGINES)("a debugger's watchpoints on the %s", (engine) => {
	const create = (options: GuestOptions): Promise<TestGuest> => TestGuest.create(engine, { code: LOOP, ...options });
	const watch = (guest: TestGuest, address: bigint, length: bigint, kinds: number): void =>
		guest.processor.breakpoints.setWatches([{ address, length, kinds }]);

	test("stop behind each store to their bytes, and say which", async () => {
		const guest = await create({ registers: { ecx: 2000 } });
		guest.run(5000);
		watch(guest, 0x5002n, 1n, WATCH_KIND.write);
		for (let round = 0; round < 10; round++) {
			const before = guest.register("ecx");
			expect(stop(guest)).toEqual([HIT.write, 0x5002n, at(DEC)]);
			expect(before - guest.register("ecx")).toBe(round === 0 ? 0 : 1);
		}
		// The same page, other bytes.
		watch(guest, 0x5004n, 4n, WATCH_KIND.read | WATCH_KIND.write);
		guest.runToHalt();
	});

	test("a read and its store are both seen", async () => {
		const guest = await create({ registers: { ecx: 100 } });
		watch(guest, 0x5000n, 2n, WATCH_KIND.read);
		expect(stop(guest)).toEqual([HIT.read, 0x5000n, at(DEC)]);
		watch(guest, 0x4fffn, 2n, WATCH_KIND.read | WATCH_KIND.write);
		expect(stop(guest)).toEqual([HIT.write, 0x5000n, at(DEC)]);
	});

	test("a read stops behind its own instruction, wherever in a block it stands", async () => {
		// L: mov eax, [0x5000]; inc ebx; mov edx, [0x5004]; inc ebx; dec ecx; jnz L
		const code = [...[0xa1, 0, 0x50, 0, 0, 0x43, 0x8b, 0x15, 4, 0x50, 0, 0, 0x43, 0x49, 0x75, 0xf0], 0xf4];
		const guest = await create({ code, registers: { ecx: 2000 } });
		guest.run(3000);
		watch(guest, 0x5004n, 4n, WATCH_KIND.read);
		for (let round = 0; round < 10; round++) {
			expect(stop(guest)).toEqual([HIT.read, 0x5004n, at(12)]);
			expect(guest.register("ebx") % 2).toBe(1);
		}
		watch(guest, 0x5000n, 4n, WATCH_KIND.read);
		expect(stop(guest)).toEqual([HIT.read, 0x5000n, at(5)]);
		guest.processor.breakpoints.setWatches([]);
		guest.runToHalt();
		expect(guest.register("ebx")).toBe(4000);
	});

	test("stop behind the iteration of a repeated instruction that hits them", async () => {
		// rep movsd; hlt
		const code = [0xf3, 0xa5, 0xf4];
		const guest = await create({ code, registers: { ecx: 3000, esi: 0x10000, edi: 0x20000 } });
		watch(guest, 0x21001n, 1n, WATCH_KIND.write);
		expect(stop(guest)).toEqual([HIT.write, 0x21001n, at(0)]);
		expect([guest.register("edi"), guest.register("ecx")]).toEqual([0x21004, 3000 - 0x401]);
		guest.runToHalt();
		expect(guest.register("ecx")).toBe(0);
	});

	test("a store that leaves memory goes out before the stop, a read is answered first", async () => {
		// L: mov [0x80000000], eax; mov ebx, [0x80000004]; jmp L
		const code = [0xa3, 0, 0, 0, 0x80, 0x8b, 0x1d, 4, 0, 0, 0x80, 0xeb, 0xf3];
		const guest = await create({ code });
		watch(guest, 0x80000000n, 8n, WATCH_KIND.read | WATCH_KIND.write);
		for (let round = 0; round < 5; round++) {
			expect([guest.run(), guest.vcpu.exit.isWrite]).toEqual([mmio, true]);
			expect(stop(guest)).toEqual([HIT.write, 0x80000000n, at(5)]);
			expect([guest.run(), guest.vcpu.exit.isWrite]).toEqual([mmio, false]);
			guest.vcpu.exit.words[0] = round;
			expect(stop(guest)).toEqual([HIT.read, 0x80000004n, at(11)]);
			expect(guest.register("ebx")).toBe(round);
		}
	});

	test("see what delivering an interrupt pushes", async () => {
		const guest = await create({ code: [0xeb, 0xfe], eflags: 0x202 });
		const gate = [0, 0x20, 8, 0, 0, 0x8e, 0, 0];
		guest.ram.set(gate, 0x6000 + 0x40 * 8);
		guest.ram.set([0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0], 0x6808);
		guest.processor.set64(F.idtBase, 0x6000n);
		guest.processor.set64(F.gdtBase, 0x6800n);
		guest.run(50);
		watch(guest, 0x7ff8n, 4n, WATCH_KIND.write);
		guest.vcpu.interrupt(0x40);
		expect(stop(guest)).toEqual([HIT.write, 0x7ff8n, 0x2000n]);
	});
});

describe.each(ENGINES)("a debugger's step on the %s", (engine) => {
	test("into an interrupt or an exception ends before its handler's first instruction", async () => {
		// nop; ud2; handlers at 0x2000: inc eax
		const guest = await TestGuest.create(engine, { code: [0x90, 0x0f, 0x0b], eflags: 0x202 });
		for (const vector of [6, 0x40]) guest.ram.set([0, 0x20, 8, 0, 0, 0x8e, 0, 0], 0x6000 + vector * 8);
		guest.ram.set([0x40], 0x2000);
		guest.ram.set([0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0], 0x6808);
		guest.processor.set64(F.idtBase, 0x6000n);
		guest.processor.set64(F.gdtBase, 0x6800n);
		guest.processor.set(F.guestDebug, GUEST_DEBUG.enable | GUEST_DEBUG.singleStep | GUEST_DEBUG.stopAtHandler);
		guest.processor.call("updateMode");
		const registers = (): unknown[] => [guest.run(), guest.rip, guest.register("eax"), guest.register("esp")];
		expect(registers()).toEqual([debug, at(1), 0, 0x8000]);
		expect(registers()).toEqual([debug, 0x2000n, 0, 0x8000 - 12]);
		expect(registers()).toEqual([debug, 0x2001n, 1, 0x8000 - 12]);
		guest.processor.call("writeFlags", 0x202);
		guest.processor.set64(F.rip, 0x2000n);
		guest.vcpu.interrupt(0x40);
		expect(registers()).toEqual([debug, 0x2000n, 1, 0x8000 - 24]);
		expect(guest.processor.get(F.pending) & PENDING.step).toBe(0);
	});
});

describe("a debugger's pokes", () => {
	test("replace code that has run, decoded and compiled, and ROM; nothing where a byte is nowhere", async () => {
		const guest = await TestGuest.create("compiled", { code: LOOP, registers: { ecx: 5000 } });
		guest.run(10_000);
		const before = guest.register("ebx");
		// inc ebx becomes dec ebx.
		expect(guest.vcpu.poke(at(INC_EBX), Uint8Array.of(0xff, 0xcb))).toBe(true);
		guest.runToHalt();
		expect(guest.register("ebx") | 0).toBe(before - (5000 - before));
		expect(guest.vcpu.poke(0xf_fffen, Uint8Array.of(1, 2, 3, 4))).toBe(false);
		expect(guest.ram[0xf_fffe]).toBe(0);
		const rom = guest.vm.allocate(0x1000);
		const region = { slot: 1, flags: KVM_MEM_READONLY, guestPhysAddr: 0x40_0000n, memorySize: 0x1000n };
		expect(guest.vm.setUserMemoryRegion({ ...region, userspaceAddr: rom.userspaceAddr })).toBe(0);
		expect(guest.vcpu.poke(0x40_0ffcn, Uint8Array.of(1, 2, 3, 4))).toBe(true);
		expect([...rom.view.subarray(0xffc)]).toEqual([1, 2, 3, 4]);
		expect(guest.vcpu.peek(0x40_0ffcn, 4)).toEqual(Uint8Array.of(1, 2, 3, 4));
	});
});

describe.each(ENGINES)("an interrupt that comes while a device answers, on the %s", (engine) => {
	test("waits for the instruction that asked", async () => {
		// mov eax, [80000000h]; hlt
		const guest = await TestGuest.create(engine, { code: [0xa1, 0, 0, 0, 0x80, 0xf4], eflags: 0x202 });
		guest.ram.set([0, 0x20, 8, 0, 0, 0x8e, 0, 0], 0x6000 + 0x40 * 8);
		guest.ram.set([0xf4], 0x2000);
		guest.ram.set([0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0], 0x6808);
		guest.processor.set64(F.idtBase, 0x6000n);
		guest.processor.set64(F.gdtBase, 0x6800n);
		expect(guest.run()).toBe(mmio);
		guest.vcpu.exit.words[0] = 0x1234;
		guest.vcpu.interrupt(0x40);
		guest.runToHalt();
		expect([guest.register("eax"), guest.eip]).toEqual([0x1234, 0x2001]);
		expect(new DataView(guest.ram.buffer, guest.ram.byteOffset).getUint32(0x7ff4, true)).toBe(0x1005);
	});
});
