import type { AccessSize, Clock } from "../bus/device.ts";
import { type FlashIdentity, Pflash, type PflashParts } from "./pflash.ts";
import type { FlashEvent } from "./pflash-events.ts";
import { FlashLane } from "./pflash-lane.ts";
import { FlashReports } from "./pflash-reports.ts";

/** One chip as its command set sees it: reads and writes of whole words, addressed by word. */
export interface FlashChip<State> {
	/** Reads give the array and nothing else. */
	readonly showsArray: boolean;
	read(word: number): number;
	write(word: number, value: number): void;
	reset(): void;
	save(): State;
	load(state: State): void;
}

/** What a chip is told about itself. */
export interface ChipParts {
	readonly cells: FlashLane;
	readonly clock: Clock;
	/** Programming and erasing take guest time, as the query table says. */
	readonly timing: boolean;
	/** Every block is locked at power-on. */
	readonly locked: boolean;
	readonly identity: FlashIdentity | undefined;
	/** Called when what reads give has changed without a write. */
	readonly changed: () => void;
}

export interface BankParts extends PflashParts {
	readonly timing: boolean;
	readonly locked: boolean;
}

/**
 * Chips side by side on a data bus, each with its own state: a write of the bus's width reaches all of them, a narrower one those on
 * its byte lanes, and a wider one is several. Lanes that nobody drives read as ones.
 */
export class FlashBank<State> extends Pflash<readonly State[]> {
	private readonly chips: readonly FlashChip<State>[];
	private readonly bankWidth: number;
	private readonly width: number;
	/** What chips have reported in this cycle. */
	private gathered: FlashEvent[] = [];

	constructor(parts: BankParts, chip: (parts: ChipParts) => FlashChip<State>) {
		super(parts);
		const { array, clock, timing, locked, identity, observer, bankWidth = 1, deviceWidth = bankWidth } = parts;
		this.bankWidth = bankWidth;
		this.width = deviceWidth;
		const reports = new FlashReports(array, observer && ((event) => this.gathered.push(event)));
		this.chips = Array.from({ length: bankWidth / deviceWidth }, (_, lane) => {
			const cells = new FlashLane(array, reports, lane, deviceWidth, bankWidth);
			return chip({ cells, clock, timing, locked, identity, changed: () => this.settle() });
		});
	}

	read(offset: number, size: AccessSize): number {
		let value = 0;
		for (let at = 0; at < size; ) {
			const inWord = (offset + at) % this.width;
			const bytes = Math.min(this.width - inWord, size - at);
			const word = this.chipAt(offset + at).read(Math.floor((offset + at) / this.bankWidth)) >>> (8 * inWord);
			value |= (word & ones(bytes)) << (8 * at);
			at += bytes;
		}
		this.settle();
		return value >>> 0;
	}

	write(offset: number, size: AccessSize, value: number): void {
		for (let at = 0; at < size; ) {
			const inWord = (offset + at) % this.width;
			const bytes = Math.min(this.width - inWord, size - at);
			const driven = (ones(bytes) << (8 * inWord)) >>> 0;
			const word = (((value >>> (8 * at)) << (8 * inWord)) & driven) | (ones(this.width) & ~driven);
			this.chipAt(offset + at).write(Math.floor((offset + at) / this.bankWidth), word >>> 0);
			at += bytes;
		}
		this.settle();
	}

	reset(): void {
		for (const chip of this.chips) chip.reset();
		this.array.flush();
		this.settle();
	}

	/** The array's bytes are guest memory and saved as such. */
	save(): readonly State[] {
		return this.chips.map((chip) => chip.save());
	}

	load(state: readonly State[]): void {
		this.chips.forEach((chip, lane) => {
			const saved = state[lane];
			if (saved !== undefined) chip.load(saved);
		});
		this.settle();
	}

	private chipAt(offset: number): FlashChip<State> {
		return this.chips[Math.floor((offset % this.bankWidth) / this.width)]!;
	}

	/** After a bus cycle, or when time has passed for a chip. */
	private settle(): void {
		if (this.gathered.length > 0) {
			const events = joined(this.gathered);
			this.gathered = [];
			for (const event of events) this.tell(event);
		}
		const direct = this.chips.every((chip) => chip.showsArray);
		if (direct && !this.isDirect) this.array.flush();
		this.setDirect(direct);
	}
}

function ones(bytes: number): number {
	return bytes === 4 ? 0xffff_ffff : 2 ** (8 * bytes) - 1;
}

/** Events of several chips, and of the words of a buffer, as those of one flash: bytes in a row become one, what is the same is said once. */
function joined(events: readonly FlashEvent[]): FlashEvent[] {
	const all: FlashEvent[] = [];
	const said = new Set<string>();
	const places = [...events].sort((a, b) => ("offset" in a && "offset" in b ? a.offset - b.offset : 0));
	for (const event of places) {
		if (event.kind !== "program" && event.kind !== "program-buffer") continue;
		const last = all.at(-1);
		if (last !== undefined && "bytes" in last && last.offset + last.bytes.length === event.offset) {
			const bytes = Uint8Array.of(...last.bytes, ...event.bytes);
			all[all.length - 1] = { ...last, bytes, before: Uint8Array.of(...last.before, ...event.before) };
		} else all.push(event);
	}
	for (const event of events) {
		if ("bytes" in event) continue;
		const text = JSON.stringify(event);
		if (!said.has(text)) all.push(event);
		said.add(text);
	}
	return all;
}
