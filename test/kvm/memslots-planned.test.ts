import { describe, expect, test } from "vitest";
import { gpa } from "../../src/base/gpa.ts";
import { PlannedSlots } from "../../src/kvm/memslots-planned.ts";
import type { SlotPlan } from "../../src/memory/slot-plan.ts";
import { PAGE, Slots } from "./support.ts";

function planned() {
	const vm = new Slots({ addressSpaces: 2 });
	const slot = (page: number, pages: number, readonly = false): SlotPlan => ({
		guestPhysAddr: gpa(page * PAGE),
		memorySize: BigInt(pages * PAGE),
		userspaceAddr: vm.buffer.userspaceAddr,
		readonly,
	});
	return { vm, slot, slots: new PlannedSlots(vm.slots) };
}

describe("slots that follow a plan", () => {
	test("are created with their flags", () => {
		const { vm, slot, slots } = planned();
		slots.apply([slot(0, 4), slot(8, 2, true)]);
		expect(vm.map()).toEqual(["0:0+4", "1:8+2"]);
		expect(vm.table().map(({ flags }) => flags)).toEqual([0, 2]);
	});

	test("an equal plan changes nothing", () => {
		const { vm, slot, slots } = planned();
		slots.apply([slot(0, 4), slot(8, 2, true)]);
		const before = vm.changes.length;
		slots.apply([slot(0, 4), slot(8, 2, true)]);
		expect(vm.changes.length).toBe(before);
	});

	test("only what differs is deleted and created, in that order, and ids are used again", () => {
		const { vm, slot, slots } = planned();
		slots.apply([slot(0, 4), slot(4, 4), slot(8, 4)]);
		vm.changes.length = 0;
		slots.apply([slot(0, 4), slot(3 + 1, 2, true), slot(6, 2), slot(8, 4)]);
		expect(vm.changes.map(({ kind, first }) => `${kind} ${first / PAGE}`)).toEqual([
			"delete 4",
			"create 4",
			"create 6",
		]);
		expect(vm.map()).toEqual(["0:0+4", "1:4+2", "3:6+2", "2:8+4"]);
	});

	test("an empty plan deletes all", () => {
		const { vm, slot, slots } = planned();
		slots.apply([slot(0, 4), slot(8, 2, true)]);
		slots.apply([]);
		expect(vm.map()).toEqual([]);
	});

	test("of another address space are there", () => {
		const { vm, slot } = planned();
		new PlannedSlots(vm.slots, { addressSpace: 1 }).apply([slot(0, 4)]);
		expect(vm.map()).toEqual([]);
		expect(vm.slots.list(1).map((each) => each.slot)).toEqual([0x10000]);
	});
});
