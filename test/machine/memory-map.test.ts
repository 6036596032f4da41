import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { UserError } from "../../src/base/errors.ts";
import {
	checkBiosSize,
	checkFlashSizes,
	lowBiosSize,
	MemoryMap,
	type MemoryMapOptions,
	type Piece,
	pamSegment,
	SLOT_SPLITS,
} from "../../src/machine/memory-map.ts";
import { formatFlatView } from "../../src/memory/flat-view.ts";
import { SlotPlanner } from "../../src/memory/slot-plan.ts";
import { type FlatViewCase, flatViewCases } from "../golden/flatview/cases.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

const piece = (size: number, userspaceAddr: bigint): Piece => ({ size, userspaceAddr });
const RAM = 0x10_0000_0000n;
const BIOS = 0x20_0000_0000n;
const LOW_BIOS = 0x30_0000_0000n;
const OPTION_ROM = 0x40_0000_0000n;
const FLASH = 0x50_0000_0000n;

function board({ memoryMiB, bios, flash = [], vga = false }: Omit<FlatViewCase, "name">): MemoryMap {
	const [unit0] = flash;
	const options: MemoryMapOptions = {
		ram: piece(memoryMiB * MIB, RAM),
		optionRom: piece(128 * KIB, OPTION_ROM),
		flash: flash.map((size, i) => piece(size, FLASH + BigInt(i * 16 * MIB))),
		vga,
		...(bios === undefined ? {} : { bios: piece(bios, BIOS) }),
		...(bios === undefined && unit0 !== undefined ? { lowBios: piece(lowBiosSize(unit0), LOW_BIOS) } : {}),
	};
	return new MemoryMap(options);
}

/** Bits as the host bridge's PAM registers hold them: 1 read, 2 write; register 0x59's high half is the F segment. */
function writePam(map: MemoryMap, registers: readonly number[]): void {
	const bits = [registers[0]! >> 4, ...registers.slice(1).flatMap((value) => [value & 15, value >> 4])];
	bits.forEach((value, segment) => {
		map.setPam(segment, (value & 1) !== 0, (value & 2) !== 0);
	});
}

test.each(flatViewCases)("the flat view is QEMU's: $name", (machine) => {
	const map = board(machine);
	if (machine.pam !== undefined) writePam(map, machine.pam);
	if (machine.smram !== undefined) map.setSmram((machine.smram & 0x48) === 0x48);
	if (machine.flashCommand !== undefined) map.setRomd(machine.flashCommand.unit, false);
	const golden = readFileSync(new URL(`../golden/flatview/${machine.name}.txt`, import.meta.url), "utf8")
		.split("\n")
		.filter((line) => line.startsWith("  "));
	expect(formatFlatView(map.space.view.ranges)).toBe(`${golden.join("\n")}\n`);
});

describe("a machine with a ROM and flash", () => {
	const view = (map: MemoryMap): string[] =>
		map.space.view.ranges
			.filter(({ first }) => first >= 0xff000000n)
			.map(({ first, region }) => `${first.toString(16)} ${region.name}`);

	test("the ROM ends at 4 GiB, unit 0 below it, unit 1 below that", () => {
		const map = board({ memoryMiB: 64, bios: 256 * KIB, flash: [64 * KIB, 128 * KIB] });
		expect(view(map)).toEqual(["fff90000 system.flash1", "fffb0000 system.flash0", "fffc0000 pc.bios"]);
		expect(map.find(0xe0000)).toMatchObject({ region: { name: "pc.bios" }, offset: 0x20000n, readonly: true });
	});

	test("firmware that reaches down to the local APIC is refused, both named", () => {
		expect(() => board({ memoryMiB: 64, bios: 16 * MIB, flash: [2 * MIB] })).toThrow(
			new UserError(
				"flash unit 0 at 0xfee00000..0xfeffffff overlaps the local APIC at 0xfee00000..0xfeefffff: the firmware images are too large together",
			),
		);
		expect(() => board({ memoryMiB: 64, bios: 16 * MIB, flash: [MIB] })).not.toThrow();
	});
});

describe("image sizes", () => {
	test.each<[number, string | undefined]>([
		[64 * KIB, undefined],
		[16 * MIB, undefined],
		[0, "rom.bin is empty; a BIOS ROM has at least 64 KiB"],
		[100_000, "rom.bin has 100000 bytes, which is not a multiple of 64 KiB as a BIOS ROM must be"],
		[32 * MIB, "rom.bin has 32 MiB; a BIOS ROM has at most 16 MiB"],
	])("a ROM of %d bytes", (size, message) => {
		const check = () => checkBiosSize("rom.bin", size);
		if (message === undefined) expect(check).not.toThrow();
		else expect(check).toThrow(new UserError(message));
	});

	test.each<[number[], string | undefined]>([
		[[0x37c000, 0x84000], undefined],
		[[0], "flash0.fd is empty; a flash image has at least one sector of 4096 bytes"],
		[[4096, 5000], "flash1.fd has 5000 bytes, which is not a multiple of the flash sector, 4096 bytes"],
		[[8 * MIB, 4096], "flash0.fd and flash1.fd: 8392704 bytes of flash; at most 8 MiB can be placed"],
	])("flash of %j bytes", (sizes, message) => {
		const check = () => checkFlashSizes(sizes.map((size, i) => ({ name: `flash${i}.fd`, size })));
		if (message === undefined) expect(check).not.toThrow();
		else expect(check).toThrow(new UserError(message));
	});
});

describe("PAM segments", () => {
	test("cover C0000 to FFFFF without a gap", () => {
		const order = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0].map(pamSegment);
		let next = 0xc0000;
		for (const { first, size } of order) {
			expect(first).toBe(next);
			next += size;
		}
		expect(next).toBe(0x100000);
	});

	test.each<[boolean, boolean, string, boolean]>([
		[false, false, "pc.bios", true],
		[true, false, "pc.ram", true],
		[false, true, "pc.ram", false],
		[true, true, "pc.ram", false],
	])("read %s, write %s: the F segment shows %s, readonly %s", (read, write, name, readonly) => {
		const map = board({ memoryMiB: 64, bios: 256 * KIB });
		map.setPam(0, read, write);
		expect(map.find(0xf0000)).toMatchObject({ region: { name }, readonly });
	});

	test("switching one leaves the slots outside C0000..FFFFF alone", () => {
		const map = board({ memoryMiB: 64, bios: 256 * KIB });
		const outside = () =>
			new SlotPlanner(SLOT_SPLITS)
				.plan(map.space.view.ranges)
				.filter(({ guestPhysAddr }) => guestPhysAddr < 0xc0000n || guestPhysAddr >= 0x100000n);
		const before = outside();
		expect(before.map(({ guestPhysAddr, memorySize }) => [guestPhysAddr, memorySize])).toEqual([
			[0n, 0xc0000n],
			[0x100000n, 63n * BigInt(MIB)],
			[0xfffc0000n, 0x40000n],
		]);
		writePam(map, [0x30, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33]);
		expect(outside()).toEqual(before);
	});
});

describe("a base address register", () => {
	test("shows where the guest puts it, over whatever is there in PCI space but not over RAM", () => {
		const map = board({ memoryMiB: 64, bios: 256 * KIB });
		const bar = map.addBar("vga-mmio", 4096);
		expect(map.find(0xe0000000)).toBeUndefined();
		map.placeBar(bar, 0xe0000000);
		expect(map.find(0xe0000fff)?.region.name).toBe("vga-mmio");
		map.placeBar(bar, 0xfffc0000);
		expect(map.find(0xfffc0000)?.region.name).toBe("vga-mmio");
		expect(map.find(0xe0000000)).toBeUndefined();
		map.placeBar(bar, 0x200000);
		expect(map.find(0x200000)?.region.name).toBe("pc.ram");
		map.placeBar(bar, undefined);
		expect(map.find(0xfffc0000)?.region.name).toBe("pc.bios");
	});
});
