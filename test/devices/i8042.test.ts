import { beforeEach, describe, expect, test } from "vitest";
import { ManualClock } from "../../src/bus/clock.ts";
import { I8042 } from "../../src/devices/i8042.ts";
import { KEY_PAUSE, keyBytes, translate } from "../../src/devices/i8042-scancodes.ts";
import { deviceContract } from "../support/device-contract.ts";
import { RecordedLine } from "../support/lines.ts";

const MS = 1_000_000;

function create() {
	const clock = new ManualClock();
	const lines = { keyboardIrq: new RecordedLine(), mouseIrq: new RecordedLine(), a20: new RecordedLine() };
	const resets: string[] = [];
	const device = new I8042({ clock, ...lines, power: { reset: (kind) => resets.push(kind) } });
	return { clock, ...lines, resets, device };
}

deviceContract(
	"i8042",
	() => {
		const { device, clock, keyboardIrq, mouseIrq } = create();
		return { device, clock, irqs: [keyboardIrq, mouseIrq] };
	},
	{ span: 5, offsets: [0, 4] },
);

describe("i8042", () => {
	let pc: ReturnType<typeof create>;
	const command = (...bytes: number[]) => {
		const [first, ...rest] = bytes;
		pc.device.write(4, 1, first ?? 0);
		for (const byte of rest) pc.device.write(0, 1, byte);
	};
	const data = (byte: number) => pc.device.write(0, 1, byte);
	const status = () => pc.device.read(4);
	/** Everything the guest gets when it polls until nothing comes. */
	const drain = () => {
		const bytes: number[] = [];
		for (let idle = 0; idle < 2; ) {
			if (status() & 1) {
				bytes.push(pc.device.read(0));
				idle = 0;
			} else {
				pc.clock.advance(1 * MS);
				idle++;
			}
		}
		return bytes;
	};

	beforeEach(() => {
		pc = create();
	});

	test("self-tests, and the status before and after", () => {
		expect(status()).toBe(0x18);
		command(0xaa);
		expect(status()).toBe(0x1d);
		expect([drain(), status() & 1]).toEqual([[0x55], 0]);
		command(0xab);
		command(0xa9);
		expect(drain()).toEqual([0x00, 0x00]);
	});

	test("the command byte and the other RAM read back", () => {
		command(0x60, 0x47);
		command(0x65, 0xa5);
		command(0x20);
		command(0x25);
		expect(drain()).toEqual([0x47, 0xa5]);
		expect(status() & 0x0c).toBe(0x0c);
	});

	test("the last byte reads again when the buffer is empty", () => {
		command(0xaa);
		expect([pc.device.read(0), pc.device.read(0)]).toEqual([0x55, 0x55]);
	});

	test.each([
		["reset", [0xff], [0xfa, 0xaa]],
		["identify", [0xf2], [0xfa, 0xab, 0x83]],
		["echo", [0xee], [0xee]],
		["LEDs", [0xed, 0x07], [0xfa, 0xfa]],
		["typematic", [0xf3, 0x00], [0xfa, 0xfa]],
		["which scan set", [0xf0, 0x00], [0xfa, 0xfa, 0x02]],
		["scan set 3, which", [0xf0, 0x03, 0xf0, 0x00], [0xfa, 0xfa, 0xfa, 0xfa, 0x03]],
		["defaults after scan set 3, which", [0xf0, 0x03, 0xf6, 0xf0, 0x00], [0xfa, 0xfa, 0xfa, 0xfa, 0xfa, 0x02]],
		["no such scan set", [0xf0, 0x04], [0xfa, 0xfe]],
		["a command in place of an argument", [0xed, 0xf2], [0xfa, 0xfa, 0xab, 0x83]],
		["unknown", [0xef], [0xfe]],
		["one key's type, key by key", [0xfc, 0x1c, 0x1d, 0xf4], [0xfa, 0xfa, 0xfa, 0xfa]],
	])("keyboard command: %s", (_, bytes, expected) => {
		const got: number[] = [];
		for (const byte of bytes) {
			data(byte);
			got.push(...drain());
		}
		expect(got).toEqual(expected);
	});

	test("the keyboard's identification is translated when translation is on", () => {
		command(0x60, 0x41);
		data(0xf2);
		expect(drain()).toEqual([0xfa, 0xab, 0x41]);
	});

	test("LEDs show outside", () => {
		data(0xed);
		data(0x05);
		expect(pc.device.keyboard.leds).toBe(5);
	});

	test("a key press and release arrive in set 2, or in set 1 when translated", () => {
		pc.device.key(0x1e, true);
		pc.device.key(0x1e, false);
		expect(drain()).toEqual([0x1c, 0xf0, 0x1c]);
		command(0x60, 0x41);
		pc.device.key(0xe048, true);
		pc.device.key(0xe048, false);
		expect(drain()).toEqual([0xe0, 0x48, 0xe0, 0xc8]);
	});

	test("IRQ 1 is high while a keyboard byte waits and falls with the read; the next byte comes later", () => {
		pc.device.key(0x1e, true);
		pc.device.key(0x1e, false);
		expect([pc.keyboardIrq.asserted, pc.device.read(0), pc.keyboardIrq.asserted]).toEqual([true, 0x1c, false]);
		expect(pc.device.read(0)).toBe(0x1c);
		pc.clock.advance(249_999);
		expect(status() & 1).toBe(0);
		pc.clock.advance(1);
		expect([status() & 1, pc.keyboardIrq.rises]).toEqual([1, 2]);
	});

	test("interrupts off: the byte waits without IRQ 1; on: it interrupts", () => {
		command(0x60, 0x00);
		pc.device.key(0x1e, true);
		expect([status() & 1, pc.keyboardIrq.asserted]).toEqual([1, false]);
		command(0x60, 0x01);
		expect(pc.keyboardIrq.asserted).toBe(true);
	});

	test("a disabled keyboard keeps its keys; a byte to it enables it", () => {
		command(0xad);
		pc.device.key(0x1e, true);
		expect(drain()).toEqual([]);
		command(0xae);
		expect(drain()).toEqual([0x1c]);
		command(0xad);
		data(0xee);
		command(0x20);
		expect(drain()).toEqual([0xee, 0x03]);
	});

	test("keys held repeat after the delay at the rate, until released", () => {
		pc.device.key(0x1e, true);
		drain();
		pc.clock.advance(495 * MS);
		expect(drain()).toEqual([]);
		pc.clock.advance(2 * MS);
		expect(drain()).toEqual([0x1c]);
		pc.clock.advance(91 * MS);
		expect(drain()).toEqual([0x1c]);
		pc.device.key(0x1e, false);
		expect(drain()).toEqual([0xf0, 0x1c]);
		pc.clock.advance(1000 * MS);
		expect(drain()).toEqual([]);
	});

	test("a full buffer loses keys and says so once", () => {
		for (let i = 0; i < 40; i++) pc.device.key(0x02 + (i % 8), true);
		const bytes = drain();
		expect(bytes.length).toBe(18);
		expect(bytes.at(-1)).toBe(0x00);
	});

	test("scan set 3 sends releases only for keys set so", () => {
		data(0xf0);
		data(0x03);
		drain();
		pc.device.key(0x1e, true);
		pc.device.key(0x1e, false);
		expect(drain()).toEqual([0x1c]);
		data(0xf8);
		drain();
		pc.device.key(0x1e, true);
		pc.device.key(0x1e, false);
		expect(drain()).toEqual([0x1c, 0xf0, 0x1c]);
	});

	test("A20 follows the output port, DD and DF; D0 reads it", () => {
		expect(pc.a20.asserted).toBe(true);
		command(0xd1, 0xdd);
		expect(pc.a20.asserted).toBe(false);
		command(0xd0);
		expect(drain()).toEqual([0xcd]);
		command(0xdf);
		expect(pc.a20.asserted).toBe(true);
		command(0xdd);
		expect(pc.a20.asserted).toBe(false);
		pc.device.reset();
		expect(pc.a20.asserted).toBe(true);
	});

	test("FE pulses reset; so does clearing bit 0 of the output port; other pulses do not", () => {
		command(0xfe);
		command(0xf1);
		command(0xff);
		command(0xd1, 0xdf);
		command(0xd1, 0xde);
		expect(pc.resets).toEqual(["keyboard", "keyboard"]);
	});

	test("D2 and D3 put a byte into the buffer as keyboard and as mouse", () => {
		command(0xd2, 0x12);
		expect([status() & 0x21, pc.keyboardIrq.asserted]).toEqual([0x01, true]);
		drain();
		command(0xd3, 0x34);
		expect([status() & 0x21, pc.mouseIrq.asserted]).toEqual([0x21, true]);
		expect(drain()).toEqual([0x34]);
		expect(pc.mouseIrq.asserted).toBe(false);
	});

	const mouse = (...bytes: number[]) => {
		const got: number[] = [];
		for (const byte of bytes) {
			command(0xd4, byte);
			got.push(...drain());
		}
		return got;
	};

	test.each([
		["reset", [0xff], [0xfa, 0xaa, 0x00]],
		["identify", [0xf2], [0xfa, 0x00]],
		["status", [0xe9], [0xfa, 0x00, 0x02, 0x64]],
		[
			"status after settings",
			[0xf4, 0xe7, 0xe8, 3, 0xf3, 40, 0xe9],
			[0xfa, 0xfa, 0xfa, 0xfa, 0xfa, 0xfa, 0xfa, 0x30, 3, 40],
		],
		["wheel knock", [0xf3, 200, 0xf3, 100, 0xf3, 80, 0xf2], [0xfa, 0xfa, 0xfa, 0xfa, 0xfa, 0xfa, 0xfa, 3]],
		["five-button knock", [0xf3, 200, 0xf3, 200, 0xf3, 80, 0xf2], [0xfa, 0xfa, 0xfa, 0xfa, 0xfa, 0xfa, 0xfa, 4]],
		["wrap", [0xee, 0x12, 0xf2, 0xec, 0xf2], [0xfa, 0x12, 0xf2, 0xfa, 0xfa, 0x00]],
		["unknown", [0xe1], [0xfe]],
	])("mouse command: %s", (_, bytes, expected) => {
		expect(mouse(...bytes)).toEqual(expected);
	});

	test("movement is reported when enabled, nine bits at a time, with IRQ 12", () => {
		pc.device.mouse.move({ dx: 5, dy: 5, buttons: 0 });
		expect(drain()).toEqual([]);
		mouse(0xf4);
		pc.device.mouse.move({ dx: 300, dy: -3, buttons: 1 });
		expect([status() & 0x21, pc.mouseIrq.asserted]).toEqual([0x21, true]);
		expect(drain()).toEqual([0x29, 0xff, 0xfd, 0x09, 0x2d, 0x00]);
	});

	test("a wheel mouse sends four bytes", () => {
		mouse(0xf3, 200, 0xf3, 100, 0xf3, 80, 0xf4);
		pc.device.mouse.move({ dx: 1, dy: 2, dz: -1, buttons: 4 });
		expect(drain()).toEqual([0x0c, 0x01, 0x02, 0xff]);
	});

	test("remote mode reports when asked", () => {
		mouse(0xf4, 0xf0);
		pc.device.mouse.move({ dx: 1, dy: 2, buttons: 0 });
		expect(drain()).toEqual([]);
		expect(mouse(0xeb)).toEqual([0xfa, 0x08, 0x01, 0x02]);
	});

	test("a disabled mouse port keeps its bytes", () => {
		mouse(0xf4);
		command(0xa7);
		pc.device.mouse.move({ dx: 1, dy: 2, buttons: 0 });
		expect(drain()).toEqual([]);
		command(0xa8);
		expect(drain()).toEqual([0x08, 0x01, 0x02]);
	});

	test("answers nobody reads do not pile up", () => {
		for (let i = 0; i < 1000; i++) {
			data(0xf2);
			command(0xd4, 0xf2);
			command(0x20);
		}
		expect(JSON.stringify(pc.device.save()).length).toBeLessThan(3000);
	});
});

describe("scan codes", () => {
	test("what the controller translates from set 2 is what the key sends in set 1, for every key", () => {
		const keys = Array.from({ length: 0x58 }, (_, i) => i + 1).flatMap((key) => [key, 0xe000 | key]);
		for (const key of [...keys, KEY_PAUSE]) {
			for (const pressed of [true, false]) {
				let release = 0;
				const translated: number[] = [];
				for (const byte of keyBytes(key, pressed, 2)) {
					if (byte === 0xf0) release = 0x80;
					else {
						translated.push(translate(byte) | release);
						release = 0;
					}
				}
				expect(translated).toEqual(keyBytes(key, pressed, 1));
			}
		}
	});

	test.each([
		[0x3b, [0x05]],
		[0x41, [0x83]],
		[0x54, [0x84]],
		[0xe05b, [0xe0, 0x1f]],
		[0xe037, [0xe0, 0x12, 0xe0, 0x7c]],
	])("key %d in set 2", (key, bytes) => {
		expect(keyBytes(key, true, 2)).toEqual(bytes);
	});
});
