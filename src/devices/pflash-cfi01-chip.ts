import type { Alarm, Clock } from "../bus/device.ts";
import type { FlashIdentity } from "./pflash.ts";
import type { ChipParts, FlashChip } from "./pflash-bank.ts";
import type { FlashLocking, FlashRefusal } from "./pflash-events.ts";
import type { FlashBlock } from "./pflash-geometry.ts";
import type { FlashLane } from "./pflash-lane.ts";
import { type FlashTimes, queryTable } from "./pflash-query.ts";

/** What the next write means. */
type Cycle = "command" | "program" | "erase" | "lock" | "buffer-count" | "buffer-data" | "buffer-confirm";

type ReadMode = "array" | "status" | "id" | "query";

/** What the write state machine does, or did when it was suspended. */
interface Operation {
	readonly kind: "program" | "erase";
	/** Number of the block. */
	readonly block: number;
	/** Guest nanoseconds that it still takes. */
	readonly left: number;
}

export interface Cfi01ChipState {
	readonly cycle: Cycle;
	readonly readMode: ReadMode;
	readonly errors: number;
	readonly locks: readonly number[];
	readonly busy: Operation | null;
	/** When it is done. */
	readonly due: number | null;
	readonly suspended: readonly Operation[];
	/** Block, first word, words to come and words so far of a buffered program. */
	readonly buffer: { readonly block: number; readonly start: number; readonly count: number };
	readonly words: readonly (readonly [word: number, value: number])[];
}

/** Status register. */
const SR = {
	ready: 0x80,
	eraseSuspended: 0x40,
	eraseError: 0x20,
	programError: 0x10,
	noVoltage: 0x08,
	programSuspended: 0x04,
	locked: 0x02,
} as const;
const SEQUENCE_ERROR = SR.eraseError | SR.programError;

const LOCKED = 1;
const LOCKED_DOWN = 2;

const TYPICAL: FlashTimes = { program: 7, buffer: 7, erase: 10, chipErase: 0 };
/** Words of the write buffer. */
const BUFFER_WORDS = 32;
/** In the query table: what a block's own word says about it. */
const BLOCK_STATUS = 2;

/** Intel's, as on 28F320J3 and 28F640J3. */
const MANUFACTURER = 0x89;
const SMALL_DEVICE = 0x16;
const LARGE_DEVICE = 0x17;
const SMALL_BYTES = 4 * 2 ** 20;

/**
 * A chip with the Intel command set, as its datasheets have it (Intel StrataFlash J3, Numonyx P30 and P33): cells that only lose bits,
 * erases that must be confirmed, suspend and resume, locks for each block, a write buffer of 32 words, errors of command sequences.
 * A read-only image is a chip without programming voltage. WP# is low: blocks locked down stay locked until the next reset.
 */
export class Cfi01Chip implements FlashChip<Cfi01ChipState> {
	private readonly cells: FlashLane;
	private readonly clock: Clock;
	private readonly timing: boolean;
	private readonly lockedAtStart: boolean;
	private readonly identity: FlashIdentity;
	private readonly table: Uint8Array;
	private readonly alarm: Alarm;
	private readonly locks: Uint8Array;
	private cycle: Cycle = "command";
	private readMode: ReadMode = "array";
	/** Error bits of the status register. */
	private errors = 0;
	private busy: Operation | undefined;
	/** The last one is resumed first. */
	private suspended: Operation[] = [];
	private buffer = { block: 0, start: 0, count: 0 };
	private words: (readonly [word: number, value: number])[] = [];

	constructor({ cells, clock, timing, locked, identity, changed }: ChipParts) {
		const { runs, width } = cells;
		const bytes = runs.reduce((sum, { count, size }) => sum + count * size, 0);
		this.cells = cells;
		this.clock = clock;
		this.timing = timing;
		this.lockedAtStart = locked;
		this.identity = identity ?? {
			manufacturer: MANUFACTURER,
			device: bytes > SMALL_BYTES ? LARGE_DEVICE : SMALL_DEVICE,
		};
		this.alarm = clock.alarm(() => {
			this.busy = undefined;
			changed();
		});
		this.locks = new Uint8Array(cells.array.geometry.blockCount).fill(locked ? LOCKED : 0);
		this.table = queryTable({
			commandSet: 1,
			supply: [0x27, 0x36],
			typical: TYPICAL,
			longest: { program: 4, buffer: 4, erase: 4, chipErase: 0 },
			bus: width === 4 ? 3 : width - 1,
			buffer: Math.log2(BUFFER_WORDS * width),
			runs,
			// Version 1.1. Erase and program suspend, locks of single blocks; program while an erase is suspended; both bits of a
			// block's status; 3.3 V.
			primary: [0x31, 0x31, 0x26, 0, 0, 0, 0x01, 0x03, 0, 0x33, 0, 0],
		});
	}

	get showsArray(): boolean {
		return this.readMode === "array";
	}

	read(word: number): number {
		switch (this.readMode) {
			case "array":
				return this.cells.read(word);
			case "status":
				return this.status;
			case "id":
			case "query":
				return this.readTable(word);
		}
	}

	write(word: number, value: number): void {
		if (this.busy !== undefined) {
			this.writeBusy(word, value & 0xff);
			return;
		}
		switch (this.cycle) {
			case "command":
				this.command(word, value & 0xff);
				break;
			case "program":
				this.cycle = "command";
				this.program([[word, value]], "program", TYPICAL.program);
				break;
			case "erase":
				this.cycle = "command";
				if ((value & 0xff) === 0xd0) this.erase(word);
				else this.sequenceError(word, 0x20, value & 0xff);
				break;
			case "lock":
				this.cycle = "command";
				this.lock(word, value & 0xff);
				break;
			case "buffer-count":
			case "buffer-data":
			case "buffer-confirm":
				this.writeBuffer(word, value);
				break;
		}
	}

	reset(): void {
		const { blockCount } = this.cells.array.geometry;
		this.load({
			cycle: "command",
			readMode: "array",
			errors: 0,
			locks: new Array<number>(blockCount).fill(this.lockedAtStart ? LOCKED : 0),
			busy: null,
			due: null,
			suspended: [],
			buffer: { block: 0, start: 0, count: 0 },
			words: [],
		});
	}

	save(): Cfi01ChipState {
		return {
			cycle: this.cycle,
			readMode: this.readMode,
			errors: this.errors,
			locks: Array.from(this.locks),
			busy: this.busy ?? null,
			due: this.alarm.deadline ?? null,
			suspended: [...this.suspended],
			buffer: { ...this.buffer },
			words: [...this.words],
		};
	}

	load(state: Cfi01ChipState): void {
		this.cycle = state.cycle;
		this.readMode = state.readMode;
		this.errors = state.errors;
		this.locks.set(state.locks);
		this.busy = state.busy ?? undefined;
		if (state.due === null) this.alarm.cancel();
		else this.alarm.at(state.due);
		this.suspended = [...state.suspended];
		this.buffer = { ...state.buffer };
		this.words = [...state.words];
	}

	private get status(): number {
		const erase = this.isSuspended("erase") ? SR.eraseSuspended : 0;
		// Only bit 7 means anything while it is busy.
		if (this.busy !== undefined) return erase;
		return SR.ready | erase | this.errors | (this.isSuspended("program") ? SR.programSuspended : 0);
	}

	private isSuspended(kind: Operation["kind"]): boolean {
		return this.suspended.some((each) => each.kind === kind);
	}

	/** The first cycle of a command. */
	private command(word: number, command: number): void {
		const { cells } = this;
		const offset = cells.offset(word);
		switch (command) {
			case 0xff:
				cells.reports.command("read-array", offset);
				this.readMode = "array";
				break;
			case 0x70:
				cells.reports.command("read-status", offset);
				this.readMode = "status";
				break;
			case 0x90:
				cells.reports.command("read-id", offset);
				this.readMode = "id";
				break;
			case 0x98:
				cells.reports.command("cfi-query", offset);
				this.readMode = "query";
				break;
			case 0x50:
				cells.reports.command("clear-status", offset);
				this.errors = 0;
				break;
			case 0xb0:
				// Nothing runs that could be suspended.
				cells.reports.command("suspend", offset);
				break;
			case 0xd0:
				this.resume(offset);
				break;
			case 0x10:
			case 0x40:
				this.setUp("program", word, command);
				break;
			case 0x20:
				this.setUp("erase", word, command);
				break;
			case 0x60:
				this.setUp("lock", word, command);
				break;
			case 0xe8:
				this.setUp("buffer-count", word, command);
				break;
			default:
				cells.reports.unknown(offset, command);
		}
	}

	/** A suspended program leaves nothing but reads; a suspended erase, everything but erases. */
	private setUp(cycle: Cycle, word: number, command: number): void {
		const refused = this.isSuspended("program") || (cycle === "erase" && this.isSuspended("erase"));
		if (refused) {
			this.cells.reports.unknown(this.cells.offset(word), command);
			this.cells.error(word, 0, "busy");
			return;
		}
		this.cycle = cycle;
		this.readMode = "status";
		this.buffer = { block: this.cells.blockAt(word).index, start: 0, count: 0 };
		this.words = [];
	}

	/** While the state machine works it hears suspend and read status. */
	private writeBusy(word: number, command: number): void {
		const { cells, busy } = this;
		const offset = cells.offset(word);
		if (command === 0xb0 && busy !== undefined) {
			cells.reports.command("suspend", offset);
			this.suspended.push({ ...busy, left: Math.max((this.alarm.deadline ?? 0) - this.clock.now(), 1) });
			this.alarm.cancel();
			this.busy = undefined;
		} else if (command === 0x70) cells.reports.command("read-status", offset);
		else {
			cells.reports.unknown(offset, command);
			cells.error(word, 0, "busy");
		}
	}

	private resume(offset: number): void {
		const operation = this.suspended.pop();
		this.cells.reports.command("resume", offset);
		if (operation !== undefined) this.begin(operation);
	}

	/** Reads give the status from here on, at least until it is done: no command for another mode is heard. */
	private begin(operation: Operation): void {
		this.readMode = "status";
		if (!this.timing) return;
		this.busy = operation;
		this.alarm.at(this.clock.now() + operation.left);
	}

	private program(
		words: readonly (readonly [word: number, value: number])[],
		kind: "program" | "program-buffer",
		exponent: number,
	): void {
		const { cells } = this;
		const [word] = words[0]!;
		const block = cells.blockAt(word);
		if (this.isErasing(block)) this.refuse(word, SR.programError, "busy");
		else if (this.isWritable(block, word, SR.programError)) {
			let good = true;
			for (const [at, value] of words) good = cells.program(at, value, kind) && good;
			// The verify after it looks only for ones that should have become zeros.
			if (!good) cells.error(word, 0, "needs-erase");
			this.begin({ kind: "program", block: block.index, left: 1000 * 2 ** exponent });
		}
	}

	private erase(word: number): void {
		const { cells } = this;
		const block = cells.blockAt(word);
		if (!this.isWritable(block, word, SR.eraseError)) return;
		cells.reports.erase(block);
		cells.erase(block);
		this.begin({ kind: "erase", block: block.index, left: 1_000_000 * 2 ** TYPICAL.erase });
	}

	private isErasing({ index }: FlashBlock): boolean {
		return this.suspended.some((each) => each.kind === "erase" && each.block === index);
	}

	/** `error`: the status bit for what was to be done. */
	private isWritable({ index }: FlashBlock, word: number, error: number): boolean {
		if (this.cells.array.readonly) this.refuse(word, error | SR.noVoltage, "readonly");
		else if (this.locks[index]) this.refuse(word, error | SR.locked, "locked");
		else return true;
		return false;
	}

	private lock(word: number, command: number): void {
		const block = this.cells.blockAt(word);
		const { index } = block;
		const action: FlashLocking | undefined = ({ 1: "lock", 208: "unlock", 47: "lock-down" } as const)[command];
		if (action === undefined) {
			this.sequenceError(word, 0x60, command);
			return;
		}
		this.cells.lock(action, block);
		if (action === "lock") this.locks[index]! |= LOCKED;
		else if (action === "lock-down") this.locks[index]! |= LOCKED | LOCKED_DOWN;
		else if (this.locks[index]! & LOCKED_DOWN) this.cells.error(word, 0, "locked");
		else this.locks[index] = 0;
	}

	private writeBuffer(word: number, value: number): void {
		const { cells, buffer, words } = this;
		const inBlock = cells.blockAt(word).index === buffer.block;
		const command = value & 0xff;
		if (this.cycle === "buffer-count") {
			if (!inBlock || value >= BUFFER_WORDS) this.sequenceError(word, 0xe8, command, "boundary");
			else {
				buffer.count = value + 1;
				this.cycle = "buffer-data";
			}
		} else if (this.cycle === "buffer-data") {
			if (words.length === 0) buffer.start = word;
			if (!inBlock || word < buffer.start || word >= buffer.start + buffer.count) {
				this.sequenceError(word, 0xe8, command, "boundary");
				return;
			}
			words.push([word, value]);
			if (words.length === buffer.count) this.cycle = "buffer-confirm";
		} else if (!inBlock || command !== 0xd0) this.sequenceError(word, 0xe8, command);
		else {
			this.cycle = "command";
			this.program(words, "program-buffer", TYPICAL.buffer);
		}
	}

	private sequenceError(word: number, setUp: number, command: number, reason: FlashRefusal = "sequence"): void {
		this.cycle = "command";
		this.cells.reports.unknown(this.cells.offset(word), setUp, command);
		this.refuse(word, SEQUENCE_ERROR, reason);
	}

	private refuse(word: number, status: number, reason: FlashRefusal): void {
		this.errors |= status;
		this.cells.error(word, status, reason);
	}

	private readTable(word: number): number {
		const block = this.cells.blockAt(word);
		if (word - this.cells.firstWord(block) === BLOCK_STATUS) return this.locks[block.index]!;
		if (this.readMode === "query") return this.table[word & 0xff]!;
		return [this.identity.manufacturer, this.identity.device][word & 0xff] ?? 0;
	}
}
