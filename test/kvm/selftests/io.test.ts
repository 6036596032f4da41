import { describe, expect, test } from "vitest";
import { COALESCED_MMIO_MAX, EventFd, IOEVENTFD, IRQFD, Vm } from "../../../src/kvm/index.ts";
import { ENGINES, EXIT_REASON, Guest, KVM_MEM_READONLY, PAGE } from "./guest.ts";

const ZONE = 0x5000;
const PORT = 0x80;

describe.each(ENGINES)("coalesced I/O on the %s", (engine) => {
	/** L: mov [5000h],edi (MMIO); inc edi; mov eax,edi; out 80h,eax; inc edi; jmp L */
	const code = [0x89, 0x3d, 0, 0x50, 0, 0, 0x47, 0x89, 0xf8, 0xe7, PORT, 0x47, 0xeb, 0xf2];

	test("the ring is filled from every start index, MMIO and ports in turn; the next write leaves the guest", async () => {
		const guest = await Guest.create(engine, { code });
		const { vm, vcpu } = guest;
		expect(vm.registerCoalescedMmio({ addr: BigInt(ZONE), size: 4, pio: 0 })).toBe(0);
		expect(vm.registerCoalescedMmio({ addr: BigInt(PORT), size: 4, pio: 1 })).toBe(0);
		const ring = vm.coalescedRing;
		let value = 0;
		for (let start = 0; start < COALESCED_MMIO_MAX; start++) {
			ring.first = start;
			ring.last = start;
			const reason = guest.run();
			// The write that found no room, and those that were queued before it.
			const exit = reason === EXIT_REASON.mmio ? vcpu.exit.words[0] : vcpu.exit.portWords[0];
			const writes = ring.drain();
			expect(writes.length).toBe(COALESCED_MMIO_MAX - 1);
			for (const { addr, len, pio, data } of writes) {
				const isPort = value % 2;
				expect([Number(addr), len, pio]).toEqual(isPort ? [PORT, 4, 1] : [ZONE, 4, 0]);
				expect(new DataView(data.buffer, data.byteOffset).getUint32(0, true)).toBe(value++);
			}
			expect(exit).toBe(value++);
			expect(reason).toBe((value - 1) % 2 ? EXIT_REASON.io : EXIT_REASON.mmio);
		}
	});

	test("writes leave again once the zones are gone; reads always did", async () => {
		const guest = await Guest.create(engine, { code });
		const { vm, vcpu } = guest;
		vm.registerCoalescedMmio({ addr: BigInt(ZONE), size: 0x1000, pio: 0 });
		vm.registerCoalescedMmio({ addr: BigInt(PORT), size: 1, pio: 1 });
		// Four bytes do not fit a zone of one.
		expect([guest.run(), vcpu.exit.port]).toEqual([EXIT_REASON.io, PORT]);
		expect(vm.coalescedRing.drain().length).toBe(1);
		expect(vm.unregisterCoalescedMmio({ addr: BigInt(ZONE), size: 4, pio: 0 })).toBe(0);
		expect([guest.run(), vcpu.exit.physAddr]).toEqual([EXIT_REASON.mmio, ZONE]);
		expect(vm.coalescedRing.drain()).toEqual([]);
		expect(vm.unregisterCoalescedMmio({ addr: 0n, size: 0, pio: 1 })).toBe(0);
		expect(vm.registerCoalescedMmio({ addr: 0n, size: 0, pio: 2 })).toBe("EINVAL");
	});

	test("a ring that user space has spoiled takes nothing and harms nobody", async () => {
		const guest = await Guest.create(engine, { code });
		guest.vm.registerCoalescedMmio({ addr: BigInt(ZONE), size: 4, pio: 0 });
		guest.vm.coalescedRing.last = 0xffff_ffff;
		expect(guest.run()).toBe(EXIT_REASON.mmio);
	});
});

describe.each(ENGINES)("ioeventfd on the %s", (engine) => {
	test("takes the writes that it is for, over ROM and ports too", async () => {
		// mov dword [5000h],5; mov dword [5000h],6; mov dword [9000h],5; mov al,7; out 80h,al; mov eax,[5000h]
		const dword = (address: number, value: number) => [0xc7, 0x05, 0, address >> 8, 0, 0, value, 0, 0, 0];
		const code = [
			...dword(0x5000, 5),
			...dword(0x5000, 6),
			...dword(0x9000, 5),
			0xb0,
			7,
			0xe6,
			PORT,
			0xa1,
			0,
			0x50,
			0,
			0,
		];
		const guest = await Guest.create(engine, { code });
		const { vm, vcpu } = guest;
		const rom = vm.allocate(PAGE);
		guest.slot(0, KVM_MEM_READONLY, 0x9000, PAGE, rom);
		const [matching, any, port] = [new EventFd(), new EventFd(), new EventFd()];
		const on = (eventfd: EventFd, addr: number, len: number, flags = 0, datamatch = 0n) =>
			vm.ioeventfd({ eventfd, addr: BigInt(addr), len, flags, datamatch });
		expect(on(matching, 0x5000, 4, IOEVENTFD.datamatch, 5n)).toBe(0);
		expect(on(any, 0x9000, 0)).toBe(0);
		expect(on(port, PORT, 1, IOEVENTFD.pio)).toBe(0);
		expect([guest.run(), vcpu.exit.isWrite, vcpu.exit.words[0]]).toEqual([EXIT_REASON.mmio, true, 6]);
		expect([guest.run(), vcpu.exit.isWrite]).toEqual([EXIT_REASON.mmio, false]);
		expect([matching.read(), any.read(), port.read(), matching.read()]).toEqual([1n, 1n, 1n, 0n]);
		expect(rom.view.every((byte) => byte === 0)).toBe(true);
	});
});

test("ioeventfd refuses what Linux refuses", async () => {
	const vm = await Vm.create();
	const [eventfd, other] = [new EventFd(), new EventFd()];
	const set = (changes: Partial<Parameters<Vm["ioeventfd"]>[0]>) =>
		vm.ioeventfd({ eventfd, addr: 0x1000n, len: 4, flags: 0, ...changes });
	expect(set({ len: 3 })).toBe("EINVAL");
	expect(set({ len: 16 })).toBe("EINVAL");
	expect(set({ len: 0, flags: IOEVENTFD.datamatch })).toBe("EINVAL");
	expect(set({ flags: 0x10 })).toBe("EINVAL");
	expect(set({ addr: (1n << 64n) - 2n })).toBe("EINVAL");
	expect(set({ eventfd: undefined })).toBe("EBADF");
	expect(set({ flags: IOEVENTFD.deassign })).toBe("ENOENT");
	expect(set({ flags: IOEVENTFD.datamatch, datamatch: 1n })).toBe(0);
	expect(set({ flags: IOEVENTFD.datamatch, datamatch: 2n })).toBe(0);
	expect(set({ flags: IOEVENTFD.datamatch, datamatch: 2n, eventfd: other })).toBe("EEXIST");
	expect(set({})).toBe("EEXIST");
	expect(set({ flags: IOEVENTFD.deassign })).toBe("ENOENT");
	expect(set({ flags: IOEVENTFD.deassign | IOEVENTFD.datamatch, datamatch: 1n })).toBe(0);
	expect(set({ flags: IOEVENTFD.deassign | IOEVENTFD.datamatch, datamatch: 2n, len: 2 })).toBe("ENOENT");
});

test("irqfd pulses a line; with resampling it holds the line until the end of interrupt", async () => {
	const vm = await Vm.create();
	const log: string[] = [];
	const [edge, level, resampled] = [new EventFd(), new EventFd(), new EventFd()];
	expect(vm.irqLine(3, 1)).toBe("ENXIO");
	vm.irq.sink = { set: (gsi, asserted) => log.push(`${gsi}${asserted ? "+" : "-"}`) };
	expect(vm.irqLine(3, 1)).toBe(0);
	expect(vm.irqLine(4096, 1)).toBe("EINVAL");
	expect(vm.irqfd({ eventfd: edge, gsi: 4, flags: 0 })).toBe(0);
	expect(vm.irqfd({ eventfd: edge, gsi: 5, flags: 0 })).toBe("EBUSY");
	expect(vm.irqfd({ eventfd: undefined, gsi: 5, flags: 0 })).toBe("EBADF");
	expect(vm.irqfd({ eventfd: level, gsi: 5, flags: 8 })).toBe("EINVAL");
	expect(vm.irqfd({ eventfd: level, gsi: 5, flags: IRQFD.resample })).toBe("EBADF");
	expect(vm.irqfd({ eventfd: level, gsi: 5, flags: IRQFD.resample, resamplefd: resampled })).toBe(0);
	edge.signal();
	level.signal();
	vm.irq.endOfInterrupt(5);
	expect(log).toEqual(["3+", "4+", "4-", "5+", "5-"]);
	expect(resampled.read()).toBe(1n);
	expect(vm.irqfd({ eventfd: edge, gsi: 4, flags: IRQFD.deassign })).toBe(0);
	edge.signal();
	expect(log.length).toBe(5);
});

describe.each(ENGINES)("user space in the middle of REP INSB, on the %s", (engine) => {
	// mov edi,5000h; mov ecx,N; mov dx,80h; cld; rep insb; hlt
	const code = (count: number) => [
		0xbf,
		0,
		0x50,
		0,
		0,
		0xb9,
		count,
		0,
		0,
		0,
		0x66,
		0xba,
		0x80,
		0,
		0xfc,
		0xf3,
		0x6c,
		0xf4,
	];

	test("a shorter count takes so many bytes and no more", async () => {
		const guest = await Guest.create(engine, { code: code(2) });
		const ram = guest.vm.allocate(3 * PAGE);
		guest.slot(0, 0, 0x4000, 3 * PAGE, ram);
		expect([guest.run(), guest.vcpu.exit.count]).toEqual([EXIT_REASON.io, 2]);
		guest.vcpu.exit.portData.fill(0xaa);
		expect(guest.setRegs({ rcx: 1n })).toBe(0);
		expect(guest.run()).toBe(EXIT_REASON.hlt);
		const { rcx, rdi } = guest.vcpu.getRegs();
		expect([rcx, rdi]).toEqual([0n, 0x5001n]);
		expect([...ram.view.subarray(PAGE - 1, PAGE + 2)]).toEqual([0, 0xaa, 0]);
	});

	test("a longer one asks for the rest", async () => {
		const guest = await Guest.create(engine, { code: code(3) });
		const ram = guest.vm.allocate(4 * PAGE);
		guest.slot(0, 0, 0x4000, 4 * PAGE, ram);
		expect([guest.run(), guest.vcpu.exit.count]).toEqual([EXIT_REASON.io, 3]);
		guest.setRegs({ rcx: 8192n });
		do guest.vcpu.exit.portData.fill(0xaa);
		while (guest.run() === EXIT_REASON.io);
		expect(guest.vcpu.exit.reason).toBe(EXIT_REASON.hlt);
		expect([guest.vcpu.getRegs().rcx, guest.vcpu.getRegs().rdi]).toEqual([0n, 0x7000n]);
		expect(ram.view.subarray(PAGE, 3 * PAGE).every((byte) => byte === 0xaa)).toBe(true);
		expect([ram.view[PAGE - 1], ram.view[3 * PAGE]]).toEqual([0, 0]);
	});

	test("a new RIP drops the answer", async () => {
		const guest = await Guest.create(engine, { code: code(3) });
		guest.slot(0, 0, 0x4000, PAGE, guest.vm.allocate(PAGE));
		expect(guest.run()).toBe(EXIT_REASON.io);
		const { rip } = guest.vcpu.getRegs();
		expect(guest.setRegs({ rip: rip + 2n })).toBe(0);
		expect(guest.run()).toBe(EXIT_REASON.hlt);
		expect(guest.vcpu.getRegs().rcx).toBe(3n);
	});
});
