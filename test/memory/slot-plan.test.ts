import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { gpa } from "../../src/base/gpa.ts";
import { render } from "../../src/memory/flat-view.ts";
import { Region, type RegionBody } from "../../src/memory/region.ts";
import { diffPlans, type SlotPlan, SlotPlanner } from "../../src/memory/slot-plan.ts";
import { Topology } from "../../src/memory/topology.ts";

const HOST = 0x7f00_0000_0000n;

function plans(parts: readonly [offset: number, size: number, body: RegionBody][], splits: bigint[] = []): string[] {
	const topology = new Topology();
	const root = new Region(topology, "root", 0x100000, { kind: "container" });
	for (const [offset, size, body] of parts) root.add(new Region(topology, `at-${offset}`, size, body), offset);
	return new SlotPlanner(splits).plan(render(root)).map(show);
}

function show(plan: SlotPlan): string {
	const first = plan.guestPhysAddr.toString(16);
	const host = (plan.userspaceAddr - HOST).toString(16);
	return `${first}+${plan.memorySize.toString(16)} host ${host}${plan.readonly ? " readonly" : ""}`;
}

const ram: RegionBody = { kind: "ram", userspaceAddr: HOST };
const rom: RegionBody = { kind: "rom", userspaceAddr: HOST };
const romd: RegionBody = { kind: "romd", userspaceAddr: HOST };

describe("the slots of a flat view", () => {
	test("ram is writable, rom and romd in array mode are readonly, the rest has none", () => {
		const parts: [number, number, RegionBody][] = [
			[0, 0x1000, ram],
			[0x1000, 0x1000, rom],
			[0x2000, 0x1000, romd],
			[0x3000, 0x1000, { kind: "mmio" }],
			[0x4000, 0x1000, { kind: "reserved" }],
		];
		expect(plans(parts)).toEqual(["0+1000 host 0", "1000+1000 host 0 readonly", "2000+1000 host 0 readonly"]);
	});

	test("romd in command mode and ram seen through a readonly alias", () => {
		const topology = new Topology();
		const root = new Region(topology, "root", 0x10000, { kind: "container" });
		const flash = new Region(topology, "flash", 0x1000, romd);
		const target = new Region(topology, "ram", 0x4000, ram);
		root.add(flash, 0);
		root.add(new Region(topology, "pam", 0x1000, { kind: "alias", target, offset: 0x3000n, readonly: true }), 0x8000);
		flash.setDirect(false);
		expect(new SlotPlanner().plan(render(root)).map(show)).toEqual(["8000+1000 host 3000 readonly"]);
	});

	test("ranges shrink to whole pages, and vanish when nothing is left", () => {
		expect(plans([[0x800, 0x2000, { kind: "ram", userspaceAddr: HOST + 0x800n }]])).toEqual(["1000+1000 host 1000"]);
		expect(plans([[0x800, 0x1000, { kind: "ram", userspaceAddr: HOST + 0x800n }]])).toEqual([]);
	});

	test("memory that lies across the guest's page boundaries has no slot", () => {
		expect(plans([[0x1000, 0x2000, { kind: "ram", userspaceAddr: HOST + 0x10n }]])).toEqual([]);
	});

	test("no slot crosses a split", () => {
		expect(plans([[0, 0x8000, ram]], [0n, 0x2000n, 0x3000n, 0x8000n, 0x9000n])).toEqual([
			"0+2000 host 0",
			"2000+1000 host 2000",
			"3000+5000 host 3000",
		]);
	});
});

describe("the difference of two plans", () => {
	const slot = (page: number, pages: number, readonly: boolean): SlotPlan => ({
		guestPhysAddr: gpa(page * 4096),
		memorySize: BigInt(pages * 4096),
		userspaceAddr: HOST + BigInt(page * 4096),
		readonly,
	});

	test("equal plans differ in nothing", () => {
		expect(diffPlans([slot(0, 4, false)], [slot(0, 4, false)])).toEqual({ remove: [], add: [] });
	});

	test("a slot that becomes readonly is removed and added", () => {
		const change = diffPlans([slot(0, 4, false), slot(8, 1, false)], [slot(0, 4, true), slot(8, 1, false)]);
		expect(change).toEqual({ remove: [slot(0, 4, false)], add: [slot(0, 4, true)] });
	});

	test("removals, then additions lead from any plan to any other", () => {
		const plan = fc
			.array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.boolean(), fc.boolean()), { maxLength: 12 })
			.map((parts) => {
				let page = 0;
				const slots: SlotPlan[] = [];
				for (const [pages, present, readonly] of parts) {
					if (present) slots.push(slot(page, pages, readonly));
					page += pages;
				}
				return slots;
			});
		fc.assert(
			fc.property(plan, plan, (before, after) => {
				const { remove, add } = diffPlans(before, after);
				const kept = before.filter((each) => !remove.includes(each));
				const reached = [...kept, ...add].sort((a, b) => Number(a.guestPhysAddr - b.guestPhysAddr));
				expect(reached).toEqual(after);
				expect(remove.every((each) => before.includes(each))).toBe(true);
			}),
		);
	});
});
