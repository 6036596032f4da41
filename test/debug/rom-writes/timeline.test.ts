import { expect, test } from "vitest";
import { Timeline } from "../../../src/debug/rom-writes/timeline.ts";

test("counts by slot, and nothing behind the last one", () => {
	const timeline = new Timeline(8);
	for (const ns of [0, 999, 1000, 3500]) timeline.add(ns);
	expect([timeline.width, timeline.slots()]).toEqual([1000, [2, 1, 0, 1]]);
});

test("slots get wider so that a later time fits, and keep their counts", () => {
	const timeline = new Timeline(8);
	for (const ns of [0, 1000, 2000, 7000]) timeline.add(ns);
	timeline.add(20_000);
	expect([timeline.width, timeline.slots()]).toEqual([4000, [3, 1, 0, 0, 0, 1]]);
	timeline.add(3600e9);
	expect(timeline.slots().reduce((sum, count) => sum + count)).toBe(6);
	expect(timeline.slots().length).toBeLessThanOrEqual(8);
});
