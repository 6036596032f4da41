import { beforeEach, describe, expect, test } from "vitest";
import { ManualClock } from "../../src/bus/clock.ts";
import { Uart16550 } from "../../src/devices/uart16550.ts";
import { deviceContract } from "../support/device-contract.ts";
import { RecordedBytes, RecordedLine } from "../support/lines.ts";

const [DATA, IER, IIR, FCR, LCR, MCR, LSR, MSR, SCR] = [0, 1, 2, 2, 3, 4, 5, 6, 7] as const;

deviceContract(
	"uart16550",
	() => {
		const clock = new ManualClock();
		const irq = new RecordedLine();
		return { device: new Uart16550({ irq, sink: new RecordedBytes(), clock }), irqs: [irq], clock };
	},
	{ span: 8 },
);

describe("uart16550", () => {
	let clock: ManualClock;
	let irq: RecordedLine;
	let sink: RecordedBytes;
	let uart: Uart16550;
	const out = (offset: number, value: number) => uart.write(offset, 1, value);
	const inp = (offset: number) => uart.read(offset);

	beforeEach(() => {
		clock = new ManualClock();
		irq = new RecordedLine();
		sink = new RecordedBytes();
		uart = new Uart16550({ irq, sink, clock });
	});

	test("registers after reset are the datasheet's", () => {
		expect([IER, IIR, LCR, MCR, LSR, MSR].map(inp)).toEqual([0x00, 0x01, 0x00, 0x00, 0x60, 0xb0]);
	});

	test("a written byte reaches the sink and the transmitter is empty again", () => {
		for (const char of "ok") out(DATA, char.charCodeAt(0));
		expect(sink.text).toBe("ok");
		expect(inp(LSR)).toBe(0x60);
	});

	test("DLAB shows the divisor in place of data and interrupt enable", () => {
		out(LCR, 0x83);
		out(DATA, 0x34);
		out(IER, 0x12);
		expect([inp(DATA), inp(IER)]).toEqual([0x34, 0x12]);
		out(LCR, 0x03);
		expect([inp(DATA), inp(IER)]).toEqual([0, 0]);
		expect(sink.bytes).toEqual([]);
	});

	test("scratch keeps a byte; IER keeps four bits, MCR five", () => {
		out(SCR, 0xa5);
		out(IER, 0xf0);
		out(MCR, 0xe5);
		expect([inp(SCR), inp(IER), inp(MCR)]).toEqual([0xa5, 0x00, 0x05]);
	});

	test("IIR bits 7:6 tell a 16550A with FIFOs on", () => {
		out(FCR, 0x01);
		expect(inp(IIR)).toBe(0xc1);
		out(FCR, 0x00);
		expect(inp(IIR)).toBe(0x01);
	});

	test("without FIFO one character fits; the next waits for the guest", () => {
		expect(uart.receive([0x41, 0x42])).toBe(1);
		expect(inp(LSR)).toBe(0x61);
		expect(uart.receive([0x42])).toBe(0);
		expect(inp(DATA)).toBe(0x41);
		expect([inp(LSR), inp(DATA)]).toEqual([0x60, 0x41]);
		expect(uart.receive([0x42])).toBe(1);
	});

	test("reading a character announces room", () => {
		let announced = 0;
		const other = new Uart16550({ irq, sink, clock, roomMade: () => announced++ });
		other.receive([1]);
		other.read(DATA);
		other.read(DATA);
		expect(announced).toBe(1);
	});

	test("looking for a character, or asking to be interrupted by one, announces room while there is none", () => {
		const announced: number[] = [];
		let step = 0;
		const other = new Uart16550({ irq, sink, clock, roomMade: () => announced.push(step) });
		const steps = [
			() => other.read(LSR),
			() => other.write(IER, 1, 0x01),
			() => other.write(IER, 1, 0x02),
			() => other.receive([1]),
			() => other.read(LSR),
		];
		for (const each of steps) {
			step++;
			each();
		}
		expect(announced).toEqual([1, 2]);
	});

	test.each([
		[0x01, 1],
		[0x41, 4],
		[0x81, 8],
		[0xc1, 14],
	])("FIFO control %s: the receive interrupt comes at %d characters and goes below", (fcr, level) => {
		out(FCR, fcr);
		out(IER, 0x01);
		for (let i = 1; i < level; i++) uart.receive([i]);
		expect(irq.asserted).toBe(false);
		uart.receive([0x55]);
		expect([irq.asserted, inp(IIR)]).toEqual([true, 0xc4]);
		inp(DATA);
		expect(irq.asserted).toBe(false);
	});

	test("the FIFO takes characters up to its trigger level at once, then one by one up to 16", () => {
		out(FCR, 0x81);
		expect(uart.room).toBe(8);
		let total = 0;
		for (let i = 0; i < 30; i++) total += uart.receive([i]);
		expect([total, uart.room]).toEqual([16, 0]);
		for (let i = 0; i < 16; i++) expect(inp(DATA)).toBe(i);
	});

	test("fewer characters than the trigger level raise the timeout after four characters' time", () => {
		out(LCR, 0x83);
		out(DATA, 1);
		out(IER, 0);
		out(LCR, 0x03);
		out(FCR, 0xc1);
		out(IER, 0x01);
		uart.receive([0x41, 0x42]);
		// 10 bits at 115,200 baud, four times.
		clock.advance(347_222);
		expect(irq.asserted).toBe(false);
		clock.advance(1);
		expect([irq.asserted, inp(IIR)]).toEqual([true, 0xcc]);
		inp(DATA);
		expect([irq.asserted, inp(IIR)]).toEqual([false, 0xc1]);
		clock.advance(347_223);
		expect(inp(IIR)).toBe(0xcc);
		inp(DATA);
		clock.advance(1_000_000);
		expect(inp(IIR)).toBe(0xc1);
	});

	test("interrupts by priority: line status, data, transmitter, modem", () => {
		out(MCR, 0x10);
		out(IER, 0x0f);
		out(MCR, 0x12);
		out(DATA, 0x41);
		out(DATA, 0x42);
		expect(inp(IIR)).toBe(0x06);
		expect(inp(LSR)).toBe(0x63);
		expect(inp(IIR)).toBe(0x04);
		expect(inp(DATA)).toBe(0x42);
		expect(inp(IIR)).toBe(0x02);
		expect(inp(IIR)).toBe(0x00);
		inp(MSR);
		expect([inp(IIR), irq.asserted]).toEqual([0x01, false]);
	});

	test("the transmitter interrupt comes when enabled, goes by reading IIR, and comes back with each byte", () => {
		out(IER, 0x02);
		expect(irq.asserted).toBe(true);
		expect(inp(IIR)).toBe(0x02);
		expect([irq.asserted, inp(IIR)]).toEqual([false, 0x01]);
		out(DATA, 0x41);
		expect([irq.asserted, irq.rises]).toEqual([true, 2]);
		out(DATA, 0x42);
		expect([irq.asserted, irq.rises]).toEqual([true, 3]);
		out(IER, 0x00);
		expect(irq.asserted).toBe(false);
	});

	test("Linux's tests for broken transmitter interrupts find none", () => {
		out(IER, 0x02);
		const first = inp(IIR);
		out(IER, 0x00);
		out(IER, 0x02);
		const second = inp(IIR);
		out(IER, 0x00);
		expect([first & 1, second & 1]).toEqual([0, 0]);
		out(LCR, 0x03);
		out(IER, 0x02);
		expect([inp(LSR) & 0x40, inp(IIR) & 1]).toEqual([0x40, 0]);
	});

	test("IER written again with the transmitter bit kept does not raise it anew", () => {
		out(IER, 0x02);
		inp(IIR);
		out(IER, 0x03);
		expect(irq.asserted).toBe(false);
	});

	test("loopback wires modem outputs to inputs and keeps bytes from the sink", () => {
		out(MCR, 0x1a);
		expect(inp(MSR) & 0xf0).toBe(0x90);
		out(MCR, 0x15);
		expect(inp(MSR) & 0xf0).toBe(0x60);
		out(DATA, 0x5a);
		expect([inp(DATA), sink.bytes.length]).toEqual([0x5a, 0]);
		expect(uart.room).toBe(0);
		expect(uart.modemOutputs).toEqual({ dtr: false, rts: false, out1: false, out2: false, break: false });
	});

	test("a received break is a zero with the break bit; a break sent does not loop back", () => {
		out(FCR, 0x01);
		uart.receiveBreak();
		expect(inp(LSR)).toBe(0x60 | 0x80 | 0x10 | 0x01);
		expect([inp(DATA), inp(LSR)]).toEqual([0, 0x60]);
		out(MCR, 0x10);
		out(LCR, 0x43);
		expect(inp(LSR)).toBe(0x60);
	});

	test("overrun in the FIFO keeps the sixteen old characters", () => {
		out(FCR, 0x01);
		out(MCR, 0x10);
		for (let i = 0; i < 17; i++) out(DATA, i);
		expect(inp(LSR)).toBe(0x63);
		expect(inp(LSR)).toBe(0x61);
		for (let i = 0; i < 16; i++) expect(inp(DATA)).toBe(i);
		expect(inp(LSR)).toBe(0x60);
	});

	test("an error shows when its character reaches the top; bit 7 shows it before", () => {
		out(FCR, 0x01);
		out(IER, 0x04);
		uart.receive([0x41]);
		uart.receiveDamaged(0x42, 0x08);
		expect([inp(LSR), irq.asserted]).toEqual([0xe1, false]);
		inp(DATA);
		expect([irq.asserted, inp(IIR)]).toEqual([true, 0xc6]);
		expect(inp(LSR)).toBe(0xe9);
		expect([inp(LSR), irq.asserted]).toEqual([0x61, false]);
	});

	test("clearing the receive FIFO drops its characters; turning the FIFOs off does too", () => {
		out(FCR, 0x01);
		uart.receive([1]);
		out(FCR, 0x03);
		expect(inp(LSR)).toBe(0x60);
		uart.receive([1]);
		out(FCR, 0x00);
		expect(inp(LSR)).toBe(0x60);
	});

	test("clearing the transmit FIFO raises its interrupt where enabled", () => {
		out(FCR, 0x01);
		out(IER, 0x02);
		inp(IIR);
		out(FCR, 0x05);
		expect([inp(IIR), inp(IIR)]).toEqual([0xc2, 0xc1]);
	});

	test("modem inputs set deltas, ring only when it ends; reading clears them", () => {
		out(IER, 0x08);
		uart.setModemInputs({ cts: false, ri: true });
		expect([irq.asserted, inp(MSR)]).toEqual([true, 0xe1]);
		expect([irq.asserted, inp(MSR)]).toEqual([false, 0xe0]);
		uart.setModemInputs({ ri: false });
		expect(inp(MSR)).toBe(0xa4);
	});

	test("modem outputs and break are visible outside", () => {
		out(MCR, 0x0b);
		out(LCR, 0x40);
		expect(uart.modemOutputs).toEqual({ dtr: true, rts: true, out1: false, out2: true, break: true });
	});
});
