import type { Alarm, Clock } from "../bus/device.ts";
import type { FlashIdentity } from "./pflash.ts";
import type { ChipParts, FlashChip } from "./pflash-bank.ts";
import { PART_BUFFER, PART_TIMES, partIdentity, partQuery } from "./pflash-cfi02-part.ts";
import { DQ, type Operation, statusOf } from "./pflash-cfi02-status.ts";
import type { FlashBlock } from "./pflash-geometry.ts";
import type { FlashLane } from "./pflash-lane.ts";

/** What the next write may be. */
type Cycle =
	| "command"
	/** Behind AA; AA 55; AA 55 80, and so on. */
	| "unlock"
	| "unlocked"
	| "erase"
	| "erase-unlock"
	| "erase-unlocked"
	| "program"
	| "buffer-count"
	| "buffer-data"
	| "buffer-confirm"
	/** 90 in bypass or protection mode: 00 ends the mode. */
	| "exit"
	/** A0 in protection mode. */
	| "protect";

/** What reads give while the chip does nothing. */
type Area = "array" | "id" | "query" | "id-query" | "protection";

export interface Cfi02ChipState {
	readonly cycle: Cycle;
	readonly area: Area;
	readonly bypass: boolean;
	readonly operation: Operation | null;
	readonly due: number | null;
	/** The last one is resumed first. */
	readonly suspended: readonly Operation[];
	/** Bits 6 and 2 of the next status. */
	readonly toggles: number;
	readonly protected: readonly number[];
	readonly buffer: { readonly block: number; readonly page: number; readonly count: number };
	readonly words: readonly (readonly [word: number, value: number])[];
}

const UNLOCK_0 = 0x555;
const UNLOCK_1 = 0x2aa;
const ADDRESS_MASK = 0x7ff;
const QUERY_ADDRESS = 0x55;
/** Among the identifiers: whether its sector is protected. */
const PROTECTION_ADDRESS = 2;

/** Guest nanoseconds for further sectors; for a program and an erase of what is protected. */
const MORE_SECTORS = 50_000;
const REFUSED_PROGRAM = 1000;
const REFUSED_ERASE = 100_000;
/**
 * A chip with the AMD command set, as its datasheets have it (AMD Am29LV, Spansion S29GL): cells that only lose bits, a write buffer,
 * several sectors in one erase, suspend and resume of both, status by data polling and toggle bits, and volatile protection of
 * single sectors. A read-only image has all sectors protected.
 *
 * A program that needs a 0 to become 1 fails: bit 5 is set until a reset.
 */
export class Cfi02Chip implements FlashChip<Cfi02ChipState> {
	private readonly cells: FlashLane;
	private readonly clock: Clock;
	private readonly timing: boolean;
	private readonly lockedAtStart: boolean;
	private readonly identity: FlashIdentity | undefined;
	private readonly table: Uint8Array;
	private readonly alarm: Alarm;
	private cycle: Cycle = "command";
	private area: Area = "array";
	private bypass = false;
	private operation: Operation | undefined;
	private suspended: Operation[] = [];
	private toggles = 0;
	private readonly protection: Uint8Array;
	private buffer = { block: 0, page: 0, count: 0 };
	private words: (readonly [word: number, value: number])[] = [];

	constructor({ cells, clock, timing, locked, identity, changed }: ChipParts) {
		const { runs, width } = cells;
		this.cells = cells;
		this.clock = clock;
		this.timing = timing;
		this.lockedAtStart = locked;
		this.identity = identity;
		this.alarm = clock.alarm(() => {
			this.expire();
			changed();
		});
		this.protection = new Uint8Array(cells.array.geometry.blockCount).fill(locked ? 1 : 0);
		this.table = partQuery(runs, width);
	}

	get showsArray(): boolean {
		return this.area === "array" && this.operation === undefined && this.suspended.length === 0;
	}

	read(word: number): number {
		const { operation } = this;
		if (operation !== undefined) return this.readStatus(operation, word);
		switch (this.area) {
			case "array":
				return this.readArray(word);
			case "id":
				return this.readIdentity(word);
			case "query":
			case "id-query":
				return this.table[word & 0xff]!;
			case "protection":
				return this.protection[this.cells.blockAt(word).index] ? 0 : 1;
		}
	}

	write(word: number, value: number): void {
		const command = value & 0xff;
		const { operation, cycle } = this;
		if (operation !== undefined) this.whileBusy(operation, word, command);
		else if (cycle === "program") this.program([[word, value]], "program", PART_TIMES.program);
		else if (cycle.startsWith("buffer")) this.writeBuffer(word, value);
		else if (command === 0xf0 && !this.bypass) this.leave(word);
		else this.step(word, command);
	}

	reset(): void {
		this.load({
			cycle: "command",
			area: "array",
			bypass: false,
			operation: null,
			due: null,
			suspended: [],
			toggles: 0,
			protected: Array.from(this.protection, () => (this.lockedAtStart ? 1 : 0)),
			buffer: { block: 0, page: 0, count: 0 },
			words: [],
		});
	}

	save(): Cfi02ChipState {
		return {
			cycle: this.cycle,
			area: this.area,
			bypass: this.bypass,
			operation: this.operation ?? null,
			due: this.alarm.deadline ?? null,
			suspended: [...this.suspended],
			toggles: this.toggles,
			protected: Array.from(this.protection),
			buffer: { ...this.buffer },
			words: [...this.words],
		};
	}

	load(state: Cfi02ChipState): void {
		this.cycle = state.cycle;
		this.area = state.area;
		this.bypass = state.bypass;
		this.operation = state.operation ?? undefined;
		if (state.due === null) this.alarm.cancel();
		else this.alarm.at(state.due);
		this.suspended = [...state.suspended];
		this.toggles = state.toggles;
		this.protection.set(state.protected);
		this.buffer = { ...state.buffer };
		this.words = [...state.words];
	}

	private readStatus(operation: Operation, word: number): number {
		const erases = operation.kind !== "program" && operation.blocks.includes(this.cells.blockAt(word).index);
		this.toggles ^= erases ? DQ.toggle | DQ.toggle2 : DQ.toggle;
		return statusOf(operation, this.toggles);
	}

	/** Sectors whose erase is suspended show that in place of their cells. */
	private readArray(word: number): number {
		const { index } = this.cells.blockAt(word);
		const erasing = this.suspended.some(({ kind, blocks }) => kind === "erase" && blocks.includes(index));
		if (!erasing) return this.cells.read(word);
		this.toggles ^= DQ.toggle2;
		return DQ.polling | this.toggles;
	}

	private readIdentity(word: number): number {
		const address = word & 0xff;
		if (address !== PROTECTION_ADDRESS) return partIdentity(address, this.cells.width, this.identity);
		return this.cells.array.readonly ? 1 : this.protection[this.cells.blockAt(word).index]!;
	}

	private unknown(word: number, command: number): void {
		this.cells.reports.unknown(this.cells.offset(word), command);
		this.cycle = "command";
		if (!this.bypass && this.area !== "protection") this.area = "array";
	}

	/** F0: back to the array, or from the query to the identifiers where it was asked for. */
	private leave(word: number): void {
		this.cells.reports.command("read-array", this.cells.offset(word));
		this.cycle = "command";
		if (this.area !== "protection") this.area = this.area === "id-query" ? "id" : "array";
	}

	private step(word: number, command: number): void {
		const address = word & ADDRESS_MASK;
		switch (this.cycle) {
			case "command":
				if (this.bypass) this.bypassed(word, command);
				else if (this.area === "protection") this.protectionMode(word, command);
				else this.command(word, command);
				break;
			case "unlock":
			case "erase-unlock":
				if (address !== UNLOCK_1 || command !== 0x55) this.unknown(word, command);
				else this.cycle = this.cycle === "unlock" ? "unlocked" : "erase-unlocked";
				break;
			case "unlocked":
				this.unlocked(word, command);
				break;
			case "erase":
				if (this.bypass) this.erase(word, command);
				else if (address === UNLOCK_0 && command === 0xaa) this.cycle = "erase-unlock";
				else this.unknown(word, command);
				break;
			case "erase-unlocked":
				this.erase(word, command);
				break;
			case "exit":
				if (command !== 0) this.unknown(word, command);
				else this.exitMode(word);
				break;
			case "protect":
				this.protect(word, command);
				break;
		}
	}

	/** A cycle without unlock cycles before it. */
	private command(word: number, command: number): void {
		const offset = this.cells.offset(word);
		if (command === 0x30 && this.suspended.length > 0) this.resume(offset);
		else if (command === 0x98 && (word & 0xff) === QUERY_ADDRESS && !this.isQuery) {
			this.cells.reports.command("cfi-query", offset);
			this.area = this.area === "id" ? "id-query" : "query";
		} else if (command === 0xaa && (word & ADDRESS_MASK) === UNLOCK_0 && !this.isQuery) this.cycle = "unlock";
		else this.unknown(word, command);
	}

	private get isQuery(): boolean {
		return this.area === "query" || this.area === "id-query";
	}

	/** Behind both unlock cycles. What is suspended leaves reads; a suspended erase, programs as well. */
	private unlocked(word: number, command: number): void {
		const programs = this.suspended.some(({ kind }) => kind === "program");
		if (command === 0x25 && !programs) {
			this.setUpBuffer(word);
			return;
		}
		const known = (word & ADDRESS_MASK) === UNLOCK_0;
		const offset = this.cells.offset(word);
		this.cycle = "command";
		if (known && command === 0x90) {
			this.cells.reports.command("read-id", offset);
			this.area = "id";
		} else if (known && command === 0xa0 && !programs) this.cycle = "program";
		else if (known && command === 0x80 && this.suspended.length === 0) this.cycle = "erase";
		else if (known && command === 0x20 && !programs) {
			this.cells.reports.command("unlock-bypass", offset);
			this.area = "array";
			this.bypass = true;
		} else if (known && command === 0xe0 && this.suspended.length === 0) this.area = "protection";
		else this.unknown(word, command);
	}

	private bypassed(word: number, command: number): void {
		if (command === 0xa0) this.cycle = "program";
		else if (command === 0x25) this.setUpBuffer(word);
		else if (command === 0x80 && this.suspended.length === 0) this.cycle = "erase";
		else if (command === 0x90) this.cycle = "exit";
		else if (command === 0x30 && this.suspended.length > 0) this.resume(this.cells.offset(word));
		else this.unknown(word, command);
	}

	private protectionMode(word: number, command: number): void {
		if (command === 0xa0) this.cycle = "protect";
		else if (command === 0x90) this.cycle = "exit";
		else this.unknown(word, command);
	}

	private exitMode(word: number): void {
		if (this.bypass) this.cells.reports.command("unlock-bypass-reset", this.cells.offset(word));
		this.bypass = false;
		this.area = "array";
		this.cycle = "command";
	}

	private protect(word: number, command: number): void {
		const block = this.cells.blockAt(word);
		this.cycle = "command";
		if (command > 1) {
			this.unknown(word, command);
			return;
		}
		this.cells.lock(command === 0 ? "lock" : "unlock", block);
		this.protection[block.index] = command === 0 ? 1 : 0;
	}

	private setUpBuffer(word: number): void {
		this.cycle = "buffer-count";
		this.buffer = { block: this.cells.blockAt(word).index, page: 0, count: 0 };
		this.words = [];
	}

	private writeBuffer(word: number, value: number): void {
		const { cells, buffer, words } = this;
		const inBlock = cells.blockAt(word).index === buffer.block;
		const pageWords = PART_BUFFER / cells.width;
		const page = Math.floor(word / pageWords);
		if (this.cycle === "buffer-count") {
			if (!inBlock || value >= pageWords) this.abort(word, value);
			else {
				buffer.count = value + 1;
				this.cycle = "buffer-data";
			}
		} else if (this.cycle === "buffer-data") {
			if (words.length === 0) buffer.page = page;
			if (!inBlock || page !== buffer.page) this.abort(word, value);
			else {
				words.push([word, value]);
				if (words.length === buffer.count) this.cycle = "buffer-confirm";
			}
		} else if (!inBlock || (value & 0xff) !== 0x29) this.abort(word, value);
		else this.program(words, "program-buffer", PART_TIMES.buffer);
	}

	/** The buffer is given up; only a reset behind unlock cycles leads on. */
	private abort(word: number, value: number): void {
		this.cells.reports.unknown(this.cells.offset(word), value & 0xff);
		this.cells.error(word, DQ.aborted, "boundary");
		this.cycle = "command";
		const data7 = (this.words.at(-1)?.[1] ?? value) & DQ.polling;
		this.operation = { kind: "program", phase: "aborted", data7, blocks: [], left: 0 };
	}

	private program(
		words: readonly (readonly [word: number, value: number])[],
		kind: "program" | "program-buffer",
		exponent: number,
	): void {
		const { cells } = this;
		const [word, last] = words.at(-1)!;
		const block = cells.blockAt(word);
		const operation = { kind: "program", data7: last & DQ.polling, blocks: [block.index] } as const;
		this.cycle = "command";
		this.area = "array";
		if (this.suspended.some(({ blocks }) => blocks.includes(block.index))) cells.error(word, 0, "busy");
		else if (!this.isProgrammable(block)) {
			cells.error(word, 0, cells.array.readonly ? "readonly" : "locked");
			this.begin({ ...operation, phase: "busy", left: REFUSED_PROGRAM });
		} else {
			let good = true;
			for (const [at, value] of words) good = cells.program(at, value, kind) && good;
			if (good) this.begin({ ...operation, phase: "busy", left: 1000 * 2 ** exponent });
			else {
				cells.error(word, DQ.failed, "needs-erase");
				this.operation = { ...operation, phase: "failed", left: 0 };
			}
		}
	}

	private isProgrammable({ index }: FlashBlock): boolean {
		return !this.cells.array.readonly && this.protection[index] === 0;
	}

	private erase(word: number, command: number): void {
		const { cells } = this;
		const chip = command === 0x10 && (this.bypass || (word & ADDRESS_MASK) === UNLOCK_0);
		this.area = "array";
		if (!chip && command !== 0x30) {
			this.unknown(word, command);
			return;
		}
		this.cycle = "command";
		const blocks = chip ? cells.array.geometry.blocks() : [cells.blockAt(word)];
		for (const block of blocks) cells.reports.erase(block);
		const indexes = blocks.map(({ index }) => index);
		this.operation = { kind: chip ? "chip-erase" : "erase", phase: "window", data7: 0, blocks: indexes, left: 0 };
		if (chip) this.eraseNow(this.operation);
		else this.alarm.at(this.clock.now() + MORE_SECTORS);
	}

	/** The cells change when no more sectors can follow. */
	private eraseNow(operation: Operation): void {
		const { cells } = this;
		const all = cells.array.geometry.blocks();
		const blocks = operation.blocks.map((index) => all[index]!);
		const good = blocks.filter((block) => this.isProgrammable(block));
		for (const block of good) cells.erase(block);
		const reason = cells.array.readonly ? "readonly" : "locked";
		if (good.length < blocks.length) cells.error(cells.firstWord(blocks[0]!), 0, reason);
		const left = good.length === 0 ? REFUSED_ERASE : 1_000_000 * 2 ** PART_TIMES.erase * good.length;
		this.operation = undefined;
		this.begin({ ...operation, phase: "busy", left });
	}

	private begin(operation: Operation): void {
		if (!this.timing) return;
		this.operation = operation;
		this.alarm.at(this.clock.now() + operation.left);
	}

	private expire(): void {
		const { operation } = this;
		if (operation?.phase === "window") this.eraseNow(operation);
		else this.operation = undefined;
	}

	private whileBusy(operation: Operation, word: number, command: number): void {
		const { cells } = this;
		const offset = cells.offset(word);
		const { phase } = operation;
		if (phase === "failed") {
			if (command === 0xf0) this.giveUp(offset);
			else this.ignored(offset, command);
		} else if (phase === "aborted") this.resetAborted(word, command);
		else if (command === 0xb0 && operation.kind !== "chip-erase") {
			cells.reports.command("suspend", offset);
			this.suspend(operation);
		} else if (phase === "busy") this.ignored(offset, command);
		else if (command === 0x30) {
			const block = cells.blockAt(word);
			cells.reports.erase(block);
			const blocks = operation.blocks.includes(block.index) ? operation.blocks : [...operation.blocks, block.index];
			this.operation = { ...operation, blocks };
			this.alarm.at(this.clock.now() + MORE_SECTORS);
		} else {
			// Nothing was erased yet.
			cells.reports.unknown(offset, command);
			cells.error(word, 0, "sequence");
			this.alarm.cancel();
			this.operation = undefined;
		}
	}

	private ignored(offset: number, command: number): void {
		this.cells.reports.unknown(offset, command);
		this.cells.reports.error(offset, 0, "busy");
	}

	private giveUp(offset: number): void {
		this.cells.reports.command("read-array", offset);
		this.operation = undefined;
		this.cycle = "command";
		this.bypass = false;
	}

	/** AA 55 F0 at the addresses of unlock cycles. */
	private resetAborted(word: number, command: number): void {
		const address = word & ADDRESS_MASK;
		if (this.cycle === "command" && address === UNLOCK_0 && command === 0xaa) this.cycle = "unlock";
		else if (this.cycle === "unlock" && address === UNLOCK_1 && command === 0x55) this.cycle = "unlocked";
		else if (this.cycle === "unlocked" && address === UNLOCK_0 && command === 0xf0)
			this.giveUp(this.cells.offset(word));
		else {
			this.cycle = "command";
			this.ignored(this.cells.offset(word), command);
		}
	}

	/** In the time for more sectors none is waited for: the erase is suspended with all of its time left. */
	private suspend(operation: Operation): void {
		if (operation.phase === "window") {
			this.eraseNow(operation);
			// Without durations that was all of it.
			if (this.operation === undefined) this.alarm.cancel();
			else this.suspend(this.operation);
			return;
		}
		this.suspended.push({ ...operation, left: Math.max((this.alarm.deadline ?? 0) - this.clock.now(), 1) });
		this.alarm.cancel();
		this.operation = undefined;
	}

	private resume(offset: number): void {
		this.cells.reports.command("resume", offset);
		const operation = this.suspended.pop();
		if (operation === undefined) return;
		this.area = "array";
		this.operation = operation;
		this.alarm.at(this.clock.now() + operation.left);
	}
}
