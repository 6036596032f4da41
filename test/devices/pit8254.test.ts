import { beforeEach, describe, expect, test } from "vitest";
import { ManualClock } from "../../src/bus/clock.ts";
import { Frequency } from "../../src/bus/frequency.ts";
import { PIT_HERTZ, Pit8254 } from "../../src/devices/pit8254.ts";
import { PitCounter } from "../../src/devices/pit8254-counter.ts";
import { deviceContract } from "../support/device-contract.ts";
import { RecordedLine } from "../support/lines.ts";

deviceContract(
	"pit8254",
	() => {
		const clock = new ManualClock();
		const irq = new RecordedLine();
		return { device: new Pit8254({ clock, irq }), irqs: [irq], clock };
	},
	{ span: 4 },
);

const crystal = new Frequency(PIT_HERTZ);

/** OUT at ticks 0..count-1 as a picture: _ low, # high. */
function picture(counter: PitCounter, from: number, count: number): string {
	return Array.from({ length: count }, (_, i) => (counter.out(from + i) ? "#" : "_")).join("");
}

function readWord(counter: PitCounter, now: number): number {
	const low = counter.read(now);
	return low | (counter.read(now) << 8);
}

function program(mode: number, count: number, options: { gate?: boolean; bcd?: boolean } = {}): PitCounter {
	const counter = new PitCounter(options.gate ?? true);
	counter.writeControl(0x30 | (mode << 1) | (options.bcd ? 1 : 0), 0);
	counter.write(count & 0xff, 0);
	counter.write(count >> 8, 0);
	return counter;
}

describe("waveforms of a counter, written at tick 0", () => {
	test.each([
		[0, 4, "_____############"],
		[2, 4, "####_###_###_###_"],
		[2, 2, "##_#_#_#_#_#_#_#_"],
		[3, 4, "###__##__##__##__"],
		[3, 5, "####__###__###__#"],
		[3, 2, "##_#_#_#_#_#_#_#_"],
		[4, 3, "####_############"],
	])("mode %d, count %d", (mode, count, expected) => {
		expect(picture(program(mode, count), 0, 17)).toBe(expected);
	});

	test("mode 1: each rise of the gate gives one pulse of the count's length, again from the start when retriggered", () => {
		const counter = program(1, 3, { gate: false });
		expect(picture(counter, 0, 5)).toBe("#####");
		counter.setGate(true, 5);
		expect(picture(counter, 5, 6)).toBe("#___##");
		counter.setGate(false, 11);
		counter.setGate(true, 12);
		expect(picture(counter, 12, 2)).toBe("#_");
		counter.setGate(false, 14);
		counter.setGate(true, 14);
		expect(picture(counter, 14, 6)).toBe("____##");
	});

	test("mode 5: the strobe comes a count after the gate's rise", () => {
		const counter = program(5, 3, { gate: false });
		counter.setGate(true, 5);
		expect(picture(counter, 5, 8)).toBe("####_###");
	});

	test("mode 0: a low gate holds the count", () => {
		const counter = program(0, 4);
		counter.setGate(false, 3);
		expect(readWord(counter, 3)).toBe(2);
		expect(readWord(counter, 50)).toBe(2);
		counter.setGate(true, 50);
		expect(picture(counter, 50, 4)).toBe("__##");
	});

	test("mode 0: the first byte of a new count takes OUT low and stops, the second starts", () => {
		const counter = program(0, 4);
		expect(counter.out(10)).toBe(true);
		counter.write(2, 10);
		expect(picture(counter, 10, 20)).toBe("_".repeat(20));
		counter.write(0, 30);
		expect(picture(counter, 30, 5)).toBe("___##");
	});

	test("mode 2: a low gate takes OUT high, its rise starts a whole period", () => {
		const counter = program(2, 4);
		expect(counter.out(4)).toBe(false);
		counter.setGate(false, 4);
		expect(picture(counter, 4, 10)).toBe("##########");
		counter.setGate(true, 20);
		expect(picture(counter, 20, 8)).toBe("####_###");
	});

	test("mode 2: a new count waits for the period's end", () => {
		const counter = program(2, 4);
		picture(counter, 0, 6);
		counter.write(2, 6);
		counter.write(0, 6);
		expect(picture(counter, 6, 8)).toBe("##_#_#_#");
	});

	test("mode 3: a new count waits for the half period's end", () => {
		const counter = program(3, 8);
		counter.write(4, 2);
		counter.write(0, 2);
		expect(picture(counter, 2, 12)).toBe("###__##__##_");
	});

	test("mode 4: a new count restarts at once", () => {
		const counter = program(4, 5);
		counter.write(2, 3);
		counter.write(0, 3);
		expect(picture(counter, 3, 8)).toBe("###_####");
	});
});

describe("reading a counter", () => {
	test.each([
		[0, 1000, 1 + 10, 990],
		[0, 5, 1 + 6, 0xffff],
		[2, 1000, 1 + 2999, 1],
		[2, 1000, 1 + 3000, 1000],
		[3, 1000, 1 + 10, 980],
		[3, 1001, 1 + 10, 980],
		[3, 1001, 1 + 501, 1000],
		[4, 0, 1 + 1, 0xffff],
	])("mode %d, count %d, at tick %d the count is %d", (mode, count, tick, expected) => {
		expect(readWord(program(mode, count), tick)).toBe(expected);
	});

	test("BCD counts in decimal and wraps at 10,000", () => {
		expect(readWord(program(0, 0x1000, { bcd: true }), 2)).toBe(0x0999);
		expect(readWord(program(0, 0x0000, { bcd: true }), 2)).toBe(0x9999);
		expect(readWord(program(0, 0x0005, { bcd: true }), 7)).toBe(0x9999);
	});

	test("low-only and high-only access take and give that byte", () => {
		const counter = new PitCounter(true);
		counter.writeControl(0x14, 0);
		counter.write(100, 0);
		expect([counter.read(11), counter.read(11)]).toEqual([90, 90]);
		counter.writeControl(0x24, 20);
		counter.write(0x12, 20);
		expect(counter.read(21)).toBe(0x12);
		expect(counter.read(22)).toBe(0x11);
	});

	test("a latched count stands until both bytes are read; latching again meanwhile changes nothing", () => {
		const counter = program(2, 0x1000);
		counter.writeControl(0x00, 1 + 0x10);
		counter.writeControl(0x00, 1 + 0x20);
		expect(readWord(counter, 1 + 0x300)).toBe(0x0ff0);
		expect(readWord(counter, 1 + 0x300)).toBe(0x0d00);
	});

	test("a control word drops a latched count", () => {
		const counter = program(2, 0x1000);
		counter.latchCount(5);
		counter.writeControl(0x30, 6);
		counter.write(8, 6);
		counter.write(0, 6);
		expect(readWord(counter, 7)).toBe(8);
	});
});

describe("pit8254", () => {
	let clock: ManualClock;
	let irq: RecordedLine;
	let pit: Pit8254;
	const out = (offset: number, value: number) => pit.write(offset, 1, value);
	const toTick = (tick: number) => clock.advance(crystal.time(tick) - clock.now());

	beforeEach(() => {
		clock = new ManualClock();
		irq = new RecordedLine();
		pit = new Pit8254({ clock, irq });
	});

	test("counter 0 in mode 2 interrupts at exact intervals, for hours without drift", () => {
		out(3, 0x34);
		out(0, 0xa9);
		out(0, 0x04);
		toTick(1 + 1193);
		expect([irq.asserted, irq.rises]).toEqual([true, 2]);
		clock.advance(10_000_000_000);
		expect(irq.rises).toBe(1 + Math.floor((crystal.ticks(clock.now()) - 1) / 1193));
		const before = irq.rises;
		const next = (before * 1193 + 1) as number;
		clock.advance(crystal.time(next) - clock.now() - 1);
		expect(irq.rises).toBe(before);
		clock.advance(1);
		expect(irq.rises).toBe(before + 1);
	});

	test("counter 0 at power-on of a PC's firmware: 18.2 Hz", () => {
		out(3, 0x36);
		out(0, 0);
		out(0, 0);
		clock.advance(10_000_000_000);
		expect(irq.rises).toBe(1 + 182);
	});

	test("one shot in mode 0 interrupts once", () => {
		out(3, 0x30);
		out(0, 100);
		out(0, 0);
		toTick(100);
		expect(irq.asserted).toBe(false);
		toTick(101);
		expect(irq.asserted).toBe(true);
		clock.advance(1_000_000_000);
		expect(irq.rises).toBe(1);
	});

	test("nothing is due when counter 0 can have no edge", () => {
		const alone = new ManualClock();
		let alarms = 0;
		const counting = {
			now: () => alone.now(),
			alarm: (fire: () => void) =>
				alone.alarm(() => {
					alarms++;
					fire();
				}),
		};
		const other = new Pit8254({ clock: counting, irq });
		for (const [offset, value] of [
			[3, 0xb6],
			[2, 2],
			[2, 0],
			[3, 0x74],
			[1, 18],
			[1, 0],
		] as const) {
			other.write(offset, 1, value);
		}
		alone.advance(1_000_000_000);
		expect(alarms).toBe(0);
	});

	test("read-back latches status and count of several counters, status read first", () => {
		out(3, 0x34);
		out(0, 0x00);
		out(0, 0x10);
		out(3, 0xb0);
		out(3, 0xc2 | 0x08);
		const status0 = pit.read(0);
		const count0 = pit.read(0) | (pit.read(0) << 8);
		const status2 = pit.read(2);
		expect([status0, count0, status2]).toEqual([0x80 | 0x40 | 0x34, 0, 0x40 | 0x30]);
		toTick(1);
		out(3, 0xe2);
		expect(pit.read(0)).toBe(0x80 | 0x34);
	});

	test("counter 2 runs when port 0x61 opens its gate; the output is a level there", () => {
		out(3, 0xb0);
		out(2, 0xff);
		out(2, 0x00);
		toTick(1000);
		expect(pit.speaker.out()).toBe(false);
		pit.speaker.setGate(true);
		toTick(1254);
		expect(pit.speaker.out()).toBe(false);
		toTick(1255);
		expect(pit.speaker.out()).toBe(true);
	});

	test("a clock that jumps past several periods still gives an edge", () => {
		out(3, 0x34);
		out(0, 0xa9);
		out(0, 0x04);
		toTick(10);
		let now = clock.now();
		let due: (() => void) | undefined;
		const late = new RecordedLine();
		const jumping = {
			now: () => now,
			alarm: (fire: () => void) => {
				due = fire;
				return { at() {}, cancel() {}, deadline: undefined };
			},
		};
		const other = new Pit8254({ clock: jumping, irq: late });
		other.load(pit.save());
		now = crystal.time(1 + 1193 * 5 + 7);
		due?.();
		expect([late.asserted, late.rises]).toEqual([true, 2]);
	});
});
