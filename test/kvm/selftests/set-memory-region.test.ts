import { describe, expect, test } from "vitest";
import { SLOT_LIMIT, Vm } from "../../../src/kvm/index.ts";
import { CODE, COMMANDS, command, ENGINES, EXIT_REASON, Guest, LOAD, PAGE } from "./guest.ts";

describe("memory regions under a running guest", () => {
	test("a vCPU without any slot is an internal error", async () => {
		const vm = await Vm.create();
		const vcpu = vm.createVcpu(0);
		if (typeof vcpu === "string") throw new Error(vcpu);
		expect(vcpu.run()).toBe(0);
		expect([vcpu.exit.reason, vcpu.exit.suberror]).toEqual([EXIT_REASON.internalError, 1]);
		expect(vcpu.exit.instructionBytes.length).toBe(0);
	});

	test("flags that do not exist are EINVAL in both forms", async () => {
		const vm = await Vm.create();
		const { userspaceAddr } = vm.allocate(PAGE);
		const region = { slot: 0, guestPhysAddr: 0n, memorySize: 4096n, userspaceAddr };
		for (let bit = 2; bit < 32; bit++) {
			expect(vm.setUserMemoryRegion({ ...region, flags: 2 ** bit })).toBe("EINVAL");
			expect(vm.setUserMemoryRegion2({ ...region, flags: 2 ** bit, guestMemfd: 3, guestMemfdOffset: 0n })).toBe(
				"EINVAL",
			);
		}
		expect(vm.setUserMemoryRegion2({ ...region, flags: 5 })).toBe("EINVAL");
		expect(vm.setUserMemoryRegion2({ ...region, flags: 3 })).toBe(0);
	});

	test("every slot there is can be used, and one more not", async () => {
		const vm = await Vm.create();
		const { userspaceAddr } = vm.allocate(PAGE);
		const add = (slot: number) =>
			vm.setUserMemoryRegion({
				slot,
				flags: 0,
				guestPhysAddr: BigInt(slot) * 4096n,
				memorySize: 4096n,
				userspaceAddr,
			});
		for (let slot = 0; slot < SLOT_LIMIT; slot++) expect(add(slot)).toBe(0);
		expect(add(SLOT_LIMIT)).toBe("EINVAL");
	});
});

describe.each(ENGINES)("on the %s", (engine) => {
	test("a slot that moves away leaves MMIO behind, and memory again when it is back", async () => {
		const guest = await Guest.create(engine, { code: COMMANDS });
		const buffer = guest.vm.allocate(PAGE);
		buffer.view.set([0x78, 0x56, 0x34, 0x12], 8);
		guest.slot(0, 0, 0x5000, PAGE, buffer);
		for (let round = 0; round < 8; round++) {
			expect(command(guest, 0x5008, LOAD)).toEqual([{ kind: "loaded", value: 0x12345678 }]);
			expect(guest.slot(0, 0, 0x9000, PAGE, buffer)).toBe(0);
			expect(command(guest, 0x5008, LOAD, () => 0xee)).toEqual([
				{ kind: "read", gpa: 0x5008, len: 4, data: "eeeeeeee" },
				{ kind: "loaded", value: 0xeeeeeeee },
			]);
			expect(command(guest, 0x9008, LOAD)).toEqual([{ kind: "loaded", value: 0x12345678 }]);
			expect(guest.slot(0, 0, 0x5000, PAGE, buffer)).toBe(0);
		}
	});

	test("a deleted slot reads as MMIO, a new one as its memory", async () => {
		const guest = await Guest.create(engine, { code: COMMANDS });
		const [first, second] = [guest.vm.allocate(PAGE), guest.vm.allocate(PAGE)];
		first.view.fill(0x11);
		for (let round = 0; round < 8; round++) {
			guest.slot(0, 0, 0x5000, PAGE, first);
			expect(command(guest, 0x5000, LOAD)).toEqual([{ kind: "loaded", value: 0x11111111 }]);
			guest.slot(0, 0, 0, 0, first);
			expect(command(guest, 0x5000, LOAD)[0]).toEqual({ kind: "read", gpa: 0x5000, len: 4, data: "00000000" });
			guest.slot(0, 0, 0x5000, PAGE, second);
			expect(command(guest, 0x5000, LOAD)).toEqual([{ kind: "loaded", value: 0 }]);
			guest.slot(0, 0, 0, 0, second);
		}
	});

	test("without the slot that its code is in, the guest stops with an internal error, as often as it is run", async () => {
		const guest = await Guest.create(engine, { code: COMMANDS });
		guest.run();
		expect(guest.slot(31, 0, 0, 0)).toBe(0);
		expect([guest.run(), guest.run()]).toEqual([EXIT_REASON.internalError, EXIT_REASON.internalError]);
		expect(guest.vcpu.getRegs().rip).toBe(BigInt(CODE + 4));
	});

	test("slots elsewhere come and go while the guest writes: nothing is lost, nothing leaves", async () => {
		// L: inc dword [edi]; add edi,4; and edi,7fffh; dec ecx; jnz L; out 10h,al; jmp L
		const code = [
			...[0xff, 0x07, 0x83, 0xc7, 0x04, 0x81, 0xe7, 0xff, 0x7f, 0, 0, 0x49, 0x75, 0xf2],
			...[0xe6, 0x10, 0xeb, 0xee],
		];
		const guest = await Guest.create(engine, { code, regs: { rcx: 20_000n } });
		const ram = guest.vm.allocate(8 * PAGE);
		const other = guest.vm.allocate(16 * PAGE);
		guest.slot(0, 0, 0, 8 * PAGE, ram);
		const rounds = 50;
		for (let round = 0; round < rounds; round++) {
			expect(guest.run()).toBe(EXIT_REASON.io);
			guest.setRegs({ rcx: 20_000n });
			expect(guest.slot(1, round & 1, 0x20_0000 + (round % 7) * PAGE, 16 * PAGE, other)).toBe(0);
			expect(guest.slot(1, 0, 0, 0, other)).toBe(0);
		}
		const words = new Uint32Array(ram.view.buffer, ram.view.byteOffset, ram.view.length / 4);
		expect(words.reduce((sum, word) => sum + word, 0)).toBe(rounds * 20_000);
	});
});
