import type { FlashArray } from "./pflash-array.ts";
import type { FlashCommand, FlashLocking, FlashObserver, FlashRefusal } from "./pflash-events.ts";
import type { FlashBlock } from "./pflash-geometry.ts";

/** Tells an observer, where there is one, what a flash does. */
export class FlashReports {
	private readonly array: FlashArray;
	private readonly observer: FlashObserver | undefined;

	constructor(array: FlashArray, observer: FlashObserver | undefined) {
		this.array = array;
		this.observer = observer;
	}

	command(kind: FlashCommand, offset: number): void {
		this.observer?.({ kind, offset });
	}

	/** Before the cells change: `size` bytes of a little-endian number. */
	program(offset: number, size: number, value: number, kind: "program" | "program-buffer" = "program"): void {
		if (this.observer === undefined) return;
		const before = this.array.bytes.slice(offset, offset + size);
		this.observer({ kind, offset, bytes: bytesOf(value, before.length), before });
	}

	/** Before the cells change. */
	programBytes(kind: "program" | "program-buffer", offset: number, data: Uint8Array): void {
		if (this.observer === undefined) return;
		const before = this.array.bytes.slice(offset, offset + data.length);
		this.observer({ kind, offset, bytes: data.slice(0, before.length), before });
	}

	erase({ index, offset, length }: FlashBlock): void {
		this.observer?.({ kind: "erase", block: index, offset, length });
	}

	lock(action: FlashLocking, { index, offset, length }: FlashBlock): void {
		this.observer?.({ kind: "lock", action, block: index, offset, length });
	}

	unknown(offset: number, ...cycles: readonly number[]): void {
		this.observer?.({ kind: "unknown", offset, cycles });
	}

	error(offset: number, status: number, reason: FlashRefusal): void {
		this.observer?.({ kind: "error", offset, status, reason });
	}
}

/** A little-endian number of `size` bytes. */
export function bytesOf(value: number, size: number): Uint8Array {
	const bytes = new Uint8Array(size);
	for (let at = 0, rest = value; at < size; at++, rest >>>= 8) bytes[at] = rest;
	return bytes;
}
