import { type BlockStore, SECTOR } from "../../src/bus/block-store.ts";
import type { ManualClock } from "../../src/bus/clock.ts";
import type { Dma } from "../../src/bus/device.ts";
import { IdeBusMaster } from "../../src/devices/ide-bus-master.ts";
import { IdeChannel, type IdeDrive } from "../../src/devices/ide-channel.ts";
import { RecordedLine } from "./lines.ts";

/** A disk in memory; each sector starts with its number, little-endian. */
export class RamStore implements BlockStore {
	readonly bytes: Uint8Array;
	readonly readonly: boolean;
	flushes = 0;
	/** Accesses to this sector are refused. */
	broken: number | undefined;

	constructor(sectors: number, readonly = false) {
		this.readonly = readonly;
		this.bytes = new Uint8Array(sectors * SECTOR);
		const view = new DataView(this.bytes.buffer);
		for (let n = 0; n < sectors; n++) view.setUint32(n * SECTOR, n, true);
	}

	get sectors(): number {
		return this.bytes.length / SECTOR;
	}

	read(sector: number, into: Uint8Array): boolean {
		into.set(this.bytes.subarray(sector * SECTOR, sector * SECTOR + into.length));
		return !this.touchesBroken(sector, into.length);
	}

	write(sector: number, from: Uint8Array): boolean {
		if (this.touchesBroken(sector, from.length)) return false;
		this.bytes.set(from, sector * SECTOR);
		return true;
	}

	flush(): boolean {
		this.flushes++;
		return true;
	}

	private touchesBroken(sector: number, length: number): boolean {
		return this.broken !== undefined && this.broken >= sector && this.broken < sector + length / SECTOR;
	}
}

/** 64 KiB of memory for a bus master. */
export class RamDma implements Dma {
	readonly bytes = new Uint8Array(0x20000);

	read(gpa: number, length: number): Uint8Array {
		return this.bytes.slice(gpa, gpa + length);
	}

	write(gpa: number, data: Uint8Array): void {
		this.bytes.set(data, gpa);
	}

	/** Writes a region descriptor. */
	describe(at: number, address: number, bytes: number, last: boolean): void {
		const view = new DataView(this.bytes.buffer);
		view.setUint32(at, address, true);
		view.setUint32(at + 4, (bytes & 0xffff) + (last ? 0x8000_0000 : 0), true);
	}
}

/** A channel with one or two drives, its bus master, and a program's view of both. */
export class IdeBench {
	readonly clock: ManualClock;
	readonly irq = new RecordedLine();
	readonly dma = new RamDma();
	readonly channel: IdeChannel;
	readonly master: IdeBusMaster;
	mayMaster = true;

	constructor(clock: ManualClock, ...drives: readonly (IdeDrive | undefined)[]) {
		this.clock = clock;
		this.channel = new IdeChannel("ide-primary", this.irq, drives);
		const second = new IdeChannel("ide-secondary", new RecordedLine());
		this.master = new IdeBusMaster({ dma: this.dma, channels: [this.channel, second], allowed: () => this.mayMaster });
		this.channel.reset();
	}

	get(register: number): number {
		return this.channel.read(register, 1);
	}

	set(register: number, ...values: readonly number[]): void {
		for (const value of values) this.channel.write(register, 1, value);
	}

	/** Registers 2 to 5 from the count on, the device register, then the command. */
	command(command: number, device: number, ...registers: readonly number[]): void {
		this.set(6, device);
		registers.forEach((value, n) => {
			this.set(2 + n, value);
		});
		this.set(7, command);
	}

	/** Waits until the drive is no longer busy. @returns status */
	wait(): number {
		for (let n = 0; n < 100_000 && this.channel.alternateStatus & 0x80; n++) this.clock.advance(1000);
		return this.channel.alternateStatus;
	}

	/** So many words of the data register. */
	words(count: number): number[] {
		return Array.from({ length: count }, () => this.channel.read(0, 2));
	}

	/** The number with which the sector in the data register begins; reads all of it. */
	sectorNumber(): number {
		const words = this.words(SECTOR / 2);
		return words[0]! | (words[1]! << 16);
	}

	/** Fills a sector by the data register. */
	fill(byte: number): void {
		for (let n = 0; n < SECTOR / 4; n++) this.channel.write(0, 4, byte * 0x01010101);
	}
}
