import type { AccessSize, Clock, Device } from "../bus/device.ts";
import type { FlashArray } from "./pflash-array.ts";
import type { FlashEvent, FlashObserver } from "./pflash-events.ts";
import { FlashReports } from "./pflash-reports.ts";

/** Whether array reads go straight to memory, without the device. */
export interface RomdControl {
	setDirect(on: boolean): void;
}

/** Manufacturer and device as the identifier command shows them. */
export interface FlashIdentity {
	readonly manufacturer: number;
	readonly device: number;
}

/** Bytes of a data bus. */
export type FlashWidth = 1 | 2 | 4;

/** What a flash is made of and connected to. */
export interface PflashParts {
	readonly name: string;
	readonly array: FlashArray;
	readonly romd: RomdControl;
	readonly clock: Clock;
	readonly observer?: FlashObserver | undefined;
	/** Of the whole flash; 1 where nothing is said. */
	readonly bankWidth?: FlashWidth | undefined;
	/** Of each chip in it. */
	readonly deviceWidth?: FlashWidth | undefined;
	readonly identity?: FlashIdentity | undefined;
}

/** What a flash did since power-on. */
export interface FlashStatistics {
	readonly programmedBytes: number;
	readonly erasedBlocks: number;
	/** Changes between direct array reads and command mode, both ways. */
	readonly romdSwitches: number;
}

/** A parallel flash on the bus. What is common to all command sets: its cells, who looks on, and how reads reach the cells. */
export abstract class Pflash<State = unknown> implements Device<State> {
	readonly name: string;
	readonly sizes: readonly AccessSize[] = [1, 2, 4];
	protected readonly array: FlashArray;
	protected readonly reports: FlashReports;
	private readonly observer: FlashObserver | undefined;
	private readonly romd: RomdControl;
	private romdSwitches = 0;
	/** What `romd` was last told. */
	private direct = true;

	/** Reads are direct at the start. */
	constructor({ name, array, romd, observer }: PflashParts) {
		this.name = name;
		this.array = array;
		this.romd = romd;
		this.reports = new FlashReports(array, observer);
		this.observer = observer;
	}

	get statistics(): FlashStatistics {
		const { programmedBytes, erasedBlocks } = this.array;
		return { programmedBytes, erasedBlocks, romdSwitches: this.romdSwitches };
	}

	abstract read(offset: number, size: AccessSize): number;
	abstract write(offset: number, size: AccessSize, value: number): void;
	abstract reset(): void;
	abstract save(): State;
	abstract load(state: State): void;

	protected get isDirect(): boolean {
		return this.direct;
	}

	protected tell(event: FlashEvent): void {
		this.observer?.(event);
	}

	/** The one place where the processor's way to the cells is opened and closed. */
	protected setDirect(on: boolean): void {
		if (on === this.direct) return;
		this.direct = on;
		this.romdSwitches++;
		this.romd.setDirect(on);
		this.observer?.({ kind: "romd", on });
	}
}

/** `value` in each of the parts of `width` bytes that `of` bytes have. */
export function inEachPart(value: number, width: number, of: number): number {
	let all = value;
	for (let at = width; at < of; at += width) all |= value << (8 * at);
	return all >>> 0;
}
