import { beforeEach, describe, expect, test } from "vitest";
import { Pic8259Pair } from "../../src/devices/pic8259-pair.ts";
import { deviceContract } from "../support/device-contract.ts";
import { RecordedLine } from "../support/lines.ts";

deviceContract(
	"pic8259",
	() => {
		const intr = new RecordedLine();
		return { device: new Pic8259Pair(intr), irqs: [intr] };
	},
	{ span: 6 },
);

const [MASTER, MASTER_DATA, SLAVE, SLAVE_DATA, ELCR] = [0, 1, 2, 3, 4] as const;
const EOI = 0x20;

describe("pic8259 pair", () => {
	let intr: RecordedLine;
	let pics: Pic8259Pair;
	const out = (offset: number, value: number) => pics.write(offset, 1, value);
	const isr = (chip: number) => {
		out(chip, 0x0b);
		const value = pics.read(chip);
		out(chip, 0x0a);
		return value;
	};
	const irr = (chip: number) => pics.read(chip);
	const pulse = (irq: number) => {
		pics.setLine(irq, false);
		pics.setLine(irq, true);
	};
	const initialise = (icw4Master = 0x01, icw4Slave = 0x01) => {
		for (const [offset, value] of [
			[MASTER, 0x11],
			[SLAVE, 0x11],
			[MASTER_DATA, 0x08],
			[SLAVE_DATA, 0x70],
			[MASTER_DATA, 0x04],
			[SLAVE_DATA, 0x02],
			[MASTER_DATA, icw4Master],
			[SLAVE_DATA, icw4Slave],
		] as const) {
			out(offset, value);
		}
	};

	beforeEach(() => {
		intr = new RecordedLine();
		pics = new Pic8259Pair(intr);
		initialise();
	});

	test("a rising edge requests; the acknowledge gives base plus input; the end of interrupt frees it", () => {
		pics.setLine(4, true);
		expect([intr.asserted, pics.hasInterrupt(), irr(MASTER)]).toEqual([true, true, 0x10]);
		expect(pics.acknowledge()).toBe(0x0c);
		expect([intr.asserted, isr(MASTER), irr(MASTER)]).toEqual([false, 0x10, 0x00]);
		out(MASTER, EOI);
		expect([isr(MASTER), intr.asserted]).toEqual([0, false]);
	});

	test("a slave input comes through the cascade and needs two ends of interrupt", () => {
		pics.setLine(8, true);
		expect(pics.acknowledge()).toBe(0x70);
		expect([isr(MASTER), isr(SLAVE)]).toEqual([0x04, 0x01]);
		out(SLAVE, EOI);
		out(MASTER, EOI);
		expect([isr(MASTER), isr(SLAVE)]).toEqual([0, 0]);
	});

	test("two slave requests at once are both served", () => {
		pics.setLine(14, true);
		pics.setLine(8, true);
		expect(pics.acknowledge()).toBe(0x70);
		out(SLAVE, EOI);
		out(MASTER, EOI);
		expect(pics.acknowledge()).toBe(0x76);
	});

	test("two slave requests with automatic end of interrupt in the slave are both served", () => {
		initialise(0x01, 0x03);
		pics.setLine(14, true);
		pics.setLine(8, true);
		expect(pics.acknowledge()).toBe(0x70);
		out(MASTER, EOI);
		expect([pics.hasInterrupt(), pics.acknowledge()]).toEqual([true, 0x76]);
	});

	test("lower requests wait for the end of interrupt, higher ones nest", () => {
		pics.setLine(4, true);
		pics.acknowledge();
		pics.setLine(6, true);
		expect(intr.asserted).toBe(false);
		pics.setLine(1, true);
		expect(pics.acknowledge()).toBe(0x09);
		out(MASTER, EOI);
		expect(isr(MASTER)).toBe(0x10);
		out(MASTER, EOI);
		expect(pics.acknowledge()).toBe(0x0e);
	});

	test("a masked request stands until unmasked", () => {
		out(MASTER_DATA, 0x10);
		pics.setLine(4, true);
		expect([intr.asserted, pics.read(MASTER_DATA)]).toEqual([false, 0x10]);
		out(MASTER_DATA, 0x00);
		expect(intr.asserted).toBe(true);
	});

	test("an edge that falls before the acknowledge is forgotten", () => {
		pics.setLine(4, true);
		pics.setLine(4, false);
		expect([intr.asserted, irr(MASTER)]).toEqual([false, 0]);
	});

	test("an acknowledge without request gives the master's level 7, with nothing in service", () => {
		expect(pics.acknowledge()).toBe(0x0f);
		expect(isr(MASTER)).toBe(0);
	});

	test("a high edge-triggered input requests once", () => {
		pics.setLine(4, true);
		pics.acknowledge();
		out(MASTER, EOI);
		pics.setLine(4, true);
		expect(intr.asserted).toBe(false);
		pulse(4);
		expect(intr.asserted).toBe(true);
	});

	test("a level-triggered input requests until it falls", () => {
		out(ELCR, 0xff);
		expect(pics.read(ELCR)).toBe(0xf8);
		out(ELCR + 1, 0xff);
		expect(pics.read(ELCR + 1)).toBe(0xde);
		pics.setLine(5, true);
		pics.acknowledge();
		expect(intr.asserted).toBe(false);
		out(MASTER, EOI);
		expect(intr.asserted).toBe(true);
		pics.setLine(5, false);
		expect(intr.asserted).toBe(false);
	});

	test("the edge/level registers survive initialisation", () => {
		out(ELCR + 1, 0x0c);
		initialise();
		expect(pics.read(ELCR + 1)).toBe(0x0c);
	});

	test("ICW1 clears mask, service and edges: a high input must rise again", () => {
		out(MASTER_DATA, 0xff);
		pics.setLine(4, true);
		initialise();
		expect([pics.read(MASTER_DATA), irr(MASTER), intr.asserted]).toEqual([0, 0, false]);
		pulse(4);
		expect(intr.asserted).toBe(true);
	});

	test("ICW1 without ICW4 and with a single chip takes one more word", () => {
		out(MASTER, 0x12);
		out(MASTER_DATA, 0x40);
		out(MASTER_DATA, 0x55);
		expect(pics.read(MASTER_DATA)).toBe(0x55);
		pics.setLine(1, true);
		expect(pics.acknowledge()).toBe(0x41);
	});

	test("a specific end of interrupt ends the named level", () => {
		pics.setLine(4, true);
		pics.acknowledge();
		pics.setLine(1, true);
		pics.acknowledge();
		out(MASTER, 0x60 | 4);
		expect(isr(MASTER)).toBe(0x02);
	});

	test("automatic end of interrupt leaves nothing in service", () => {
		initialise(0x03);
		pics.setLine(4, true);
		expect(pics.acknowledge()).toBe(0x0c);
		expect(isr(MASTER)).toBe(0);
	});

	test("rotation on end of interrupt makes the served level the lowest", () => {
		pics.setLine(0, true);
		pics.acknowledge();
		out(MASTER, 0xa0);
		pulse(0);
		pics.setLine(7, true);
		expect(pics.acknowledge()).toBe(0x0f);
	});

	test("rotation on automatic end of interrupt does so too, until switched off", () => {
		initialise(0x03);
		out(MASTER, 0x80);
		pics.setLine(3, true);
		pics.acknowledge();
		pulse(3);
		pics.setLine(7, true);
		expect(pics.acknowledge()).toBe(0x0f);
		out(MASTER, 0x00);
		expect(pics.acknowledge()).toBe(0x0b);
		pulse(3);
		pulse(7);
		expect(pics.acknowledge()).toBe(0x0b);
	});

	test("set priority names the lowest level", () => {
		out(MASTER, 0xc0 | 3);
		pics.setLine(0, true);
		pics.setLine(4, true);
		expect(pics.acknowledge()).toBe(0x0c);
		expect(intr.asserted).toBe(false);
	});

	test("rotate on specific end of interrupt ends and names the lowest", () => {
		pics.setLine(1, true);
		pics.acknowledge();
		out(MASTER, 0xe0 | 1);
		expect(isr(MASTER)).toBe(0);
		pulse(1);
		pics.setLine(5, true);
		expect(pics.acknowledge()).toBe(0x0d);
	});

	test("special mask mode lets lower levels through a masked level in service", () => {
		pics.setLine(3, true);
		pics.acknowledge();
		pics.setLine(6, true);
		out(MASTER_DATA, 0x08);
		expect(intr.asserted).toBe(false);
		out(MASTER, 0x68);
		expect(pics.acknowledge()).toBe(0x0e);
		out(MASTER, EOI);
		expect(isr(MASTER)).toBe(0x08);
		out(MASTER, EOI);
		expect(isr(MASTER)).toBe(0x08);
		out(MASTER, 0x48);
		out(MASTER, EOI);
		expect(isr(MASTER)).toBe(0);
	});

	test("special fully nested mode: a slave interrupts itself upwards, the master's lower levels wait", () => {
		initialise(0x11);
		pics.setLine(12, true);
		expect(pics.acknowledge()).toBe(0x74);
		pics.setLine(3, true);
		expect(intr.asserted).toBe(false);
		pics.setLine(9, true);
		expect([intr.asserted, pics.acknowledge()]).toEqual([true, 0x71]);
	});

	test("poll acknowledges by a read", () => {
		pics.setLine(5, true);
		out(MASTER, 0x0c);
		expect(pics.read(MASTER)).toBe(0x85);
		expect([isr(MASTER), intr.asserted]).toEqual([0x20, false]);
		out(MASTER, 0x0c);
		expect(pics.read(MASTER)).toBe(0x00);
		expect(pics.read(MASTER_DATA)).toBe(0x00);
	});

	test("a slave request that goes away takes the cascade's with it; a polled slave frees the cascade for the next", () => {
		pics.setLine(10, true);
		out(MASTER, 0x0c);
		pics.setLine(10, false);
		expect(pics.acknowledge()).toBe(0x0f);
		pics.setLine(10, true);
		out(SLAVE, 0x0c);
		expect(pics.read(SLAVE)).toBe(0x82);
		pics.setLine(9, true);
		expect(pics.acknowledge()).toBe(0x71);
	});

	test("line 2 leads nowhere", () => {
		pics.line(2).set(true);
		expect(intr.asserted).toBe(false);
	});
});
