import type { RomWrite, RomWriter } from "../rom-write.ts";
import type { Frame, Place } from "../symbols/symbols.ts";
import { Intervals } from "./intervals.ts";
import { Timeline } from "./timeline.ts";

/** Tells what the guest was doing. */
export interface Explainer {
	/** What lies at a linear address. */
	place(address: bigint): Place | undefined;
	/** The call stack behind the store in hand, the innermost frame first. */
	stack(write: RomWrite): readonly Frame[];
}

/** Bytes kept of a store. */
const SAMPLE_BYTES = 64;
/** Stores of a row that are kept as they were; the last one is kept besides. */
const SAMPLES = 8;
/** Address intervals of a row. */
const INTERVALS = 16;
const SLOTS = 64;
/** Call stacks of a row, and how often it looks for another one. A look takes milliseconds where images must be found in memory. */
const STACKS = 8;
const LOOKS = { store: 64, command: 4 } as const;

/** One store of a row. */
export interface Sample {
	gpa: number;
	target: bigint | undefined;
	size: number;
	storeSize: number;
	crossing: { readonly offset: number; readonly gpa: number } | undefined;
	data: Uint8Array | undefined;
	old: Uint8Array;
	instructions: number;
	timeNs: number;
}

/** One way to the instruction. */
export interface Stack {
	/** How often it was found when somebody looked. */
	seen: number;
	/** Of the first time. */
	readonly instructions: number;
	readonly frames: readonly Frame[];
}

const kept = (bytes: Uint8Array): Uint8Array => Uint8Array.from(bytes.subarray(0, SAMPLE_BYTES));

/** Stores by one instruction (or device, or kind of event) to one region, or its commands of one kind to one flash. */
export class Row {
	readonly cs: number;
	readonly rip: bigint;
	readonly linear: bigint;
	readonly code: Uint8Array;
	readonly mode: RomWrite["mode"];
	readonly cpl: number;
	readonly cpu: number;
	readonly by: RomWriter;
	readonly faulted: boolean;
	readonly region: string;
	readonly command: string | undefined;
	readonly place: Place | undefined;
	readonly samples: Sample[] = [];
	readonly stacks: Stack[] = [];
	/** Stacks beyond {@link STACKS} were found and left out. */
	stacksLeftOut = false;
	readonly intervals = new Intervals(INTERVALS);
	readonly timeline = new Timeline(SLOTS);
	count = 0;
	bytes = 0;
	private readonly explainer: Explainer | undefined;
	private looks = 0;
	private stackPointer = 0;
	private readonly lastData = new Uint8Array(SAMPLE_BYTES);
	private readonly lastOld = new Uint8Array(SAMPLE_BYTES);
	private readonly lastStore: Omit<Sample, "data" | "old"> & { known: boolean; holds: number };

	constructor(write: RomWrite, explainer: Explainer | undefined) {
		this.cs = write.cs;
		this.rip = write.rip;
		this.linear = write.linear;
		this.code = write.code.slice();
		this.mode = write.mode;
		this.cpl = write.cpl;
		this.cpu = write.cpu;
		this.by = write.by;
		this.faulted = write.faulted;
		this.region = write.region;
		this.command = write.command;
		this.explainer = explainer;
		this.place = explainer?.place(write.linear);
		const { gpa, target, size, storeSize, crossing } = write;
		this.lastStore = {
			...{ gpa, target, size, storeSize, crossing, known: false, holds: 0 },
			...{ instructions: write.instructions, timeNs: write.timeNs },
		};
	}

	/** Whether the store belongs here. What is not an instruction's own is folded by who did it. */
	takes(write: RomWrite): boolean {
		const { by } = this;
		if (this.region !== write.region || this.command !== write.command || by.kind !== write.by.kind) return false;
		if (this.faulted !== write.faulted) return false;
		switch (write.by.kind) {
			case "dma":
				return by.kind === "dma" && by.device === write.by.device;
			case "delivery":
				return by.kind === "delivery" && by.vector === write.by.vector;
			case "page-walk":
				return true;
			default:
				return (
					this.linear === write.linear && this.cs === write.cs && this.mode === write.mode && this.cpl === write.cpl
				);
		}
	}

	add(write: RomWrite): void {
		const { data, old, size, gpa, crossing, timeNs } = write;
		this.count++;
		this.bytes += size;
		if (crossing === undefined) this.intervals.add(gpa, size);
		else {
			this.intervals.add(gpa, crossing.offset);
			this.intervals.add(crossing.gpa, size - crossing.offset, 0);
		}
		this.timeline.add(timeNs);
		if (this.samples.length < SAMPLES) this.keep(write);
		const last = this.lastStore;
		last.gpa = gpa;
		last.target = write.target;
		last.size = size;
		last.storeSize = write.storeSize;
		last.crossing = crossing;
		last.instructions = write.instructions;
		last.timeNs = timeNs;
		last.known = data !== undefined;
		if (data !== undefined) copyStart(data, this.lastData);
		last.holds = copyStart(old, this.lastOld);
		this.look(write);
	}

	get first(): Sample {
		return this.samples[0]!;
	}

	get last(): Sample {
		const { known, holds, ...rest } = this.lastStore;
		const data = known ? this.lastData.slice(0, Math.min(rest.size, SAMPLE_BYTES)) : undefined;
		return { ...rest, data, old: this.lastOld.slice(0, holds) };
	}

	/** Guest-physical addresses that were hit. */
	get lowest(): number {
		return this.intervals.items[0]!.first;
	}

	get highest(): number {
		return this.intervals.items.at(-1)!.last;
	}

	private keep({ gpa, target, size, storeSize, crossing, data, old, instructions, timeNs }: RomWrite): void {
		this.samples.push({
			...{ gpa, target, size, storeSize, crossing, instructions, timeNs },
			data: data && kept(data),
			old: kept(old),
		});
	}

	/**
	 * Looks at the call stack where it may be another one: the stack pointer has moved since the store before, or the count is a power
	 * of two.
	 */
	private look(write: RomWrite): void {
		const { stackPointer } = write;
		const moved = stackPointer !== this.stackPointer;
		if (!moved && (this.count & (this.count - 1)) !== 0) return;
		this.stackPointer = stackPointer;
		if (
			this.explainer === undefined ||
			this.looks >= LOOKS[this.command === undefined ? "store" : "command"] ||
			write.by.kind === "dma"
		)
			return;
		this.looks++;
		const frames = this.explainer.stack(write);
		if (frames.length === 0) return;
		const same = this.stacks.find((stack) => sameFrames(stack.frames, frames));
		if (same !== undefined) same.seen++;
		else if (this.stacks.length >= STACKS) this.stacksLeftOut = true;
		else this.stacks.push({ seen: 1, instructions: write.instructions, frames });
	}
}

function copyStart(from: Uint8Array, to: Uint8Array): number {
	const length = Math.min(from.length, to.length);
	for (let n = 0; n < length; n++) to[n] = from[n]!;
	return length;
}

function sameFrames(a: readonly Frame[], b: readonly Frame[]): boolean {
	return a.length === b.length && a.every(({ address }, n) => address === b[n]!.address);
}
