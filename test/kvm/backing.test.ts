import { describe, expect, test } from "vitest";
import { UserError } from "../../src/base/errors.ts";
import { Backing } from "../../src/kvm/backing.ts";
import { MemslotsPool } from "../../src/kvm/memslots-pool.ts";
import { VmMemory } from "../../src/vcpu/vm-memory.ts";

describe("host buffers", () => {
	test("are zero, in the user half, at multiples of 2 MiB, apart, and seen in the VM's memory", () => {
		const memory = new VmMemory();
		const backing = new Backing(memory);
		const [a, b] = [backing.allocate(0x5000), backing.allocate(0x40_0000)];
		expect(a.view.length).toBe(0x5000);
		expect(a.view.every((byte) => byte === 0)).toBe(true);
		expect([a.userspaceAddr % 0x20_0000n, b.userspaceAddr % 0x20_0000n]).toEqual([0n, 0n]);
		expect(b.userspaceAddr - a.userspaceAddr).toBeGreaterThan(0x5000n);
		a.view[0x4fff] = 0x5a;
		expect(memory.bytes(a.offset + 0x4fff, 1)[0]).toBe(0x5a);
	});

	test("that do not fit are a user error", () => {
		const backing = new Backing(new VmMemory());
		expect(() => backing.allocate(2 ** 32)).toThrow(UserError);
	});

	test("are bound whole, in part, or not at all", () => {
		const backing = new Backing(new VmMemory());
		const { userspaceAddr, offset } = backing.allocate(0x4000);
		expect(backing.bind(userspaceAddr + 0x1000n, 0x3000n)).toEqual({ kind: "contiguous", offset: offset + 0x1000 });
		expect(backing.bind(userspaceAddr + 0x1000n, 0x4000n)).toEqual({ kind: "scattered" });
		expect(backing.bind(userspaceAddr - 0x1000n, 0x2000n)).toEqual({ kind: "scattered" });
		expect(backing.bind(userspaceAddr - 0x1000n, 0x1000n)).toEqual({ kind: "none" });
		expect(backing.bind(userspaceAddr + 0x4000n, 0x1000n)).toEqual({ kind: "none" });
	});

	test("are listened to", () => {
		const backing = new Backing(new VmMemory());
		const told: bigint[] = [];
		backing.onChange((first, last) => told.push(first, last));
		const { userspaceAddr } = backing.allocate(100);
		expect(told).toEqual([userspaceAddr, userspaceAddr + 0xfffn]);
	});
});

describe("the pool", () => {
	test("gives zeroed pieces that do not overlap, small ones from one page", () => {
		const memory = new VmMemory();
		const pool = new MemslotsPool(memory);
		const pieces = Array.from({ length: 64 }, () => pool.allocate(60));
		expect(new Set(pieces).size).toBe(64);
		expect(Math.max(...pieces) - Math.min(...pieces)).toBe(63 * 64);
		expect(pieces.every((at) => at % 64 === 0)).toBe(true);
	});

	test("gives released pieces again, zeroed", () => {
		const memory = new VmMemory();
		const pool = new MemslotsPool(memory);
		const at = pool.allocate(5000);
		memory.bytes(at, 8192).fill(0xff);
		pool.release(at, 5000);
		expect(pool.allocate(8000)).toBe(at);
		expect(memory.bytes(at, 8192).every((byte) => byte === 0)).toBe(true);
	});

	test("gives 0 when the VM's memory is full", () => {
		expect(new MemslotsPool(new VmMemory()).allocate(2 ** 33)).toBe(0);
	});
});
