import { beforeEach, describe, expect, test } from "vitest";
import type { BlockStore } from "../../../src/bus/block-store.ts";
import { ManualClock } from "../../../src/bus/clock.ts";
import { Cdrom } from "../../../src/devices/ide/cdrom.ts";
import { deviceContract } from "../../support/device-contract.ts";
import { IdeBench, RamStore } from "../../support/ide.ts";

const CD_SECTORS = 500;
const [READY, DATA, ERROR] = [0x50, 0x58, 0x51] as const;

const constant: BlockStore = {
	sectors: 4 * CD_SECTORS,
	readonly: true,
	read(sector, into) {
		into.fill(sector);
		return true;
	},
	write: () => false,
	flush: () => true,
};

deviceContract(
	"ide channel with a CD-ROM drive",
	() => {
		const clock = new ManualClock();
		const bench = new IdeBench(clock, new Cdrom({ clock, store: constant, serial: "1" }));
		return { device: bench.channel, clock, irqs: [bench.irq] };
	},
	{ span: 8 },
);

describe("a CD-ROM drive", () => {
	let clock: ManualClock;
	let store: RamStore;
	let bench: IdeBench;

	beforeEach(() => {
		clock = new ManualClock();
		store = new RamStore(4 * CD_SECTORS, true);
		bench = new IdeBench(clock, new Cdrom({ clock, store, serial: "1" }));
	});

	/** Sends a packet. @returns status once the drive has answered */
	const packet = (bytes: readonly number[], { limit = 0xfffe, dma = false } = {}): number => {
		bench.set(1, dma ? 1 : 0);
		bench.command(0xa0, 0, 0, 0, limit & 0xff, limit >> 8);
		expect([bench.wait(), bench.get(2)]).toEqual([DATA, 1]);
		const padded = [...bytes, ...new Array<number>(12 - bytes.length).fill(0)];
		for (let n = 0; n < 12; n += 2) bench.channel.write(0, 2, padded[n]! | (padded[n + 1]! << 8));
		return bench.wait();
	};
	/** What a packet answers with, in bytes. */
	const answer = (bytes: readonly number[]): number[] => {
		expect(packet(bytes)).toBe(DATA);
		const length = bench.get(4) | (bench.get(5) << 8);
		const words = bench.words(length / 2);
		expect([bench.wait(), bench.get(2)]).toEqual([READY, 3]);
		return words.flatMap((word) => [word & 0xff, word >> 8]);
	};
	const sense = () => {
		const bytes = answer([0x03, 0, 0, 0, 18]);
		return [bytes[2], bytes[12]];
	};

	test("shows the packet signature after resets, and when it is taken for a disk", () => {
		const signature = () => [1, 2, 3, 4, 5, 7].map((register) => bench.get(register));
		expect(signature()).toEqual([1, 1, 1, 0x14, 0xeb, 0]);
		bench.command(0xec, 0, 9, 9, 9, 9);
		expect(signature()).toEqual([4, 1, 1, 0x14, 0xeb, ERROR]);
		bench.set(4, 7);
		bench.set(7, 0x08);
		expect(signature()).toEqual([1, 1, 1, 0x14, 0xeb, 0]);
	});

	test("IDENTIFY PACKET DEVICE tells what it is", () => {
		bench.command(0xa1, 0);
		expect(bench.wait()).toBe(DATA);
		expect(bench.words(256)[0]).toBe(0x85c0);
		expect(bench.get(7)).toBe(READY);
	});

	test("INQUIRY and READ CAPACITY answer, cut to what is allowed", () => {
		const inquiry = answer([0x12, 0, 0, 0, 36]);
		expect([inquiry[0], inquiry[1], String.fromCharCode(...inquiry.slice(8, 32)).trim()]).toEqual([
			5,
			0x80,
			"TSVMM   CD-ROM",
		]);
		expect(answer([0x12, 0, 0, 0, 8])).toHaveLength(8);
		expect(answer([0x25])).toEqual([0, 0, 0x01, 0xf3, 0, 0, 8, 0]);
		expect(packet([0x00])).toBe(READY);
	});

	test("READ gives sectors in blocks of the length asked for, with an interrupt for each", () => {
		expect(packet([0x28, 0, 0, 0, 0, 10, 0, 0, 2], { limit: 2048 })).toBe(DATA);
		const seen: number[][] = [];
		for (let block = 0; block < 2; block++) {
			bench.wait();
			seen.push([bench.get(2), bench.get(4) | (bench.get(5) << 8), bench.irq.asserted ? 1 : 0]);
			bench.get(7);
			seen.push([bench.words(1024)[0]!]);
		}
		expect(seen).toEqual([[2, 2048, 1], [40], [2, 2048, 1], [44]]);
		expect([bench.wait(), bench.get(2), bench.irq.asserted]).toEqual([READY, 3, true]);
	});

	test("READ of more than the buffer holds, in the longest blocks", () => {
		packet([0xa8, 0, 0, 0, 0, 0, 0, 0, 0, 40]);
		const words: number[] = [];
		while (bench.wait() === DATA) words.push(...bench.words((bench.get(4) | (bench.get(5) << 8)) / 2));
		expect(words).toHaveLength(40 * 1024);
		expect(words.filter((_, n) => n % 1024 === 0)).toEqual(Array.from({ length: 40 }, (_, n) => 4 * n));
	});

	test("READ by DMA fills memory, and interrupts once", () => {
		bench.dma.describe(0x100, 0x1000, 0x2000, true);
		bench.master.write(4, 4, 0x100);
		bench.master.write(0, 1, 0x09);
		const before = bench.irq.rises;
		expect(packet([0x28, 0, 0, 0, 0, 3, 0, 0, 4], { dma: true })).toBe(READY);
		const view = new DataView(bench.dma.bytes.buffer);
		expect([0, 1, 2, 3].map((n) => view.getUint32(0x1000 + 2048 * n, true))).toEqual([12, 16, 20, 24]);
		expect([bench.irq.rises - before, bench.master.read(2, 1), bench.get(2)]).toEqual([1, 4, 3]);
	});

	test.each([
		["an unknown command", [0xff], [5, 0x20]],
		["sectors beyond the end", [0x28, 0, 0, 0, 1, 0xf4, 0, 0, 1], [5, 0x21]],
		["a page that it does not have", [0x5a, 0, 0x0e, 0, 0, 0, 0, 0, 64], [5, 0x24]],
		["raw sectors", [0xbe, 0, 0, 0, 0, 0, 0, 0, 1, 0xf8], [5, 0x24]],
	])("%s is refused, and REQUEST SENSE says why, once", (_name, bytes, reason) => {
		expect(packet(bytes)).toBe(ERROR);
		expect([bench.get(1), bench.get(2), bench.irq.asserted]).toEqual([(reason[0]! << 4) | 4, 3, true]);
		expect(sense()).toEqual(reason);
		expect(sense()).toEqual([0, 0]);
	});

	test("a host error is a medium error", () => {
		store.broken = 5;
		expect(packet([0x28, 0, 0, 0, 0, 1, 0, 0, 1])).toBe(ERROR);
		expect(sense()).toEqual([3, 0x11]);
	});

	test("the table of contents has one data track and the lead-out, by sector or by time", () => {
		expect(answer([0x43, 0, 0, 0, 0, 0, 0, 0, 64])).toEqual([
			...[0, 18, 1, 1],
			...[0, 0x14, 1, 0, 0, 0, 0, 0],
			...[0, 0x14, 0xaa, 0, 0, 0, 0x01, 0xf4],
		]);
		expect(answer([0x43, 2, 0, 0, 0, 0, 0xaa, 0, 64]).slice(4)).toEqual([0, 0x14, 0xaa, 0, 0, 0, 8, 50]);
	});

	test("a medium is there, of the kind that fits its size", () => {
		expect(answer([0x4a, 1, 0, 0, 0x10, 0, 0, 0, 64])).toEqual([0, 6, 4, 0x10, 0, 2, 0, 0]);
		expect(answer([0x46, 0, 0, 0, 0, 0, 0, 0, 8]).slice(6)).toEqual([0, 8]);
		expect(answer([0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 64])).toHaveLength(28);
	});
});
