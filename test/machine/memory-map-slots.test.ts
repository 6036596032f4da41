import { describe, expect, test } from "vitest";
import { Backing, type HostBuffer } from "../../src/kvm/backing.ts";
import { MemSlots, type SlotsChange } from "../../src/kvm/memslots.ts";
import { PlannedSlots } from "../../src/kvm/memslots-planned.ts";
import { MemslotsPool } from "../../src/kvm/memslots-pool.ts";
import { lowBiosSize, MemoryMap, OPTION_ROM_SIZE, type Piece, SLOT_SPLITS } from "../../src/machine/memory-map.ts";
import { SlotPlanner } from "../../src/memory/slot-plan.ts";
import { VmMemory } from "../../src/vcpu/vm-memory.ts";

const MIB = 2 ** 20;

function image(size: number, seed: number): Uint8Array {
	return Uint8Array.from({ length: size }, (_, i) => (i * 7 + (i >> 8) + seed) & 0xff);
}

/** A pc of 4 MiB with real slots over real memory. */
class Board {
	readonly vm = new VmMemory();
	readonly backing = new Backing(this.vm);
	readonly slots = new MemSlots(this.backing, new MemslotsPool(this.vm));
	readonly ram: HostBuffer = this.backing.allocate(4 * MIB);
	readonly changes: SlotsChange[] = [];
	readonly map: MemoryMap;

	constructor(firmware: { bios?: Uint8Array; flash?: Uint8Array; vga?: boolean }) {
		const { bios, flash, vga = false } = firmware;
		const low = bios === undefined && flash !== undefined ? flash.subarray(-lowBiosSize(flash.length)) : undefined;
		this.map = new MemoryMap({
			ram: { size: 4 * MIB, userspaceAddr: this.ram.userspaceAddr },
			optionRom: this.load(new Uint8Array(OPTION_ROM_SIZE)),
			flash: flash === undefined ? [] : [this.load(flash)],
			vga,
			...(bios === undefined ? {} : { bios: this.load(bios) }),
			...(low === undefined ? {} : { lowBios: this.load(low) }),
		});
		const planned = new PlannedSlots(this.slots);
		const planner = new SlotPlanner(SLOT_SPLITS);
		this.map.space.follow(({ ranges }) => planned.apply(planner.plan(ranges)));
		this.slots.onSlotsChanged((change) => this.changes.push(change));
	}

	/** `ro` or `rw` and the addresses, hexadecimal. */
	list(): string[] {
		return this.slots
			.list()
			.map(({ flags, first, last }) => `${flags === 2 ? "ro" : "rw"} ${first.toString(16)}-${last.toString(16)}`);
	}

	/** What the processor finds through the slots; nothing where there is none. */
	read(address: number, length: number): number[] {
		const slot = this.slots.find(address);
		return slot === undefined ? [] : [...this.vm.bytes(this.slots.hostOffset(slot, address), length)];
	}

	private load(contents: Uint8Array): Piece {
		const { view, userspaceAddr } = this.backing.allocate(contents.length);
		view.set(contents);
		return { size: contents.length, userspaceAddr };
	}
}

describe("the slots of a pc", () => {
	test("at power-on: RAM, the VGA window left out, ROM readonly below 1 MiB and below 4 GiB", () => {
		const board = new Board({ bios: image(0x40000, 1), flash: image(0x2000, 5), vga: true });
		expect(board.list()).toEqual([
			"rw 0-9ffff",
			"ro c0000-dffff",
			"ro e0000-fffff",
			"rw 100000-3fffff",
			"ro fffbe000-fffbffff",
			"ro fffc0000-ffffffff",
		]);
	});

	test("show the ROM in both places and the flash below it", () => {
		const [bios, flash] = [image(0x40000, 1), image(0x2000, 5)];
		const board = new Board({ bios, flash });
		expect(board.read(0xfffffff0, 16)).toEqual([...bios.subarray(-16)]);
		expect(board.read(0xffff0, 16)).toEqual([...bios.subarray(-16)]);
		expect(board.read(0xe0000, 16)).toEqual([...bios.subarray(0x20000, 0x20010)]);
		expect(board.read(0xfffbe000, 16)).toEqual([...flash.subarray(0, 16)]);
	});

	test("PAM switches a segment from ROM to RAM and back, each with its own contents", () => {
		const bios = image(0x40000, 1);
		const board = new Board({ bios });
		board.ram.view.fill(0x55, 0xf0000, 0xf0004);
		board.map.setPam(0, true, true);
		expect(board.list()).toContain("rw f0000-fffff");
		expect(board.read(0xf0000, 4)).toEqual([0x55, 0x55, 0x55, 0x55]);
		board.map.setPam(0, true, false);
		expect(board.list()).toContain("ro f0000-fffff");
		expect(board.read(0xf0000, 4)).toEqual([0x55, 0x55, 0x55, 0x55]);
		board.map.setPam(0, false, false);
		expect(board.list()).toContain("ro e0000-fffff");
		expect(board.read(0xf0000, 4)).toEqual([...bios.subarray(0x30000, 0x30004)]);
	});

	test("PAM changes slots between C0000 and FFFFF only", () => {
		const board = new Board({ bios: image(0x40000, 1) });
		for (let segment = 0; segment < 13; segment++) board.map.setPam(segment, true, segment % 2 === 0);
		expect(board.changes.length).toBeGreaterThan(13);
		expect(board.changes.filter(({ first, last }) => first < 0xc0000 || last > 0xfffff)).toEqual([]);
	});

	test("flash in command mode has none, back in array mode the same one, and nothing else changes", () => {
		const flash = image(0x40000, 9);
		const board = new Board({ flash });
		const before = board.list();
		board.map.setRomd(0, false);
		expect(board.list()).toEqual(before.filter((slot) => slot !== "ro fffc0000-ffffffff"));
		expect(board.read(0xffff0, 16)).toEqual([...flash.subarray(-16)]);
		board.map.setRomd(0, true);
		expect(board.list()).toEqual(before);
		expect(board.changes).toEqual([
			{ kind: "delete", addressSpace: 0, first: 0xfffc0000, last: 0xffffffff },
			{ kind: "create", addressSpace: 0, first: 0xfffc0000, last: 0xffffffff },
		]);
	});
});

test("a refused store is named after what it hit", () => {
	const { map } = new Board({ bios: image(0x40000, 1), flash: image(0x2000, 5) });
	map.setPam(3, true, false);
	map.setPam(0, true, false);
	const names = [0xfffc0000, 0xe0000, 0xc0000, 0xc8001, 0xfffff].map((address) => map.romName(address));
	expect(names).toEqual(["bios", "bios", "option rom", "pam c8000", "pam f0000"]);
});
