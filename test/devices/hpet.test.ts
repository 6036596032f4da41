import { beforeEach, describe, expect, test } from "vitest";
import { ManualClock } from "../../src/bus/clock.ts";
import { Hpet } from "../../src/devices/hpet.ts";
import { deviceContract } from "../support/device-contract.ts";
import { RecordedLine } from "../support/lines.ts";

const [CONFIGURATION, STATUS, COUNTER, COUNTER_HIGH] = [0x10, 0x20, 0xf0, 0xf4] as const;
const timer = (n: number) => 0x100 + 0x20 * n;
const comparator = (n: number) => 0x108 + 0x20 * n;
const [RUN, LEGACY] = [1, 2] as const;
const [LEVEL, ENABLE, PERIODIC, SET, NARROW, PIN_2] = [2, 4, 8, 0x40, 0x100, 2 << 9] as const;

function create() {
	const clock = new ManualClock();
	const lines = { timer: new RecordedLine(), rtc: new RecordedLine(), pin: new RecordedLine() };
	return { device: new Hpet({ clock, lines }), clock, lines, irqs: Object.values(lines) };
}

deviceContract("hpet", create, { span: 0x200, offsets: Array.from({ length: 0x58 }, (_, i) => i * 4) });

describe("hpet", () => {
	let hpet: Hpet;
	let clock: ManualClock;
	let lines: ReturnType<typeof create>["lines"];
	const set = (offset: number, value: number) => hpet.write(offset, 4, value);

	beforeEach(() => {
		({ device: hpet, clock, lines } = create());
	});

	test("tells what it is: three 64-bit timers at 100 MHz that reach input 2", () => {
		expect([hpet.read(0), hpet.read(4)]).toEqual([0x8086a201, 10_000_000]);
		expect([0, 1, 2, 3].map((n) => [hpet.read(timer(n)), hpet.read(timer(n) + 4)])).toEqual([
			[0x30, 4],
			[0x30, 4],
			[0x30, 4],
			[0, 0],
		]);
	});

	test("the counter stands until it is started, goes on from what was written, and stops", () => {
		clock.advance(1000);
		set(COUNTER, 0xffff_fff0);
		set(COUNTER_HIGH, 5);
		expect(hpet.read(COUNTER)).toBe(0xffff_fff0);
		set(CONFIGURATION, RUN);
		clock.advance(320);
		expect([hpet.read(COUNTER), hpet.read(COUNTER_HIGH)]).toEqual([16, 6]);
		set(COUNTER, 0);
		expect(hpet.read(COUNTER)).toBe(16);
		set(CONFIGURATION, 0);
		clock.advance(1000);
		expect(hpet.read(COUNTER)).toBe(16);
	});

	test("a one-shot timer interrupts once when the counter reaches its comparator", () => {
		set(CONFIGURATION, RUN);
		set(timer(0), ENABLE | PIN_2);
		set(comparator(0), 1000);
		set(comparator(0) + 4, 0);
		clock.advance(9_999);
		expect(lines.pin.asserted).toBe(false);
		clock.advance(1);
		expect(lines.pin.asserted).toBe(true);
		set(timer(0), PIN_2);
		expect(lines.pin.asserted).toBe(false);
	});

	test("a periodic timer starts at the value set and repeats with the period", () => {
		set(CONFIGURATION, RUN | LEGACY);
		set(timer(0), ENABLE | PERIODIC | SET);
		set(comparator(0), 5000);
		set(comparator(0), 2000);
		set(comparator(0) + 4, 0);
		set(timer(0), ENABLE | PERIODIC | NARROW);
		const rises: number[] = [];
		for (let ns = 0; ns < 120_000; ns += 10) {
			const before = lines.timer.rises;
			clock.advance(10);
			if (lines.timer.rises !== before) rises.push(clock.now());
		}
		expect(rises).toEqual([50_000, 70_000, 90_000, 110_000]);
	});

	test("a level-triggered timer holds its line until its status is cleared", () => {
		set(CONFIGURATION, RUN);
		set(timer(1), ENABLE | LEVEL | PIN_2);
		set(comparator(1), 100);
		set(comparator(1) + 4, 0);
		clock.advance(1000);
		expect([lines.pin.asserted, hpet.read(STATUS)]).toEqual([true, 2]);
		set(STATUS, 1);
		expect(lines.pin.asserted).toBe(true);
		set(STATUS, 2);
		expect([lines.pin.asserted, hpet.read(STATUS)]).toEqual([false, 0]);
	});

	test("legacy replacement silences the PIT and the clock, and gives their levels back", () => {
		hpet.pit.set(true);
		hpet.rtc.set(true);
		expect([lines.timer.asserted, lines.rtc.asserted]).toEqual([true, true]);
		set(CONFIGURATION, LEGACY);
		expect([lines.timer.asserted, lines.rtc.asserted]).toEqual([false, false]);
		set(CONFIGURATION, 0);
		expect([lines.timer.asserted, lines.rtc.asserted]).toEqual([true, true]);
	});

	test("in legacy replacement timer 1 has the clock's interrupt, and timer 2 its own", () => {
		set(CONFIGURATION, RUN | LEGACY);
		for (const n of [1, 2]) {
			set(timer(n), ENABLE | PIN_2);
			set(comparator(n), 100 * n);
			set(comparator(n) + 4, 0);
		}
		clock.advance(1000);
		expect([lines.rtc.asserted, lines.pin.asserted]).toEqual([true, false]);
		clock.advance(1000);
		expect(lines.pin.asserted).toBe(true);
	});

	test("a timer of 32 bits matches again after the counter's low half has come round", () => {
		set(CONFIGURATION, RUN | LEGACY);
		set(timer(0), ENABLE | NARROW);
		set(comparator(0), 10);
		clock.advance(100);
		expect(lines.timer.rises).toBe(1);
		clock.advance(2 ** 32 * 10);
		expect(lines.timer.rises).toBe(2);
	});

	test("a period of no length to speak of does not stop time", () => {
		set(CONFIGURATION, RUN | LEGACY);
		set(timer(0), ENABLE | PERIODIC | SET);
		set(comparator(0), 1);
		set(comparator(0) + 4, 0);
		clock.advance(1_000_000);
		expect(lines.timer.rises).toBeLessThanOrEqual(1000);
		expect(lines.timer.rises).toBeGreaterThan(900);
	});
});
