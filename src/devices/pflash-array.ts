import { assert } from "../base/errors.ts";
import type { FlashBlock, FlashGeometry } from "./pflash-geometry.ts";

/** Told which bytes of a flash have changed, and when they should reach the disk. */
export interface FlashStore {
	write(offset: number, length: number): void;
	flush(): void;
}

/**
 * The cells of a flash: what command sets program and erase. The bytes are the guest's own memory, so that array reads need no
 * device. Nothing changes in a read-only flash.
 */
export class FlashArray {
	readonly bytes: Uint8Array;
	readonly geometry: FlashGeometry;
	readonly readonly: boolean;
	programmedBytes = 0;
	erasedBlocks = 0;
	private readonly store: FlashStore;

	/** `bytes`: as many as `geometry` has. */
	constructor(bytes: Uint8Array, geometry: FlashGeometry, store: FlashStore, readonly: boolean) {
		assert(bytes.length === geometry.size, "a flash is whole blocks");
		this.bytes = bytes;
		this.geometry = geometry;
		this.store = store;
		this.readonly = readonly;
	}

	/** Little endian, `size` bytes; past the end all ones. */
	read(offset: number, size: number): number {
		let value = 0;
		for (let i = 0; i < size; i++) value |= (this.bytes[offset + i] ?? 0xff) << (8 * i);
		return value >>> 0;
	}

	/** Overwrites, `size` bytes of a little-endian number; bytes past the end are dropped. False when the flash is read-only. */
	program(offset: number, size: number, value: number): boolean {
		if (this.readonly) return false;
		const end = Math.min(offset + size, this.bytes.length);
		for (let at = offset, rest = value; at < end; at++, rest >>>= 8) this.bytes[at] = rest;
		this.changed(offset, end - offset);
		return true;
	}

	/** The same with many bytes. */
	programBytes(offset: number, data: Uint8Array): boolean {
		if (this.readonly) return false;
		const fitting = data.subarray(0, Math.max(0, this.bytes.length - offset));
		this.bytes.set(fitting, offset);
		this.changed(offset, fitting.length);
		return true;
	}

	/** Fills a block with ones; false when the flash is read-only. */
	erase({ offset, length }: FlashBlock): boolean {
		if (this.readonly) return false;
		this.bytes.fill(0xff, offset, offset + length);
		this.erasedBlocks++;
		this.store.write(offset, length);
		return true;
	}

	/**
	 * What one of several chips side by side holds of a block: `width` bytes at `lane`, and again every `stride` bytes, become ones.
	 */
	eraseLane({ offset, length }: FlashBlock, lane: number, width: number, stride: number): void {
		for (let at = offset + lane; at < offset + length; at += stride) this.bytes.fill(0xff, at, at + width);
		this.erasedBlocks++;
		this.store.write(offset, length);
	}

	flush(): void {
		this.store.flush();
	}

	private changed(offset: number, length: number): void {
		if (length <= 0) return;
		this.programmedBytes += length;
		this.store.write(offset, length);
	}
}
