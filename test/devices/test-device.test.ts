import { describe, expect, test } from "vitest";
import { TestLines, TestMemory, TestPorts } from "../../src/devices/test-device.ts";
import { deviceContract } from "../support/device-contract.ts";
import { RecordedLine } from "../support/lines.ts";

deviceContract("pc-testdev ports", () => ({ device: new TestPorts() }), { span: 9 });
deviceContract("pc-testdev memory", () => ({ device: new TestMemory() }), { span: 64 });
deviceContract(
	"pc-testdev lines",
	() => {
		const irqs = Array.from({ length: 24 }, () => new RecordedLine());
		return { device: new TestLines(irqs), irqs };
	},
	{ span: 24 },
);

describe("pc-testdev", () => {
	test("its ports keep what is written, at +0 and at +8, in any width", () => {
		const ports = new TestPorts();
		ports.write(0, 4, 0x11223344);
		ports.write(1, 1, 0xaa);
		expect([ports.read(0, 4), ports.read(2, 2), ports.read(8, 1)]).toEqual([0x1122aa44, 0x1122, 0x44]);
		ports.write(8, 1, 0x88);
		expect(ports.read(0, 4)).toBe(0x1122aa88);
	});

	test("the page flush takes a write and changes nothing", () => {
		const ports = new TestPorts();
		ports.write(4, 4, 0xffffffff);
		expect([ports.read(4, 4), ports.read(0, 4)]).toEqual([0, 0]);
	});

	test("a write to a line's port moves that line", () => {
		const irqs = [new RecordedLine(), new RecordedLine()];
		const lines = new TestLines(irqs);
		lines.write(1, 1, 0x80);
		expect(irqs.map((irq) => irq.asserted)).toEqual([false, true]);
		lines.write(1, 1, 0);
		expect(irqs.map((irq) => irq.asserted)).toEqual([false, false]);
	});

	test("its memory keeps bytes up to its end", () => {
		const memory = new TestMemory();
		memory.write(0xfffc, 4, 0x12345678);
		expect([memory.read(0xfffe, 2), memory.read(0xffff, 1), memory.read(0, 4)]).toEqual([0x1234, 0x12, 0]);
	});
});
