import { describe, expect, test } from "vitest";
import type { AccessSize, Device } from "../../src/bus/device.ts";
import { GuestMemory } from "../../src/machine/guest-memory.ts";
import { VmMemory } from "../../src/vcpu/vm-memory.ts";

const MIB = 2 ** 20;

function image(size: number, seed: number): Uint8Array {
	return Uint8Array.from({ length: size }, (_, i) => (i * 7 + (i >> 8) + seed) & 0xff);
}

function guest(flash: readonly Uint8Array[] = []) {
	const romStores: string[] = [];
	const bios = image(0x40000, 1);
	const memory: GuestMemory = new GuestMemory(new VmMemory(), {
		ramBytes: 4 * MIB,
		bios,
		flash,
		vga: true,
		romStore: (address, data) =>
			romStores.push(`${memory.romName(address)} ${address.toString(16)}: ${Buffer.from(data).toString("hex")}`),
	});
	const store = (physAddr: number, ...bytes: number[]): void =>
		memory.mmio.dispatch({ physAddr, len: bytes.length, isWrite: true, data: Uint8Array.from(bytes) });
	return { memory, bios, romStores, store };
}

/** `id flags first-last`, hexadecimal. */
function slots(memory: GuestMemory): string[] {
	return memory.slots
		.list()
		.map(({ flags, first, last }) => `${flags === 2 ? "ro" : "rw"} ${first.toString(16)}-${last.toString(16)}`);
}

/** The bytes that the processor finds through the slots. */
function seen(memory: GuestMemory, vm: VmMemory, address: number, length: number): number[] {
	const slot = memory.slots.find(address);
	return slot === undefined ? [] : [...vm.bytes(memory.slots.hostOffset(slot, address), length)];
}

describe("the slots of a pc", () => {
	test("at power-on: RAM, the VGA window left out, ROM readonly below 1 MiB and below 4 GiB", () => {
		const { memory } = guest([image(0x2000, 5)]);
		expect(slots(memory)).toEqual([
			"rw 0-9ffff",
			"ro c0000-dffff",
			"ro e0000-fffff",
			"rw 100000-3fffff",
			"ro fffbe000-fffbffff",
			"ro fffc0000-ffffffff",
		]);
	});

	test("show the firmware in both places and the flash below", () => {
		const vm = new VmMemory();
		const bios = image(0x40000, 1);
		const flash = image(0x2000, 5);
		const memory = new GuestMemory(vm, { ramBytes: 4 * MIB, bios, flash: [flash], vga: false, romStore: () => {} });
		expect(seen(memory, vm, 0xfffffff0, 16)).toEqual([...bios.subarray(-16)]);
		expect(seen(memory, vm, 0xffff0, 16)).toEqual([...bios.subarray(-16)]);
		expect(seen(memory, vm, 0xe0000, 16)).toEqual([...bios.subarray(0x20000, 0x20010)]);
		expect(seen(memory, vm, 0xfffbe000, 16)).toEqual([...flash.subarray(0, 16)]);
	});

	test("PAM switches a segment from ROM to RAM and back, with its own contents", () => {
		const vm = new VmMemory();
		const bios = image(0x40000, 1);
		const memory = new GuestMemory(vm, { ramBytes: 4 * MIB, bios, flash: [], vga: true, romStore: () => {} });
		memory.ram.fill(0x55, 0xf0000, 0xf0010);
		memory.map.setPam(0, true, true);
		expect(slots(memory)).toContain("rw f0000-fffff");
		expect(seen(memory, vm, 0xf0000, 4)).toEqual([0x55, 0x55, 0x55, 0x55]);
		memory.map.setPam(0, true, false);
		expect(slots(memory)).toContain("ro f0000-fffff");
		memory.map.setPam(0, false, false);
		expect(slots(memory)).toContain("ro e0000-fffff");
		expect(seen(memory, vm, 0xf0000, 4)).toEqual([...bios.subarray(0x30000, 0x30004)]);
	});

	test("a flash unit in command mode has none, back in array mode the same one", () => {
		const { memory } = guest([image(0x2000, 5)]);
		const before = slots(memory);
		memory.map.setRomd(0, false);
		expect(slots(memory)).toEqual(before.filter((slot) => !slot.includes("fffbe000")));
		memory.map.setRomd(0, true);
		expect(slots(memory)).toEqual(before);
	});

	test("with flash only: unit 0 ends at 4 GiB, and a copy of its end lies below 1 MiB", () => {
		const vm = new VmMemory();
		const flash = image(0x40000, 9);
		const memory = new GuestMemory(vm, { ramBytes: 4 * MIB, flash: [flash], vga: false, romStore: () => {} });
		expect(seen(memory, vm, 0xfffffff0, 16)).toEqual([...flash.subarray(-16)]);
		expect(seen(memory, vm, 0xffff0, 16)).toEqual([...flash.subarray(-16)]);
		memory.map.setRomd(0, false);
		expect(seen(memory, vm, 0xfffffff0, 16)).toEqual([]);
		expect(seen(memory, vm, 0xffff0, 16)).toEqual([...flash.subarray(-16)]);
	});
});

describe("stores that leave the processor", () => {
	test("to ROM and to locked RAM are reported by name and change nothing", () => {
		const { memory, romStores, store } = guest();
		memory.map.setPam(3, true, false);
		memory.map.setPam(0, true, false);
		store(0xfffc0000, 1, 2);
		store(0xe0000, 3);
		store(0xc0000, 4);
		store(0xc8001, 5);
		store(0xfffff, 6);
		expect(romStores).toEqual([
			"bios fffc0000: 0102",
			"bios e0000: 03",
			"option rom c0000: 04",
			"pam c8000 c8001: 05",
			"pam f0000 fffff: 06",
		]);
		expect(memory.ram[0xc8001]).toBe(0);
		expect(memory.ram[0xfffff]).toBe(0);
	});

	test("reach the device that is attached to the region", () => {
		const { memory, romStores, store } = guest([image(0x2000, 5)]);
		const written: string[] = [];
		const device: Device<null> = {
			name: "flash",
			sizes: [1, 2, 4],
			read: (offset, size) => offset + size,
			write: (offset: number, size: AccessSize, value: number) => written.push(`${offset} ${size} ${value}`),
			reset() {},
			save: () => null,
			load() {},
		};
		memory.attach(memory.map.flash[0]!, device);
		store(0xfffbe010, 0x90);
		memory.map.setRomd(0, false);
		store(0xfffbe020, 0xff);
		expect(written).toEqual(["16 1 144", "32 1 255"]);
		expect(romStores).toEqual([]);
	});
});

describe("bus masters", () => {
	test("read what the guest sees, and all ones where there is nothing", () => {
		const { memory, bios } = guest();
		memory.ram.set([1, 2, 3, 4], 0x9fffc);
		expect([...memory.read(0x9fffc, 6)]).toEqual([1, 2, 3, 4, 0xff, 0xff]);
		expect(memory.read(0xfffe0000, 0x20000)).toEqual(bios.subarray(0x20000));
		expect([...memory.read(2 ** 40, 2)]).toEqual([0xff, 0xff]);
	});

	test("write RAM only, and the processor is told where", () => {
		const { memory, bios, romStores } = guest();
		const told: [number, number][] = [];
		memory.onDmaWrite((address, length) => told.push([address, length]));
		memory.write(0x9fffe, Uint8Array.of(1, 2, 3, 4));
		memory.write(0xffffe, Uint8Array.of(5, 6, 7, 8));
		expect([...memory.ram.subarray(0x9fffe, 0xa0002)]).toEqual([1, 2, 0, 0]);
		expect([...memory.read(0xffffe, 4)]).toEqual([...bios.subarray(-2), 7, 8]);
		expect(told).toEqual([
			[0x9fffe, 2],
			[0x100000, 2],
		]);
		expect(romStores).toEqual([]);
	});
});
