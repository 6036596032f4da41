import { beforeEach, describe, expect, test } from "vitest";
import type { AccessSize, Device } from "../../src/bus/device.ts";
import { MmioBus, type MmioRange } from "../../src/bus/mmio-bus.ts";

/** A block of registers that are plain bytes, and a record of the accesses. */
class Registers implements Device<number[]> {
	readonly name: string;
	readonly sizes: readonly AccessSize[];
	readonly bytes: Uint8Array;
	readonly log: string[] = [];

	constructor(name: string, size: number, sizes: readonly AccessSize[]) {
		this.name = name;
		this.sizes = sizes;
		this.bytes = Uint8Array.from({ length: size }, (_, i) => i);
	}

	read(offset: number, size: AccessSize): number {
		this.log.push(`read ${size} at ${offset.toString(16)}`);
		let value = 0;
		for (let i = size - 1; i >= 0; i--) value = value * 256 + this.bytes[offset + i]!;
		return value;
	}

	write(offset: number, size: AccessSize, value: number): void {
		this.log.push(`write ${size} at ${offset.toString(16)}: ${value.toString(16)}`);
		for (let i = 0; i < size; i++) this.bytes[offset + i] = value >>> (8 * i);
	}

	reset(): void {}

	save(): number[] {
		return [...this.bytes];
	}

	load(state: number[]): void {
		this.bytes.set(state);
	}
}

const HPET = 0xfed00000;
const ROM = 0xf0000;
const FLASH = 0xffc00000;

const romStores: string[] = [];
let bus: MmioBus;
let hpet: Registers;
let flash: Registers;
let rom: Uint8Array;

function range(first: number, size: number, target: MmioRange["target"]): MmioRange {
	return { first, last: first + size - 1, target };
}

const device = (registers: Registers, offset = 0): MmioRange["target"] => ({
	kind: "device",
	device: registers,
	offset,
});

beforeEach(() => {
	romStores.length = 0;
	bus = new MmioBus((address, data) => romStores.push(`${address.toString(16)}: ${Buffer.from(data).toString("hex")}`));
	hpet = new Registers("hpet", 0x400, [4]);
	flash = new Registers("flash", 0x1000, [1, 2, 4]);
	rom = Uint8Array.from({ length: 0x1000 }, (_, i) => 0x80 + i);
	bus.setRanges([
		range(ROM, 0x1000, { kind: "memory", bytes: rom, writable: false }),
		range(ROM + 0x1000, 8, { kind: "memory", bytes: new Uint8Array(8), writable: true }),
		range(HPET, 0x400, device(hpet)),
		range(FLASH, 0x1000, device(flash)),
	]);
});

function read(physAddr: number, len: number): string {
	const data = new Uint8Array(8).fill(0xaa);
	bus.dispatch({ physAddr, len, isWrite: false, data });
	expect([...data.subarray(len)]).toEqual(new Array(8 - len).fill(0xaa));
	return Buffer.from(data.subarray(0, len)).toString("hex");
}

function write(physAddr: number, bytes: string): void {
	const data = new Uint8Array(8).fill(0xaa);
	data.set(Buffer.from(bytes, "hex"));
	bus.dispatch({ physAddr, len: bytes.length / 2, isWrite: true, data });
}

describe("registers smaller than a page", () => {
	test("a store of 8 bytes is two of 4, low address first", () => {
		write(HPET + 0xf0, "0102030405060708");
		expect(hpet.log).toEqual(["write 4 at f0: 4030201", "write 4 at f4: 8070605"]);
	});

	test("a read of 8 bytes is two of 4, low address first", () => {
		expect(read(HPET + 0x10, 8)).toBe("1011121314151617");
		expect(hpet.log).toEqual(["read 4 at 10", "read 4 at 14"]);
	});

	test.each([
		[1, "21"],
		[2, "2122"],
		[3, "212223"],
	])("a read of %d bytes, narrower than the device takes, picks them from the register around them", (len, bytes) => {
		expect(read(HPET + 0x21, len)).toBe(bytes);
		expect(new Set(hpet.log)).toEqual(new Set(["read 4 at 20"]));
	});

	test("beyond them in the same page there is nothing", () => {
		expect(read(HPET + 0x400, 4)).toBe("ffffffff");
		write(HPET + 0x400, "00000000");
		expect(hpet.log).toEqual([]);
		expect(bus.devices.unclaimed()).toEqual([{ address: HPET + 0x400, reads: 1, writes: 1 }]);
	});

	test("a read across their end gets all ones for the rest", () => {
		expect(read(HPET + 0x3fc, 8)).toBe("fcfdfeffffffffff");
	});

	test("a range that starts inside a device begins at its offset", () => {
		bus.setRanges([range(HPET, 0x100, device(hpet, 0x80))]);
		expect(read(HPET + 4, 4)).toBe("84858687");
	});
});

describe("ROM", () => {
	test("a store is reported as a whole and changes nothing", () => {
		const before = rom.slice();
		write(ROM + 0x10, "01020304050607");
		expect(romStores).toEqual(["f0010: 01020304050607"]);
		expect(rom).toEqual(before);
	});

	test("a read gives its bytes", () => {
		expect(read(ROM + 0xffe, 2)).toBe("7e7f");
	});

	test("a store across its end is cut: the rest reaches the memory behind", () => {
		write(ROM + 0xffe, "01020304");
		expect(romStores).toEqual(["f0ffe: 0102"]);
		expect(read(ROM + 0x1000, 8)).toBe("0304000000000000");
	});

	test("a store into it from the hole below is cut: the hole takes its part", () => {
		write(ROM - 2, "01020304");
		expect(romStores).toEqual(["f0000: 0304"]);
		expect(bus.devices.unclaimed()).toEqual([{ address: ROM - 2, reads: 0, writes: 1 }]);
	});
});

describe("a hole", () => {
	test.each([1, 2, 3, 4, 5, 6, 7, 8])("a read of %d bytes gives all ones", (len) => {
		expect(read(0xe0000000, len)).toBe("ff".repeat(len));
	});

	test("a hole above 4 GiB, up to 2^52", () => {
		expect(read(2 ** 52 - 8, 8)).toBe("ff".repeat(8));
	});
});

describe("new ranges", () => {
	test("a device that moves answers at its new place only", () => {
		bus.setRanges([range(HPET + 0x1000, 0x400, device(hpet))]);
		expect(read(HPET, 4)).toBe("ffffffff");
		expect(read(HPET + 0x1000, 4)).toBe("00010203");
		expect(read(ROM, 4)).toBe("ffffffff");
	});

	test("a device that makes room for another in the same place", () => {
		bus.setRanges([range(HPET, 0x200, device(flash)), range(HPET + 0x200, 0x200, device(hpet, 0x200))]);
		read(HPET, 4);
		read(HPET + 0x200, 4);
		expect([flash.log, hpet.log]).toEqual([["read 4 at 0"], ["read 4 at 200"]]);
	});

	test("may come while an access is under way", () => {
		const switching = new (class extends Registers {
			override write(offset: number, size: AccessSize, value: number): void {
				super.write(offset, size, value);
				bus.setRanges([range(HPET, 0x400, device(hpet)), range(FLASH, 0x1000, device(this))]);
			}
		})("switching", 0x1000, [1, 2, 4]);
		bus.setRanges([range(FLASH, 0x1000, device(switching))]);
		write(FLASH, "1000000000000000");
		expect(switching.log).toEqual(["write 4 at 0: 10", "write 4 at 4: 0"]);
	});
});
