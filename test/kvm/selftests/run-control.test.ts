import { describe, expect, test } from "vitest";
import { KVM_GUESTDBG, Kvm } from "../../../src/kvm/index.ts";
import { CODE, COMMANDS, ENGINES, EXIT_REASON, Guest, PAGE } from "./guest.ts";

const { enable, singlestep, useHwBp, useSwBp } = KVM_GUESTDBG;
const at = (offset: number): bigint => BigInt(CODE + offset);

describe.each(ENGINES)("KVM_SET_GUEST_DEBUG on the %s", (engine) => {
	test("INT3 stops in front of itself, and is the guest's own again afterwards", async () => {
		// nop; int3; nop; hlt
		const guest = await Guest.create(engine, { code: [0x90, 0xcc, 0x90, 0xf4] });
		const { vcpu } = guest;
		expect(vcpu.setGuestDebug({ control: enable | useSwBp })).toBe(0);
		for (let n = 0; n < 3; n++) {
			expect([guest.run(), vcpu.exit.exception, vcpu.exit.pc]).toEqual([EXIT_REASON.debug, 3, at(1)]);
			expect(vcpu.getRegs().rip).toBe(at(1));
		}
		guest.setRegs({ rip: at(2) });
		expect(guest.run()).toBe(EXIT_REASON.hlt);
		expect(vcpu.setGuestDebug({ control: 0 })).toBe(0);
		guest.setRegs({ rip: at(1) });
		expect(guest.run()).toBe(EXIT_REASON.shutdown);
	});

	test("hardware breakpoints stop at each instruction they are moved to", async () => {
		// L: inc eax; inc ebx; inc ecx; jmp L
		const guest = await Guest.create(engine, { code: [0x40, 0x43, 0x41, 0xeb, 0xfb] });
		const { vcpu } = guest;
		for (let round = 0; round < 12; round++) {
			for (const offset of [0, 1, 2, 3]) {
				const debugreg = [at(offset), 0n, 0n, 0n, 0n, 0n, 0n, 1n];
				expect(vcpu.setGuestDebug({ control: enable | useHwBp, debugreg })).toBe(0);
				expect([guest.run(), vcpu.exit.exception, vcpu.exit.pc]).toEqual([EXIT_REASON.debug, 1, at(offset)]);
				expect(vcpu.exit.dr6 & 15).toBe(1);
			}
		}
		expect(vcpu.getRegs()).toMatchObject({ rax: 12n, rbx: 12n, rcx: 12n });
		expect(vcpu.getDebugRegs().dr6).toBe(0xffff0ff0n);
	});

	test("data breakpoints stop behind the access, whichever code makes it", async () => {
		// L: mov eax,[5000h]; mov [5004h],eax; inc ecx; jmp L
		const code = [0xa1, 0, 0x50, 0, 0, 0xa3, 4, 0x50, 0, 0, 0x41, 0xeb, 0xf3];
		const guest = await Guest.create(engine, { code });
		guest.slot(0, 0, 0x5000, PAGE, guest.vm.allocate(PAGE));
		const { vcpu } = guest;
		// Enable DR1: break on writes of four bytes.
		const debugreg = [0n, 0x5004n, 0n, 0n, 0n, 0n, 0n, 0x00d0_0004n];
		vcpu.setGuestDebug({ control: enable | useHwBp, debugreg });
		for (let n = 0; n < 10; n++) {
			expect([guest.run(), vcpu.exit.exception, vcpu.exit.pc]).toEqual([EXIT_REASON.debug, 1, at(10)]);
			expect(vcpu.exit.dr6 & 15).toBe(2);
		}
		expect(vcpu.getRegs().rcx).toBe(9n);
		// Reads count with the other kind.
		vcpu.setGuestDebug({ control: enable | useHwBp, debugreg: [0x5002n, 0n, 0n, 0n, 0n, 0n, 0n, 0x0003_0001n] });
		expect([guest.run(), vcpu.exit.pc]).toEqual([EXIT_REASON.debug, at(5)]);
	});

	test("stepping stops after every instruction, exits and all, and over each iteration of a repetition", async () => {
		// mov ecx,3; mov edi,9000h; rep stosb (no memory there); in al,60h; inc eax
		const code = [0xb9, 3, 0, 0, 0, 0xbf, 0, 0x90, 0, 0, 0xf3, 0xaa, 0xe4, 0x60, 0x40, 0x40, 0x40];
		const guest = await Guest.create(engine, { code });
		const { vcpu } = guest;
		vcpu.setGuestDebug({ control: enable | singlestep });
		const seen: [number, number][] = [];
		for (let n = 0; n < 14; n++) {
			const reason = guest.run();
			seen.push([reason, Number(vcpu.getRegs().rip) - CODE]);
			if (reason === EXIT_REASON.debug) expect(vcpu.exit.dr6).toBe(0xffff4ff0);
		}
		const { debug, mmio, io } = EXIT_REASON;
		expect(seen).toEqual([
			[debug, 5],
			[debug, 10],
			...Array.from({ length: 3 }, () => [
				[mmio, 10],
				[debug, 10],
			]).flat(),
			[debug, 12],
			[io, 12],
			[debug, 14],
			[debug, 15],
			[debug, 16],
			[debug, 17],
		]);
	});

	test("the guest's own breakpoints rest while user space uses the registers, and are unchanged", async () => {
		// nop; nop; nop; hlt
		const guest = await Guest.create(engine, { code: [0x90, 0x90, 0x90, 0xf4] });
		const { vcpu } = guest;
		const own = { db: [at(1), 0n, 0n, 0n], dr6: 0xffff0ff0n, dr7: 0x401n, flags: 0 };
		expect(vcpu.setDebugRegs(own)).toBe(0);
		vcpu.setGuestDebug({ control: enable | useHwBp, debugreg: [at(2), 0n, 0n, 0n, 0n, 0n, 0n, 1n] });
		expect([guest.run(), vcpu.exit.pc]).toEqual([EXIT_REASON.debug, at(2)]);
		expect(vcpu.getDebugRegs()).toEqual(own);
		vcpu.setGuestDebug({ control: 0 });
		guest.setRegs({ rip: at(0) });
		// Without an IDT the guest's #DB is a triple fault.
		expect(guest.run()).toBe(EXIT_REASON.shutdown);
	});

	test("unknown bits are EINVAL", async () => {
		const guest = await Guest.create(engine, { code: [0xf4] });
		for (const control of [4, 0x8000, 0x200000, 2 ** 31, -1, 2 ** 32, 0.5]) {
			expect(guest.vcpu.setGuestDebug({ control })).toBe("EINVAL");
		}
	});
});

describe.each(ENGINES)("leaving and coming back, on the %s", (engine) => {
	test("a triple fault is SHUTDOWN, again and again, until user space helps", async () => {
		const guest = await Guest.create(engine, { code: [0x0f, 0x0b, 0xf4] });
		expect([guest.run(), guest.run()]).toEqual([EXIT_REASON.shutdown, EXIT_REASON.shutdown]);
		guest.setRegs({ rip: at(2) });
		expect(guest.run()).toBe(EXIT_REASON.hlt);
	});

	test("immediate_exit finishes a read, runs nothing else, and keeps the exit's reason", async () => {
		// mov eax,[9000h]; inc ecx; hlt
		const guest = await Guest.create(engine, { code: [0xa1, 0, 0x90, 0, 0, 0x41, 0xf4] });
		const { vcpu } = guest;
		vcpu.immediateExit = true;
		expect(vcpu.run()).toBe("EINTR");
		expect(vcpu.getRegs().rip).toBe(at(0));
		vcpu.immediateExit = false;
		expect(guest.run()).toBe(EXIT_REASON.mmio);
		vcpu.exit.words[0] = 0x1234;
		vcpu.immediateExit = true;
		expect([vcpu.run(), vcpu.run(), vcpu.exit.reason]).toEqual(["EINTR", "EINTR", EXIT_REASON.mmio]);
		expect(vcpu.getRegs()).toMatchObject({ rax: 0x1234n, rcx: 0n, rip: at(5) });
		vcpu.immediateExit = false;
		expect(guest.run()).toBe(EXIT_REASON.hlt);
		expect(vcpu.getRegs().rcx).toBe(1n);
	});

	test("a run that lasts too long is interrupted", async () => {
		const guest = await Guest.create(engine, { code: [0xeb, 0xfe] });
		expect(guest.vcpu.run({ limitMs: 5 })).toBe("EINTR");
		expect(guest.vcpu.exit.reason).toBe(EXIT_REASON.intr);
		expect(guest.vcpu.run({ arg: 1 })).toBe("EINVAL");
	});

	test("an interrupt window opens as soon as the guest would take an interrupt, and not in its shadow", async () => {
		// nop; sti; nop; L: jmp L
		const guest = await Guest.create(engine, { code: [0x90, 0xfb, 0x90, 0xeb, 0xfe] });
		const { vcpu } = guest;
		vcpu.requestInterruptWindow = true;
		expect([guest.run(), vcpu.getRegs().rip]).toEqual([EXIT_REASON.irqWindowOpen, at(3)]);
		expect([vcpu.readyForInterruptInjection, vcpu.ifFlag]).toEqual([true, true]);
		vcpu.requestInterruptWindow = false;
		expect(vcpu.interrupt(256)).toBe("EINVAL");
		expect([vcpu.interrupt(0x40), vcpu.interrupt(0x41)]).toEqual([0, 0]);
		expect(vcpu.getVcpuEvents().interrupt).toEqual({ injected: 1, nr: 0x41, shadow: 0 });
		expect(vcpu.getSregs().interruptBitmap).toEqual([0n, 2n, 0n, 0n]);
	});

	test("while an MMIO read waits, registers cannot be set; other calls are welcome", async () => {
		const guest = await Guest.create(engine, { code: [0xa1, 0, 0x90, 0, 0, 0xf4] });
		const { vcpu } = guest;
		guest.run();
		expect(vcpu.setRegs(vcpu.getRegs())).toBe("EBUSY");
		expect(vcpu.setSregs(vcpu.getSregs())).toBe("EBUSY");
		vcpu.exit.words[0] = 7;
		const [buf, ram] = [new Uint8Array(4), guest.vm.allocate(PAGE)];
		expect(vcpu.memOp({ gaddr: BigInt(CODE), flags: 0, size: 4, op: 0, buf })).toBe(0);
		// A slot where the answer is awaited counts from the next access on.
		ram.view.fill(0xff);
		expect(guest.slot(0, 0, 0x9000, PAGE, ram)).toBe(0);
		expect(vcpu.translate(0x9000n).valid).toBe(1);
		expect(guest.run()).toBe(EXIT_REASON.hlt);
		expect(vcpu.getRegs().rax).toBe(7n);
	});
});

describe("state of a vCPU", () => {
	test("special registers that do not fit each other are EINVAL and change nothing", async () => {
		const guest = await Guest.create("interpreter", { code: COMMANDS });
		const { vcpu } = guest;
		const before = vcpu.getSregs();
		const changes: ((sregs: typeof before) => void)[] = [
			(sregs) => {
				sregs.cr0 = 0x8000_0010n;
			},
			(sregs) => {
				sregs.cr0 = 0x2000_0011n;
			},
			(sregs) => {
				sregs.cr0 = 1n << 32n;
			},
			(sregs) => {
				sregs.cr4 = 1n << 31n;
			},
			(sregs) => {
				sregs.efer = 0x400n;
			},
			(sregs) => {
				sregs.cr0 = 0x8000_0011n;
				sregs.efer = 0x500n;
			},
			(sregs) => {
				sregs.cs.l = 1;
			},
			(sregs) => {
				sregs.cs.limit = -1;
			},
			(sregs) => {
				sregs.ss.type = 16;
			},
			(sregs) => {
				sregs.gdt.limit = 65536;
			},
			(sregs) => {
				sregs.cr3 = -1n;
			},
		];
		for (const change of changes) {
			const sregs = vcpu.getSregs();
			change(sregs);
			expect(vcpu.setSregs(sregs)).toBe("EINVAL");
			expect(vcpu.getSregs()).toEqual(before);
		}
		expect(vcpu.setSregs(before)).toBe(0);
		expect(vcpu.getSregs()).toEqual(before);
	});

	test("registers, MSRs, FPU, CPUID and events come back as they were set", async () => {
		const guest = await Guest.create("interpreter", { code: COMMANDS });
		const { vcpu } = guest;
		const regs = vcpu.getRegs();
		regs.r15 = (1n << 64n) - 1n;
		regs.rflags = 0n;
		expect(vcpu.setRegs(regs)).toBe(0);
		expect(vcpu.getRegs()).toMatchObject({ r15: (1n << 64n) - 1n, rflags: 2n });
		expect(vcpu.setRegs({ ...regs, rax: 1n << 64n })).toBe("EINVAL");
		const msrs = [0x174, 0x2a, 0x10, 0x277].map((index) => ({ index, data: 0x0606_0606_0606_0606n }));
		expect(vcpu.setMsrs([...msrs, { index: 0x1234_5678, data: 0n }, ...msrs])).toBe(4);
		const read = msrs.map(({ index }) => ({ index, data: 0n }));
		expect(vcpu.getMsrs(read)).toBe(4);
		expect(read.map(({ data }) => data)).toEqual([0x0606_0606n, ...msrs.slice(1).map(({ data }) => data)]);
		expect(vcpu.getRegs()).toMatchObject({ rax: regs.rax, rcx: regs.rcx, rdx: regs.rdx });
		const fpu = vcpu.getFpu();
		fpu.xmm[3]![5] = 0x77;
		fpu.fcw = 0x27f;
		expect(vcpu.setFpu(fpu)).toBe(0);
		fpu.fcw = 0;
		expect(vcpu.getFpu()).toMatchObject({ fcw: 0x27f, mxcsr: 0x1f80 });
		const entry = { function: 1, index: 0, flags: 0, eax: 1, ebx: 2, ecx: 3, edx: 4 };
		expect([vcpu.setCpuid2([entry]), vcpu.getCpuid2()]).toEqual([0, [entry]]);
		expect(vcpu.setCpuid2(Array.from({ length: 129 }, () => entry))).toBe("E2BIG");
		const events = vcpu.getVcpuEvents();
		events.nmi = { pending: 1, masked: 1 };
		events.interrupt = { injected: 1, nr: 0x33, shadow: 2 };
		expect([vcpu.setVcpuEvents(events), vcpu.getVcpuEvents()]).toEqual([0, events]);
		expect(vcpu.setVcpuEvents({ ...events, exception: { ...events.exception, injected: 1, nr: 32 } })).toBe("EINVAL");
		expect(vcpu.getVcpuEvents()).toEqual(events);
	});

	test("the supported CPUID can be set, and decides about CR4", async () => {
		const guest = await Guest.create("interpreter", { code: COMMANDS });
		const { vcpu } = guest;
		const supported = Kvm.getSupportedCpuid();
		expect([vcpu.setCpuid2(supported), vcpu.getCpuid2()]).toEqual([0, supported]);
		const sregs = vcpu.getSregs();
		sregs.cr4 |= 1n << 20n;
		expect(vcpu.setSregs(sregs)).toBe(0);
		const without = supported.map((entry) => (entry.function === 7 ? { ...entry, ebx: entry.ebx & ~(1 << 7) } : entry));
		expect([vcpu.setCpuid2(without), vcpu.setSregs(sregs)]).toEqual([0, "EINVAL"]);
	});

	test("calls that there are not: EINVAL of a vCPU, ENOTTY of a VM; ids in use or out of range", async () => {
		const guest = await Guest.create("interpreter", { code: COMMANDS });
		expect([guest.vcpu.ioctl(0x1234), guest.vm.ioctl(0x1234)]).toEqual(["EINVAL", "ENOTTY"]);
		expect([0, 4096, -1, 0.5].map((id) => guest.vm.createVcpu(id))).toEqual(["EEXIST", "EINVAL", "EINVAL", "EINVAL"]);
	});
});
