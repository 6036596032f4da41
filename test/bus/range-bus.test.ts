import { describe, expect, test } from "vitest";
import { ManualClock } from "../../src/bus/clock.ts";
import type { AccessSize, Device } from "../../src/bus/device.ts";
import { Frequency } from "../../src/bus/frequency.ts";
import { fanOut, OrLine } from "../../src/bus/lines.ts";
import { byteInside, RangeBus } from "../../src/bus/range-bus.ts";
import { RecordedLine } from "../support/lines.ts";

/** 64 bytes of storage that write down how they were accessed. */
class Storage implements Device<number[]> {
	readonly name: string;
	readonly sizes: readonly AccessSize[];
	readonly bytes = new Uint8Array(64);
	readonly log: string[] = [];

	constructor(sizes: readonly AccessSize[], name = "storage") {
		this.sizes = sizes;
		this.name = name;
		for (let i = 0; i < 64; i++) this.bytes[i] = i + 0x10;
	}

	read(offset: number, size: AccessSize): number {
		this.log.push(`r${size}@${offset}`);
		let value = 0;
		for (let i = size - 1; i >= 0; i--) value = value * 256 + (this.bytes[offset + i] ?? 0);
		return value;
	}

	write(offset: number, size: AccessSize, value: number): void {
		this.log.push(`w${size}@${offset}=${value.toString(16)}`);
		for (let i = 0; i < size; i++) this.bytes[offset + i] = value >>> (i * 8);
	}

	reset(): void {}

	save(): number[] {
		return [...this.bytes];
	}

	load(): void {}
}

describe.each([
	["a port bus", () => new RangeBus("ports", 0x10000)],
	["a memory bus", () => new RangeBus("memory")],
])("%s", (_, create) => {
	test("an aligned access of a supported width arrives unchanged at the device's own offset", () => {
		const bus = create();
		const device = new Storage([1, 2, 4]);
		bus.map(0x100, 0x10f, device, 8);
		expect(bus.read(0x104, 4)).toBe(0x1f1e1d1c);
		bus.write(0x102, 2, 0xabcd);
		expect(device.log).toEqual(["r4@12", "w2@10=abcd"]);
	});

	test("a misaligned access is cut into aligned pieces, low address first", () => {
		const bus = create();
		const device = new Storage([1, 2, 4]);
		bus.map(0x100, 0x10f, device);
		expect(bus.read(0x101, 4)).toBe(0x14131211);
		bus.write(0x101, 4, 0x44332211);
		expect(device.log).toEqual(["r1@1", "r2@2", "r1@4", "w1@1=11", "w2@2=3322", "w1@4=44"]);
	});

	test("a wide access to a byte device is cut into bytes", () => {
		const bus = create();
		const device = new Storage([1]);
		bus.map(0x100, 0x10f, device);
		expect(bus.read(0x100, 4)).toBe(0x13121110);
		bus.write(0x104, 2, 0xbeef);
		expect(device.log).toEqual(["r1@0", "r1@1", "r1@2", "r1@3", "w1@4=ef", "w1@5=be"]);
	});

	test("a narrow access to a device of wide registers becomes an access to the register around it", () => {
		const bus = create();
		const device = new Storage([4]);
		bus.map(0x100, 0x10f, device);
		expect(bus.read(0x106, 1)).toBe(0x16);
		expect(bus.read(0x106, 2)).toBe(0x1716);
		expect(bus.read(0x102, 4)).toBe(0x15141312);
		bus.write(0x107, 1, 0x99);
		expect(device.log).toEqual(["r4@4", "r4@4", "r4@0", "r4@4", "w4@4=99000000"]);
	});

	test("an access across a range's end is answered by both neighbours", () => {
		const bus = create();
		const low = new Storage([1, 2, 4], "low");
		const high = new Storage([1, 2, 4], "high");
		bus.map(0x100, 0x102, low);
		bus.map(0x103, 0x110, high);
		expect(bus.read(0x100, 4)).toBe(0x10121110);
		expect(low.log).toEqual(["r2@0", "r1@2"]);
		expect(high.log).toEqual(["r1@0"]);
	});

	test("open bus gives ones beside and between devices", () => {
		const bus = create();
		bus.map(0x101, 0x101, new Storage([1]));
		expect(bus.read(0x100, 4)).toBe(0xffff10ff);
		expect(bus.read(0x200, 1)).toBe(0xff);
		expect(bus.read(0x200, 2)).toBe(0xffff);
		expect(bus.read(0x200, 4)).toBe(0xffffffff);
	});

	test("unclaimed accesses are counted by address", () => {
		const bus = create();
		bus.read(0x300, 4);
		bus.read(0x300, 1);
		bus.write(0x300, 2, 1);
		bus.write(0x200, 1, 1);
		expect(bus.unclaimed()).toEqual([
			{ address: 0x200, reads: 0, writes: 1 },
			{ address: 0x300, reads: 2, writes: 1 },
		]);
	});

	test("the count of unclaimed addresses is bounded", () => {
		const bus = create();
		for (let address = 0; address < 5000; address++) bus.read(address, 1);
		expect(bus.unclaimed().length).toBe(1024);
		expect(bus.unclaimedElsewhere()).toBe(5000 - 1024);
	});

	test("eight bytes are two accesses of four, low address first", () => {
		const bus = create();
		const device = new Storage([1, 2, 4]);
		bus.map(0x100, 0x10f, device);
		expect(bus.read64(0x100)).toBe(0x1716151413121110n);
		bus.write64(0x108, 0x1122334455667788n);
		expect(device.log).toEqual(["r4@0", "r4@4", "w4@8=55667788", "w4@12=11223344"]);
	});

	test("bytes of an exit go through as the widest pieces", () => {
		const bus = create();
		const device = new Storage([1, 2, 4]);
		bus.map(0x100, 0x10f, device);
		const data = new Uint8Array(7);
		bus.readBytes(0x100, data);
		expect([...data]).toEqual([0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16]);
		bus.writeBytes(0x100, Uint8Array.of(1, 2, 3));
		expect(device.log).toEqual(["r4@0", "r2@4", "r1@6", "w2@0=201", "w1@2=3"]);
	});

	test("overlapping fixed ranges are a bug that names both", () => {
		const bus = create();
		bus.map(0x100, 0x10f, new Storage([1], "first"));
		expect(() => bus.map(0x10f, 0x120, new Storage([1], "second"))).toThrow(/second overlaps first/);
		expect(bus.overlapping(0x10f, 0x120)?.device.name).toBe("first");
	});

	test("an unmapped range is open bus again and its place is free", () => {
		const bus = create();
		bus.map(0x100, 0x10f, new Storage([1], "first"));
		expect(bus.read(0x100, 1)).toBe(0x10);
		bus.unmap(0x100);
		expect(bus.read(0x100, 1)).toBe(0xff);
		bus.map(0x108, 0x10f, new Storage([1], "second"));
		expect(bus.read(0x108, 1)).toBe(0x10);
		expect(bus.mappings().map(({ device }) => device.name)).toEqual(["second"]);
	});

	test("many ranges: each address finds its own device", () => {
		const bus = create();
		const devices = Array.from({ length: 50 }, (_unused, i) => new Storage([1], `device ${i}`));
		for (const i of devices.keys()) {
			const at = (i * 37) % 50;
			bus.map(at * 0x20, at * 0x20 + 0xf, devices[at] as Storage);
		}
		for (const [i, device] of devices.entries()) {
			expect(bus.read(i * 0x20 + 0xf, 1)).toBe(0x1f);
			expect(bus.read(i * 0x20 + 0x10, 1)).toBe(0xff);
			expect(device.log).toEqual(["r1@15"]);
		}
	});

	test("a window moves, and fixed ranges and earlier windows hide it", () => {
		const bus = create();
		const fixed = new Storage([1], "fixed");
		const first = new Storage([1], "first");
		const second = new Storage([1], "second");
		bus.map(0x104, 0x107, fixed);
		const one = bus.window(0x10, first);
		const two = bus.window(0x20, second);
		one.place(0x100);
		two.place(0x100);
		bus.read(0x100, 1);
		bus.read(0x104, 1);
		bus.read(0x108, 1);
		bus.read(0x110, 1);
		expect([first.log, fixed.log, second.log]).toEqual([["r1@0", "r1@8"], ["r1@0"], ["r1@16"]]);
		one.place(undefined);
		bus.read(0x108, 1);
		expect(second.log).toEqual(["r1@16", "r1@8"]);
		two.place(0x400);
		expect(bus.read(0x100, 1)).toBe(0xff);
		expect(bus.read(0x41f, 1)).toBe(0x2f);
	});
});

test("a port bus clips a window placed across its end, and ports beyond it are open bus", () => {
	const bus = new RangeBus("ports", 0x10000);
	bus.window(0x20, new Storage([1])).place(0xfff0);
	expect(bus.read(0xfffe, 4)).toBe(0xffff1f1e);
	bus.window(0x20, new Storage([1])).place(0xffffffe0);
	expect(bus.mappings().length).toBe(1);
});

test("a memory bus takes addresses above 4 GiB", () => {
	const bus = new RangeBus("memory");
	bus.map(0x1_0000_0000, 0x1_0000_003f, new Storage([1, 2, 4]));
	expect(bus.read(0x1_0000_0004, 4)).toBe(0x17161514);
	expect(bus.read(0x1_0000_0005, 2)).toBe(0x1615);
});

test("a byte register inside a wider one answers byte accesses only", () => {
	const bus = new RangeBus("ports", 0x10000);
	const outer = new Storage([1, 2, 4]);
	const inner = new Storage([1]);
	bus.map(0xcf8, 0xcfb, byteInside(outer, 1, inner));
	bus.write(0xcf8, 4, 0x80000000);
	bus.write(0xcf9, 1, 6);
	bus.read(0xcf9, 1);
	bus.read(0xcf8, 2);
	expect([outer.log, inner.log]).toEqual([
		["w4@0=80000000", "r2@0"],
		["w1@0=6", "r1@0"],
	]);
});

test("wired OR: the output is asserted while any input is", () => {
	const output = new RecordedLine();
	const or = new OrLine(output);
	const [one, two] = [or.input(), or.input()];
	one.set(true);
	two.set(true);
	two.set(true);
	one.set(false);
	expect(output.asserted).toBe(true);
	two.set(false);
	expect([output.asserted, output.rises]).toEqual([false, 1]);
});

test("fan-out: every receiver gets the level", () => {
	const [one, two] = [new RecordedLine(), new RecordedLine()];
	fanOut(one, two).set(true);
	expect([one.asserted, two.asserted]).toEqual([true, true]);
});

describe("a frequency", () => {
	const pit = new Frequency(1193182);

	test.each([0, 1, 2, 1193181, 1193182, 1193183, 1193182 * 3600 * 24 * 30 + 17])(
		"tick %d begins at its time, not before",
		(tick) => {
			expect(pit.ticks(pit.time(tick))).toBe(tick);
			if (tick > 0) expect(pit.ticks(pit.time(tick) - 1)).toBe(tick - 1);
		},
	);

	test("a month of guest time counts exactly", () => {
		expect(pit.ticks(30 * 86400 * 1_000_000_000)).toBe(30 * 86400 * 1193182);
	});
});

test("a manual clock fires alarms in deadline order, each at its own time", () => {
	const clock = new ManualClock();
	const seen: string[] = [];
	const late = clock.alarm(() => seen.push(`late ${clock.now()}`));
	const early = clock.alarm(() => {
		seen.push(`early ${clock.now()}`);
		if (seen.length < 3) early.at(clock.now() + 10);
	});
	late.at(15);
	early.at(10);
	clock.advance(100);
	expect(seen).toEqual(["early 10", "late 15", "early 20"]);
	expect(clock.now()).toBe(100);
});
