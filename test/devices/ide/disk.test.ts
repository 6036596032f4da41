import { beforeEach, describe, expect, test } from "vitest";
import { type BlockStore, SECTOR } from "../../../src/bus/block-store.ts";
import { ManualClock } from "../../../src/bus/clock.ts";
import { Disk } from "../../../src/devices/ide/disk.ts";
import { deviceContract } from "../../support/device-contract.ts";
import { IdeBench, RamStore } from "../../support/ide.ts";

/** 40 MB: 81 cylinders of 16 heads and 63 sectors, and some sectors more. */
const SECTORS = 81 * 16 * 63 + 100;
const LBA = 0xe0;
const CHS = 0xa0;
const [READY, ERROR] = [0x50, 0x51] as const;

/** Takes writes and forgets them, so that devices with the same state read the same. */
const forgetful: BlockStore = {
	sectors: SECTORS,
	readonly: false,
	read(sector, into) {
		into.fill(sector);
		return true;
	},
	write: () => true,
	flush: () => true,
};

deviceContract(
	"ide channel with two disks",
	() => {
		const clock = new ManualClock();
		const disks = ["1", "2"].map((serial) => new Disk({ clock, store: forgetful, serial }));
		const bench = new IdeBench(clock, ...disks);
		return { device: bench.channel, clock, irqs: [bench.irq] };
	},
	{ span: 8 },
);

describe("an ATA disk", () => {
	let clock: ManualClock;
	let store: RamStore;
	let bench: IdeBench;

	beforeEach(() => {
		clock = new ManualClock();
		store = new RamStore(SECTORS);
		bench = new IdeBench(clock, new Disk({ clock, store, serial: "TSVMM00001" }));
	});

	const identify = (): number[] => {
		bench.command(0xec, CHS);
		bench.wait();
		return bench.words(256);
	};

	test("shows its signature after a reset, and again after a soft one, which takes time", () => {
		const signature = () => [1, 2, 3, 4, 5, 6, 7].map((register) => bench.get(register));
		expect(signature()).toEqual([1, 1, 1, 0, 0, 0, READY]);
		bench.command(0x20, LBA | 0x10, 1, 2, 3, 4);
		bench.channel.control.write(0, 1, 4);
		expect(bench.channel.control.read()).toBe(0x80);
		bench.channel.control.write(0, 1, 0);
		expect(bench.channel.control.read()).toBe(0x80);
		bench.wait();
		expect(signature()).toEqual([1, 1, 1, 0, 0, 0, READY]);
		expect(bench.irq.rises).toBe(0);
	});

	test("IDENTIFY tells its geometry, size, name and abilities", () => {
		const words = identify();
		const text = (at: number, count: number) =>
			words
				.slice(at, at + count)
				.map((word) => String.fromCharCode(word >> 8, word & 0xff))
				.join("")
				.trim();
		expect([words[0], words[1], words[3], words[6]]).toEqual([0x40, 81, 16, 63]);
		expect([text(10, 10), text(27, 20)]).toEqual(["TSVMM00001", "TSVMM HARDDISK"]);
		expect(words[60]! + words[61]! * 65536).toBe(SECTORS);
		expect(words.slice(100, 104)).toEqual([SECTORS & 0xffff, SECTORS >> 16, 0, 0]);
		// LBA and DMA; 48-bit addresses supported and on.
		expect([words[49]! & 0x300, words[83]! & 0x400, words[86]! & 0x400]).toEqual([0x300, 0x400, 0x400]);
		expect(bench.channel.alternateStatus).toBe(READY);
	});

	test("reads sectors by LBA, with an interrupt for each, and shows the last address", () => {
		bench.command(0x20, LBA, 2, 0x34, 0x12, 0);
		expect(bench.channel.alternateStatus & 0x80).toBe(0x80);
		expect([bench.wait(), bench.irq.asserted]).toEqual([0x58, true]);
		expect([bench.get(7), bench.irq.asserted]).toEqual([0x58, false]);
		expect(bench.sectorNumber()).toBe(0x1234);
		expect([bench.wait(), bench.irq.asserted, bench.sectorNumber()]).toEqual([0x58, true, 0x1235]);
		expect([bench.get(7), bench.irq.rises, bench.get(2), bench.get(3)]).toEqual([READY, 2, 0, 0x35]);
	});

	test("a count of 0 is 256 sectors", () => {
		bench.command(0x20, LBA, 0, 0, 0, 0);
		for (let n = 0; n < 256; n++) {
			bench.wait();
			expect(bench.sectorNumber()).toBe(n);
		}
		expect(bench.get(7)).toBe(READY);
	});

	test("reads by cylinder, head and sector", () => {
		bench.command(0x20, CHS | 3, 1, 5, 2, 0);
		bench.wait();
		expect(bench.sectorNumber()).toBe((2 * 16 + 3) * 63 + 4);
	});

	test("has another geometry once it was told so", () => {
		bench.command(0x91, CHS | 7, 32);
		bench.wait();
		bench.command(0x20, CHS | 3, 1, 5, 2, 0);
		bench.wait();
		expect(bench.sectorNumber()).toBe((2 * 8 + 3) * 32 + 4);
		expect(identify().slice(54, 57)).toEqual([Math.floor(SECTORS / 256), 8, 32]);
	});

	test.each([
		["sector 0", CHS, 0, 0, 0],
		["sector 64", CHS, 64, 0, 0],
		["cylinder 81", CHS, 1, 81, 0],
		["an LBA at the end", LBA, SECTORS & 0xff, (SECTORS >> 8) & 0xff, SECTORS >> 16],
	])("%s is not found", (_name, device, low, mid, high) => {
		bench.command(0x20, device, 1, low, mid, high);
		expect([bench.get(7), bench.get(1)]).toEqual([ERROR, 0x10]);
		expect(bench.irq.rises).toBe(1);
	});

	test("48-bit commands take the upper bytes from what was written before, which can be read back", () => {
		bench.set(6, LBA);
		bench.set(2, 0, 1);
		bench.set(3, 0, 0x99);
		bench.set(4, 0, 0x01);
		bench.set(5, 0x07, 0);
		bench.channel.control.write(0, 1, 0x80);
		expect([bench.get(5), bench.get(3)]).toEqual([0x07, 0]);
		bench.set(5, 0, 0);
		expect(bench.get(3)).toBe(0x99);
		bench.set(7, 0x24);
		bench.wait();
		expect(bench.sectorNumber()).toBe(0x199);
	});

	test("writes sectors: the first is asked for without an interrupt", () => {
		bench.command(0x30, LBA, 2, 7, 0, 0);
		expect([bench.wait(), bench.irq.rises]).toEqual([0x58, 0]);
		bench.fill(0xaa);
		expect([bench.channel.alternateStatus & 0x80, bench.wait(), bench.irq.rises]).toEqual([0x80, 0x58, 1]);
		bench.fill(0xbb);
		expect([bench.wait(), bench.irq.asserted]).toEqual([READY, true]);
		expect([7 * SECTOR, 8 * SECTOR + 511, 9 * SECTOR].map((at) => store.bytes[at])).toEqual([0xaa, 0xbb, 9]);
	});

	test("READ and WRITE MULTIPLE interrupt once for each block", () => {
		bench.command(0xc6, CHS, 4);
		bench.command(0xc4, LBA, 6, 0, 0, 0);
		const numbers: number[] = [];
		bench.get(7);
		const before = bench.irq.rises;
		for (const sectors of [4, 2]) {
			bench.wait();
			bench.get(7);
			for (let n = 0; n < sectors; n++) numbers.push(bench.sectorNumber());
		}
		expect([numbers, bench.irq.rises - before]).toEqual([[0, 1, 2, 3, 4, 5], 2]);
		bench.command(0xc6, CHS, 3);
		expect([bench.get(7), bench.get(1)]).toEqual([ERROR, 4]);
	});

	test("DMA moves all sectors through the region descriptors, then interrupts once", () => {
		bench.dma.describe(0x100, 0x1000, 0x300, false);
		bench.dma.describe(0x108, 0x4000, 0xd00, true);
		bench.master.write(4, 4, 0x100);
		bench.command(0xc8, LBA, 8, 0x10, 0, 0);
		bench.master.write(0, 1, 0x09);
		expect([bench.master.read(2, 1), bench.wait()]).toEqual([0x01, READY]);
		expect([bench.master.read(2, 1), bench.irq.rises]).toEqual([0x04, 1]);
		const view = new DataView(bench.dma.bytes.buffer);
		expect([0x1000, 0x1200, 0x4100, 0x4b00].map((at) => view.getUint32(at, true))).toEqual([0x10, 0x11, 0x12, 0x17]);
		bench.master.write(2, 1, 0x04);
		bench.master.write(0, 1, 0x08);
		expect([bench.master.read(0, 1), bench.master.read(2, 1)]).toEqual([8, 0]);
	});

	test("DMA writes, also when the software is ready after the drive", () => {
		bench.dma.bytes.fill(0xcd, 0x1000, 0x1400);
		bench.dma.describe(0x100, 0x1000, 0x400, true);
		bench.master.write(4, 4, 0x100);
		bench.command(0xca, LBA, 2, 3, 0, 0);
		clock.advance(1_000_000);
		expect([bench.channel.alternateStatus, bench.irq.rises]).toEqual([0x58, 0]);
		bench.master.write(0, 1, 0x01);
		expect([bench.channel.alternateStatus, bench.irq.rises, bench.master.read(2, 1)]).toEqual([READY, 1, 4]);
		expect([3 * SECTOR, 5 * SECTOR - 1, 5 * SECTOR].map((at) => store.bytes[at])).toEqual([0xcd, 0xcd, 5]);
	});

	test("DMA with too few descriptors never ends; with more than enough, the bus master stays active", () => {
		bench.dma.describe(0x100, 0x1000, 0x200, true);
		bench.master.write(4, 4, 0x100);
		bench.command(0xc8, LBA, 2, 0, 0, 0);
		bench.master.write(0, 1, 0x09);
		clock.advance(10_000_000);
		expect([bench.master.read(2, 1), bench.irq.rises, bench.channel.alternateStatus]).toEqual([0, 0, 0x58]);
		bench.channel.control.write(0, 1, 4);
		bench.channel.control.write(0, 1, 0);
		bench.wait();
		bench.master.write(0, 1, 0);
		bench.dma.describe(0x100, 0x1000, 0x800, true);
		bench.command(0xc8, LBA, 2, 0, 0, 0);
		bench.master.write(0, 1, 0x09);
		bench.wait();
		expect(bench.master.read(2, 1)).toBe(5);
	});

	test("nothing moves without the right to master the bus, or in the wrong direction", () => {
		bench.dma.describe(0x100, 0x1000, 0x200, true);
		bench.master.write(4, 4, 0x100);
		bench.mayMaster = false;
		bench.command(0xc8, LBA, 1, 1, 0, 0);
		bench.master.write(0, 1, 0x09);
		clock.advance(1_000_000);
		bench.mayMaster = true;
		bench.master.write(0, 1, 0);
		bench.master.write(0, 1, 0x01);
		expect([bench.irq.rises, bench.dma.bytes[0x1000]]).toEqual([0, 0]);
	});

	test("interrupts can be switched off", () => {
		bench.channel.control.write(0, 1, 2);
		bench.command(0x20, LBA, 1, 0, 0, 0);
		bench.wait();
		expect(bench.irq.rises).toBe(0);
		bench.channel.control.write(0, 1, 0);
		expect(bench.irq.asserted).toBe(true);
	});

	test("registers and commands are not taken while it is busy", () => {
		bench.command(0x20, LBA, 1, 5, 0, 0);
		bench.set(3, 9);
		bench.set(7, 0xec);
		bench.wait();
		expect(bench.sectorNumber()).toBe(5);
	});

	test("host errors are errors of the drive", () => {
		store.broken = 4;
		bench.command(0x20, LBA, 1, 4, 0, 0);
		bench.wait();
		expect([bench.get(7), bench.get(1)]).toEqual([ERROR, 0x40]);
		bench.command(0x30, LBA, 1, 4, 0, 0);
		bench.wait();
		bench.fill(1);
		bench.wait();
		expect([bench.get(7), bench.get(1)]).toEqual([ERROR, 4]);
	});

	test("a readonly image takes no writes", () => {
		bench = new IdeBench(clock, new Disk({ clock, store: new RamStore(100, true), serial: "1" }));
		bench.command(0x30, LBA, 1, 4, 0, 0);
		expect([bench.get(7), bench.get(1)]).toEqual([ERROR, 4]);
	});

	test.each([
		["NOP", 0x00],
		["IDENTIFY PACKET DEVICE", 0xa1],
		["PACKET", 0xa0],
		["SET MAX", 0xf9],
		["an unknown command", 0x77 + 0x88],
	])("%s is refused", (_name, command) => {
		bench.command(command, CHS);
		bench.wait();
		expect([bench.get(7), bench.get(1)]).toEqual([ERROR, 4]);
	});

	test("flushes, seeks, verifies and tells its last sector", () => {
		for (const command of [0xe7, 0xea, 0x10, 0x70]) {
			bench.command(command, LBA, 1, 0, 0, 0);
			expect([bench.wait(), bench.get(7)]).toEqual([READY, READY]);
		}
		expect(store.flushes).toBe(2);
		bench.command(0x40, LBA, 1, 0, 0, 0);
		expect(bench.wait()).toBe(READY);
		bench.command(0xf8, LBA);
		const last = SECTORS - 1;
		expect([3, 4, 5].map((register) => bench.get(register))).toEqual([last & 0xff, (last >> 8) & 0xff, last >> 16]);
	});

	test("features: transfer modes are shown, unknown ones refused", () => {
		bench.set(1, 0x03);
		bench.command(0xef, CHS, 0x22);
		expect(bench.get(7)).toBe(READY);
		expect([identify()[63], identify()[88]]).toEqual([0x0407, 0x003f]);
		bench.set(1, 0x03);
		bench.command(0xef, CHS, 0x47);
		expect([bench.get(7), bench.get(1)]).toEqual([ERROR, 4]);
		bench.set(1, 0x82);
		bench.command(0xef, CHS);
		expect(identify()[85]! & 0x20).toBe(0);
		bench.set(1, 0x99);
		bench.command(0xef, CHS);
		expect(bench.get(7)).toBe(ERROR);
	});

	test("power modes: standby shows, sleep hears resets only", () => {
		const power = () => {
			bench.command(0xe5, CHS);
			return bench.get(2);
		};
		expect(power()).toBe(0xff);
		bench.command(0xe0, CHS);
		expect(power()).toBe(0);
		bench.command(0xe1, CHS);
		bench.wait();
		expect(power()).toBe(0xff);
		bench.command(0xe6, CHS);
		bench.get(7);
		bench.command(0xec, CHS);
		clock.advance(1_000_000);
		expect([bench.irq.asserted, bench.channel.alternateStatus]).toEqual([false, READY]);
		bench.channel.control.write(0, 1, 4);
		bench.channel.control.write(0, 1, 0);
		bench.wait();
		expect(power()).toBe(0xff);
	});

	test("SMART: status is good, data add up to 0, and only with its key", () => {
		const smart = (feature: number, low = 0) => {
			bench.set(1, feature);
			bench.command(0xb0, CHS, 0, low, 0x4f, 0xc2);
			return bench.wait();
		};
		expect([smart(0xda), bench.get(4), bench.get(5)]).toEqual([READY, 0x4f, 0xc2]);
		for (const feature of [0xd0, 0xd1, 0xd5]) {
			expect(smart(feature)).toBe(0x58);
			const sum = bench.words(256).reduce((all, word) => all + (word >> 8) + (word & 0xff), 0);
			expect(sum & 0xff).toBe(0);
		}
		smart(0xd9);
		expect(smart(0xda)).toBe(ERROR);
		expect(smart(0xd8)).toBe(READY);
		bench.set(1, 0xda);
		bench.command(0xb0, CHS, 0, 0, 0, 0);
		bench.wait();
		expect(bench.get(7)).toBe(ERROR);
	});
});

describe("two disks on one cable", () => {
	test("each has its own sectors; the selected one interrupts; diagnostics report the first", () => {
		const clock = new ManualClock();
		const stores = [new RamStore(100), new RamStore(200)];
		const disks = stores.map((store, n) => new Disk({ clock, store, serial: `${n}` }));
		const bench = new IdeBench(clock, ...disks);
		bench.command(0xf8, LBA | 0x10);
		expect([bench.get(3), bench.irq.asserted]).toEqual([199, true]);
		bench.set(6, LBA);
		expect(bench.irq.asserted).toBe(false);
		bench.set(6, LBA | 0x10);
		expect([bench.irq.asserted, bench.get(7)]).toEqual([true, READY]);
		bench.command(0x90, LBA | 0x10);
		bench.wait();
		expect([bench.irq.asserted, bench.get(1), bench.get(6)]).toEqual([true, 1, 0]);
	});
});
