import { expect, test } from "vitest";
import { ManualClock } from "../../src/bus/clock.ts";
import { devfn, PciBus, pciName } from "../../src/bus/pci.ts";
import { pcFunctions } from "../devices/pci/pc-functions.ts";

const IDE = devfn(1, 1);
const ENABLE = 0x8000_0000;

function configure(slot: number, fn: number, register: number) {
	const pc = pcFunctions(new ManualClock());
	pc.address.write(0, 4, (ENABLE | (devfn(slot, fn) << 8) | register) >>> 0);
	return pc;
}

test("PCI bus without a function: reads are all ones and writes go nowhere", () => {
	const bus = new PciBus();
	bus.writeConfig(devfn(3, 0), 0x04, 2, 7);
	expect([1, 2, 4].map((size) => bus.readConfig(devfn(3, 0), 0, size as 1 | 2 | 4))).toEqual([
		0xff, 0xffff, 0xffff_ffff,
	]);
});

test("PCI bus lists its functions in order of slot and function", () => {
	const { bus } = pcFunctions(new ManualClock());
	expect(bus.entries().map(([at, fn]) => `${pciName(at)} ${fn.name}`)).toEqual([
		"00:00.0 i440fx",
		"00:01.0 piix3-isa",
		"00:01.1 piix3-ide",
		"00:01.3 piix4-pm",
	]);
});

test("BAR written with all ones reads back its size and is not placed", () => {
	const { bus, ideWindow } = pcFunctions(new ManualClock());
	bus.writeConfig(IDE, 0x04, 2, 1);
	bus.writeConfig(IDE, 0x20, 4, 0xffff_ffff);
	expect(bus.readConfig(IDE, 0x20, 4)).toBe(0xffff_fff1);
	expect(ideWindow.base).toBeUndefined();
});

test("BAR is placed only while I/O decoding is enabled", () => {
	const { bus, ideWindow } = pcFunctions(new ManualClock());
	bus.writeConfig(IDE, 0x20, 4, 0xc001);
	expect(ideWindow.base).toBeUndefined();
	bus.writeConfig(IDE, 0x04, 2, 1);
	expect(ideWindow.base).toBe(0xc000);
	bus.writeConfig(IDE, 0x04, 2, 0);
	expect(ideWindow.base).toBeUndefined();
});

test.each([
	["unassigned", 0x1],
	["above the ports", 0x1_c001],
])("BAR %s is not placed", (_name, value) => {
	const { bus, ideWindow } = pcFunctions(new ManualClock());
	bus.writeConfig(IDE, 0x04, 2, 1);
	bus.writeConfig(IDE, 0x20, 4, value);
	expect(ideWindow.base).toBeUndefined();
});

test("BAR rewritten with the same value is not placed again", () => {
	const { bus, ideWindow } = pcFunctions(new ManualClock());
	bus.writeConfig(IDE, 0x20, 4, 0xc001);
	bus.writeConfig(IDE, 0x04, 2, 1);
	bus.writeConfig(IDE, 0x20, 4, 0xc001);
	bus.writeConfig(IDE, 0x04, 2, 5);
	expect(ideWindow.moves).toBe(1);
});

test("reset takes a placed BAR off the bus", () => {
	const { bus, ide, ideWindow } = pcFunctions(new ManualClock());
	bus.writeConfig(IDE, 0x20, 4, 0xc001);
	bus.writeConfig(IDE, 0x04, 2, 1);
	ide.reset();
	expect(ideWindow.base).toBeUndefined();
});

test("a loaded state places the BAR where it was", () => {
	const source = pcFunctions(new ManualClock());
	source.bus.writeConfig(IDE, 0x20, 4, 0xc001);
	source.bus.writeConfig(IDE, 0x04, 2, 5);
	const target = pcFunctions(new ManualClock());
	target.ide.load(JSON.parse(JSON.stringify(source.ide.save())));
	expect(target.ideWindow.base).toBe(0xc000);
	expect(target.ide.busMaster).toBe(true);
});

test("configuration address: narrow accesses neither write it nor show it", () => {
	const { address } = configure(1, 0, 0);
	address.write(0, 2, 0x1234);
	address.write(3, 1, 0x55);
	expect([address.read(0, 4), address.read(1, 1), address.read(0, 2)]).toEqual([0x8000_0800, 0xff, 0xffff]);
});

test("configuration data: byte lanes of the selected doubleword", () => {
	const { data } = configure(1, 0, 0);
	expect([0, 1, 2, 3].map((lane) => data.read(lane, 1))).toEqual([0x86, 0x80, 0x00, 0x70]);
	expect([data.read(2, 2), data.read(0, 4)]).toEqual([0x7000, 0x7000_8086]);
});

test.each([
	["disabled", 0x0000_0800],
	["another bus", 0x8001_0800],
	["an absent function", 0x8000_0a00],
])("configuration data with the address %s: all ones", (_name, value) => {
	const { address, data } = configure(1, 0, 0);
	address.write(0, 4, value);
	expect(data.read(0, 4)).toBe(0xffff_ffff);
});

test("configuration data: a byte write changes only its lane", () => {
	const { bus, data } = configure(1, 0, 0x60);
	data.write(1, 1, 0x0b);
	expect(bus.readConfig(devfn(1, 0), 0x60, 4)).toBe(0x8080_0b80);
});
