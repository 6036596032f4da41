import { beforeEach, describe, expect, test } from "vitest";
import { ManualClock } from "../../src/bus/clock.ts";
import { RangeBus } from "../../src/bus/range-bus.ts";
import { VGA_LAST_PORT, VGA_PORTS, VGA_TEXT_BYTES, VgaText } from "../../src/devices/vga-text.ts";
import { screenText } from "../../src/host/text-screen.ts";
import { deviceContract } from "../support/device-contract.ts";

deviceContract(
	"vga-text",
	() => {
		const clock = new ManualClock();
		return { device: new VgaText({ clock, memory: () => new Uint8Array(VGA_TEXT_BYTES) }), clock };
	},
	{ span: 0x30 },
);

describe("vga-text", () => {
	let clock: ManualClock;
	let memory: Uint8Array;
	let vga: VgaText;
	let ports: RangeBus;
	const out = (port: number, value: number) => ports.write(port, 1, value);
	const inp = (port: number) => ports.read(port, 1);
	const crtc = (register: number, value: number) => ports.write(0x3d4, 2, register | (value << 8));
	const put = (place: number, text: string, attribute = 0x07) => {
		for (const [i, char] of [...text].entries()) {
			memory[2 * (place + i)] = char.charCodeAt(0);
			memory[2 * (place + i) + 1] = attribute;
		}
	};

	const lines = (): string[] => screenText(vga.screen()).split("\n");

	beforeEach(() => {
		clock = new ManualClock();
		memory = new Uint8Array(VGA_TEXT_BYTES);
		vga = new VgaText({ clock, memory: () => memory });
		ports = new RangeBus("ports", 0x10000);
		ports.map(VGA_PORTS, VGA_LAST_PORT, vga);
	});

	test("80 columns and 25 rows from reset", () => {
		put(0, "Hello");
		put(24 * 80 + 75, "world", 0x1e);
		const { columns, rows, cells } = vga.screen();
		expect([columns, rows, cells.length]).toEqual([80, 25, 4000]);
		expect([lines()[0], lines()[24]?.trimStart()]).toEqual(["Hello", "world"]);
		expect(cells[2 * (24 * 80 + 79) + 1]).toBe(0x1e);
	});

	test("the start address scrolls, the end of the buffer wraps", () => {
		put(160, "third row");
		crtc(0x0d, 160);
		expect(lines()[0]).toBe("third row");
		put(0, "wrapped");
		crtc(0x0c, 0x3f);
		crtc(0x0d, 0xb0);
		expect(lines()[1]).toBe("wrapped");
	});

	test("eight-line characters make 50 rows, 40 columns a narrow screen", () => {
		crtc(0x09, 0x47);
		expect(vga.screen().rows).toBe(50);
		crtc(0x11, 0x0e);
		crtc(0x01, 39);
		crtc(0x13, 20);
		put(40, "second");
		expect([vga.screen().columns, lines()[1]]).toEqual([40, "second"]);
	});

	test("graphics modes show no text", () => {
		ports.write(0x3ce, 2, 0x0506);
		expect(vga.screen()).toEqual({ columns: 0, rows: 0, cells: new Uint8Array(0), cursor: undefined });
	});

	test("the cursor's place, and whether it shows", () => {
		crtc(0x0e, (3 * 80 + 7) >> 8);
		crtc(0x0f, (3 * 80 + 7) & 0xff);
		expect(vga.screen().cursor).toBe(3 * 80 + 7);
		crtc(0x0a, 0x20);
		expect(vga.screen().cursor).toBeUndefined();
		crtc(0x0a, 0x0d);
		expect(vga.screen().cursor).toBe(3 * 80 + 7);
		crtc(0x0e, 0x20);
		expect(vga.screen().cursor).toBeUndefined();
	});

	test("CRT registers 0..7 are protected but for bit 4 of register 7", () => {
		crtc(0x01, 0);
		crtc(0x07, 0x00);
		out(0x3d4, 0x01);
		expect(inp(0x3d5)).toBe(0x4f);
		out(0x3d4, 0x07);
		expect(inp(0x3d5)).toBe(0x0f);
	});

	test("the CRT controller answers at 3Dx or at 3Bx", () => {
		out(0x3d4, 0x0e);
		expect([inp(0x3d4), inp(0x3b4)]).toEqual([0x0e, 0xff]);
		out(0x3c2, 0x66);
		expect([inp(0x3cc), inp(0x3d4), inp(0x3b4), inp(0x3da)]).toEqual([0x66, 0xff, 0x0e, 0xff]);
	});

	test("the attribute port takes index and data in turn; reading the status starts over", () => {
		inp(0x3da);
		out(0x3c0, 0x10);
		out(0x3c0, 0x41);
		out(0x3c0, 0x11);
		inp(0x3da);
		out(0x3c0, 0x30);
		expect([inp(0x3c0), inp(0x3c1)]).toEqual([0x30, 0x41]);
	});

	test("the palette counts through its colours, six bits each", () => {
		out(0x3c8, 1);
		for (const value of [0xff, 0x20, 0x01, 0x3f]) out(0x3c9, value);
		expect([inp(0x3c7), inp(0x3c8)]).toEqual([0, 2]);
		out(0x3c7, 1);
		expect([inp(0x3c7), inp(0x3c9), inp(0x3c9), inp(0x3c9), inp(0x3c9)]).toEqual([3, 0x3f, 0x20, 0x01, 0x3f]);
	});

	test("sequencer and graphics registers are storage", () => {
		ports.write(0x3c4, 2, 0x0f02);
		ports.write(0x3ce, 2, 0xaa08);
		expect([inp(0x3c4), inp(0x3c5), inp(0x3ce), inp(0x3cf)]).toEqual([0x02, 0x0f, 0x08, 0xaa]);
		ports.write(0x3c4, 2, 0x5507);
		expect(inp(0x3c5)).toBe(0);
	});

	test("retrace comes seventy times a second, blanking every line", () => {
		let retraces = 0;
		let blanks = 0;
		let last = 0;
		for (let i = 0; i < 100_000; i++) {
			clock.advance(1000);
			const status = inp(0x3da);
			if (status & ~last & 8) retraces++;
			if (status & ~last & 1) blanks++;
			last = status;
		}
		expect(retraces).toBe(7);
		expect(Math.abs(blanks - 7 * 400)).toBeLessThan(10);
	});
});
