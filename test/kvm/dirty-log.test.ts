import { describe, expect, test } from "vitest";
import type { KvmResult } from "../../src/kvm/errno.ts";
import { PAGE, Slots } from "./support.ts";

/** A slot 0 of `pages` pages with LOG; `mode` is args[0] of the capability, enabled before. */
function logging(pages: number, mode = 0n, flags = 1): Slots {
	const vm = new Slots();
	expect(vm.log.enableManualProtect(mode)).toBe(0);
	expect(vm.set(0, flags, 0, pages * PAGE)).toBe(0);
	return vm;
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

describe("KVM_GET_DIRTY_LOG", () => {
	test("returns the pages stored to, and forgets them", () => {
		const vm = logging(130);
		expect(vm.dirty(0)).toEqual([]);
		vm.store(0, 3, 64, 129);
		expect(vm.dirty(0)).toEqual([3, 64, 129]);
		expect(vm.dirty(0)).toEqual([]);
	});

	test("protects the pages it returns, run by run", () => {
		const vm = logging(130);
		vm.store(0, 3, 4, 5, 7, 8, 100);
		vm.changes.length = 0;
		vm.dirty(0);
		const protectedPages = vm.changes.map(({ kind, first, last }) => [kind, first / PAGE, (last + 1) / PAGE]);
		expect(protectedPages).toEqual([
			["protect", 3, 6],
			["protect", 7, 9],
			["protect", 100, 101],
		]);
	});

	test("protects one range around very many runs", () => {
		const vm = logging(200);
		vm.store(0, ...range(0, 100).map((i) => 2 * i));
		vm.changes.length = 0;
		vm.dirty(0);
		expect(vm.changes).toEqual([{ kind: "protect", addressSpace: 0, first: 0, last: 199 * PAGE - 1 }]);
	});

	test("leaves the bytes after the slot's bitmap alone", () => {
		const vm = logging(65);
		const bitmap = new Uint8Array(24).fill(0xaa);
		expect(vm.log.getDirtyLog(0, bitmap)).toBe(0);
		expect([...bitmap.subarray(0, 16)]).toEqual(new Array(16).fill(0));
		expect([...bitmap.subarray(16)]).toEqual(new Array(8).fill(0xaa));
	});

	test("of a slot that is missing or does not log is ENOENT", () => {
		const vm = new Slots();
		expect(vm.dirty(0)).toBe("ENOENT");
		vm.set(0, 0, 0, PAGE);
		expect(vm.dirty(0)).toBe("ENOENT");
	});

	test.each([32764, 32766, 32767, 40000, 0x10000, 0xffff_ffff])("of slot %d is EINVAL", (slot) => {
		expect(new Slots().dirty(slot)).toBe("EINVAL");
	});

	test("into a bitmap that is too short is EFAULT and loses nothing", () => {
		const vm = logging(65);
		vm.store(0, 1);
		expect(vm.log.getDirtyLog(0, new Uint8Array(8))).toBe("EFAULT");
		expect(vm.dirty(0)).toEqual([1]);
	});
});

describe("the bitmap", () => {
	test("is kept by a move that goes on logging, relative to the slot", () => {
		const vm = logging(10);
		vm.store(0, 2, 7);
		expect(vm.set(0, 1, 0x100000, 10 * PAGE)).toBe(0);
		expect(vm.dirty(0)).toEqual([2, 7]);
	});

	test("is kept by a call that changes nothing", () => {
		const vm = logging(10);
		vm.store(0, 2);
		vm.set(0, 1, 0, 10 * PAGE);
		expect(vm.dirty(0)).toEqual([2]);
	});

	test("is fresh after LOG was off", () => {
		const vm = logging(10);
		vm.store(0, 2);
		vm.set(0, 0, 0, 10 * PAGE);
		expect(vm.table()[0]?.dirty).toBe(0);
		vm.set(0, 1, 0, 10 * PAGE);
		expect(vm.dirty(0)).toEqual([]);
	});

	test("is gone after a move without LOG", () => {
		const vm = logging(10);
		vm.set(0, 0, 0x100000, 10 * PAGE);
		expect(vm.dirty(0)).toBe("ENOENT");
	});

	test("switched on and off for ever takes no more memory", () => {
		const vm = logging(10_000);
		const { size } = vm.memory;
		for (let i = 0; i < 2000; i++) expect(vm.set(0, i & 1, 0, 10_000 * PAGE)).toBe(0);
		expect(vm.memory.size).toBe(size);
	});

	test("of slots that move, come and go takes no more memory either", () => {
		const vm = logging(10_000);
		const { size } = vm.memory;
		for (let i = 0; i < 2000; i++) {
			expect(vm.set(0, i & 1, (i & 1) * 0x1000_0000, 10_000 * PAGE)).toBe(0);
			expect(vm.set(1, 1, 0x4000_0000, 10_000 * PAGE)).toBe(0);
			expect(vm.set(1, 0, 0, 0)).toBe(0);
		}
		expect(vm.memory.size - size).toBeLessThan(0x2_0000);
	});

	test("marks stores of the hypervisor's own, but none in a readonly slot", () => {
		const vm = logging(10);
		vm.set(1, 3, 0x100000, 4 * PAGE);
		for (const address of [3 * PAGE + 17, 0x100000]) {
			const slot = vm.slots.find(address);
			if (slot !== undefined) vm.slots.markDirty(slot, address);
		}
		expect(vm.dirty(0)).toEqual([3]);
		expect(vm.dirty(1)).toEqual([]);
	});
});

describe("KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2", () => {
	test.each<[bigint, KvmResult]>([
		[0n, 0],
		[1n, 0],
		[2n, "EINVAL"],
		[3n, 0],
		[4n, "EINVAL"],
		[7n, "EINVAL"],
		[1n << 32n, "EINVAL"],
	])("args[0] = %d", (value, result) => {
		expect(new Slots().log.enableManualProtect(value)).toBe(result);
	});

	test("manual: GET neither clears nor protects, CLEAR does both", () => {
		const vm = logging(64, 1n);
		vm.store(0, 3, 9);
		vm.changes.length = 0;
		expect(vm.dirty(0)).toEqual([3, 9]);
		expect(vm.dirty(0)).toEqual([3, 9]);
		expect(vm.changes).toEqual([]);
		expect(vm.clear(0, 64, 0, [3, 4])).toBe(0);
		expect(vm.dirty(0)).toEqual([9]);
		expect(vm.changes).toEqual([{ kind: "protect", addressSpace: 0, first: 3 * PAGE, last: 4 * PAGE - 1 }]);
	});

	test("switched off again: GET clears", () => {
		const vm = logging(10, 1n);
		vm.log.enableManualProtect(0n);
		vm.store(0, 1);
		expect(vm.dirty(0)).toEqual([1]);
		expect(vm.dirty(0)).toEqual([]);
	});

	test.each([1, 3])("initially set: a new bitmap with flags %d is all ones, up to the last page", (flags) => {
		expect(logging(130, 3n, flags).dirty(0)).toEqual(range(0, 130));
	});

	test("initially set: also when LOG goes on again, but not for a bitmap that was there before", () => {
		const vm = logging(10);
		vm.log.enableManualProtect(3n);
		expect(vm.dirty(0)).toEqual([]);
		vm.set(0, 0, 0, 10 * PAGE);
		vm.set(0, 1, 0, 10 * PAGE);
		expect(vm.dirty(0)).toEqual(range(0, 10));
	});

	test("initially set: a move keeps what was cleared", () => {
		const vm = logging(10, 3n);
		vm.clear(0, 10, 0, [0, 1, 2]);
		vm.set(0, 1, 0x100000, 10 * PAGE);
		expect(vm.dirty(0)).toEqual(range(3, 10));
	});

	test("initially set, then only manual: later slots start clean", () => {
		const vm = logging(10, 3n);
		vm.log.enableManualProtect(1n);
		vm.set(1, 1, 0x100000, 10 * PAGE);
		expect(vm.dirty(1)).toEqual([]);
		expect(vm.dirty(0)).toEqual(range(0, 10));
	});
});

describe("KVM_CLEAR_DIRTY_LOG on 100 pages", () => {
	const good: [number, number][] = [
		[64, 0],
		[100, 0],
		[36, 64],
		[0, 0],
		[0, 64],
	];
	test.each(good)("%d pages from %d: allowed, in either mode", (numPages, firstPage) => {
		expect(logging(100, 0n).clear(0, numPages, firstPage)).toBe(0);
		expect(logging(100, 1n).clear(0, numPages, firstPage)).toBe(0);
	});

	const bad: [number, number | bigint][] = [
		[63, 0],
		[65, 0],
		[128, 0],
		[101, 0],
		[37, 64],
		[35, 64],
		[64, 64],
		[64, 1],
		[64, 32],
		[1, 100],
		[0, 100],
		[0, 128],
		[64, 1n << 63n],
		[0xffff_ffff, 0],
	];
	test.each(bad)("%d pages from %d: EINVAL", (numPages, firstPage) => {
		const vm = logging(100, 3n);
		expect(vm.clear(0, numPages, firstPage, [0, 1, 2])).toBe("EINVAL");
		expect(vm.dirty(0)).toEqual(range(0, 100));
	});

	test("clears what the bitmap names, counted from the first page", () => {
		const vm = logging(100, 3n);
		expect(vm.clear(0, 36, 64, [0, 35])).toBe(0);
		expect(vm.dirty(0)).toEqual([...range(0, 64), ...range(65, 99)]);
	});

	test("ignores bits beyond the slot's end and clears nothing for 0 pages", () => {
		const vm = logging(10, 3n);
		expect(vm.clear(0, 10, 0, [9, 10, 11, 63])).toBe(0);
		expect(vm.clear(0, 0, 0, [0, 1])).toBe(0);
		expect(vm.dirty(0)).toEqual(range(0, 9));
	});

	test("with a bitmap that is too short is EFAULT, but alignment counts first", () => {
		const vm = logging(100);
		expect(vm.clear(0, 100, 0, [], 8)).toBe("EFAULT");
		expect(vm.clear(0, 64, 1, [], 0)).toBe("EINVAL");
	});

	test("of a slot that is missing or does not log is ENOENT, of an impossible one EINVAL", () => {
		const vm = new Slots();
		expect(vm.clear(0, 64, 0)).toBe("ENOENT");
		expect(vm.clear(0, 64, 1)).toBe("EINVAL");
		expect(vm.clear(32764, 64, 0)).toBe("EINVAL");
		vm.set(0, 0, 0, 64 * PAGE);
		expect(vm.clear(0, 64, 0)).toBe("ENOENT");
	});
});
