import { describe, expect, test } from "vitest";
import { KVM_CAP, type Vcpu } from "../../../src/kvm/index.ts";
import { CODE, COMMANDS, EXIT_REASON, Guest, type Options, PAGE } from "./guest.ts";

const BASE = 0x40_0000;

/** A second vCPU of the same VM, in the first one's state. */
async function withSecond(options: Options): Promise<{ guest: Guest; second: Vcpu }> {
	const guest = await Guest.create("compiled", options);
	const second = guest.vm.createVcpu(1);
	if (typeof second === "string") throw new Error(second);
	expect(second.setSregs(guest.vcpu.getSregs())).toBe(0);
	expect(second.setRegs(guest.vcpu.getRegs())).toBe(0);
	return { guest, second };
}

/** Lets a vCPU of a COMMANDS guest do one thing, in memory only. */
function command(vcpu: Vcpu, address: number, what: number): void {
	const { exit } = vcpu;
	if (exit.reason !== EXIT_REASON.io || exit.port !== 0x10) vcpu.run();
	exit.portWords[0] = address;
	vcpu.run();
	exit.portWords[0] = what;
	vcpu.run();
	expect([exit.reason, exit.port]).toEqual([EXIT_REASON.io, 0x10]);
}

describe("two vCPUs of one VM", () => {
	test("store to one dirty log, and both notice when it is read", async () => {
		const { guest, second } = await withSecond({ code: COMMANDS });
		guest.slot(0, 1, BASE, 8 * PAGE, guest.vm.allocate(8 * PAGE));
		const first = (page: number) => command(guest.vcpu, BASE + page * PAGE, 0x55);
		const other = (page: number) => command(second, BASE + page * PAGE, 0x66);
		for (let round = 0; round < 5; round++) {
			first(1);
			other(2);
			other(3);
			expect(guest.dirty(0, 8)).toEqual([1, 2, 3]);
			other(1);
			expect(guest.dirty(0, 8)).toEqual([1]);
		}
	});

	test("have a dirty ring each", async () => {
		const { guest, second } = await withSecond({
			code: COMMANDS,
			before: (vm) => vm.enableCap({ cap: KVM_CAP.dirtyLogRing, args: [4096n] }),
		});
		guest.slot(0, 1, BASE, 8 * PAGE, guest.vm.allocate(8 * PAGE));
		command(guest.vcpu, BASE + PAGE, 0x55);
		command(second, BASE + 2 * PAGE, 0x55);
		expect(guest.vcpu.dirtyRing?.harvest()).toEqual([{ slot: 0, offset: 1 }]);
		expect(second.dirtyRing?.harvest()).toEqual([{ slot: 0, offset: 2 }]);
		expect(guest.vm.resetDirtyRings()).toBe(2);
	});

	test("see each other's changes of code and of slots", async () => {
		// mov al,1; out 10h,al; jmp back
		const { guest, second } = await withSecond({ code: [0xb0, 1, 0xe6, 0x10, 0xeb, 0xfa] });
		const value = (vcpu: Vcpu): number => {
			expect(vcpu.run()).toBe(0);
			return vcpu.exit.portWords[0]!;
		};
		expect([value(guest.vcpu), value(second)]).toEqual([1, 1]);
		// The first one's own store: mov byte [CODE+1],7 from a page of its own.
		const own = guest.vm.allocate(PAGE);
		own.view.set([0xc6, 0x05, ...[0, 8, 16, 24].map((shift) => ((CODE + 1) >> shift) & 255), 7, 0xf4]);
		guest.slot(1, 0, BASE, PAGE, own);
		const { rip } = guest.vcpu.getRegs();
		guest.setRegs({ rip: BigInt(BASE) });
		expect([guest.vcpu.run(), guest.vcpu.exit.reason]).toEqual([0, EXIT_REASON.hlt]);
		guest.setRegs({ rip });
		expect([value(second), value(guest.vcpu)]).toEqual([7, 7]);
		guest.slot(31, 0, 0, 0);
		for (const vcpu of [guest.vcpu, second]) {
			vcpu.run();
			expect(vcpu.exit.reason).toBe(EXIT_REASON.internalError);
		}
	});
});
