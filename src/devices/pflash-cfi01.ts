import type { AccessSize } from "../bus/device.ts";
import { type FlashIdentity, type FlashWidth, inEachPart, Pflash, type PflashParts } from "./pflash.ts";
import type { FlashRefusal } from "./pflash-events.ts";
import { queryTable } from "./pflash-query.ts";
import { bytesOf } from "./pflash-reports.ts";

/** What the next write means. */
type State =
	| "ready"
	| "program"
	| "erase"
	| "lock"
	| "query"
	| "buffer-count"
	| "buffer-data"
	/** Only D0 commits the buffer. */
	| "buffer-confirm";

/** What reads give. */
type ReadMode = "array" | "status" | "id" | "query";

export interface Cfi01State {
	readonly state: State;
	readonly readMode: ReadMode;
	readonly status: number;
	/** Data cycles of a buffer write still to come, less one. */
	readonly counter: number;
	/** Start of the buffer's window in the flash; absent until the first data cycle. */
	readonly bufferBase: number | null;
	readonly buffer: readonly number[];
	/** The part of the buffer that data cycles have reached. */
	readonly filled: readonly [start: number, end: number];
}

const STATUS_READY = 0x80;
const STATUS_ERASE_ERROR = 0x20;
const STATUS_PROGRAM_ERROR = 0x10;

const CONFIRM = 0xd0;
const READ_ARRAY = 0xff;
const LOCK = 0x01;

/** Exponents of two: bytes of a chip's write buffer on a bus one byte wide, and on wider ones. */
const NARROW_BUFFER = 8;
const WIDE_BUFFER = 11;
/** Bytes of the query table that there are. */
const QUERY_LENGTH = 0x52;

/**
 * A parallel flash with the Intel command set by QEMU's rules (pflash_cfi01), which follow the Intel 28F640J3. The low byte of a
 * write is the command; a data cycle programs as many bytes as were written. However many chips lie side by side, there is one state.
 *
 * Unlike a chip: an erase happens at its first cycle, the confirmation only ends it; nothing takes time, and what is suspended on a
 * chip is unknown; clearing the status returns to array reads; programming can set bits; locks are accepted and not kept.
 */
export class PflashCfi01 extends Pflash<Cfi01State> {
	private readonly bankWidth: FlashWidth;
	/** Absent: not said, as on PCs; QEMU answers such boards as it did before there was a width. */
	private readonly deviceWidth: FlashWidth | undefined;
	private readonly identity: FlashIdentity;
	private readonly table: Uint8Array;
	private state: State = "ready";
	private readMode: ReadMode = "array";
	private status = STATUS_READY;
	private counter = 0;
	private bufferBase: number | undefined;
	/** The window as it will be after the commit; a power of two. */
	private readonly buffer: Uint8Array;
	private filled: readonly [start: number, end: number] = [0, 0];

	constructor(parts: PflashParts) {
		super(parts);
		const { bankWidth = 1, deviceWidth, identity = { manufacturer: 0, device: 0 } } = parts;
		this.bankWidth = bankWidth;
		this.deviceWidth = deviceWidth;
		this.identity = identity;
		const chips = bankWidth / (deviceWidth ?? bankWidth);
		const buffer = bankWidth === 1 ? NARROW_BUFFER : WIDE_BUFFER;
		this.buffer = new Uint8Array(chips * 2 ** buffer);
		this.table = queryTable({
			commandSet: 1,
			supply: [0x45, 0x55],
			typical: { program: 7, buffer: 7, erase: 10, chipErase: 0 },
			longest: { program: 4, buffer: 4, erase: 4, chipErase: 0 },
			bus: 2,
			buffer,
			runs: this.array.geometry.runs.map(({ count, size }) => ({ count, size: size / chips })),
			// Version 1.0, no optional feature, one protection field.
			primary: [0x31, 0x30, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
		});
	}

	read(offset: number, size: AccessSize): number {
		switch (this.readMode) {
			case "array":
				return this.array.read(offset, size);
			case "status":
				// Where no width is said, a doubleword shows two chips of 16 bits.
				return inEachPart(this.status, this.deviceWidth ?? 2, size);
			case "query":
				return this.readWords(offset, size, (word) => (word < QUERY_LENGTH ? this.table[word]! : 0));
			case "id":
				return this.readIdentity(offset, size);
		}
	}

	write(offset: number, size: AccessSize, value: number): void {
		const command = value & 0xff;
		switch (this.state) {
			case "ready":
				this.start(command, offset);
				break;
			case "program":
				this.program(offset, size, value);
				break;
			case "erase":
				this.confirm(command === CONFIRM, offset, 0x20, command);
				if (command === CONFIRM) this.array.flush();
				break;
			case "lock":
				this.lock(command, offset);
				break;
			case "query":
				if (command !== READ_ARRAY) break;
				this.reports.command("read-array", offset);
				this.readArray();
				break;
			case "buffer-count":
				this.counter = value % 2 ** (8 * (this.deviceWidth ?? this.bankWidth));
				this.bufferBase = undefined;
				this.state = "buffer-data";
				break;
			case "buffer-data":
				this.fillBuffer(offset, size, value);
				break;
			case "buffer-confirm":
				this.commitBuffer(offset, command);
				break;
		}
		this.setDirect(this.readMode === "array");
	}

	reset(): void {
		this.state = "ready";
		this.readMode = "array";
		this.status = STATUS_READY;
		this.counter = 0;
		this.bufferBase = undefined;
		this.buffer.fill(0);
		this.filled = [0, 0];
		this.array.flush();
		this.setDirect(true);
	}

	/** The array's bytes are guest memory and saved as such. */
	save(): Cfi01State {
		return {
			state: this.state,
			readMode: this.readMode,
			status: this.status,
			counter: this.counter,
			bufferBase: this.bufferBase ?? null,
			buffer: Array.from(this.buffer),
			filled: [...this.filled],
		};
	}

	load(state: Cfi01State): void {
		this.state = state.state;
		this.readMode = state.readMode;
		this.status = state.status;
		this.counter = state.counter;
		this.bufferBase = state.bufferBase ?? undefined;
		this.buffer.set(state.buffer);
		this.filled = [...state.filled];
		this.setDirect(this.readMode === "array");
	}

	/** The first cycle of a command. */
	private start(command: number, offset: number): void {
		this.readMode = "status";
		switch (command) {
			case 0x10:
			case 0x40:
				this.state = "program";
				break;
			case 0x20:
				this.erase(offset);
				this.state = "erase";
				break;
			case 0x50:
				this.reports.command("clear-status", offset);
				this.status = 0;
				this.readArray();
				break;
			case 0x60:
				this.state = "lock";
				break;
			case 0x70:
				this.reports.command("read-status", offset);
				break;
			case 0x90:
				this.reports.command("read-id", offset);
				this.readMode = "id";
				break;
			case 0x98:
				this.reports.command("cfi-query", offset);
				this.readMode = "query";
				this.state = "query";
				break;
			case 0xe8:
				this.status |= STATUS_READY;
				this.state = "buffer-count";
				break;
			case 0x00:
			case 0xf0:
			case READ_ARRAY:
				this.reports.command("read-array", offset);
				this.readArray();
				break;
			default:
				// What is unknown gives the array, too.
				this.reports.unknown(offset, command);
				this.readArray();
		}
	}

	private readArray(): void {
		this.state = "ready";
		this.readMode = "array";
		this.array.flush();
	}

	/** The second cycle of a two-cycle command: the flash is ready, reads give the status. */
	private confirm(confirmed: boolean, offset: number, setup: number, command: number): void {
		if (!confirmed) {
			this.reports.unknown(offset, setup, command);
			this.readArray();
			return;
		}
		this.status |= STATUS_READY;
		this.state = "ready";
	}

	private erase(offset: number): void {
		const block = this.array.geometry.blockAt(offset);
		this.reports.erase(block);
		if (!this.array.erase(block)) this.refuse(offset, STATUS_ERASE_ERROR, "readonly");
		this.status |= STATUS_READY;
	}

	private lock(command: number, offset: number): void {
		const known = command === CONFIRM || command === LOCK;
		if (known) this.reports.lock(command === LOCK ? "lock" : "unlock", this.array.geometry.blockAt(offset));
		this.confirm(known, offset, 0x60, command);
	}

	private program(offset: number, size: AccessSize, value: number): void {
		this.reports.program(offset, size, value);
		if (!this.array.program(offset, size, value)) this.refuse(offset, STATUS_PROGRAM_ERROR, "readonly");
		this.status |= STATUS_READY;
		this.state = "ready";
	}

	private fillBuffer(offset: number, size: AccessSize, value: number): void {
		const { buffer } = this;
		if (this.bufferBase === undefined) {
			this.bufferBase = offset - (offset % buffer.length);
			buffer.set(this.array.bytes.subarray(this.bufferBase, this.bufferBase + buffer.length));
			this.filled = [buffer.length, 0];
		}
		const at = offset - this.bufferBase;
		const outside = at < 0 || at + size > buffer.length;
		if (this.array.readonly || outside) {
			this.refuse(offset, STATUS_PROGRAM_ERROR, outside ? "boundary" : "readonly");
		} else {
			buffer.set(bytesOf(value, size), at);
			this.filled = [Math.min(this.filled[0], at), Math.max(this.filled[1], at + size)];
		}
		this.status |= STATUS_READY;
		if (this.counter === 0) this.state = "buffer-confirm";
		else this.counter--;
	}

	/** A program error, even one from before, aborts to array reads and leaves the array as it was. */
	private commitBuffer(offset: number, command: number): void {
		const base = this.bufferBase;
		const good = command === CONFIRM && (this.status & STATUS_PROGRAM_ERROR) === 0 && base !== undefined;
		if (good) {
			const [start, end] = this.filled;
			const data = this.buffer.subarray(start, end);
			this.reports.programBytes("program-buffer", base + start, data);
			this.array.programBytes(base + start, data);
		}
		this.confirm(good, offset, 0xe8, command);
	}

	private refuse(offset: number, status: number, reason: FlashRefusal): void {
		this.status |= status;
		this.reports.error(offset, status, reason);
	}

	private readIdentity(offset: number, size: AccessSize): number {
		const { manufacturer, device } = this.identity;
		if (this.deviceWidth === undefined) {
			// Before there was a width, the first word had both.
			return this.readWords(offset, size, (word) => (word === 0 ? (manufacturer << 8) | device : 0));
		}
		return this.readWords(offset, size, (word) => [manufacturer, device][word & 0xff] ?? 0);
	}

	/**
	 * What a table with one entry for each word of a chip shows, at each chip. A read wider than the bank is several; they lie as far
	 * apart in the table as QEMU has them.
	 */
	private readWords(offset: number, size: AccessSize, entry: (word: number) => number): number {
		const { bankWidth, deviceWidth } = this;
		if (deviceWidth === undefined) return entry(Math.floor((offset & 0xff) / bankWidth));
		let value = 0;
		for (let at = 0; at < size; at += bankWidth) {
			const word = Math.floor((offset + at * bankWidth) / bankWidth);
			value |= inEachPart(entry(word), deviceWidth, bankWidth) << (8 * at);
		}
		return (value >>> 0) % 2 ** (8 * size);
	}
}
