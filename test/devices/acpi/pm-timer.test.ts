import fc from "fast-check";
import { expect, test } from "vitest";
import { ManualClock } from "../../../src/bus/clock.ts";
import { PM_TIMER_HZ, PmTimer, pmTimerCounts, pmTimerDeadline } from "../../../src/devices/acpi/pm-timer.ts";

test("counts are exact for every guest time", () => {
	fc.assert(
		fc.property(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), (ns) => {
			expect(BigInt(pmTimerCounts(ns))).toBe((BigInt(ns) * BigInt(PM_TIMER_HZ)) / 1_000_000_000n);
		}),
	);
});

test("the deadline of a count is the first nanosecond that shows it", () => {
	fc.assert(
		fc.property(fc.integer({ min: 1, max: 2 ** 44 }), (counts) => {
			const deadline = pmTimerDeadline(counts);
			expect(pmTimerCounts(deadline)).toBe(counts);
			expect(pmTimerCounts(deadline - 1)).toBe(counts - 1);
		}),
	);
});

test("the register shows 24 bits: 2^24 counts later it reads the same", () => {
	const clock = new ManualClock();
	const timer = new PmTimer(clock);
	clock.advance(pmTimerDeadline(5));
	expect(timer.value).toBe(5);
	clock.advance(pmTimerDeadline(5 + 2 ** 24) - pmTimerDeadline(5));
	expect([timer.value, timer.counts]).toEqual([5, 5 + 2 ** 24]);
});
