import { beforeEach, describe, expect, test } from "vitest";
import { ManualClock } from "../../src/bus/clock.ts";
import { RangeBus } from "../../src/bus/range-bus.ts";
import { IOAPIC_ADDRESS, IoApic } from "../../src/devices/ioapic.ts";
import { LocalApic } from "../../src/devices/lapic.ts";
import { ApicBus } from "../../src/devices/lapic-bus.ts";
import { deviceContract } from "../support/device-contract.ts";
import { RecordedLine } from "../support/lines.ts";

deviceContract("ioapic", () => ({ device: new IoApic(new ApicBus()) }), { span: 0x50, offsets: [0, 0x10, 0x40] });

describe("ioapic", () => {
	let apic: LocalApic;
	let ioapic: IoApic;
	const register = (number: number) => {
		ioapic.write(0, 4, number);
		return ioapic.read(0x10);
	};
	const setRegister = (number: number, value: number) => {
		ioapic.write(0, 4, number);
		ioapic.write(0x10, 4, value);
	};
	const serve = () => {
		if (!apic.hasInterrupt()) return undefined;
		const vector = apic.acknowledge();
		apic.write(0xb0, 4, 0);
		return vector;
	};

	beforeEach(() => {
		const bus = new ApicBus();
		const cpu = { interrupt: new RecordedLine(), taskPriority() {}, nmi() {}, smi() {}, init() {}, startup() {} };
		apic = new LocalApic({ timeStamp: () => 0n, id: 0, bootstrap: true, clock: new ManualClock(), bus, cpu });
		apic.write(0xf0, 4, 0x1ff);
		ioapic = new IoApic(bus);
	});

	test("identification, version and masked entries after reset", () => {
		expect([register(0), register(1), register(2), register(0x10), register(0x3f), register(0x40)]).toEqual([
			0, 0x170020, 0, 0x10000, 0, 0xffffffff,
		]);
		setRegister(0, 0x0f000000);
		setRegister(1, 0);
		expect([register(0), register(1), register(2)]).toEqual([0x0f000000, 0x170020, 0x0f000000]);
	});

	test("entries keep their writable bits", () => {
		setRegister(0x12, 0xffffffff);
		setRegister(0x13, 0xffffffff);
		expect([register(0x12), register(0x13)]).toEqual([0x1afff, 0xff000000]);
	});

	test("an edge-triggered pin sends on each rise", () => {
		setRegister(0x18, 0x34);
		const line = ioapic.line(4);
		line.set(true);
		expect(serve()).toBe(0x34);
		line.set(true);
		expect(serve()).toBeUndefined();
		line.set(false);
		line.set(true);
		expect(serve()).toBe(0x34);
	});

	test("an edge on a masked pin is lost", () => {
		setRegister(0x18, 0x10034);
		ioapic.setLine(4, true);
		setRegister(0x18, 0x34);
		expect(serve()).toBeUndefined();
	});

	test("a level-triggered pin sends once, again after its end while asserted, and shows remote IRR", () => {
		setRegister(0x24, 0x8052);
		ioapic.setLine(10, true);
		ioapic.setLine(10, true);
		expect(register(0x24)).toBe(0xc052);
		expect(serve()).toBe(0x52);
		expect(serve()).toBe(0x52);
		ioapic.setLine(10, false);
		expect([serve(), register(0x24)]).toEqual([0x52, 0x8052]);
		expect(serve()).toBeUndefined();
	});

	test("a level that came while masked sends when unmasked", () => {
		ioapic.setLine(10, true);
		setRegister(0x24, 0x18052);
		expect(serve()).toBeUndefined();
		setRegister(0x24, 0x8052);
		expect(serve()).toBe(0x52);
	});

	test("the end-of-interrupt register clears remote IRR; so does switching to edge", () => {
		setRegister(0x24, 0x8052);
		ioapic.setLine(10, true);
		ioapic.setLine(10, false);
		ioapic.write(0x40, 4, 0x52);
		expect(register(0x24)).toBe(0x8052);
		ioapic.setLine(10, true);
		ioapic.setLine(10, false);
		setRegister(0x24, 0x0052);
		expect(register(0x24)).toBe(0x0052);
	});

	test("a message nobody takes leaves remote IRR clear", () => {
		setRegister(0x25, 0x09000000);
		setRegister(0x24, 0x8052);
		ioapic.setLine(10, true);
		expect(register(0x24)).toBe(0x8052);
	});

	test("logical destinations", () => {
		apic.write(0xd0, 4, 0x04000000);
		setRegister(0x19, 0x04000000);
		setRegister(0x18, 0x0834);
		ioapic.setLine(4, true);
		expect(serve()).toBe(0x34);
	});

	test("byte and word accesses reach the registers through the bus", () => {
		const memory = new RangeBus("memory");
		memory.map(IOAPIC_ADDRESS, IOAPIC_ADDRESS + 0xfff, ioapic);
		memory.write(IOAPIC_ADDRESS, 1, 1);
		expect([memory.read(IOAPIC_ADDRESS + 0x10, 4), memory.read(IOAPIC_ADDRESS + 0x12, 2)]).toEqual([0x170020, 0x17]);
	});
});
