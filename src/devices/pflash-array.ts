import { assert } from "../base/errors.ts";

/** Told which bytes of a flash have changed, and when they should reach the disk. */
export interface FlashStore {
	write(offset: number, length: number): void;
	flush(): void;
}

/** What a flash did since power-on. */
export interface FlashStatistics {
	/** How often each command byte was written in the ready state. */
	readonly commands: ReadonlyMap<number, number>;
	readonly programmedBytes: number;
	readonly erasedBlocks: number;
	/** Changes between direct array reads and command mode, both ways. */
	readonly romdSwitches: number;
}

/**
 * The cells of a flash chip: what a command set programs and erases. The bytes are the guest's own memory, so that
 * array reads need no device. Programming overwrites; it does not only clear bits as real cells do.
 */
export class FlashArray {
	readonly bytes: Uint8Array;
	readonly sectorSize: number;
	readonly readonly: boolean;
	programmedBytes = 0;
	erasedBlocks = 0;
	private readonly store: FlashStore;

	/** `sectorSize`: a power of two that divides the number of bytes. */
	constructor(bytes: Uint8Array, sectorSize: number, store: FlashStore, readonly: boolean) {
		assert(bytes.length > 0 && bytes.length % sectorSize === 0, "a flash is whole sectors");
		assert((sectorSize & (sectorSize - 1)) === 0, "a flash sector is a power of two");
		this.bytes = bytes;
		this.sectorSize = sectorSize;
		this.store = store;
		this.readonly = readonly;
	}

	/** Little endian, `size` bytes; past the end all ones. */
	read(offset: number, size: number): number {
		let value = 0;
		for (let i = 0; i < size; i++) value |= (this.bytes[offset + i] ?? 0xff) << (8 * i);
		return value >>> 0;
	}

	/** False when the flash is read-only. Bytes past the end are dropped. */
	program(offset: number, data: Uint8Array): boolean {
		if (this.readonly) return false;
		const fitting = data.subarray(0, Math.max(0, this.bytes.length - offset));
		this.bytes.set(fitting, offset);
		this.programmedBytes += fitting.length;
		this.store.write(offset, fitting.length);
		return true;
	}

	/** Erases the sector around `offset`; false when the flash is read-only. */
	erase(offset: number): boolean {
		if (this.readonly) return false;
		const start = offset - (offset % this.sectorSize);
		this.bytes.fill(0xff, start, start + this.sectorSize);
		this.erasedBlocks++;
		this.store.write(start, this.sectorSize);
		return true;
	}

	flush(): void {
		this.store.flush();
	}
}
