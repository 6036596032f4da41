import { beforeEach, describe, expect, test } from "vitest";
import { ManualClock } from "../../src/bus/clock.ts";
import { Rtc } from "../../src/devices/rtc.ts";
import { nextAlarm } from "../../src/devices/rtc-calendar.ts";
import { deviceContract } from "../support/device-contract.ts";
import { RecordedLine } from "../support/lines.ts";

const START = Date.UTC(1999, 11, 31, 23, 59, 58);
const SECOND = 1_000_000_000;
const MS = 1_000_000;

deviceContract(
	"rtc",
	() => {
		const clock = new ManualClock();
		const irq = new RecordedLine();
		return { device: new Rtc({ clock, irq, startUtcMs: START }), irqs: [irq], clock };
	},
	{ span: 2 },
);

describe("rtc", () => {
	let clock: ManualClock;
	let irq: RecordedLine;
	let rtc: Rtc;
	const get = (index: number) => {
		rtc.write(0, 1, index);
		return rtc.read(1);
	};
	const set = (index: number, value: number) => {
		rtc.write(0, 1, index);
		rtc.write(1, 1, value);
	};
	const time = () => [0x32, 0x09, 0x08, 0x07, 0x04, 0x02, 0x00].map(get);

	beforeEach(() => {
		clock = new ManualClock();
		irq = new RecordedLine();
		rtc = new Rtc({ clock, irq, startUtcMs: START });
	});

	test("time starts at the given date in BCD and 24 hours, and runs with the clock", () => {
		expect(time()).toEqual([0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x58]);
		expect(get(0x06)).toBe(6);
		clock.advance(2 * SECOND);
		expect(time()).toEqual([0x20, 0x00, 0x01, 0x01, 0x00, 0x00, 0x00]);
		expect(get(0x06)).toBe(7);
	});

	test("registers at power-on: 32 kHz divider, 24 hours, valid RAM", () => {
		expect([0x0a, 0x0b, 0x0c, 0x0d].map(get)).toEqual([0x26, 0x02, 0x00, 0x80]);
	});

	test("the index port reads as open bus and keeps the NMI mask", () => {
		rtc.write(0, 1, 0x8d);
		expect([rtc.read(0), rtc.nmiOff, rtc.read(1)]).toEqual([0xff, true, 0x80]);
	});

	test("binary and 12-hour formats", () => {
		set(0x0b, 0x06);
		expect(time()).toEqual([19, 99, 12, 31, 23, 59, 58]);
		set(0x0b, 0x00);
		expect(get(0x04)).toBe(0x91);
		clock.advance(2 * SECOND);
		expect(get(0x04)).toBe(0x12);
		clock.advance(12 * 3600 * SECOND);
		expect(get(0x04)).toBe(0x92);
	});

	test("the century is also at 0x37", () => {
		expect(get(0x37)).toBe(0x19);
	});

	test("UIP is set from 244 microseconds before the update until it ends 1984 microseconds later", () => {
		clock.advance(SECOND - 2_228_000 - 1);
		expect(get(0x0a)).toBe(0x26);
		clock.advance(1);
		expect([get(0x0a), get(0x00)]).toEqual([0xa6, 0x58]);
		clock.advance(2_227_999);
		expect(get(0x0a)).toBe(0xa6);
		clock.advance(1);
		expect([get(0x0a), get(0x00)]).toEqual([0x26, 0x59]);
	});

	test("SET holds the time for writing; time goes on from what was written, in the same phase", () => {
		clock.advance(300 * MS);
		set(0x0b, 0x82);
		for (const [index, value] of [
			[0x00, 0x30],
			[0x02, 0x15],
			[0x04, 0x08],
			[0x07, 0x29],
			[0x08, 0x02],
			[0x09, 0x24],
			[0x32, 0x20],
			[0x06, 0x05],
		] as const) {
			set(index, value);
		}
		clock.advance(5 * SECOND);
		expect(time()).toEqual([0x20, 0x24, 0x02, 0x29, 0x08, 0x15, 0x30]);
		set(0x0b, 0x02);
		clock.advance(699 * MS);
		expect(get(0x00)).toBe(0x30);
		clock.advance(1 * MS);
		expect(get(0x00)).toBe(0x31);
		clock.advance(86_400 * SECOND);
		expect(time()).toEqual([0x20, 0x24, 0x03, 0x01, 0x08, 0x15, 0x31]);
		expect(get(0x06)).toBe(6);
	});

	test("a write without SET takes effect at once", () => {
		set(0x04, 0x07);
		clock.advance(2 * SECOND);
		expect(time()).toEqual([0x19, 0x99, 0x12, 0x31, 0x08, 0x00, 0x00]);
	});

	test("the weekday counts on from what software wrote", () => {
		set(0x06, 1);
		expect(get(0x06)).toBe(1);
		clock.advance(2 * SECOND);
		expect(get(0x06)).toBe(2);
	});

	test("divider reset stops the time; the first update comes half a second after its end", () => {
		clock.advance(300 * MS);
		set(0x0a, 0x66);
		clock.advance(10 * SECOND);
		expect(get(0x00)).toBe(0x58);
		set(0x0a, 0x26);
		clock.advance(499 * MS);
		expect(get(0x00)).toBe(0x58);
		clock.advance(1 * MS);
		expect(get(0x00)).toBe(0x59);
	});

	test.each([
		[0x6, 1024],
		[0xf, 2],
		[0x3, 8192],
		[0x1, 256],
		[0x2, 128],
	])("periodic interrupt with rate %d: %d per second, held until register C is read", (rate, perSecond) => {
		set(0x0a, 0x20 | rate);
		set(0x0b, 0x42);
		const period = SECOND / perSecond;
		let count = 0;
		for (let t = 0; t < 64; t++) {
			clock.advance(period / 2);
			if (irq.asserted) {
				count++;
				expect(get(0x0c) & 0xc0).toBe(0xc0);
				expect(irq.asserted).toBe(false);
			}
		}
		expect(Math.abs(count - 32)).toBeLessThanOrEqual(1);
		clock.advance(10 * period);
		const rises = irq.rises;
		clock.advance(10 * period);
		expect(irq.rises).toBe(rises);
	});

	test("update-ended interrupt once a second, when UIP falls", () => {
		set(0x0b, 0x12);
		clock.advance(SECOND - 1);
		expect(irq.asserted).toBe(false);
		clock.advance(1);
		expect([irq.asserted, get(0x0a), get(0x0c)]).toEqual([true, 0x26, 0x80 | 0x40 | 0x10]);
		clock.advance(SECOND);
		expect(irq.rises).toBe(2);
	});

	test("SET clears the update interrupt's enable", () => {
		set(0x0b, 0x92);
		expect(get(0x0b)).toBe(0x82);
	});

	test("alarm at a time of day, also across midnight", () => {
		set(0x05, 0x00);
		set(0x03, 0x01);
		set(0x01, 0x30);
		get(0x0c);
		set(0x0b, 0x22);
		clock.advance(91 * SECOND);
		expect(irq.asserted).toBe(false);
		clock.advance(1 * SECOND);
		expect([irq.asserted, get(0x0c) & 0xa0]).toEqual([true, 0xa0]);
		clock.advance(86_399 * SECOND);
		expect(irq.asserted).toBe(false);
		clock.advance(1 * SECOND);
		expect(irq.asserted).toBe(true);
	});

	test("don't-care alarms: every minute, every second", () => {
		set(0x05, 0xff);
		set(0x03, 0xc0);
		set(0x01, 0x00);
		set(0x0b, 0x22);
		clock.advance(2 * SECOND);
		expect([irq.asserted, get(0x0c) & 0x20]).toEqual([true, 0x20]);
		clock.advance(60 * SECOND);
		expect([irq.asserted, get(0x0c) & 0x20]).toEqual([true, 0x20]);
		set(0x01, 0xff);
		clock.advance(SECOND);
		expect(irq.asserted).toBe(true);
	});

	test("flags are set without being enabled; enabling one that is set interrupts at once", () => {
		clock.advance(SECOND);
		expect(get(0x0c)).toBe(0x50);
		expect(get(0x0c)).toBe(0x00);
		clock.advance(SECOND);
		set(0x0b, 0x12);
		expect(irq.asserted).toBe(true);
	});

	test("memory keeps what board and guest put there, also over reset, which only stops interrupts", () => {
		rtc.setCmos(0x15, 0x80);
		set(0x0f, 0x05);
		set(0x0b, 0x72);
		clock.advance(SECOND);
		rtc.reset();
		expect([get(0x15), get(0x0f), get(0x0b), irq.asserted]).toEqual([0x80, 0x05, 0x02, false]);
		expect(() => rtc.setCmos(0x04, 1)).toThrow(/not memory/);
	});

	test("no alarm is pending while no interrupt is enabled", () => {
		const counted: number[] = [];
		const other = new Rtc({
			clock: {
				now: () => clock.now(),
				alarm: (fire) =>
					clock.alarm(() => {
						counted.push(clock.now());
						fire();
					}),
			},
			irq,
			startUtcMs: START,
		});
		other.write(0, 1, 0x0b);
		other.write(1, 1, 0x02);
		clock.advance(100 * SECOND);
		expect(counted).toEqual([]);
	});
});

describe("nextAlarm", () => {
	test.each([
		[0, { hours: 0x00, minutes: 0x00, seconds: 0x00 }, 86_400],
		[86_399, { hours: 0xff, minutes: 0xff, seconds: 0xff }, 86_400],
		[10, { hours: 0xff, minutes: 0xff, seconds: 0x05 }, 65],
		[3605, { hours: 0xff, minutes: 0x00, seconds: 0x04 }, 7204],
		[50_000, { hours: 0x13, minutes: 0x00, seconds: 0x00 }, 86_400 + 13 * 3600],
	])("after %d s with %o comes %d s", (seconds, alarm, expected) => {
		expect(nextAlarm(seconds, alarm, 0x02)).toBe(expected);
	});

	test("impossible values never match", () => {
		expect(nextAlarm(0, { hours: 0x25, minutes: 0, seconds: 0 }, 0x02)).toBeUndefined();
		expect(nextAlarm(0, { hours: 0, minutes: 0x60, seconds: 0 }, 0x02)).toBeUndefined();
		expect(nextAlarm(0, { hours: 0xff, minutes: 0xff, seconds: 0x99 }, 0x02)).toBeUndefined();
	});
});
