import { expect, test } from "vitest";
import { ManualClock } from "../../../src/bus/clock.ts";
import { devfn } from "../../../src/bus/pci.ts";
import { pirqOf } from "../../../src/devices/pci/piix3-isa.ts";
import type { RecordedLine } from "../../support/lines.ts";
import { pcFunctions } from "./pc-functions.ts";

const asserted = (lines: RecordedLine[]): number[] => lines.flatMap((line, irq) => (line.asserted ? [irq] : []));

test("slots are wired to PIRQs in turn", () => {
	expect([1, 2, 3, 4, 5].map((slot) => pirqOf(slot, 1))).toEqual([0, 1, 2, 3, 0]);
	expect([1, 2, 3, 4].map((pin) => pirqOf(2, pin))).toEqual([1, 2, 3, 0]);
});

test("PIRQ after reset is routed nowhere", () => {
	const { isa, lines } = pcFunctions(new ManualClock());
	isa.pin(devfn(2, 0), 1).set(true);
	expect(asserted(lines)).toEqual([]);
});

test("two functions on one PIRQ: the interrupt falls with the last", () => {
	const { isa, lines } = pcFunctions(new ManualClock());
	isa.write(0x60, 4, 0x0b0b_0a0a);
	const first = isa.pin(devfn(1, 3), 1);
	const second = isa.pin(devfn(5, 0), 1);
	first.set(true);
	second.set(true);
	first.set(false);
	expect(asserted(lines)).toEqual([10]);
	second.set(false);
	expect(asserted(lines)).toEqual([]);
});

test("an asserted PIRQ follows its route", () => {
	const { isa, lines } = pcFunctions(new ManualClock());
	isa.pin(devfn(2, 0), 1).set(true);
	isa.write(0x61, 1, 0x0a);
	expect(asserted(lines)).toEqual([10]);
	isa.write(0x61, 1, 0x05);
	expect(asserted(lines)).toEqual([5]);
	isa.write(0x61, 1, 0x85);
	expect(asserted(lines)).toEqual([]);
	isa.write(0x61, 1, 0x0d);
	expect(asserted(lines)).toEqual([]);
});

test("a loaded state drives the lines again", () => {
	const source = pcFunctions(new ManualClock());
	source.isa.write(0x63, 1, 0x0b);
	source.isa.pin(devfn(4, 0), 1).set(true);
	const target = pcFunctions(new ManualClock());
	const pin = target.isa.pin(devfn(4, 0), 1);
	target.isa.load(JSON.parse(JSON.stringify(source.isa.save())));
	expect(asserted(target.lines)).toEqual([11]);
	pin.set(false);
	expect(asserted(target.lines)).toEqual([]);
});

test("empty IDE channels read 0 whatever was written", () => {
	const { ide } = pcFunctions(new ManualClock());
	for (const channel of [ide.primary, ide.secondary]) {
		for (let register = 1; register < 8; register++) channel.write(register, 1, register === 6 ? 0xb0 : 0xec);
		channel.control.write(0, 1, 0x0e);
		channel.write(0, 2, 0x1234);
		expect(Array.from({ length: 8 }, (_, register) => channel.read(register, 1))).toEqual(Array(8).fill(0));
		expect([channel.read(0, 2), channel.read(0, 4), channel.control.read()]).toEqual([0, 0, 0]);
	}
});

test("bus master registers: writable bits and the active bit are those of QEMU", () => {
	const { ide } = pcFunctions(new ManualClock());
	const registers = ide.busMasterRegisters;
	const bytes = (): number[] => Array.from({ length: 8 }, (_, i) => registers.read(i, 1));
	expect(bytes()).toEqual([0, 0xff, 0, 0xff, 0, 0, 0, 0]);
	for (let i = 0; i < 8; i++) registers.write(i, 1, 0xff);
	expect(bytes()).toEqual([0x09, 0xff, 0x61, 0xff, 0xfc, 0xff, 0xff, 0xff]);
	registers.write(0, 1, 0);
	registers.write(4, 4, 0x1234_5678);
	registers.write(4, 2, 0xabcd);
	expect(bytes()).toEqual([0, 0xff, 0x60, 0xff, 0xcc, 0xab, 0x34, 0x12]);
	expect(registers.read(12, 4)).toBe(0);
});
