import { join, text, u8, u32, zeros } from "../../base/bytes.ts";
import { assert } from "../../base/errors.ts";

/** The script's records: a command, then its fields. */
export const FILE_NAME_SIZE = 56;
export const COMMAND_SIZE = 128;

export const ALLOCATE = 1;
export const ADD_POINTER = 2;
export const ADD_CHECKSUM = 3;

/** Where firmware puts a file: anywhere in high memory, or in the F segment where signatures are searched. */
export const ZONE_HIGH = 1;
export const ZONE_F_SEGMENT = 2;

/**
 * The script by which firmware places tables (QEMU's bios-linker-loader): it allocates files, makes pointers between
 * them absolute and computes checksums, in this order.
 */
export class TableLoader {
	private readonly commands: Uint8Array[] = [];

	/** `alignment`: a power of two. */
	allocate(file: string, alignment: number, zone: number): void {
		this.add(ALLOCATE, fileName(file), u32(alignment), u8(zone));
	}

	/** Adds the address of `source` to the `size` bytes at `offset` of `file`. */
	addPointer(file: string, source: string, offset: number, size: number): void {
		this.add(ADD_POINTER, fileName(file), fileName(source), u32(offset), u8(size));
	}

	/** Makes the bytes `start` .. `start + length - 1` add up to 0 by the one at `offset`. */
	addChecksum(file: string, offset: number, start: number, length: number): void {
		this.add(ADD_CHECKSUM, fileName(file), u32(offset), u32(start), u32(length));
	}

	/** The script, filled up with zeros to `size` bytes. */
	bytes(size: number): Uint8Array {
		const script = join(...this.commands);
		assert(script.length <= size, "table loader script too long");
		return join(script, zeros(size - script.length));
	}

	private add(command: number, ...parts: readonly Uint8Array[]): void {
		const bytes = join(u32(command), ...parts);
		this.commands.push(join(bytes, zeros(COMMAND_SIZE - bytes.length)));
	}
}

function fileName(name: string): Uint8Array {
	assert(name.length < FILE_NAME_SIZE, `file name ${name}`);
	return text(name, FILE_NAME_SIZE);
}
