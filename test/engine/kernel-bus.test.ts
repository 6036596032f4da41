import { describe, expect, it } from "vitest";
import { EXIT_REASON } from "../../src/kvm/vcpu.ts";
import { F } from "../../src/vcpu/layout.ts";
import { ENGINES, TestGuest, useEngine } from "../support/engine.ts";

const DEVICE = 0x200000;

describe.each(ENGINES)("reads that the hypervisor answers on the %s engine", (engine) => {
	it("belong to one execution of an instruction, however often it runs before it needs an exit", async () => {
		const guest = await TestGuest.create(engine, {
			// again: mov eax,[esi]; add ebx,eax; add esi,4; dec ecx; jnz again; hlt
			code: [0x8b, 0x06, 0x01, 0xc3, 0x83, 0xc6, 0x04, 0x49, 0x75, 0xf6, 0xf4],
		});
		const vcpu = guest.vm.createVcpu(1, {
			acknowledge: () => -1,
			msr: () => undefined,
			bus: (_isWrite, gpa, _length, _data, setData) => {
				setData(3n);
				return gpa < DEVICE + 400;
			},
		});
		if (typeof vcpu === "string") throw new Error(vcpu);
		const { processor, exit } = vcpu;
		await useEngine(processor, engine);
		processor.set64(F.cr0, 0x11n);
		for (let n = 0; n < 6; n++) processor.setSegment(n, 8, 0n, 0xffffffffn, n === 1 ? 0xc9b : 0xc93);
		processor.refresh();
		processor.set64(F.rip, 0x1000n);
		processor.setGpr(1, 102n);
		processor.setGpr(6, BigInt(DEVICE));
		processor.setBudget(10_000);
		for (const value of [1000, 2000]) {
			expect(vcpu.run()).toBe(0);
			expect(exit.reason).toBe(EXIT_REASON.mmio);
			exit.words[0] = value;
		}
		expect(vcpu.run()).toBe(0);
		expect(exit.reason).toBe(EXIT_REASON.hlt);
		expect(processor.gpr(3)).toBe(3n * 100n + 3000n);
	});
});
