import { ManualClock } from "../../src/bus/clock.ts";
import type { AccessSize } from "../../src/bus/device.ts";
import type { Pflash } from "../../src/devices/pflash.ts";
import { FlashArray } from "../../src/devices/pflash-array.ts";
import { createPflash, type FlashKind } from "../../src/devices/pflash-create.ts";
import type { FlashEvent } from "../../src/devices/pflash-events.ts";
import { FlashGeometry, type FlashRun } from "../../src/devices/pflash-geometry.ts";

/** What a test says about its flash; QEMU's Intel flash on a bus of one byte otherwise. */
export interface FlashOptions
	extends Partial<
		Pick<FlashKind, "commandSet" | "strict" | "timing" | "locked" | "bankWidth" | "deviceWidth" | "identity">
	> {
	readonly blocks: readonly FlashRun[];
	readonly readonly?: boolean;
	/** The cells themselves; absent: they hold 0, 1, 2, .. 255, 0, .. */
	readonly contents?: Uint8Array;
	/** Where it goes on from; absent: a clock of its own at 0. */
	readonly clock?: ManualClock;
}

export interface TestFlash {
	readonly device: Pflash;
	readonly bytes: Uint8Array;
	readonly clock: ManualClock;
	/** What reached the file's side: `write OFFSET+LENGTH` and `flush`. */
	readonly store: { readonly calls: string[] };
	readonly romd: boolean[];
	readonly events: FlashEvent[];
	/** Writes bytes, all to one offset. */
	write(offset: number, ...values: number[]): void;
	read(offset: number, size?: AccessSize): number;
}

/** A flash with everything that it tells. */
export function createFlash({
	blocks,
	readonly = false,
	contents,
	clock = new ManualClock(),
	...kind
}: FlashOptions): TestFlash {
	const geometry = new FlashGeometry(blocks);
	const bytes = contents ?? Uint8Array.from({ length: geometry.size }, (_, i) => i);
	const calls: string[] = [];
	const romd: boolean[] = [];
	const events: FlashEvent[] = [];
	const store = {
		write: (offset: number, length: number): void => void calls.push(`write ${offset.toString(16)}+${length}`),
		flush: (): void => void calls.push("flush"),
	};
	const device = createPflash({
		name: "flash",
		array: new FlashArray(bytes, geometry, store, readonly),
		romd: { setDirect: (on) => romd.push(on) },
		clock,
		observer: (event) => events.push(event),
		commandSet: "intel",
		strict: false,
		timing: false,
		locked: false,
		...kind,
	});
	const write = (offset: number, ...values: number[]): void => {
		for (const value of values) device.write(offset, 1, value);
	};
	const read = (offset: number, size: AccessSize = 1): number => device.read(offset, size);
	return { device, bytes, clock, store: { calls }, romd, events, write, read };
}
