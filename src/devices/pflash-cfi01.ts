import type { AccessSize, Device } from "../bus/device.ts";
import type { FlashArray, FlashStatistics } from "./pflash-array.ts";
import type { FlashObserver, FlashRefusal } from "./pflash-events.ts";
import { cfi01Query } from "./pflash-query.ts";

/** Whether array reads go straight to memory, without the device. */
export interface RomdControl {
	setDirect(on: boolean): void;
}

/** Manufacturer and device as the identifier command shows them; 0 where a board does not say. */
export interface FlashIdentity {
	readonly manufacturer: number;
	readonly device: number;
}

export interface PflashOptions {
	readonly identity?: FlashIdentity;
	readonly observer?: FlashObserver;
}

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

export interface PflashState {
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

/** Bytes of the write buffer: its window lies at a multiple of this. */
const BUFFER_SIZE = 256;

/**
 * A parallel flash with the Intel command set on a bus one byte wide (Intel 28F640J3 4.0; QEMU's pflash_cfi01 rules).
 * The low byte of a write is the command; a data cycle programs as many bytes as were written.
 *
 * As on QEMU, and unlike a chip: an erase happens at its first cycle, the confirmation only ends it; clearing the
 * status returns to array reads; programming can set bits; locks are accepted and not kept.
 */
export class PflashCfi01 implements Device<PflashState> {
	readonly name: string;
	readonly sizes: readonly AccessSize[] = [1, 2, 4];
	private readonly array: FlashArray;
	private readonly romd: RomdControl;
	private readonly identity: FlashIdentity;
	private readonly observer: FlashObserver | undefined;
	private readonly queryTable: Uint8Array;
	private readonly commands = new Map<number, number>();
	private romdSwitches = 0;
	/** What `romd` was last told. */
	private direct = true;
	private state: State = "ready";
	private readMode: ReadMode = "array";
	private status = STATUS_READY;
	private counter = 0;
	private bufferBase: number | undefined;
	/** The window as it will be after the commit. */
	private readonly buffer = new Uint8Array(BUFFER_SIZE);
	private filled: readonly [start: number, end: number] = [0, 0];

	/** Reads are direct at the start. */
	constructor(
		name: string,
		array: FlashArray,
		romd: RomdControl,
		{ identity = { manufacturer: 0, device: 0 }, observer }: PflashOptions = {},
	) {
		this.name = name;
		this.array = array;
		this.romd = romd;
		this.identity = identity;
		this.observer = observer;
		this.queryTable = cfi01Query({
			size: array.bytes.length,
			sectorSize: array.sectorSize,
			bufferSize: BUFFER_SIZE,
		});
	}

	get statistics(): FlashStatistics {
		return {
			commands: new Map(this.commands),
			programmedBytes: this.array.programmedBytes,
			erasedBlocks: this.array.erasedBlocks,
			romdSwitches: this.romdSwitches,
		};
	}

	read(offset: number, size: AccessSize): number {
		switch (this.readMode) {
			case "array":
				return this.array.read(offset, size);
			case "status":
				// A doubleword shows the status of two 16-bit chips side by side.
				return size === 4 ? this.status | (this.status << 16) : this.status;
			case "query":
				return this.queryTable[offset & 0xff]!;
			case "id":
				return this.readIdentity(offset & 0xff);
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
				this.confirm(command === CONFIRM, offset, [0x20, command]);
				if (command === CONFIRM) this.array.flush();
				break;
			case "lock":
				if (command === CONFIRM || command === LOCK) this.tellLock(command === LOCK ? "lock" : "unlock", offset);
				this.confirm(command === CONFIRM || command === LOCK, offset, [0x60, command]);
				break;
			case "query":
				if (command === READ_ARRAY) {
					this.observer?.({ kind: "read-array", offset });
					this.readArray();
				}
				break;
			case "buffer-count":
				this.counter = command;
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
		this.updateRomd();
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
		this.updateRomd();
	}

	/** The array's bytes are guest memory and saved as such. */
	save(): PflashState {
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

	load(state: PflashState): void {
		this.state = state.state;
		this.readMode = state.readMode;
		this.status = state.status;
		this.counter = state.counter;
		this.bufferBase = state.bufferBase ?? undefined;
		this.buffer.set(state.buffer);
		this.filled = [...state.filled];
		this.updateRomd();
	}

	/** The first cycle of a command. */
	private start(command: number, offset: number): void {
		this.commands.set(command, (this.commands.get(command) ?? 0) + 1);
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
				this.observer?.({ kind: "clear-status", offset });
				this.status = 0;
				this.readArray();
				break;
			case 0x60:
				this.state = "lock";
				break;
			case 0x70:
				this.observer?.({ kind: "read-status", offset });
				break;
			case 0x90:
				this.observer?.({ kind: "read-id", offset });
				this.readMode = "id";
				break;
			case 0x98:
				this.observer?.({ kind: "cfi-query", offset });
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
				this.observer?.({ kind: "read-array", offset });
				this.readArray();
				break;
			default:
				// What is unknown gives the array, too.
				this.observer?.({ kind: "unknown", offset, cycles: [command] });
				this.readArray();
		}
	}

	private readArray(): void {
		this.state = "ready";
		this.readMode = "array";
		this.array.flush();
	}

	/** The second cycle of a two-cycle command: the flash is ready, reads give the status. */
	private confirm(confirmed: boolean, offset: number, cycles: readonly number[]): void {
		if (!confirmed) {
			this.observer?.({ kind: "unknown", offset, cycles });
			this.readArray();
			return;
		}
		this.status |= STATUS_READY;
		this.state = "ready";
	}

	private erase(offset: number): void {
		const { sectorSize } = this.array;
		const block = Math.floor(offset / sectorSize);
		this.observer?.({ kind: "erase", block, offset: block * sectorSize, length: sectorSize });
		if (!this.array.erase(offset)) this.refuse(offset, STATUS_ERASE_ERROR, "readonly");
		this.status |= STATUS_READY;
	}

	private program(offset: number, size: AccessSize, value: number): void {
		const data = littleEndian(value, size);
		this.tellProgram("program", offset, data);
		if (!this.array.program(offset, data)) this.refuse(offset, STATUS_PROGRAM_ERROR, "readonly");
		this.status |= STATUS_READY;
		this.state = "ready";
	}

	private fillBuffer(offset: number, size: AccessSize, value: number): void {
		if (this.bufferBase === undefined) {
			this.bufferBase = offset - (offset % BUFFER_SIZE);
			this.buffer.set(this.array.bytes.subarray(this.bufferBase, this.bufferBase + BUFFER_SIZE));
			this.filled = [BUFFER_SIZE, 0];
		}
		const at = offset - this.bufferBase;
		const outside = at < 0 || at + size > BUFFER_SIZE;
		if (this.array.readonly || outside) {
			this.refuse(offset, STATUS_PROGRAM_ERROR, outside ? "boundary" : "readonly");
		} else {
			this.buffer.set(littleEndian(value, size), at);
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
			this.tellProgram("program-buffer", base + start, data);
			this.array.program(base + start, data);
		}
		this.confirm(good, offset, [0xe8, command]);
	}

	private refuse(offset: number, status: number, reason: FlashRefusal): void {
		this.status |= status;
		this.observer?.({ kind: "error", offset, status, reason });
	}

	private tellProgram(kind: "program" | "program-buffer", offset: number, data: Uint8Array): void {
		if (this.observer === undefined) return;
		const before = this.array.bytes.slice(offset, offset + data.length);
		this.observer({ kind, offset, bytes: data.slice(0, before.length), before });
	}

	private tellLock(action: "lock" | "unlock", offset: number): void {
		const { sectorSize } = this.array;
		const block = Math.floor(offset / sectorSize);
		this.observer?.({ kind: "lock", action, block, offset: block * sectorSize, length: sectorSize });
	}

	private readIdentity(offset: number): number {
		if (offset === 0) return this.identity.manufacturer;
		return offset === 1 ? this.identity.device : 0;
	}

	private updateRomd(): void {
		const direct = this.readMode === "array";
		if (direct === this.direct) return;
		this.direct = direct;
		this.romdSwitches++;
		this.observer?.({ kind: "romd", on: direct });
		this.romd.setDirect(direct);
	}
}

function littleEndian(value: number, size: AccessSize): Uint8Array {
	return Uint8Array.from({ length: size }, (_, i) => (value >>> (8 * i)) & 0xff);
}
