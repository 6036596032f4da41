import { describe, expect, test } from "vitest";
import { ManualClock } from "../../src/bus/clock.ts";
import { CoprocessorError } from "../../src/devices/coprocessor-error.ts";
import { DebugExit } from "../../src/devices/debug-exit.ts";
import { DebugCon } from "../../src/devices/debugcon.ts";
import { Port61 } from "../../src/devices/port61.ts";
import { Port92 } from "../../src/devices/port92.ts";
import { PostPort } from "../../src/devices/post.ts";
import { ResetControl } from "../../src/devices/reset-control.ts";
import { deviceContract } from "../support/device-contract.ts";
import { RecordedBytes, RecordedLine } from "../support/lines.ts";

class RecordedPower {
	readonly requests: string[] = [];

	reset(kind: string): void {
		this.requests.push(`reset ${kind}`);
	}

	debugExit(value: number): void {
		this.requests.push(`exit ${value}`);
	}
}

const counter = { setGate() {}, out: () => false };

deviceContract("debugcon", () => ({ device: new DebugCon(new RecordedBytes()) }), { span: 1 });
deviceContract("post", () => ({ device: new PostPort(new RecordedBytes()) }), { span: 1 });
deviceContract("debug-exit", () => ({ device: new DebugExit(new RecordedPower()) }), { span: 4 });
deviceContract("port92", () => ({ device: new Port92({ a20: new RecordedLine(), power: new RecordedPower() }) }), {
	span: 1,
});
deviceContract(
	"coprocessor-error",
	() => {
		const irq = new RecordedLine();
		return { device: new CoprocessorError({ irq, ignore() {} }), irqs: [irq] };
	},
	{ span: 2 },
);
deviceContract("reset-control", () => ({ device: new ResetControl(new RecordedPower()) }), { span: 1 });
deviceContract(
	"port61",
	() => {
		const clock = new ManualClock();
		return { device: new Port61({ counter, clock }), clock };
	},
	{ span: 1 },
);

test("debugcon: writes reach the sink, a read gives 0xE9", () => {
	const sink = new RecordedBytes();
	const device = new DebugCon(sink);
	for (const char of "Hi\n") device.write(0, 1, char.charCodeAt(0));
	expect(sink.text).toBe("Hi\n");
	expect(device.read(0)).toBe(0xe9);
});

test("post: codes reach the sink and read back", () => {
	const sink = new RecordedBytes();
	const device = new PostPort(sink);
	device.write(0, 1, 0x11);
	device.write(0, 1, 0xff);
	expect(sink.bytes).toEqual([0x11, 0xff]);
	expect([device.code, device.read(0)]).toEqual([0xff, 0xff]);
});

test("debug-exit: the value arrives as written, whatever the width", () => {
	const power = new RecordedPower();
	const device = new DebugExit(power);
	device.write(0, 1, 0x10);
	device.write(2, 4, 0xdeadbeef);
	expect(power.requests).toEqual(["exit 16", "exit 3735928559"]);
});

describe("ports 0xF0 and 0xF1", () => {
	test.each([
		[0, 1],
		[1, 0],
	])("a write to the one at offset %i lowers the interrupt and ignores errors %i times", (offset, times) => {
		let ignored = 0;
		const irq = new RecordedLine();
		const device = new CoprocessorError({
			irq,
			ignore: () => {
				ignored++;
			},
		});
		device.error();
		expect(irq.asserted).toBe(true);
		device.write(offset);
		expect([irq.asserted, ignored, device.read()]).toEqual([false, times, 0xff]);
	});
});

describe("port 0x92", () => {
	test("bit 1 drives A20 and reads back", () => {
		const a20 = new RecordedLine();
		const device = new Port92({ a20, power: new RecordedPower() });
		device.write(0, 1, 0x02);
		expect([a20.asserted, device.read(0)]).toEqual([true, 0x02]);
		device.write(0, 1, 0x00);
		expect(a20.asserted).toBe(false);
	});

	test("only a rising bit 0 resets", () => {
		const power = new RecordedPower();
		const device = new Port92({ a20: new RecordedLine(), power });
		device.write(0, 1, 0x01);
		device.write(0, 1, 0x03);
		expect(power.requests).toEqual(["reset port92"]);
	});
});

test("reset-control: bit 2 resets, the kind reads back without it", () => {
	const power = new RecordedPower();
	const device = new ResetControl(power);
	device.write(0, 1, 0x02);
	expect(power.requests).toEqual([]);
	device.write(0, 1, 0x06);
	expect(power.requests).toEqual(["reset cf9"]);
	expect(device.read(0)).toBe(0x02);
});

describe("port 0x61", () => {
	test("bit 0 is the gate of counter 2, bit 1 the speaker, bit 5 the counter's output", () => {
		let gate = false;
		let out = false;
		const speaker = new RecordedLine();
		const device = new Port61({
			counter: {
				setGate(high) {
					gate = high;
				},
				out: () => out,
			},
			clock: new ManualClock(),
			speaker,
		});
		device.write(0, 1, 0xff);
		expect([gate, speaker.asserted, device.read(0) & 0xef]).toEqual([true, true, 0x0f]);
		out = true;
		expect(device.read(0) & 0x20).toBe(0x20);
		device.write(0, 1, 0x00);
		expect([gate, speaker.asserted]).toEqual([false, false]);
	});

	test("bit 4 changes every 15.085 microseconds", () => {
		const clock = new ManualClock();
		const device = new Port61({ counter, clock });
		let changes = 0;
		let last = device.read(0) & 0x10;
		for (let i = 0; i < 10_000; i++) {
			clock.advance(1_000);
			const now = device.read(0) & 0x10;
			if (now !== last) changes++;
			last = now;
		}
		expect(changes).toBe(Math.floor(10_000_000 / 15_085));
	});
});
