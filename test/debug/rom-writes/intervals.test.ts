import fc from "fast-check";
import { expect, test } from "vitest";
import { Intervals } from "../../../src/debug/rom-writes/intervals.ts";

const plain = ({ items }: Intervals): number[][] => items.map(({ first, last, count }) => [first, last, count]);

test("what touches or overlaps becomes one interval", () => {
	const intervals = new Intervals(8);
	intervals.add(10, 2);
	intervals.add(20, 2);
	expect(plain(intervals)).toEqual([
		[10, 11, 1],
		[20, 21, 1],
	]);
	intervals.add(12, 8);
	expect(plain(intervals)).toEqual([[10, 21, 3]]);
});

test("a range that goes down, and one within", () => {
	const intervals = new Intervals(8);
	for (const at of [16, 12, 8, 9]) intervals.add(at, 4);
	expect(plain(intervals)).toEqual([[8, 19, 4]]);
});

test("where there would be too many, the nearest two are joined, and it is said", () => {
	const intervals = new Intervals(3);
	for (const at of [0, 100, 150]) intervals.add(at, 1);
	expect(intervals.joined).toBe(false);
	intervals.add(400, 1);
	expect([plain(intervals), intervals.joined]).toEqual([
		[
			[0, 0, 1],
			[100, 150, 2],
			[400, 400, 1],
		],
		true,
	]);
});

test("every address is in an interval, none twice, and none is counted twice, whatever comes", () => {
	const store = fc.tuple(fc.nat(300), fc.integer({ min: 1, max: 20 }));
	fc.assert(
		fc.property(fc.array(store, { maxLength: 60 }), fc.integer({ min: 1, max: 6 }), (stores, most) => {
			const intervals = new Intervals(most);
			for (const [first, size] of stores) intervals.add(first, size);
			const { items, joined } = intervals;
			expect(items.length).toBeLessThanOrEqual(most);
			items.forEach(({ first, last }, n) => {
				expect(first).toBeLessThanOrEqual(last);
				if (n > 0) expect(first).toBeGreaterThan(items[n - 1]!.last + 1);
			});
			expect(items.reduce((sum, { count }) => sum + count, 0)).toBe(stores.length);
			const hit = new Set(stores.flatMap(([first, size]) => Array.from({ length: size }, (_, n) => first + n)));
			const covered = items.reduce((sum, { first, last }) => sum + last - first + 1, 0);
			for (const at of hit) expect(items.some(({ first, last }) => first <= at && at <= last)).toBe(true);
			if (!joined) expect(covered).toBe(hit.size);
		}),
	);
});
