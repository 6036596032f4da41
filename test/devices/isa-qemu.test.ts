import { afterEach, beforeEach, expect, test } from "vitest";
import { ManualClock } from "../../src/bus/clock.ts";
import { RangeBus } from "../../src/bus/range-bus.ts";
import { I8042 } from "../../src/devices/i8042.ts";
import { Pic8259Pair } from "../../src/devices/pic8259-pair.ts";
import { Rtc } from "../../src/devices/rtc.ts";
import { Uart16550 } from "../../src/devices/uart16550.ts";
import { describeWith } from "../support/guest-files.ts";
import { RecordedBytes, RecordedLine } from "../support/lines.ts";
import { Qtest } from "../support/qtest.ts";

const STEPS = 1500;
/** pc-testdev: a port per interrupt line. */
const TESTDEV_LINES = 0x2000;

/** The same random accesses go to our devices and to QEMU's; where we follow the datasheet instead, the test says so. */
describeWith(["qemu"], "ISA devices beside QEMU's", () => {
	let qemu: Qtest;
	let ports: RangeBus;
	let clock: ManualClock;
	let pics: Pic8259Pair;
	let ours: string[];
	let theirs: Promise<string>[];
	let seed: number;

	const random = (below: number): number => {
		seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
		return Math.floor((seed / 2 ** 32) * below);
	};
	const pick = <T>(values: readonly T[]): T => values[random(values.length)] as T;
	const out = (port: number, value: number): void => {
		ports.write(port, 1, value);
		void qemu.command(`outb ${port} ${value}`);
	};
	/** Reads on both sides; only the bits of `mask` count. */
	const compare = (port: number, mask = 0xff): void => {
		const at = `${ours.length}: port ${port.toString(16)}`;
		ours.push(`${at} ${ports.read(port, 1) & mask}`);
		theirs.push(qemu.number(`inb ${port}`).then((value) => `${at} ${value & mask}`));
	};
	const agree = async (): Promise<void> => expect(ours).toEqual(await Promise.all(theirs));

	beforeEach(() => {
		qemu = new Qtest([
			...["-M", "pc", "-serial", "null", "-rtc", "base=2020-01-02T03:04:05,clock=vm", "-device", "pc-testdev"],
		]);
		ports = new RangeBus("ports", 0x10000);
		clock = new ManualClock();
		pics = new Pic8259Pair(new RecordedLine());
		const lines = { irq: new RecordedLine(), keyboardIrq: new RecordedLine(), mouseIrq: new RecordedLine() };
		ports.map(0x20, 0x21, pics, Pic8259Pair.MASTER);
		ports.map(0xa0, 0xa1, pics, Pic8259Pair.SLAVE);
		ports.map(0x4d0, 0x4d1, pics, Pic8259Pair.ELCR);
		ports.map(0x3f8, 0x3ff, new Uart16550({ irq: lines.irq, sink: new RecordedBytes(), clock }));
		const i8042 = new I8042({ clock, ...lines, a20: new RecordedLine(), power: { reset() {} } });
		ports.map(0x60, 0x60, i8042, 0);
		ports.map(0x64, 0x64, i8042, 4);
		ports.map(0x70, 0x71, new Rtc({ clock, irq: lines.irq, startUtcMs: Date.UTC(2020, 0, 2, 3, 4, 5) }));
		ours = [];
		theirs = [];
		seed = 1;
	});

	afterEach(() => {
		qemu.close();
	});

	test("uart: registers, interrupts and loopback", async () => {
		out(0x3fc, 0x08);
		for (let i = 0; i < STEPS; i++) {
			if (random(5) < 2) {
				const register = pick([0, 1, 1, 2, 3, 4, 7]);
				const value = pick([0, 1, 2, 3, 5, 7, 0x0f, 0x10, 0x80, 0xc1, 0x41, random(256)]);
				// QEMU clears the FIFO also where the datasheet says that the bit is not programmed, and in loopback
				// has no modem interrupts.
				if (register === 2) out(0x3fa, value & 1 ? value : 0);
				else out(0x3f8 + register, register === 1 ? value & ~0x08 : value);
			} else {
				const register = pick([1, 2, 3, 4, 5, 6, 7]);
				// Loopback sets no modem deltas in QEMU.
				compare(0x3f8 + register, register === 6 ? 0xf0 : 0xff);
				if (register === 5) compare(0x3fd);
			}
		}
		await agree();
	});

	test("pic: initialisation, masks, priorities, rotation, polls and ends of interrupts", async () => {
		const high = new Set<number>();
		out(0x4d0, 0xa8);
		for (const [port, value] of [
			[0x20, 0x11],
			[0xa0, 0x11],
			[0x21, 0x08],
			[0xa1, 0x70],
			[0x21, 0x04],
			[0xa1, 0x02],
			[0x21, 0x01],
			[0xa1, 0x01],
		] as const) {
			out(port, value);
		}
		const endings = [0x20, 0x20, 0x20, 0xa0, 0x80, 0x00];
		for (let i = 0; i < STEPS; i++) {
			const action = random(10);
			if (action < 4) {
				const irq = pick([1, 3, 4, 5, 6, 7]);
				const pendingEdge = (pics.save().master.edges & ~0xa8 & (1 << irq)) !== 0;
				// QEMU keeps an edge whose input has fallen.
				if (high.has(irq) && pendingEdge) continue;
				if (!high.delete(irq)) high.add(irq);
				pics.setLine(irq, high.has(irq));
				void qemu.command(`outb ${TESTDEV_LINES + irq} ${high.has(irq) ? 1 : 0}`);
			} else if (action < 6) {
				out(0x20, 0x0c);
				compare(0x20);
			} else if (action < 7) out(0x20, pick([...endings, 0x60 + random(8), 0xe0 + random(8), 0xc0 + random(8)]));
			else if (action < 8) out(pick([0x21, 0xa1]), pick([0, 0, random(256)]));
			else {
				const port = pick([0x20, 0xa0]);
				out(port, pick([0x0a, 0x0b]));
				compare(port);
				compare(port + 1);
			}
		}
		await agree();
	});

	test("i8042: controller, keyboard and mouse commands", async () => {
		/** Status without bits 2 and 3, which in QEMU do not follow the command byte and the last port written. */
		const STATUS = 0xf3;
		const drain = (): void => {
			for (let i = 0; i < 5; i++) {
				compare(0x64, STATUS);
				compare(0x60);
				clock.advance(1_000_000);
			}
		};
		out(0x60, 0xff);
		drain();
		out(0x64, 0xd4);
		out(0x60, 0xff);
		drain();
		for (let i = 0; i < STEPS / 10; i++) {
			if (random(2) === 0) {
				const command = pick([
					0x20, 0x60, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xad, 0xae, 0xc0, 0xd0, 0xd2, 0xd3, 0xd4, 0xdf,
				]);
				out(0x64, command);
				if ([0x60, 0xd2, 0xd3].includes(command)) out(0x60, pick([0x43, 0x03, 0x00, 0x71, 0x33]));
				if (command === 0xd4) out(0x60, pick([0xf2, 0xff, 0xe9, 0xf4, 0xf5, 0xf6, 0xea, 0xf0, 0xeb, 0xe6, 0xe7]));
			} else {
				const command = pick([0xf2, 0xed, 0xee, 0xf4, 0xf5, 0xf6, 0xf0, 0xff, 0xf3]);
				out(0x60, command);
				if ([0xed, 0xf0, 0xf3].includes(command)) {
					drain();
					out(0x60, command === 0xf0 ? pick([0, 1, 2, 3]) : pick([0, 7, 0x2b]));
				}
			}
			drain();
		}
		await agree();
	});

	test("rtc: registers, formats and time set with and without SET", async () => {
		for (let i = 0; i < STEPS; i++) {
			// Not the weekday, which QEMU does not store.
			const index = pick([0, 1, 2, 3, 4, 5, 7, 8, 9, 0x0a, 0x0b, 0x0c, 0x0d, 0x32, 0x37, 0x50]);
			out(0x70, index);
			if (random(3) > 0) compare(0x71);
			else if (index === 0x0b) out(0x71, pick([0x02, 0x00, 0x82, 0x80]));
			else if (index === 0x32 || index === 0x37) out(0x71, 0x20);
			else out(0x71, index === 0x0a ? 0x26 : pick([1, 2, 3, 5, 9, 0x10, 0x11]));
		}
		await agree();
	});
});
