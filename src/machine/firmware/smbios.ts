import { checksum, join, text, u8, u16, u32, u64, zeros } from "../../base/bytes.ts";
import type { PcDescription } from "./description.ts";

/** SMBIOS 2.8 (DSP0134 2.8.0): the entry point that firmware relocates, and the structures. */
export interface Smbios {
	readonly anchor: Uint8Array;
	readonly tables: Uint8Array;
}

const MAJOR = 2;
const MINOR = 8;
const ANCHOR_SIZE = 31;
const INTERMEDIATE_AT = 16;
const KIB = 1024;
const MIB = 1024 * KIB;
const FOUR_GIB = 2 ** 32;
/** A size field of 15 bits is not enough from here on: MiB. */
const EXTENDED_SIZE = 0x7fff;
/** The array's capacity and ranges have 64-bit fields beyond this: KiB. */
const EXTENDED_CAPACITY = 0x8000_0000;
const NONE = 0xfffe;

const PROCESSOR_HANDLE = 0x0400;
const ARRAY_HANDLE = 0x1000;
const DEVICE_HANDLE = 0x1100;
const RANGE_HANDLE = 0x1300;

const MANUFACTURER = "tsvmm";
const PRODUCT = "PC (i440FX + PIIX3 + PIIX4)";

export function smbios(pc: PcDescription): Smbios {
	const structures = [
		system(pc),
		chassis(pc),
		...Array.from({ length: pc.cpus }, (_, i) => processor(pc, i)),
		memoryArray(pc),
		memoryDevice(pc),
		...memoryRanges(pc),
		structure(32, 0x2000, zeros(7)),
		structure(127, 0x7f00, zeros(0)),
	];
	const tables = join(...structures);
	const longest = Math.max(...structures.map((bytes) => bytes.length));
	return { anchor: anchor(tables.length, longest, structures.length), tables };
}

/** Firmware fills in the table's address and both checksums; they are right for address 0. */
function anchor(length: number, longest: number, count: number): Uint8Array {
	const bytes = join(
		join(text("_SM_"), u8(0), u8(ANCHOR_SIZE), u8(MAJOR), u8(MINOR), u16(longest), u8(0), zeros(5)),
		join(text("_DMI_"), u8(0), u16(length), u32(0), u16(count), u8((MAJOR << 4) | MINOR)),
	);
	bytes[INTERMEDIATE_AT + 5] = checksum(bytes.subarray(INTERMEDIATE_AT));
	bytes[4] = checksum(bytes);
	return bytes;
}

/** Header, formatted area, then the strings, numbered from 1; two zeros end the structure. */
function structure(type: number, handle: number, body: Uint8Array, ...strings: readonly string[]): Uint8Array {
	const HEADER_SIZE = 4;
	const header = join(u8(type), u8(HEADER_SIZE + body.length), u16(handle));
	const tail = strings.length === 0 ? zeros(1) : join(...strings.map((value) => join(text(value), u8(0))));
	return join(header, body, tail, zeros(1));
}

/** Type 1: manufacturer, product and version; no serial number, no UUID; woken by the power switch. */
function system(pc: PcDescription): Uint8Array {
	const POWER_SWITCH = 6;
	const body = join(Uint8Array.of(1, 2, 3, 0), zeros(16), Uint8Array.of(POWER_SWITCH, 0, 0));
	return structure(1, 0x0100, body, MANUFACTURER, PRODUCT, pc.version);
}

/** Type 3: a box of no particular kind, everything safe. */
function chassis(pc: PcDescription): Uint8Array {
	const OTHER = 1;
	const SAFE = 3;
	const UNKNOWN = 2;
	const body = join(Uint8Array.of(1, OTHER, 2, 0, 0, SAFE, SAFE, SAFE, UNKNOWN), zeros(9));
	return structure(3, 0x0300, body, MANUFACTURER, pc.version);
}

/** Type 4: one socket for each processor. */
function processor(pc: PcDescription, index: number): Uint8Array {
	const CENTRAL = 3;
	const OTHER = 1;
	const POPULATED_ENABLED = 0x41;
	const NO_CACHE = 0xffff;
	const body = join(
		Uint8Array.of(1, CENTRAL, OTHER, 2),
		join(u32(pc.cpuSignature), u32(pc.cpuFeatures)),
		// Version, voltage, clocks, status, socket upgrade.
		join(u8(3), u8(0), zeros(6), u8(POPULATED_ENABLED), u8(OTHER)),
		join(u16(NO_CACHE), u16(NO_CACHE), u16(NO_CACHE)),
		// Serial number, asset tag, part; cores, enabled cores, threads; characteristics unknown; family.
		join(zeros(3), Uint8Array.of(1, 1, 1), u16(2), u16(OTHER)),
	);
	return structure(4, PROCESSOR_HANDLE + index, body, `CPU ${index}`, MANUFACTURER, pc.version);
}

/** Type 16: system memory on the board, multi-bit correction, one device. */
function memoryArray(pc: PcDescription): Uint8Array {
	const OTHER = 1;
	const SYSTEM_MEMORY = 3;
	const MULTI_BIT_ECC = 6;
	const kib = (pc.lowRam + pc.highRam) / KIB;
	const [capacity, extended] = kib < EXTENDED_CAPACITY ? [kib, 0] : [EXTENDED_CAPACITY, kib * KIB];
	const body = join(
		Uint8Array.of(OTHER, SYSTEM_MEMORY, MULTI_BIT_ECC),
		u32(capacity),
		u16(NONE),
		u16(1),
		u64(extended),
	);
	return structure(16, ARRAY_HANDLE, body);
}

/** Type 17: all of the RAM as one module. */
function memoryDevice(pc: PcDescription): Uint8Array {
	const UNKNOWN_WIDTH = 0xffff;
	const DIMM = 9;
	const RAM = 7;
	const OTHER = 2;
	const mib = Math.ceil((pc.lowRam + pc.highRam) / MIB);
	const [size, extended] = mib < EXTENDED_SIZE ? [mib, 0] : [EXTENDED_SIZE, mib];
	const body = join(
		join(u16(ARRAY_HANDLE), u16(NONE), u16(UNKNOWN_WIDTH), u16(UNKNOWN_WIDTH), u16(size)),
		join(Uint8Array.of(DIMM, 0, 1, 0, RAM), u16(OTHER), u16(0), Uint8Array.of(2, 0, 0, 0, 0)),
		// Configured speed and the voltages are unknown.
		join(u32(extended), u16(0), zeros(6)),
	);
	return structure(17, DEVICE_HANDLE, body, "DIMM 0", MANUFACTURER);
}

/** Type 19: where the RAM is, first and last KiB. */
function memoryRanges(pc: PcDescription): Uint8Array[] {
	const ranges = [
		[0, pc.lowRam],
		[FOUR_GIB, pc.highRam],
	] as const;
	return ranges
		.filter(([, length]) => length > 0)
		.map(([start, length], i) => {
			const last = (start + length) / KIB - 1;
			const fits = last < 0xffff_ffff;
			const narrow = fits ? join(u32(start / KIB), u32(last)) : join(u32(0xffff_ffff), u32(0xffff_ffff));
			const wide = fits ? join(u64(0), u64(0)) : join(u64(start), u64(start + length - 1));
			return structure(19, RANGE_HANDLE + i, join(narrow, u16(ARRAY_HANDLE), u8(1), wide));
		});
}
