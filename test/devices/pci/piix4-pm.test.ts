import { expect, test } from "vitest";
import { ManualClock } from "../../../src/bus/clock.ts";
import { pcFunctions } from "./pc-functions.ts";

const STATUS = 0;
const ENABLE = 2;
const CONTROL = 4;
const TIMER = 8;
/** Nanoseconds until the timer's most significant bit changes first: ceil(2^23 / 3579545 Hz). */
const HALF_PERIOD_NS = 2_343_484_438;

test("PM block moves with PMBASE once PMIOSE is set", () => {
	const { pm, pmWindow } = pcFunctions(new ManualClock());
	pm.write(0x40, 4, 0x601);
	expect(pmWindow.base).toBeUndefined();
	pm.write(0x80, 1, 1);
	expect([pmWindow.base, pm.pmBase]).toEqual([0x600, 0x600]);
	pm.write(0x40, 4, 0xb03f);
	expect(pmWindow.base).toBe(0xb000);
	pm.write(0x80, 1, 0xfe);
	expect(pmWindow.base).toBeUndefined();
});

test("PM block after reset reads as QEMU's", () => {
	const { pm } = pcFunctions(new ManualClock());
	const bytes = Array.from({ length: 16 }, (_, offset) => pm.registers.read(offset, 1));
	expect(bytes).toEqual([1, 0, 0, 0, 1, 0, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
	expect([pm.registers.read(4, 4), pm.registers.read(0, 4)]).toEqual([0xffff_0001, 0x0000_0001]);
});

test("PM1 registers: sleep enable is write-only, other bits are kept, the APM command changes nothing", () => {
	const { pm } = pcFunctions(new ManualClock());
	pm.registers.write(CONTROL, 2, 0x5678);
	pm.apm.write(0, 1, 0xf1);
	pm.apm.write(1, 1, 0xaa);
	expect([pm.registers.read(CONTROL, 2), pm.apm.read(0), pm.apm.read(1)]).toEqual([0x5678, 0xf1, 0xaa]);
	pm.registers.write(CONTROL, 2, 0x3400);
	expect(pm.registers.read(CONTROL, 2)).toBe(0x1400);
});

test("PM1 registers: one access over several registers writes each", () => {
	const { pm } = pcFunctions(new ManualClock());
	pm.registers.write(STATUS, 4, 0x1234_0001);
	expect([pm.registers.read(STATUS, 2), pm.registers.read(ENABLE, 2)]).toEqual([0, 0x1234]);
	pm.registers.write(3, 1, 0x99);
	expect(pm.registers.read(ENABLE, 2)).toBe(0x9934);
	pm.registers.write(3, 2, 0x5544);
	expect([pm.registers.read(ENABLE, 2), pm.registers.read(CONTROL, 2)]).toEqual([0x4434, 0x0055]);
});

test.each([
	[0x2000, 2, ["power off"]],
	[0x2800, 2, ["power off"]],
	[0x2400, 2, []],
	[0x0000, 2, []],
])("PM1 control written with %i: %i bytes ask for %j", (value, size, requests) => {
	const { pm, power } = pcFunctions(new ManualClock());
	pm.registers.write(CONTROL, size as 2, value);
	expect(power.requests).toEqual(requests);
});

test("power off by a byte write to the high half of PM1 control", () => {
	const { pm, power } = pcFunctions(new ManualClock());
	pm.registers.write(CONTROL + 1, 1, 0x20);
	expect(power.requests).toEqual(["power off"]);
});

test("timer carry: status is set when the most significant bit changes, and cleared by writing it", () => {
	const clock = new ManualClock();
	const { pm } = pcFunctions(clock);
	pm.registers.write(STATUS, 2, 1);
	clock.advance(HALF_PERIOD_NS - 1);
	expect([pm.registers.read(TIMER, 4), pm.registers.read(STATUS, 2)]).toEqual([0x7f_ffff, 0]);
	clock.advance(1);
	expect([pm.registers.read(TIMER, 4), pm.registers.read(STATUS, 2)]).toEqual([0x80_0000, 1]);
	pm.registers.write(STATUS, 2, 1);
	expect(pm.registers.read(STATUS, 2)).toBe(0);
});

test("timer carry enabled: the system control interrupt rises at the carry", () => {
	const clock = new ManualClock();
	const { pm, sci } = pcFunctions(clock);
	pm.registers.write(STATUS, 2, 1);
	pm.registers.write(ENABLE, 2, 1);
	clock.advance(HALF_PERIOD_NS - 1);
	expect(sci.asserted).toBe(false);
	clock.advance(1);
	expect(sci.asserted).toBe(true);
	pm.registers.write(STATUS, 2, 1);
	expect(sci.asserted).toBe(false);
	clock.advance(HALF_PERIOD_NS);
	expect(sci.asserted).toBe(true);
});

test("power button interrupts only when enabled and in ACPI mode", () => {
	const { pm, sci } = pcFunctions(new ManualClock());
	pm.pm1.pressPowerButton();
	expect(sci.asserted).toBe(false);
	pm.registers.write(ENABLE, 2, 0x100);
	expect(sci.asserted).toBe(true);
	pm.registers.write(CONTROL, 2, 0);
	expect(sci.asserted).toBe(false);
	pm.registers.write(CONTROL, 2, 1);
	pm.registers.write(STATUS, 2, 0x100);
	expect(sci.asserted).toBe(false);
});

test("general-purpose events: status clears by ones, enable is kept, an enabled event interrupts", () => {
	const { pm, sci } = pcFunctions(new ManualClock());
	for (let i = 0; i < 4; i++) pm.gpe0.write(i, 1, 0xff);
	expect([0, 1, 2, 3].map((i) => pm.gpe0.read(i))).toEqual([0, 0, 0xff, 0xff]);
	pm.gpe0.raise(9);
	expect([pm.gpe0.read(1), sci.asserted]).toEqual([2, true]);
	pm.gpe0.write(1, 1, 2);
	expect([pm.gpe0.read(1), sci.asserted]).toEqual([0, false]);
});

test("a loaded state interrupts again", () => {
	const source = pcFunctions(new ManualClock());
	source.pm.registers.write(ENABLE, 2, 0x100);
	source.pm.pm1.pressPowerButton();
	const target = pcFunctions(new ManualClock());
	target.pm.registers.load(JSON.parse(JSON.stringify(source.pm.registers.save())));
	expect(target.sci.asserted).toBe(true);
	target.pm.registers.reset();
	expect(target.sci.asserted).toBe(false);
});
