import { describe, expect, it } from "vitest";
import { VECTOR } from "../../src/isa/registers.ts";
import { KVM_MEM_READONLY } from "../../src/kvm/memslots.ts";
import { EXIT_REASON } from "../../src/kvm/vcpu.ts";
import { F } from "../../src/vcpu/layout.ts";
import { ENGINES, type GuestOptions, TestGuest } from "../support/engine.ts";
import { enterUserMode, faultOf, installFaultTable } from "../support/fault-table.ts";

const ROM = 0x100000;
const CODE = 0x1000;
const HLT = 0xf4;
/** mov ecx, 50; inc ebx; dec ecx; jnz: long enough to be compiled. */
const WARM = [0xb9, 50, 0, 0, 0, 0xff, 0xc3, 0xff, 0xc9, 0x75, 0xfa];
const STORE = CODE + WARM.length;

describe.each(ENGINES)("stores to readonly slots that are to fault, on the %s", (engine) => {
	async function create(mode: "prot32" | "long", user: boolean, code: readonly number[]): Promise<TestGuest> {
		const options: GuestOptions = { mode, code: [...WARM, ...code, HLT], registers: { edi: ROM, eax: 0x5a } };
		const guest = await TestGuest.create(engine, options);
		const rom = guest.vm.allocate(4096);
		rom.view.fill(0x41);
		const region = { slot: 1, flags: KVM_MEM_READONLY, guestPhysAddr: BigInt(ROM), memorySize: 4096n };
		expect(guest.vm.setUserMemoryRegion({ ...region, userspaceAddr: rom.userspaceAddr })).toBe(0);
		installFaultTable(guest);
		// OSFXSR
		guest.processor.set64(F.cr4, guest.processor.get64(F.cr4) | 0x200n);
		if (user) enterUserMode(guest);
		guest.processor.refresh();
		guest.processor.refuseStores(true);
		return guest;
	}

	/** Error code and IP in the frame of the handler that has halted. */
	function frame(guest: TestGuest): readonly number[] {
		const words = new DataView(guest.ram.buffer, guest.ram.byteOffset + guest.register("esp"));
		return guest.processor.get64(F.efer) === 0n
			? [words.getUint32(0, true), words.getUint32(4, true)]
			: [words.getUint32(0, true), words.getUint32(8, true)];
	}

	describe.each([
		["protected mode", "prot32", false],
		["protected mode, CPL 3", "prot32", true],
		["64-bit mode", "long", false],
		["64-bit mode, CPL 3", "long", true],
	] as const)("%s", (_name, mode, user) => {
		it.each([
			["mov [rdi], eax", [0x89, 0x07]],
			["add [rdi], eax", [0x01, 0x07]],
			["cmpxchg [rdi], ecx, which would only store what is there", [0x0f, 0xb1, 0x0f]],
			["movups [rdi], xmm0", [0x0f, 0x11, 0x07]],
			["stosd", [0xab]],
		])("%s is #GP(0) at the instruction, behind an exit that tells where", async (_text, store) => {
			const guest = await create(mode, user, store);
			expect(guest.run()).toBe(EXIT_REASON.storeRefused);
			expect([guest.eip, guest.processor.getNumber(F.exitTarget)]).toEqual([STORE, ROM]);
			expect(guest.processor.pagesInHand().map(({ gpa }) => gpa)).toEqual([ROM]);
			expect(faultOf(guest)).toBe(VECTOR.GP);
			expect(frame(guest)).toEqual([0, STORE]);
			expect([guest.register("edi"), guest.register("eax")]).toEqual([ROM, 0x5a]);
		});
	});

	it("a REP that began in RAM has done what lies before, and its registers say so", async () => {
		// mov edi, ROM - 8; mov ecx, 4; rep stosd
		const code = [0xbf, 0xf8, 0xff, 0x0f, 0, 0xb9, 4, 0, 0, 0];
		const guest = await create("prot32", false, [...code, 0xf3, 0xab]);
		expect(guest.run()).toBe(EXIT_REASON.storeRefused);
		expect([guest.eip, guest.register("edi"), guest.register("ecx")]).toEqual([STORE + code.length, ROM, 2]);
		expect([...guest.ram.subarray(ROM - 8, ROM)]).toEqual([0x5a, 0, 0, 0, 0x5a, 0, 0, 0]);
	});

	it("a page fault of another page of the store comes first", async () => {
		// mov [rdi + 0xffe], eax
		const guest = await create("long", false, [0x89, 0x87, 0xfe, 0x0f, 0, 0]);
		const tables = new DataView(guest.ram.buffer, guest.ram.byteOffset);
		// The first 2 MiB in pages of 4 KiB, up to the ROM's.
		for (let n = 0; n <= ROM >> 12; n++) tables.setBigUint64(0xa000 + n * 8, (BigInt(n) << 12n) | 0x67n, true);
		tables.setBigUint64(guest.ram.length - 0x1000, 0xa027n, true);
		guest.processor.refresh();
		expect(faultOf(guest)).toBe(VECTOR.PF);
	});
});
