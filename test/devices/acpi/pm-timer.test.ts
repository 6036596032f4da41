import fc from "fast-check";
import { expect, test } from "vitest";
import { ManualClock } from "../../../src/bus/clock.ts";
import { PmTimer } from "../../../src/devices/acpi/pm-timer.ts";

const HZ = 3_579_545n;

function at(ns: number): PmTimer {
	const clock = new ManualClock();
	clock.advance(ns);
	return new PmTimer(clock);
}

test("counts are exact for every guest time", () => {
	fc.assert(
		fc.property(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), (ns) => {
			const counts = (BigInt(ns) * HZ) / 1_000_000_000n;
			expect([BigInt(at(ns).counts), BigInt(at(ns).value)]).toEqual([counts, counts & 0xff_ffffn]);
		}),
	);
});

test("the deadline of a count is the first nanosecond that shows it", () => {
	fc.assert(
		fc.property(fc.integer({ min: 1, max: 2 ** 44 }), (count) => {
			const deadline = at(0).deadline(count);
			expect([at(deadline - 1).counts, at(deadline).counts]).toEqual([count - 1, count]);
		}),
	);
});

test("the register wraps after 24 bits, and the carry comes at every half of that", () => {
	const deadline = at(0).deadline(2 ** 24 + 5);
	expect([at(deadline).value, at(deadline).counts, at(deadline).nextCarry]).toEqual([
		5,
		2 ** 24 + 5,
		2 ** 24 + 2 ** 23,
	]);
});
