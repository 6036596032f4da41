import { crc32 } from "node:zlib";
import { join, text, u8, u16, u32, u64 } from "../../src/base/bytes.ts";
import { utf16Bytes } from "../../src/uefi/bytes.ts";
import { guidBytes } from "../../src/uefi/guid.ts";

/** Pieces of firmware images as builds make them (PI 1.7, volume 3; UEFI 2.10; edk2's store of variables). */

const sum = (bytes: Uint8Array): number => bytes.reduce((total, byte) => total + byte, 0);

function padded(bytes: Uint8Array, alignment: number, fill: number): Uint8Array {
	const whole = new Uint8Array(Math.ceil(bytes.length / alignment) * alignment).fill(fill);
	whole.set(bytes);
	return whole;
}

export function section(type: number, body: Uint8Array, extended = false): Uint8Array {
	const size = body.length + (extended ? 8 : 4);
	const head = extended ? join(Uint8Array.of(0xff, 0xff, 0xff, type), u32(size)) : u32((type << 24) | size);
	return join(head, body);
}

/** Sections one after the other, each at a multiple of 4. */
export function sections(...all: readonly Uint8Array[]): Uint8Array {
	return join(...all.map((one, i) => (i === all.length - 1 ? one : padded(one, 4, 0))));
}

export const userInterface = (name: string): Uint8Array => section(0x15, utf16Bytes(name));

export function guided(guid: string, attributes: number, extra: Uint8Array, data: Uint8Array): Uint8Array {
	return section(2, join(guidBytes(guid), u16(24 + extra.length), u16(attributes), extra, data));
}

export function compressed(method: number, unpackedSize: number, data: Uint8Array): Uint8Array {
	return section(1, join(u32(unpackedSize), u8(method), data));
}

export const CRC32 = "fc1bcdb0-7d31-49aa-936a-a4600d9dd083";
export const LZMA = "ee4e5898-3914-4259-9d6e-dc7bd79403cf";

export function checked(data: Uint8Array, value = crc32(data)): Uint8Array {
	return guided(CRC32, 2, u32(value), data);
}

interface FileOptions {
	readonly large?: boolean;
	readonly checksum?: boolean;
	readonly state?: number;
	readonly erased?: number;
}

export function file(guid: string, type: number, body: Uint8Array, options: FileOptions = {}): Uint8Array {
	const { large = false, checksum = false, state = 7, erased = 0xff } = options;
	const size = body.length + (large ? 32 : 24);
	const attributes = (large ? 1 : 0) | (checksum ? 0x40 : 0);
	const sizes = large ? join(u32(0).subarray(0, 3), u8(0), u64(size)) : join(u32(size).subarray(0, 3), u8(0));
	const head = join(guidBytes(guid), u16(0), u8(type), u8(attributes), sizes);
	head[16] = -sum(head) & 0xff;
	head[17] = checksum ? -sum(body) & 0xff : 0xaa;
	head[23] = erased === 0xff ? ~state & 0xff : state;
	return join(head, body);
}

export const FFS2 = "8c8ce578-8a3d-4f1c-9935-896185c32dd3";
export const FFS3 = "5473c07a-3dcb-4dca-bd6f-1e9689e7349a";
export const NVRAM = "fff12b8d-7696-4c8b-a985-2747075b4f50";

interface VolumeOptions {
	readonly fileSystem?: string;
	/** GUID of an extended header. */
	readonly name?: string;
	readonly size?: number;
	readonly blockSize?: number;
	readonly erased?: number;
}

/** A volume whose files lie at multiples of 8. */
export function volume(files: readonly Uint8Array[], options: VolumeOptions = {}): Uint8Array {
	const { fileSystem = FFS2, name, blockSize = 512, erased = 0xff } = options;
	const extended = name === undefined ? new Uint8Array() : join(guidBytes(name), u32(20), u32(0));
	const body = join(extended, ...files.map((one) => padded(one, 8, erased)));
	const size = options.size ?? Math.ceil((72 + body.length) / blockSize) * blockSize;
	const head = join(
		new Uint8Array(16),
		guidBytes(fileSystem),
		u64(size),
		text("_FVH"),
		u32(erased === 0xff ? 0x4feff : 0x4f6ff),
		u16(72),
		u16(0),
		u16(name === undefined ? 0 : 72),
		Uint8Array.of(0, 2),
		u32(size / blockSize),
		u32(blockSize),
		u64(0),
	);
	let words = 0;
	for (let at = 0; at < head.length; at += 2) words += head[at]! | (head[at + 1]! << 8);
	head.set(u16(-words & 0xffff), 0x32);
	const whole = new Uint8Array(size).fill(erased);
	whole.set(head);
	whole.set(body, 72);
	return whole;
}

const AUTHENTICATED_STORE = "aaf32c78-947b-439a-a180-2e144ec37792";
const PLAIN_STORE = "ddcf3616-3275-4164-98b6-fe85707ffe7d";

/** An empty store of variables of `size` bytes. */
export function emptyStore(size: number, authenticated = true): Uint8Array {
	const store = new Uint8Array(size).fill(0xff);
	store.set(
		join(
			guidBytes(authenticated ? AUTHENTICATED_STORE : PLAIN_STORE),
			u32(size),
			Uint8Array.of(0x5a, 0xfe),
			new Uint8Array(6),
		),
	);
	return store;
}

/** A working block of fault-tolerant writes with an empty queue. */
export function workingBlock(size: number): Uint8Array {
	const block = new Uint8Array(size).fill(0xff);
	block.set(guidBytes("9e58292b-7c68-497d-a0ce-6500fd9f1b95"));
	block.set(u64(size - 32), 24);
	block.set(u32(crc32(block.subarray(0, 32))), 16);
	block[20] = 0xfe;
	return block;
}

/** A flash for variables: a store in `blocks` blocks, a working block, and as much again to spare. Blocks have 256 bytes. */
export function variableFlash(blocks = 15, authenticated = true): Uint8Array {
	const block = 256;
	const store = emptyStore(blocks * block - 72, authenticated);
	return volume([], { fileSystem: NVRAM, blockSize: block, size: 2 * (blocks + 1) * block }).map((byte, at) => {
		if (at < 72) return byte;
		if (at < blocks * block) return store[at - 72]!;
		return at < (blocks + 1) * block ? WORKING[at - blocks * block]! : 0xff;
	});
}

const WORKING = workingBlock(256);
