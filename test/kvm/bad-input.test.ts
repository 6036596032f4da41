import { expect, test } from "vitest";
import { UserError } from "../../src/base/errors.ts";
import { EventFd, isErrno, type KvmResult, MEM_OP, type MemOp } from "../../src/kvm/index.ts";
import { COMMANDS, Guest, PAGE } from "./selftests/guest.ts";

/** Not one of these is a number that a field of 32 bits can have. */
const NOT_U32 = [-1, 0.5, 2 ** 32, Number.NaN, Number.POSITIVE_INFINITY];
/** Nor these one of 64 bits. */
const NOT_U64 = [-1n, -4096n, 1n << 64n, 1n << 70n];

test("every call answers arguments out of range with an errno, and changes nothing", async () => {
	const guest = await Guest.create("interpreter", { code: COMMANDS });
	const { vm, vcpu } = guest;
	const buffer = vm.allocate(8 * PAGE);
	guest.slot(0, 1, 0x5000, 8 * PAGE, buffer);
	const eventfd = new EventFd();
	const region = {
		slot: 1,
		flags: 0,
		guestPhysAddr: 0x2_0000n,
		memorySize: 4096n,
		userspaceAddr: buffer.userspaceAddr,
	};
	const op = (changes: Partial<MemOp>): MemOp => {
		return { gaddr: 0x5000n, flags: 0, size: 4, op: MEM_OP.absoluteRead, buf: new Uint8Array(4), ...changes };
	};
	const log = { slot: 0, numPages: 8, firstPage: 0n, bitmap: new Uint8Array(8) };
	const ioeventfd = { eventfd, addr: 0x9000n, len: 4, flags: 0 };
	const [regs, sregs, debugRegs] = [vcpu.getRegs(), vcpu.getSregs(), vcpu.getDebugRegs()];
	const calls: (() => KvmResult)[] = [
		...NOT_U32.flatMap((bad) => [
			() => vm.setUserMemoryRegion({ ...region, slot: bad }),
			() => vm.setUserMemoryRegion({ ...region, flags: bad }),
			() => vm.setUserMemoryRegion2({ ...region, flags: bad }),
			() => vm.enableCap({ cap: bad }),
			() => vm.enableCap({ cap: 168, flags: bad, args: [1n] }),
			() => vm.getDirtyLog(bad, new Uint8Array(8)),
			() => vm.clearDirtyLog({ ...log, slot: bad }),
			() => vm.clearDirtyLog({ ...log, numPages: bad }),
			() => vm.registerCoalescedMmio({ addr: 0n, size: bad, pio: 0 }),
			() => vm.registerCoalescedMmio({ addr: 0n, size: 1, pio: bad }),
			() => vm.unregisterCoalescedMmio({ addr: 0n, size: bad, pio: 0 }),
			() => vm.ioeventfd({ ...ioeventfd, len: bad }),
			() => vm.ioeventfd({ ...ioeventfd, flags: bad }),
			() => vm.irqfd({ eventfd, gsi: bad, flags: 0 }),
			() => vm.irqfd({ eventfd, gsi: 1, flags: bad }),
			() => vm.irqLine(bad, 1),
			() => vm.memOp(op({ flags: bad })),
			() => vm.memOp(op({ size: bad })),
			() => vm.memOp(op({ op: bad })),
			() => vcpu.memOp(op({ op: MEM_OP.logicalRead, flags: bad })),
			() => vcpu.memOp(op({ op: MEM_OP.logicalRead, size: bad })),
			() => vcpu.memOp(op({ op: bad })),
			() => vcpu.preFaultMemory({ gpa: 0x5000n, size: 4096n, flags: bad }),
			() => vcpu.mapMemory({ baseGfn: 5n, nrPages: 1n, flags: bad, source: 0n }),
			() => vcpu.interrupt(bad),
			() => vcpu.setGuestDebug({ control: bad }),
			() => vcpu.run({ arg: bad }),
			() => vcpu.setSregs({ ...sregs, cs: { ...sregs.cs, limit: bad } }),
			() => vcpu.setSregs({ ...sregs, tr: { ...sregs.tr, present: bad } }),
			() => vcpu.setSregs({ ...sregs, idt: { base: 0n, limit: bad } }),
			() => vcpu.setDebugRegs({ ...debugRegs, flags: bad }),
			() => {
				const vcpu = vm.createVcpu(bad);
				return typeof vcpu === "string" ? vcpu : 0;
			},
		]),
		...NOT_U64.flatMap((bad) => [
			() => vm.setUserMemoryRegion({ ...region, guestPhysAddr: bad }),
			() => vm.setUserMemoryRegion({ ...region, memorySize: bad }),
			() => vm.setUserMemoryRegion({ ...region, userspaceAddr: bad }),
			() => vm.enableCap({ cap: 168, args: [bad] }),
			() => vm.clearDirtyLog({ ...log, firstPage: bad }),
			() => vm.registerCoalescedMmio({ addr: bad, size: 1, pio: 0 }),
			() => vm.ioeventfd({ ...ioeventfd, addr: bad }),
			() => vm.ioeventfd({ ...ioeventfd, datamatch: bad, flags: 1 }),
			() => vm.memOp(op({ gaddr: bad })),
			() => vm.hostProtect(bad, 4096n, "none"),
			() => vm.hostProtect(buffer.userspaceAddr, bad, "none"),
			() => vm.replacePages(bad, 4096n),
			() => vcpu.memOp(op({ op: MEM_OP.logicalRead, gaddr: bad })),
			() => vcpu.preFaultMemory({ gpa: bad, size: 4096n }),
			() => vcpu.preFaultMemory({ gpa: 0x5000n, size: bad }),
			() => vcpu.mapMemory({ baseGfn: bad, nrPages: 1n, flags: 0, source: 0n }),
			() => vcpu.mapMemory({ baseGfn: 5n, nrPages: bad, flags: 0, source: 0n }),
			() => vcpu.mapMemory({ baseGfn: 5n, nrPages: 1n, flags: 0, source: bad }),
			() => vcpu.setRegs({ ...regs, rcx: bad }),
			() => vcpu.setSregs({ ...sregs, cr3: bad }),
			() => vcpu.setSregs({ ...sregs, gdt: { base: bad, limit: 0 } }),
			() => vcpu.setDebugRegs({ ...debugRegs, dr7: bad }),
			() => vcpu.setGuestDebug({ control: 3, debugreg: [bad] }),
		]),
		// In range as numbers, and still nothing that there is.
		() => vm.hostProtect(buffer.userspaceAddr + 1n, 4096n, "none"),
		() => vm.hostProtect(buffer.userspaceAddr, 4095n, "none"),
		() => vm.hostProtect(buffer.userspaceAddr, 9n * 4096n, "none"),
		() => vm.hostProtect(0x1000n, 4096n, "none"),
		() => vm.getDirtyLog(0, new Uint8Array(7)),
		() => vm.clearDirtyLog({ ...log, bitmap: new Uint8Array(0) }),
		() => vm.memOp(op({ buf: new Uint8Array(3) })),
	];
	const before = { slots: vm.slots.list(), regs, sregs, debugRegs, events: vcpu.getVcpuEvents() };
	for (const call of calls) {
		const result = call();
		expect(isErrno(result), String(call)).toBe(true);
	}
	expect(vcpu.setMsrs(NOT_U32.map((index) => ({ index, data: 0n })))).toBe(0);
	expect(vcpu.setMsrs(NOT_U64.map((data) => ({ index: 0x174, data })))).toBe(0);
	expect(vcpu.getMsrs(NOT_U32.map((index) => ({ index, data: 0n })))).toBe(0);
	expect({
		slots: vm.slots.list(),
		regs: vcpu.getRegs(),
		sregs: vcpu.getSregs(),
		debugRegs: vcpu.getDebugRegs(),
		events: vcpu.getVcpuEvents(),
	}).toEqual(before);
	expect(guest.dirty(0, 8)).toEqual([]);
});

test("whatever bytes a guest runs, nothing is thrown and every run comes back", async () => {
	let state = 12345;
	const next = (limit: number): number => {
		state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
		return (state >>> 8) % limit;
	};
	for (const engine of ["interpreter", "compiled"] as const) {
		const guest = await Guest.create(engine, { code: COMMANDS });
		const ram = guest.vm.allocate(64 * PAGE);
		guest.slot(0, 1, 0, 64 * PAGE, ram);
		guest.slot(1, 3, 0x8_0000, 64 * PAGE, ram);
		for (let round = 0; round < 150; round++) {
			for (let n = 0; n < 4096; n++) guest.code.view[n] = next(256);
			guest.vm.written(guest.code.offset, 4096);
			const { vcpu } = guest;
			const sregs = { ...vcpu.getSregs(), cr0: 0x11n, cr4: 0n, efer: 0n, idt: { base: 0n, limit: 0x7ff } };
			vcpu.reset();
			expect(vcpu.setSregs(sregs)).toBe(0);
			guest.setRegs({
				rip: 0x10_0000n + BigInt(next(1024)),
				rsp: BigInt(next(0x10_0000)),
				rflags: BigInt(next(0x10000)),
			});
			for (let run = 0; run < 20; run++) {
				vcpu.exit.data.fill(next(256));
				vcpu.exit.portData.fill(next(256));
				const result = vcpu.run({ limitMs: 1 });
				expect([0, "EINTR", "EFAULT"]).toContain(result);
			}
		}
	}
}, 60_000);

test("content from elsewhere is copied, and what is no number of bytes is refused", async () => {
	const { vm } = await Guest.create("interpreter", { code: COMMANDS });
	const content = Uint8Array.from([1, 2, 3]);
	const buffer = vm.allocateCopy(content);
	content[0] = 9;
	expect([...buffer.view]).toEqual([1, 2, 3]);
	for (const bad of [0, ...NOT_U32]) expect(() => vm.allocate(bad)).toThrow(UserError);
});
