import type { AccessSize, Alarm, Clock } from "../bus/device.ts";
import { type FlashIdentity, type FlashWidth, Pflash, type PflashParts } from "./pflash.ts";
import { type FlashTimes, queryTable } from "./pflash-query.ts";

/** How much of a command has come. */
type Cycle =
	/** Nothing. */
	| "ready"
	/** AA. */
	| "unlock"
	/** AA 55, or bypassed. */
	| "command"
	/** A0, 90 or 80 behind them. */
	| "data"
	/** 80 AA. */
	| "erase-unlock"
	/** 80 AA 55. */
	| "erase-command"
	/** 98. */
	| "query";

/** What reads give: what QEMU's model calls its command. */
type Mode = "array" | "id" | "query" | "program" | "erase-setup" | "chip-erase" | "sector-erase";

export interface Cfi02State {
	readonly cycle: Cycle;
	readonly mode: Mode;
	readonly status: number;
	readonly bypass: boolean;
	/** The query was asked for where identifiers were shown: they come back. */
	readonly fromId: boolean;
	/** Blocks that are, or will be, erased. */
	readonly erasing: readonly number[];
	/** How many sector erases were asked for. */
	readonly sectors: number;
	/** Guest nanoseconds that a suspended erase still takes; 0: none is suspended. */
	readonly left: number;
	/** When the timer runs out. */
	readonly due: number | null;
}

const DQ7 = 0x80;
const DQ6 = 0x40;
/** The time for more sectors is over. */
const DQ3 = 0x08;
const DQ2 = 0x04;

const UNLOCK_0 = 0x555;
const UNLOCK_1 = 0x2aa;
/** Address lines that commands look at. */
const ADDRESS_MASK = 0x7ff;
const QUERY_ADDRESS = 0x55;
const QUERY_LENGTH = 0x4d;

/** Guest nanoseconds for further sectors. */
const MORE_SECTORS = 50_000;
const TYPICAL: FlashTimes = { program: 7, buffer: 0, erase: 9, chipErase: 12 };

/**
 * A parallel flash with the AMD command set by QEMU's rules (pflash_cfi02), which follow Am29LV parts. One chip, as wide as the bus; the
 * low byte of a write is the command, a data cycle programs as many bytes as were written.
 *
 * Unlike a chip: programming takes no time; an erase changes the cells with its command, then takes 512 µs for each sector, or 4 s for
 * all; what a read-only flash is told changes nothing and is no error; there is no write buffer and no sector protection. QEMU
 * goes back to direct reads only after 42 reads of the array; we do at once, so that code in the flash can run.
 */
export class PflashCfi02 extends Pflash<Cfi02State> {
	private readonly clock: Clock;
	private readonly width: FlashWidth;
	private readonly identity: FlashIdentity;
	private readonly table: Uint8Array;
	private readonly timer: Alarm;
	private cycle: Cycle = "ready";
	private mode: Mode = "array";
	private status = 0;
	private bypass = false;
	private fromId = false;
	private readonly erasing = new Set<number>();
	private sectors = 0;
	private left = 0;

	constructor(parts: PflashParts) {
		super(parts);
		const { clock, bankWidth = 1, identity = { manufacturer: 0, device: 0 } } = parts;
		this.clock = clock;
		this.width = bankWidth;
		this.identity = identity;
		this.timer = clock.alarm(() => {
			this.expire();
			this.update();
		});
		this.table = queryTable({
			commandSet: 2,
			supply: [0x27, 0x36],
			typical: TYPICAL,
			longest: { program: 1, buffer: 0, erase: 10, chipErase: 13 },
			bus: 2,
			buffer: 0,
			runs: this.array.geometry.runs,
			// Version 1.0; addresses of unlock cycles matter; an erase can be suspended for reading and programming.
			primary: [0x31, 0x30, 0, 2],
		});
	}

	read(offset: number, size: AccessSize): number {
		const word = Math.floor((offset & 0xff) / this.width);
		switch (this.mode) {
			case "array":
			case "erase-setup":
				if (this.isSuspended(offset)) {
					this.status ^= DQ2;
					return this.status;
				}
				return this.array.read(offset, size);
			case "id":
				return this.readIdentity(word, offset, size);
			case "query":
				return word < QUERY_LENGTH ? this.table[word]! : 0;
			case "chip-erase":
			case "sector-erase":
				this.status ^= DQ2 | DQ6;
				return this.status;
			case "program":
				this.status ^= DQ6;
				return this.status;
		}
	}

	write(offset: number, size: AccessSize, value: number): void {
		const command = value & 0xff;
		const busy = this.mode === "chip-erase" || this.mode === "sector-erase";
		if (busy) this.whileErasing(offset, command);
		else if (command === 0xf0 && this.mode !== "program") this.leave(offset);
		else this.step(offset, size, value);
		this.update();
	}

	reset(): void {
		this.load({
			cycle: "ready",
			mode: "array",
			status: 0,
			bypass: false,
			fromId: false,
			erasing: [],
			sectors: 0,
			left: 0,
			due: null,
		});
		this.array.flush();
	}

	/** The array's bytes are guest memory and saved as such. */
	save(): Cfi02State {
		const { cycle, mode, status, bypass, fromId, sectors, left } = this;
		const due = this.timer.deadline ?? null;
		return { cycle, mode, status, bypass, fromId, erasing: [...this.erasing], sectors, left, due };
	}

	load({ cycle, mode, status, bypass, fromId, erasing, sectors, left, due }: Cfi02State): void {
		this.cycle = cycle;
		this.mode = mode;
		this.status = status;
		this.bypass = bypass;
		this.fromId = fromId;
		this.erasing.clear();
		for (const block of erasing) this.erasing.add(block);
		this.sectors = sectors;
		this.left = left;
		if (due === null) this.timer.cancel();
		else this.timer.at(due);
		this.update();
	}

	/** While an erase is suspended its sectors show the status in place of the array. */
	private update(): void {
		const direct = (this.mode === "array" || this.mode === "erase-setup") && this.left === 0;
		if (direct && !this.isDirect) this.array.flush();
		this.setDirect(direct);
	}

	private isSuspended(offset: number): boolean {
		return this.left > 0 && this.erasing.has(this.array.geometry.blockAt(offset).index);
	}

	/** F0: back to the array, or from the query to where it was asked for. */
	private leave(offset: number): void {
		this.reports.command("read-array", offset);
		if (this.cycle === "query" && this.fromId) {
			this.cycle = "data";
			this.mode = "id";
			this.fromId = false;
		} else this.toArray();
	}

	private toArray(): void {
		this.bypass = false;
		this.cycle = "ready";
		this.mode = "array";
		this.fromId = false;
	}

	private unknown(offset: number, command: number): void {
		this.reports.unknown(offset, command);
		this.toArray();
	}

	/** Behind a command in bypass mode the next one needs no unlock cycles. */
	private done(): void {
		if (this.bypass) {
			this.cycle = "command";
			this.mode = "array";
		} else this.toArray();
	}

	private step(offset: number, size: AccessSize, value: number): void {
		const command = value & 0xff;
		const address = Math.floor(offset / this.width) & ADDRESS_MASK;
		switch (this.cycle) {
			case "ready":
				this.start(offset, address, command, "unlock");
				break;
			case "unlock":
			case "erase-unlock":
				if (address !== UNLOCK_1 || command !== 0x55) this.unknown(offset, command);
				else this.cycle = this.cycle === "unlock" ? "command" : "erase-command";
				break;
			case "command":
				if (this.bypass || address === UNLOCK_0) this.choose(offset, command);
				else this.unknown(offset, command);
				break;
			case "data":
				this.data(offset, size, value);
				break;
			case "erase-command":
				this.erase(offset, address, command);
				break;
			case "query":
				this.unknown(offset, command);
				break;
		}
	}

	private start(offset: number, address: number, command: number, next: Cycle): void {
		if (address === QUERY_ADDRESS && command === 0x98) this.query(offset, false);
		else if (command === 0x30 && this.left > 0) {
			this.reports.command("resume", offset);
			this.timer.at(this.clock.now() + this.left);
			this.left = 0;
			this.cycle = "ready";
			this.mode = "sector-erase";
			this.status = (this.status & ~DQ7) | DQ3;
		} else if (command === 0xb0) {
			// Nothing to suspend; the cycles before it still count.
			this.reports.command("suspend", offset);
		} else if (address === UNLOCK_0 && command === 0xaa) this.cycle = next;
		else this.unknown(offset, command);
	}

	private query(offset: number, fromId: boolean): void {
		this.reports.command("cfi-query", offset);
		this.cycle = "query";
		this.mode = "query";
		this.fromId = fromId;
	}

	/** The byte behind the unlock cycles. */
	private choose(offset: number, command: number): void {
		if (command === 0x20) {
			this.reports.command("unlock-bypass", offset);
			this.bypass = true;
			this.done();
			return;
		}
		const mode = ({ 128: "erase-setup", 144: "id", 160: "program" } as const)[command];
		if (mode === undefined) {
			this.unknown(offset, command);
			return;
		}
		if (mode === "id" && !this.bypass) this.reports.command("read-id", offset);
		this.mode = mode;
		this.cycle = "data";
	}

	private data(offset: number, size: AccessSize, value: number): void {
		const command = value & 0xff;
		const address = Math.floor(offset / this.width) & ADDRESS_MASK;
		if (this.mode === "program") this.program(offset, size, value);
		else if (this.mode === "erase-setup") this.start(offset, address, command, "erase-unlock");
		else if (this.bypass && command === 0) {
			this.reports.command("unlock-bypass-reset", offset);
			this.toArray();
		} else if (address === QUERY_ADDRESS && command === 0x98) this.query(offset, true);
		else this.unknown(offset, command);
	}

	private program(offset: number, size: AccessSize, value: number): void {
		this.reports.program(offset, size, value);
		if (this.isSuspended(offset)) this.reports.error(offset, 0, "busy");
		else {
			const cells = (this.array.read(offset, size) & value) >>> 0;
			if (!this.array.program(offset, size, cells)) this.reports.error(offset, 0, "readonly");
			else if (cells !== value) this.reports.error(offset, 0, "needs-erase");
			this.status = (this.status & ~DQ7) | (~value & DQ7);
		}
		this.done();
	}

	private erase(offset: number, address: number, command: number): void {
		const { geometry } = this.array;
		if (this.left > 0 || (command === 0x10 ? address !== UNLOCK_0 : command !== 0x30)) {
			this.unknown(offset, command);
			return;
		}
		if (command === 0x30) {
			this.eraseSector(offset);
			return;
		}
		for (const block of geometry.blocks()) {
			this.reports.erase(block);
			this.array.erase(block);
		}
		if (this.array.readonly) this.reports.error(offset, 0, "readonly");
		this.mode = "chip-erase";
		this.cycle = "ready";
		this.status &= ~DQ7;
		this.timer.at(this.clock.now() + 1_000_000 * 2 ** TYPICAL.chipErase);
	}

	private eraseSector(offset: number): void {
		const block = this.array.geometry.blockAt(offset);
		this.reports.erase(block);
		if (!this.array.erase(block)) this.reports.error(offset, 0, "readonly");
		this.mode = "sector-erase";
		this.cycle = "ready";
		this.status &= ~DQ7;
		this.erasing.add(block.index);
		this.sectors++;
		this.timer.at(this.clock.now() + MORE_SECTORS);
	}

	/** Until {@link DQ3} is set more sectors can follow. */
	private whileErasing(offset: number, command: number): void {
		if (this.mode === "sector-erase" && command === 0xb0) {
			this.reports.command("suspend", offset);
			const left = (this.timer.deadline ?? 0) - this.clock.now();
			this.left = this.status & DQ3 ? Math.max(left, 1) : this.eraseTime;
			this.status &= ~DQ3;
			this.timer.cancel();
			this.cycle = "ready";
			this.mode = "array";
		} else if (this.mode === "chip-erase" || this.status & DQ3) {
			this.reports.unknown(offset, command);
			this.reports.error(offset, 0, "busy");
		} else if (command === 0x30) this.eraseSector(offset);
		else this.unknown(offset, command);
	}

	/** Guest nanoseconds. */
	private get eraseTime(): number {
		return 1000 * 2 ** TYPICAL.erase * this.sectors;
	}

	/** The timer has run out. It also ends what has begun after a wrong command among those for more sectors. */
	private expire(): void {
		if (this.mode === "sector-erase") {
			if ((this.status & DQ3) === 0) {
				this.status |= DQ3;
				this.timer.at(this.clock.now() + this.eraseTime);
				return;
			}
			this.erasing.clear();
			this.sectors = 0;
			this.status &= ~DQ3;
		}
		this.status ^= DQ7;
		this.cycle = this.bypass ? "command" : "ready";
		this.mode = "array";
	}

	/** Where there is no identifier, the array shows. */
	private readIdentity(word: number, offset: number, size: AccessSize): number {
		if (word === 0) return this.identity.manufacturer;
		if (word === 1) return this.identity.device;
		// No sector is protected, and there is no longer device code.
		if (word === 2 || word === 0x0e || word === 0x0f) return 0;
		return this.array.read(offset, size);
	}
}
