import { describe, expect, it } from "vitest";
import type { Vcpu } from "../../src/kvm/vcpu.ts";
import { Vm } from "../../src/kvm/vm.ts";

async function vcpu(): Promise<Vcpu> {
	const created = (await Vm.create()).createVcpu(0);
	if (typeof created === "string") throw new Error(created);
	return created;
}
const bytes = (...values: number[]): Uint8Array => Uint8Array.from({ length: 16 }, (_, n) => values[n] ?? 0);

describe("KVM_GET_FPU and KVM_SET_FPU", () => {
	it("start as FINIT leaves it", async () => {
		const fpu = (await vcpu()).getFpu();
		expect(fpu).toMatchObject({ fcw: 0x37f, fsw: 0, ftwx: 0, lastOpcode: 0, lastIp: 0n, lastDp: 0n, mxcsr: 0x1f80 });
		expect([fpu.fpr.length, fpu.xmm.length]).toEqual([8, 16]);
	});

	it("count registers from the top of the stack", async () => {
		const cpu = await vcpu();
		const fpu = {
			...cpu.getFpu(),
			fsw: 5 << 11,
			ftwx: 0x20,
			lastOpcode: 0x123,
			lastIp: 1n << 40n,
			lastDp: 7n,
			mxcsr: 0x1fbf,
		};
		fpu.fpr[0] = bytes(1, 2, 3, 4, 5, 6, 7, 0x80, 0xff, 0x3f);
		fpu.xmm[15] = bytes(9, 8, 7);
		expect(cpu.setFpu(fpu)).toBe(0);
		expect(cpu.getFpu()).toEqual(fpu);
		// The same, with another top: ST(0) is where ST(2) was.
		cpu.setFpu({ ...cpu.getFpu(), fsw: 3 << 11, fpr: fpu.fpr.map((_, n) => fpu.fpr[(n + 6) & 7]!) });
		expect(cpu.getFpu().fpr[2]).toEqual(fpu.fpr[0]);
	});

	it("show an exception that is not masked in ES and B", async () => {
		const cpu = await vcpu();
		cpu.setFpu({ ...cpu.getFpu(), fcw: 0x37b, fsw: 4 });
		expect(cpu.getFpu().fsw).toBe(0x8084);
	});

	it("refuse registers that are missing or short", async () => {
		const cpu = await vcpu();
		expect(cpu.setFpu({ ...cpu.getFpu(), fpr: [] })).toBe("EINVAL");
		expect(cpu.setFpu({ ...cpu.getFpu(), xmm: Array.from({ length: 16 }, () => new Uint8Array(15)) })).toBe("EINVAL");
	});
});

describe("KVM_GET_XSAVE and KVM_SET_XSAVE", () => {
	const HEADER = 512;

	it("name the components that are in use", async () => {
		const cpu = await vcpu();
		const region = cpu.getXsave();
		expect([region.length, region[HEADER], region[0], region[1]]).toEqual([4096, 0, 0x7f, 3]);
		region[HEADER] = 7;
		region[HEADER + 1] = 2;
		region[4] = 1;
		region.set([1, 2, 3], 160);
		region.set([4, 5, 6], 576 + 15 * 16);
		region.set([0x0c], 2688);
		expect(cpu.setXsave(region)).toBe(0);
		expect(cpu.getXsave()).toEqual(region);
		expect(cpu.getFpu().xmm[0]).toEqual(bytes(1, 2, 3));
	});

	it("make what the header does not name as after reset, but take MXCSR", async () => {
		const cpu = await vcpu();
		const region = cpu.getXsave().fill(0x11, 0, HEADER).fill(0x22, 576);
		region.set([0x80, 0x3f, 0, 0], 24);
		expect(cpu.setXsave(region)).toBe(0);
		const fpu = cpu.getFpu();
		expect(fpu).toMatchObject({ fcw: 0x37f, fsw: 0, ftwx: 0, lastIp: 0n, mxcsr: 0x3f80 });
		expect([...fpu.fpr, ...fpu.xmm].every((register) => register.every((byte) => byte === 0))).toBe(true);
		expect(
			cpu
				.getXsave()
				.subarray(576)
				.every((byte) => byte === 0),
		).toBe(true);
	});

	it.each([
		["a component that there is not", HEADER, 8],
		["a compacted image", HEADER + 15, 0x80],
		["reserved bytes of the header", HEADER + 40, 1],
		["bits of MXCSR that do not exist", 26, 1],
	])("refuse %s", async (_, offset, value) => {
		const cpu = await vcpu();
		const region = cpu.getXsave();
		region[offset] = value;
		expect(cpu.setXsave(region)).toBe("EINVAL");
	});

	it("refuse a region of another size", async () => {
		expect((await vcpu()).setXsave(new Uint8Array(4095))).toBe("EINVAL");
	});
});
