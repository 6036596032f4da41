import { describe, expect, test } from "vitest";
import { MAP_MEMORY_FLAG, MEM_OP, MEM_OP_FLAG, type MemOp } from "../../../src/kvm/index.ts";
import { COMMANDS, command, Guest, KVM_MEM_READONLY, LOAD, PAGE } from "./guest.ts";

const LARGE = 0x20_0000;
const BASE = 0x40_0000;

async function create(): Promise<Guest> {
	return Guest.create("interpreter", { code: COMMANDS });
}

describe("KVM_PRE_FAULT_MEMORY", () => {
	test("goes as far as there is memory, then says that there is none", async () => {
		const guest = await create();
		const { vcpu, vm } = guest;
		const buffer = vm.allocate(LARGE + PAGE);
		guest.slot(0, 0, BASE, LARGE + PAGE, buffer);
		const range = (gpa: number, size: number) => ({ gpa: BigInt(gpa), size: BigInt(size) });
		const whole = range(BASE, LARGE);
		expect([vcpu.preFaultMemory(whole), whole.size]).toEqual([0, 0n]);
		const over = range(BASE + LARGE, 2 * PAGE);
		expect([vcpu.preFaultMemory(over), over.size]).toEqual([0, BigInt(PAGE)]);
		expect([vcpu.preFaultMemory(over), over.size]).toEqual(["ENOENT", BigInt(PAGE)]);
		const beyond = range(BASE + LARGE + PAGE, PAGE);
		expect([vcpu.preFaultMemory(beyond), beyond.size]).toEqual(["ENOENT", BigInt(PAGE)]);
		expect(command(guest, BASE + LARGE, LOAD)).toEqual([{ kind: "loaded", value: 0 }]);
	});

	test("marks nothing dirty, stops for user space, and notices backing that is gone", async () => {
		const guest = await create();
		const { vcpu, vm } = guest;
		const buffer = vm.allocate(4 * PAGE);
		guest.slot(0, 1, BASE, 4 * PAGE, buffer);
		const range = { gpa: BigInt(BASE), size: BigInt(4 * PAGE) };
		vcpu.immediateExit = true;
		expect(vcpu.preFaultMemory({ ...range })).toBe("EINTR");
		vcpu.immediateExit = false;
		expect(vcpu.preFaultMemory({ ...range })).toBe(0);
		expect(guest.dirty(0, 4)).toEqual([]);
		expect(vm.hostProtect(buffer.userspaceAddr + 8192n, 4096n, "none")).toBe(0);
		expect([vcpu.preFaultMemory(range), range.size]).toEqual([0, 8192n]);
		expect(vcpu.preFaultMemory(range)).toBe("EFAULT");
	});
});

describe("KVM_MAP_MEMORY in its first form", () => {
	test("goes 512 pages at a time and says EAGAIN with the rest in its argument", async () => {
		const guest = await create();
		const buffer = guest.vm.allocate(3 * LARGE);
		guest.slot(0, 0, BASE, 3 * LARGE, buffer);
		const range = { baseGfn: BigInt(BASE / PAGE), nrPages: 1200n, flags: 0, source: 0n };
		expect([guest.vcpu.mapMemory(range), range.nrPages]).toEqual(["EAGAIN", 688n]);
		expect([guest.vcpu.mapMemory(range), range.nrPages]).toEqual(["EAGAIN", 176n]);
		expect([guest.vcpu.mapMemory(range), range.nrPages]).toEqual([0, 0n]);
		expect(range.baseGfn).toBe(BigInt(BASE / PAGE + 1200));
	});

	test("copies content in without marking it dirty", async () => {
		const guest = await create();
		const source = guest.vm.allocate(3 * PAGE);
		source.view.forEach((_, n) => {
			source.view[n] = n * 7;
		});
		guest.slot(0, 1, BASE, 4 * PAGE, guest.vm.allocate(4 * PAGE));
		const range = { baseGfn: BigInt(BASE / PAGE), nrPages: 3n, flags: 0, source: source.userspaceAddr };
		expect([guest.vcpu.mapMemory(range), range.source]).toEqual([0, source.userspaceAddr + BigInt(3 * PAGE)]);
		const buf = new Uint8Array(3 * PAGE);
		expect(guest.vm.memOp({ gaddr: BigInt(BASE), flags: 0, size: 3 * PAGE, op: MEM_OP.absoluteRead, buf })).toBe(0);
		expect(buf).toEqual(new Uint8Array(source.view));
		expect(guest.dirty(0, 4)).toEqual([]);
	});

	test("refuses what cannot be", async () => {
		const guest = await create();
		guest.slot(0, KVM_MEM_READONLY, BASE, PAGE, guest.vm.allocate(PAGE));
		const map = (changes: object) =>
			guest.vcpu.mapMemory({ baseGfn: BigInt(BASE / PAGE), nrPages: 1n, flags: 0, source: 0n, ...changes });
		expect(map({ nrPages: 0n })).toBe("EINVAL");
		expect(map({ flags: 16 })).toBe("EINVAL");
		expect(map({ baseGfn: (1n << 52n) - 1n, nrPages: 1n })).toBe("EINVAL");
		expect(map({ flags: MAP_MEMORY_FLAG.private })).toBe("EOPNOTSUPP");
		expect(map({ flags: MAP_MEMORY_FLAG.write })).toBe("EFAULT");
		expect(map({ source: 0x1000n })).toBe("EFAULT");
		expect(map({ baseGfn: 1n })).toBe("ENOENT");
		expect(map({})).toBe(0);
	});
});

describe("memOp on guest-physical addresses", () => {
	test("reads, writes and checks; writes are dirty", async () => {
		const guest = await create();
		guest.slot(0, 1, BASE, 32 * PAGE, guest.vm.allocate(32 * PAGE));
		const buf = Uint8Array.from({ length: 65536 }, (_, n) => n * 31);
		const op = { gaddr: BigInt(BASE + 100), flags: 0, size: 65536 };
		expect(guest.vm.memOp({ ...op, op: MEM_OP.absoluteWrite, buf })).toBe(0);
		expect(guest.dirty(0, 32)).toEqual(Array.from({ length: 17 }, (_, page) => page));
		const back = new Uint8Array(65536);
		expect(guest.vm.memOp({ ...op, op: MEM_OP.absoluteRead, buf: back })).toBe(0);
		expect(back).toEqual(buf);
		expect(guest.vm.memOp({ ...op, op: MEM_OP.absoluteWrite, flags: MEM_OP_FLAG.checkOnly })).toBe(0);
		expect(guest.dirty(0, 32)).toEqual([]);
	});

	test("answers bad arguments as Linux does", async () => {
		const guest = await create();
		guest.slot(0, 0, BASE, PAGE, guest.vm.allocate(PAGE));
		guest.slot(1, KVM_MEM_READONLY, BASE + PAGE, PAGE, guest.vm.allocate(PAGE));
		const buf = new Uint8Array(65537);
		const op = (changes: Partial<MemOp>) =>
			guest.vm.memOp({ gaddr: BigInt(BASE), flags: 0, size: 16, op: MEM_OP.absoluteRead, buf, ...changes });
		expect(op({ size: 0 })).toBe("EINVAL");
		expect(op({ size: 65537 })).toBe("E2BIG");
		expect(op({ size: -1 })).toBe("EINVAL");
		expect(op({ size: 0xffff_ffff })).toBe("E2BIG");
		expect(op({ flags: 0xffff_ffff })).toBe("EINVAL");
		expect(op({ flags: MEM_OP_FLAG.injectException })).toBe("EINVAL");
		for (const bad of [0, 1, 2, 3, 7, 0xffff_ffff]) expect(op({ op: bad })).toBe("EINVAL");
		expect(guest.vm.memOp({ gaddr: BigInt(BASE), flags: 0, size: 16, op: MEM_OP.absoluteWrite })).toBe("EFAULT");
		expect(op({ buf: new Uint8Array(15) })).toBe("EFAULT");
		expect(op({ gaddr: 0x1000n })).toBe("EFAULT");
		expect(op({ gaddr: (1n << 64n) - 1n })).toBe("EFAULT");
		expect(op({ gaddr: 0x1000n, flags: MEM_OP_FLAG.checkOnly })).toBe("EFAULT");
		expect(op({ gaddr: BigInt(BASE + PAGE) })).toBe(0);
		expect(op({ gaddr: BigInt(BASE + PAGE), op: MEM_OP.absoluteWrite })).toBe("EFAULT");
		expect(op({ gaddr: BigInt(BASE + PAGE - 1), op: MEM_OP.absoluteWrite, size: 2 })).toBe("EFAULT");
	});

	test.each([1, 2, 4, 8, 16])("compares and exchanges %i bytes", async (size) => {
		const guest = await create();
		const ram = guest.vm.allocate(PAGE);
		guest.slot(0, 1, BASE, PAGE, ram);
		const exchange = (gaddr: number, old: Uint8Array, buf: Uint8Array, length = size) =>
			guest.vm.memOp({ gaddr: BigInt(gaddr), flags: 0, size: length, op: MEM_OP.absoluteCmpxchg, buf, old });
		const bytes = (fill: number) => new Uint8Array(size).fill(fill);
		const [old, wrong] = [bytes(0), bytes(9)];
		expect(exchange(BASE + size, old, bytes(0x5a))).toBe(0);
		expect(ram.view.slice(size, 2 * size)).toEqual(bytes(0x5a));
		expect(guest.dirty(0, 1)).toEqual([0]);
		expect(exchange(BASE + size, wrong, bytes(1))).toBe(0);
		expect(wrong).toEqual(bytes(0x5a));
		expect(ram.view.slice(size, 2 * size)).toEqual(bytes(0x5a));
		expect(guest.dirty(0, 1)).toEqual([]);
		if (size > 1) expect(exchange(BASE + 1, old, bytes(0))).toBe("EINVAL");
		expect(exchange(BASE, old, bytes(0), 3)).toBe("EINVAL");
	});
});

describe("memOp on linear addresses", () => {
	/** Page tables at BASE: linear 0..3 MiB one to one, but for what `change` does to the entries. */
	async function paged(change: (entries: Uint32Array) => void): Promise<{ guest: Guest; tables: Uint32Array }> {
		const guest = await create();
		const buffer = guest.vm.allocate(8 * PAGE);
		const tables = new Uint32Array(buffer.view.buffer, buffer.view.byteOffset, 8 * 1024);
		tables[0] = (BASE + PAGE) | 7;
		for (let n = 0; n < 1024; n++) tables[1024 + n] = (n * PAGE) | 7;
		change(tables.subarray(1024, 2048));
		guest.slot(0, 1, BASE, 8 * PAGE, buffer);
		guest.slot(1, 1, 0x1000, 8 * PAGE, guest.vm.allocate(8 * PAGE));
		const sregs = guest.vcpu.getSregs();
		sregs.cr3 = BigInt(BASE);
		sregs.cr0 = 0x8001_0011n;
		expect(guest.vcpu.setSregs(sregs)).toBe(0);
		return { guest, tables };
	}
	const op = (gaddr: number, size: number, rest: Partial<MemOp> = {}): MemOp => {
		return {
			gaddr: BigInt(gaddr),
			flags: 0,
			size,
			op: MEM_OP.logicalWrite,
			buf: new Uint8Array(size).fill(0x77),
			...rest,
		};
	};

	test("moves nothing and sets no bit where a later page faults, and says what a guest would see", async () => {
		const { guest, tables } = await paged((entries) => {
			entries[3] = 0;
			entries[5]! &= ~2;
		});
		const write = op(0x1ff0, 0x2000);
		expect(guest.vcpu.memOp(write)).toBe(14);
		expect([write.errorCode, write.cr2]).toEqual([2, 0x3000n]);
		expect(tables[1024 + 1]! & 0x60).toBe(0);
		expect(guest.dirty(1, 8)).toEqual([]);
		const protectedPage = op(0x5000, 4);
		expect(guest.vcpu.memOp(protectedPage)).toBe(14);
		expect([protectedPage.errorCode, protectedPage.cr2]).toEqual([3, 0x5000n]);
		expect(guest.vcpu.memOp(op(0x5000, 4, { op: MEM_OP.logicalRead }))).toBe(0);
		expect(guest.vcpu.getVcpuEvents().exception.injected).toBe(0);
	});

	test("sets accessed and dirty bits, but not to check only", async () => {
		const { guest, tables } = await paged(() => {});
		expect(guest.vcpu.memOp(op(0x1ff0, 0x20, { flags: MEM_OP_FLAG.checkOnly }))).toBe(0);
		expect([tables[0]! & 0x20, tables[1025]! & 0x60, tables[1026]! & 0x60]).toEqual([0, 0, 0]);
		expect(guest.vcpu.memOp(op(0x1ff0, 0x20))).toBe(0);
		expect([tables[0]! & 0x20, tables[1025]! & 0x60, tables[1026]! & 0x60]).toEqual([0x20, 0x60, 0x60]);
		expect(guest.dirty(1, 8)).toEqual([0, 1]);
		expect(guest.dirty(0, 8)).toEqual([0, 1]);
	});

	test("injects the exception, once", async () => {
		const { guest } = await paged((entries) => {
			entries[3] = 0;
		});
		const inject = { flags: MEM_OP_FLAG.injectException };
		expect(guest.vcpu.memOp(op(0x3010, 4, inject))).toBe(14);
		expect(guest.vcpu.getVcpuEvents().exception).toEqual({ injected: 1, nr: 14, hasErrorCode: 1, errorCode: 2 });
		expect(guest.vcpu.memOp(op(0x3010, 4, inject))).toBe("EBUSY");
		expect(guest.vcpu.memOp(op(0x2000, 4, inject))).toBe(0);
	});

	test("is EFAULT, not an exit, where there is no RAM", async () => {
		const { guest } = await paged((entries) => {
			entries[6] = 0x70_0007;
		});
		expect(guest.vcpu.memOp(op(0x6000, 4))).toBe("EFAULT");
		expect(guest.vcpu.memOp(op(0x6000, 4, { op: MEM_OP.logicalRead }))).toBe("EFAULT");
		for (const bad of [2, 3, 4, 5, 6]) expect(guest.vcpu.memOp(op(0x2000, 4, { op: bad }))).toBe("EINVAL");
		expect(guest.vcpu.memOp(op(0x2000, 65537))).toBe("E2BIG");
	});

	test("translate shows what the tables say, or Linux' constants", async () => {
		const { guest } = await paged((entries) => {
			entries[3] = 0;
			entries[5]! &= ~6;
		});
		const { vcpu } = guest;
		expect(vcpu.translate(0x5123n)).toEqual({ physicalAddress: 0x5123n, valid: 1, writeable: 0, usermode: 0 });
		expect(vcpu.translate(0x5123n, { compat: true })).toMatchObject({ valid: 1, writeable: 1, usermode: 0 });
		expect(vcpu.translate(0x3000n)).toMatchObject({ physicalAddress: (1n << 64n) - 1n, valid: 0 });
		expect(vcpu.translate(0x1_0000_0000n).valid).toBe(0);
	});
});

describe("backing that comes and goes", () => {
	test("RAM that the host may only read is EFAULT to write, as often as it is tried, until it may be written", async () => {
		const guest = await create();
		const ram = guest.vm.allocate(4 * PAGE);
		guest.slot(0, 0, BASE, 4 * PAGE, ram);
		command(guest, BASE + PAGE, 0x11);
		expect(guest.vm.hostProtect(ram.userspaceAddr, BigInt(4 * PAGE), "read")).toBe(0);
		expect(command(guest, BASE + PAGE, LOAD)).toEqual([{ kind: "loaded", value: 0x11 }]);
		expect(command(guest, BASE + PAGE, 0x22)).toEqual([{ kind: "fault", gpa: BASE + PAGE }]);
		expect(guest.vcpu.run()).toBe("EFAULT");
		expect([guest.vcpu.exit.memoryFlags, guest.vcpu.exit.physAddr, guest.vcpu.exit.len]).toEqual([
			0,
			BASE + PAGE,
			PAGE,
		]);
		guest.vm.hostProtect(ram.userspaceAddr, BigInt(4 * PAGE), "readWrite");
		guest.run();
		expect(ram.view[PAGE]).toBe(0x22);
	});

	test("what is replaced between an exit and its completion is seen by the next access", async () => {
		const guest = await create();
		const ram = guest.vm.allocate(PAGE);
		guest.slot(0, 0, BASE, PAGE, ram);
		ram.view.fill(0x44);
		const seen = command(guest, BASE - 2, LOAD, () => {
			expect(guest.vm.replacePages(ram.userspaceAddr, 4096n)).toBe(0);
			return 0x99;
		});
		expect(seen.at(-1)).toEqual({ kind: "loaded", value: 0x4444_9999 });
		expect(command(guest, BASE, LOAD)).toEqual([{ kind: "loaded", value: 0 }]);
	});

	test("a slot over addresses that nobody backs can be made, and is EFAULT to touch", async () => {
		const guest = await create();
		const region = { slot: 3, flags: 0, guestPhysAddr: BigInt(BASE), memorySize: 4096n, userspaceAddr: 0x1_0000n };
		expect(guest.vm.setUserMemoryRegion(region)).toBe(0);
		expect(command(guest, BASE, LOAD)).toEqual([{ kind: "fault", gpa: BASE }]);
	});
});
