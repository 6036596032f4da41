import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { KvmResult } from "../../src/kvm/errno.ts";
import { GENERATION_UPDATING } from "../../src/kvm/memslots.ts";
import { PAGE, Slots } from "./support.ts";

const HVA = 0x7f00_0000_0000n;

describe("a call on a fresh VM, as Linux answers it", () => {
	type Call = [title: string, slot: number, flags: number, gpa: bigint, size: bigint, hva: bigint, result: KvmResult];
	const P = BigInt(PAGE);
	const calls: Call[] = [
		["aligned create", 0, 0, 0n, 4n * P, HVA, 0],
		["size P+1", 0, 0, 0n, P + 1n, HVA, "EINVAL"],
		["size 1", 0, 0, 0n, 1n, HVA, "EINVAL"],
		["gpa 1", 0, 0, 1n, P, HVA, "EINVAL"],
		["gpa 0x200", 0, 0, 0x200n, P, HVA, "EINVAL"],
		["hva +1", 0, 0, 0n, P, HVA + 1n, "EINVAL"],
		["hva +512", 0, 0, 0n, P, HVA + 512n, "EINVAL"],
		["hva 0", 0, 0, 0n, P, 0n, 0],
		["hva unmapped", 0, 0, 0n, P, 0x10000n, 0],
		["the last page of the user half", 0, 0, 0n, P, 0x7fff_ffff_e000n, 0],
		["one page beyond the user half", 0, 0, 0n, 2n * P, 0x7fff_ffff_e000n, "EINVAL"],
		["the first page beyond the user half", 0, 0, 0n, P, 0x7fff_ffff_f000n, "EINVAL"],
		["non-canonical hva", 0, 0, 0n, P, 0x8000_0000_0000n, "EINVAL"],
		["kernel hva", 0, 0, 0n, P, 0xffff_8000_0000_0000n, "EINVAL"],
		["tagged hva", 0, 0, 0n, P, (1n << 62n) | HVA, "EINVAL"],
		["hva that wraps", 0, 0, 0n, 2n * P, 0xffff_ffff_ffff_f000n, "EINVAL"],
		["size 0, slot missing", 0, 0, 0n, 0n, HVA, "EINVAL"],
		["size 0, slot missing, other flags, gpa and hva", 0, 1, 0x5000n, 0n, 0n, "EINVAL"],
		["flags LOG", 0, 1, 0n, P, HVA, 0],
		["flags READONLY", 0, 2, 0n, P, HVA, 0],
		["flags LOG and READONLY", 0, 3, 0n, P, HVA, 0],
		["flags bit 2, guest memfd", 0, 4, 0n, P, HVA, "EINVAL"],
		["flags bit 3", 0, 8, 0n, P, HVA, "EINVAL"],
		["flags bit 15", 0, 1 << 15, 0n, P, HVA, "EINVAL"],
		["flags bit 16", 0, 1 << 16, 0n, P, HVA, "EINVAL"],
		["flags bit 31", 0, 2 ** 31, 0n, P, HVA, "EINVAL"],
		["the last slot", 32763, 0, 0n, P, HVA, 0],
		["one slot too many", 32764, 0, 0n, P, HVA, "EINVAL"],
		["slot 32767", 32767, 0, 0n, P, HVA, "EINVAL"],
		["slot 0x8000", 0x8000, 0, 0n, P, HVA, "EINVAL"],
		["slot 0xffffffff", 0xffff_ffff, 0, 0n, P, HVA, "EINVAL"],
		["an address space too many", 0x10000, 0, 0n, P, HVA, "EINVAL"],
		["an address space too many, size 0", 0x10000, 0, 0n, 0n, HVA, "EINVAL"],
		["gpa 2^46-P", 0, 0, (1n << 46n) - P, P, HVA, 0],
		["gpa 2^51", 0, 0, 1n << 51n, P, HVA, 0],
		["gpa 2^52-P", 0, 0, (1n << 52n) - P, P, HVA, 0],
		["a slot across 2^52", 0, 0, (1n << 52n) - P, 2n * P, HVA, "EINVAL"],
		["gpa 2^52", 0, 0, 1n << 52n, P, HVA, "EINVAL"],
		["gpa 2^63", 0, 0, 1n << 63n, P, HVA, "EINVAL"],
		["an end at 2^64", 0, 0, (1n << 64n) - P, P, HVA, "EINVAL"],
		["gpa that wraps", 0, 0, (1n << 64n) - P, 2n * P, HVA, "EINVAL"],
		["size 2^40", 0, 0, 0n, 1n << 40n, 0n, 0],
		["size 2^43-P", 0, 0, 0n, (1n << 43n) - P, 0n, 0],
		["size 2^43", 0, 0, 0n, 1n << 43n, 0n, "EINVAL"],
		["size 2^44", 0, 0, 0n, 1n << 44n, 0n, "EINVAL"],
		["size 2^46", 0, 0, 0n, 1n << 46n, 0n, "EINVAL"],
		["size 2^47", 0, 0, 0n, 1n << 47n, 0n, "EINVAL"],
		["size 2^63", 0, 0, 0n, 1n << 63n, 0n, "EINVAL"],
		["size 2^64-P", 0, 0, 0n, (1n << 64n) - P, 0n, "EINVAL"],
	];
	test.each(calls)("%s", (_title, slot, flags, gpa, size, hva, result) => {
		const vm = new Slots();
		expect(vm.set(slot, flags, gpa, size, hva)).toBe(result);
		expect(vm.map().length).toBe(result === 0 ? 1 : 0);
	});
});

describe("a second slot, beside slot 0 at pages 16 to 19", () => {
	test.each<[string, number, number, KvmResult]>([
		["identical", 16, 4, "EEXIST"],
		["head", 15, 2, "EEXIST"],
		["tail", 19, 2, "EEXIST"],
		["inside", 17, 1, "EEXIST"],
		["superset", 8, 32, "EEXIST"],
		["adjacent below", 12, 4, 0],
		["adjacent above", 20, 4, 0],
	])("%s", (_title, page, pages, result) => {
		const vm = new Slots();
		vm.set(0, 0, 16 * PAGE, 4 * PAGE);
		expect(vm.set(1, 0, page * PAGE, pages * PAGE)).toBe(result);
		expect(vm.map().length).toBe(result === 0 ? 2 : 1);
	});

	test("may use the same host memory", () => {
		const vm = new Slots();
		vm.set(0, 0, 0, 4 * PAGE);
		expect(vm.set(1, 0, 4 * PAGE, 4 * PAGE)).toBe(0);
		expect(vm.set(2, 0, 8 * PAGE, 4 * PAGE, HVA + 0x1000n)).toBe(0);
	});

	test("with an overlap and a bad flag is EINVAL: flags come first", () => {
		const vm = new Slots();
		vm.set(0, 0, 0, PAGE);
		expect(vm.set(1, 8, 0, PAGE)).toBe("EINVAL");
	});
});

describe("deleting", () => {
	test("works once, whatever gpa, hva and known flags the call names", () => {
		const vm = new Slots();
		vm.set(0, 0, 0, PAGE);
		expect(vm.set(0, 1, (1n << 64n) - 4096n, 0, 0)).toBe(0);
		expect(vm.set(0, 0, 0, 0)).toBe("EINVAL");
		expect(vm.map()).toEqual([]);
	});

	test.each<[string, number, number, number]>([
		["unaligned gpa", 0, 1, 0],
		["unaligned hva", 0, 0, 1],
		["unknown flag", 8, 0, 0],
	])("with %s is EINVAL and the slot stays", (_title, flags, gpa, hva) => {
		const vm = new Slots();
		vm.set(0, 0, 0, PAGE);
		expect(vm.set(0, flags, gpa, 0, hva)).toBe("EINVAL");
		expect(vm.map()).toEqual(["0:0+1"]);
	});
});

describe("an existing slot of pages 0 to 3", () => {
	function existing(flags: number): Slots {
		const vm = new Slots();
		vm.set(0, flags, 0, 4 * PAGE);
		vm.set(1, 0, 32 * PAGE, 4 * PAGE);
		return vm;
	}

	test.each([0, 2])("called again with the same arguments and flags %d: nothing changes", (flags) => {
		const vm = existing(flags);
		const before = vm.changes.length;
		expect(vm.set(0, flags, 0, 4 * PAGE)).toBe(0);
		expect(vm.changes.length).toBe(before);
	});

	test("moves, and its old place is free for another", () => {
		const vm = existing(0);
		expect(vm.set(0, 0, 8 * PAGE, 4 * PAGE)).toBe(0);
		expect(vm.set(2, 0, 0, 4 * PAGE)).toBe(0);
		expect(vm.map()).toEqual(["2:0+4", "0:8+4", "1:32+4"]);
	});

	test("moves onto its own old place", () => {
		const vm = existing(0);
		expect(vm.set(0, 0, 2 * PAGE, 4 * PAGE)).toBe(0);
		expect(vm.map()).toEqual(["0:2+4", "1:32+4"]);
	});

	test("does not move onto another, and its old place keeps working", () => {
		const vm = existing(0);
		expect(vm.set(0, 0, 30 * PAGE, 4 * PAGE)).toBe("EEXIST");
		expect(vm.map()).toEqual(["0:0+4", "1:32+4"]);
	});

	test("does not move beyond the physical addresses", () => {
		const vm = existing(0);
		expect(vm.set(0, 0, 2 ** 52, 4 * PAGE)).toBe("EINVAL");
		expect(vm.map()).toEqual(["0:0+4", "1:32+4"]);
	});

	test.each<[string, number, number, number, bigint, KvmResult]>([
		["another hva", 0, 0, 4, HVA + 0x1000n, "EINVAL"],
		["another hva with a move", 0, 8, 4, HVA + 0x1000n, "EINVAL"],
		["grow", 0, 0, 5, HVA, "EINVAL"],
		["shrink", 0, 0, 3, HVA, "EINVAL"],
		["grow onto another slot: size comes first", 0, 30, 5, HVA, "EINVAL"],
		["set LOG", 1, 0, 4, HVA, 0],
		["set READONLY", 2, 0, 4, HVA, "EINVAL"],
		["set READONLY and LOG", 3, 0, 4, HVA, "EINVAL"],
		["set READONLY with a move", 2, 8, 4, HVA, "EINVAL"],
		["set LOG with a move", 1, 8, 4, HVA, 0],
	])("without flags: %s", (_title, flags, page, pages, hva, result) => {
		const vm = existing(0);
		const before = vm.map();
		expect(vm.set(0, flags, page * PAGE, pages * PAGE, hva)).toBe(result);
		if (result !== 0) expect(vm.map()).toEqual(before);
		expect(vm.table().find(({ id }) => id === 0)?.flags).toBe(result === 0 ? flags : 0);
	});

	test.each<[string, number, number, number, KvmResult]>([
		["LOG: clear it", 1, 0, 0, 0],
		["LOG: move and keep it", 1, 1, 8, 0],
		["LOG: move and clear it", 1, 0, 8, 0],
		["READONLY: clear it", 2, 0, 0, "EINVAL"],
		["READONLY: swap it for LOG", 2, 1, 0, "EINVAL"],
		["READONLY: set LOG", 2, 3, 0, 0],
		["READONLY and LOG: clear LOG", 3, 2, 0, 0],
	])("with %s", (_title, before, flags, page, result) => {
		const vm = existing(before);
		expect(vm.set(0, flags, page * PAGE, 4 * PAGE)).toBe(result);
		expect(vm.table().find(({ id }) => id === 0)?.flags).toBe(result === 0 ? flags : before);
	});
});

describe("address spaces", () => {
	test("are apart: the same addresses and ids, other slots", () => {
		const vm = new Slots({ addressSpaces: 2 });
		expect(vm.set(0, 0, 0, 4 * PAGE)).toBe(0);
		expect(vm.set(0x10000, 0, 0, 8 * PAGE)).toBe(0);
		expect(vm.set(0x20000, 0, 0, PAGE)).toBe("EINVAL");
		expect(vm.slots.find(5 * PAGE)).toBeUndefined();
		expect(vm.slots.find(5 * PAGE, 1)?.slot).toBe(0x10000);
	});

	test("the processor sees the active one", () => {
		const vm = new Slots({ addressSpaces: 2 });
		vm.set(0, 0, 0, 4 * PAGE);
		vm.set(0x10001, 0, 0, 8 * PAGE);
		expect(vm.map()).toEqual(["0:0+4"]);
		vm.slots.activate(1);
		expect(vm.map()).toEqual([`${0x10001}:0+8`]);
		vm.set(0x10002, 0, 8 * PAGE, PAGE);
		vm.set(1, 0, 8 * PAGE, PAGE);
		expect(vm.map()).toEqual([`${0x10001}:0+8`, `${0x10002}:8+1`]);
		vm.slots.activate(0);
		expect(vm.map()).toEqual(["0:0+4", "1:8+1"]);
	});

	test("never share a generation", () => {
		const vm = new Slots({ addressSpaces: 2 });
		const seen = [vm.slots.generation(0), vm.slots.generation(1)];
		for (let i = 0; i < 5; i++) {
			vm.set(i, 0, i * PAGE, PAGE);
			seen.push(vm.slots.generation(0));
			vm.set(0x10000 + i, 0, i * PAGE, PAGE);
			seen.push(vm.slots.generation(1));
		}
		expect(new Set(seen).size).toBe(seen.length);
	});
});

describe("a change", () => {
	test("create: told once, with the slot in the table", () => {
		const vm = new Slots();
		const seen: string[][] = [];
		vm.slots.onSlotsChanged(() => seen.push(vm.map()));
		vm.set(0, 0, 4 * PAGE, 2 * PAGE);
		expect(vm.changes).toEqual([{ kind: "create", addressSpace: 0, first: 4 * PAGE, last: 6 * PAGE - 1 }]);
		expect(seen).toEqual([["0:4+2"]]);
	});

	test("move: the old place is empty before the new one appears", () => {
		const vm = new Slots();
		vm.set(0, 0, 0, 2 * PAGE);
		const seen: [string, string[]][] = [];
		vm.slots.onSlotsChanged(({ kind }) => seen.push([kind, vm.map()]));
		vm.set(0, 0, 8 * PAGE, 2 * PAGE);
		expect(seen).toEqual([
			["delete", []],
			["create", ["0:8+2"]],
		]);
		expect(vm.changes.slice(1)).toEqual([
			{ kind: "delete", addressSpace: 0, first: 0, last: 2 * PAGE - 1 },
			{ kind: "create", addressSpace: 0, first: 8 * PAGE, last: 10 * PAGE - 1 },
		]);
	});

	test("delete and move take two generations, others one, and bit 63 tells that an update is under way", () => {
		const vm = new Slots();
		const during: boolean[] = [];
		vm.slots.onSlotsChanged(() => during.push((vm.slots.generation() & GENERATION_UPDATING) !== 0n));
		const generations = [vm.slots.generation()];
		const calls: [number, number][] = [
			[0, PAGE],
			[8 * PAGE, PAGE],
			[8 * PAGE, 0],
		];
		for (const [gpa, size] of calls) {
			vm.set(0, 0, gpa, size);
			generations.push(vm.slots.generation());
		}
		expect(generations).toEqual([0n, 1n, 3n, 5n]);
		expect(during).toEqual([true, true, true, true]);
	});

	test("LOG on withdraws permission to write, LOG off does not have to", () => {
		const vm = new Slots();
		vm.set(0, 0, 0, 2 * PAGE);
		vm.set(0, 1, 0, 2 * PAGE);
		vm.set(0, 0, 0, 2 * PAGE);
		expect(vm.changes.map(({ kind }) => kind)).toEqual(["create", "protect", "flags"]);
	});

	test("a refused call changes neither the table nor the generation", () => {
		const vm = new Slots();
		vm.set(0, 0, 0, 2 * PAGE);
		const before = { generation: vm.slots.generation(), table: vm.table(), changes: vm.changes.length };
		vm.set(1, 0, PAGE, PAGE);
		vm.set(0, 2, 0, 2 * PAGE);
		expect({ generation: vm.slots.generation(), table: vm.table(), changes: vm.changes.length }).toEqual(before);
	});
});

describe("the memory behind a slot", () => {
	test("in one piece: the offset of its first byte", () => {
		const vm = new Slots();
		vm.set(0, 0, 16 * PAGE, 2 * PAGE, HVA + 0x3000n);
		expect(vm.table()[0]).toMatchObject({ host: vm.buffer.offset + 0x3000, pages: 0 });
		const slot = vm.slots.find(17 * PAGE + 5);
		expect(slot && vm.slots.hostOffset(slot, 17 * PAGE + 5)).toBe(vm.buffer.offset + 0x4005);
	});

	test("nowhere: no offset and no list, however large", () => {
		const vm = new Slots();
		vm.set(0, 0, 0, 1n << 40n, 0);
		expect(vm.table()[0]).toMatchObject({ host: 0, pages: 0 });
		const slot = vm.slots.find(PAGE);
		expect(slot && vm.slots.hostOffset(slot, PAGE)).toBe(0);
	});

	test("partly: a list of pages, 0 where there is none", () => {
		const vm = new Slots();
		vm.set(0, 0, 0, 4 * PAGE, HVA - 0x2000n);
		const [entry] = vm.table();
		expect(entry?.host).toBe(0);
		const pages = new Uint32Array(vm.memory.memory.buffer, entry?.pages, 4);
		expect([...pages]).toEqual([0, 0, vm.buffer.offset, vm.buffer.offset + 0x1000]);
		const slot = vm.slots.find(0);
		expect(slot && [0x1fff, 0x2001, 0x3fff].map((at) => vm.slots.hostOffset(slot, at))).toEqual([
			0,
			vm.buffer.offset + 1,
			vm.buffer.offset + 0x1fff,
		]);
	});

	test("more pages than the VM's memory can list is ENOMEM, and nothing is left behind", () => {
		const vm = new Slots();
		expect(vm.set(0, 0, 0, 1n << 42n, HVA + 0x1000n - (1n << 42n))).toBe("ENOMEM");
		expect(vm.map()).toEqual([]);
		expect(vm.set(0, 0, 0, PAGE)).toBe(0);
	});

	test("that appears later is bound later, and processors hear of it", () => {
		const vm = new Slots();
		// The next buffer begins 4 MiB above this one.
		vm.set(0, 0, 0, 4 * PAGE, HVA + 0x40_0000n);
		expect(vm.table()[0]?.host).toBe(0);
		const buffer = vm.backing.allocate(0x10000);
		expect(buffer.userspaceAddr).toBe(HVA + 0x40_0000n);
		expect(vm.table()[0]?.host).toBe(buffer.offset);
		expect(vm.changes.at(-1)).toEqual({ kind: "host", addressSpace: 0, first: 0, last: 4 * PAGE - 1 });
	});
});

describe("many slots", () => {
	const COUNT = 32764;
	const orders: [string, (i: number) => number][] = [
		["ascending", (i) => i],
		["descending", (i) => COUNT - 1 - i],
		["scattered", (i) => (i * 20011) % COUNT],
	];
	// Rewriting the table at every call takes more than ten seconds.
	test.each(orders)("%s: created at no quadratic cost, found, and deleted", (_title, order) => {
		const vm = new Slots();
		const started = process.cpuUsage();
		let failed = 0;
		for (let i = 0; i < COUNT; i++) if (vm.set(i, 0, order(i) * 2 * PAGE, PAGE) !== 0) failed++;
		const created = process.cpuUsage(started);
		expect(vm.set(COUNT, 0, 2 * COUNT * PAGE, PAGE)).toBe("EINVAL");
		const places = vm.table().map(({ first }) => first / PAGE);
		expect(places).toEqual(Array.from({ length: COUNT }, (_, i) => 2 * i));
		for (let i = 0; i < COUNT; i += 97) {
			expect(vm.slots.find(order(i) * 2 * PAGE + 5)?.slot).toBe(i);
			expect(vm.slots.find((order(i) * 2 + 1) * PAGE)).toBeUndefined();
		}
		for (let i = 0; i < COUNT; i++) vm.set(i, 0, 0, 0);
		expect(vm.map()).toEqual([]);
		expect(failed).toBe(0);
		expect(created.user + created.system).toBeLessThan(4e6);
	});
});

test("any sequence of calls leaves what a plain list of slots would hold", () => {
	const call = fc.record({
		id: fc.integer({ min: 0, max: 5 }),
		page: fc.integer({ min: 0, max: 15 }),
		pages: fc.integer({ min: 0, max: 4 }),
		flags: fc.integer({ min: 0, max: 3 }),
	});
	fc.assert(
		fc.property(fc.array(call, { maxLength: 60 }), (calls) => {
			const vm = new Slots();
			const model = new Map<number, { page: number; pages: number; flags: number }>();
			for (const { id, page, pages, flags } of calls) {
				const old = model.get(id);
				const others = [...model].filter(([other]) => other !== id);
				const hit = others.some(([, slot]) => slot.page < page + pages && page < slot.page + slot.pages);
				let expected: KvmResult = 0;
				if (pages === 0) {
					if (!model.delete(id)) expected = "EINVAL";
				} else if (old && (old.pages !== pages || ((old.flags ^ flags) & 2) !== 0)) expected = "EINVAL";
				else if (hit) expected = "EEXIST";
				else model.set(id, { page, pages, flags });
				expect(vm.set(id, flags, page * PAGE, pages * PAGE)).toBe(expected);
			}
			const sorted = [...model].sort(([, a], [, b]) => a.page - b.page);
			expect(vm.map()).toEqual(sorted.map(([id, { page, pages }]) => `${id}:${page}+${pages}`));
			for (const { id, flags, dirty } of vm.table()) {
				expect(flags).toBe(model.get(id)?.flags);
				expect(dirty !== 0).toBe((flags & 1) !== 0);
			}
		}),
		{ numRuns: 300 },
	);
});
