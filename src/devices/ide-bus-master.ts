import type { AccessSize, Device, Dma } from "../bus/device.ts";
import type { IdeChannel } from "./ide-channel.ts";

const COMMAND = 0;
const STATUS = 2;
const TABLE = 4;
/** Registers of one channel. */
const CHANNEL = 8;

const START = 1 << 0;
const TO_MEMORY = 1 << 3;
const COMMAND_WRITABLE = START | TO_MEMORY;

const ACTIVE = 1 << 0;
const ERROR = 1 << 1;
const INTERRUPT = 1 << 2;
const DRIVES_CAPABLE = 0x60;

/** A region descriptor: address, then byte count, 0 for 64 KiB, and bit 31 in the last one. */
const DESCRIPTOR_BYTES = 8;
const MOST_BYTES = 0x10000;

interface BusMasterChannel {
	command: number;
	status: number;
	/** Guest-physical address of the region descriptor table, a multiple of 4. */
	table: number;
	/** The descriptor that is next, and what is left of the one in use. */
	next: number;
	address: number;
	left: number;
	/** No descriptor comes after that. */
	last: boolean;
}

export interface IdeBusMasterState {
	readonly channels: readonly Readonly<BusMasterChannel>[];
}

function powerOn(): BusMasterChannel {
	return { command: 0, status: 0, table: 0, next: 0, address: 0, left: 0, last: false };
}

export interface IdeBusMasterParts {
	readonly dma: Dma;
	readonly channels: readonly IdeChannel[];
	/** Whether the function may reach memory by itself. */
	readonly allowed: () => boolean;
}

/**
 * The bus master IDE registers (Programming Interface for Bus Master IDE Controller 1.0): 8 bytes for each of two
 * channels. A drive has taken the time for its data before it asks, so all of it moves at once, when drive and software are both ready.
 * A transfer that is started without a drive stays active until it is stopped.
 */
export class IdeBusMaster implements Device<IdeBusMasterState> {
	readonly name = "ide-bus-master";
	readonly sizes: readonly AccessSize[] = [1, 2, 4];
	private readonly parts: IdeBusMasterParts;
	private readonly channels: BusMasterChannel[];

	constructor(parts: IdeBusMasterParts) {
		this.parts = parts;
		this.channels = parts.channels.map(powerOn);
		parts.channels.forEach((channel, n) => {
			const registers = this.channels[n]!;
			channel.connect({
				interrupted: () => {
					registers.status |= INTERRUPT;
				},
				dmaReady: () => this.transfer(n),
			});
		});
	}

	read(offset: number, size: AccessSize): number {
		let value = 0;
		for (let i = 0; i < size; i++) value |= this.byte(offset + i) << (8 * i);
		return value >>> 0;
	}

	write(offset: number, size: AccessSize, value: number): void {
		for (let i = 0; i < size; i++) this.writeByte(offset + i, (value >>> (8 * i)) & 0xff);
	}

	reset(): void {
		for (const channel of this.channels) Object.assign(channel, powerOn());
	}

	save(): IdeBusMasterState {
		return { channels: this.channels.map((channel) => ({ ...channel })) };
	}

	load(state: IdeBusMasterState): void {
		state.channels.forEach((saved, i) => {
			Object.assign(this.channels[i]!, saved);
		});
	}

	private byte(offset: number): number {
		const channel = this.channels[offset >> 3];
		if (channel === undefined) return 0xff;
		const register = offset % CHANNEL;
		if (register >= TABLE) return (channel.table >>> (8 * (register - TABLE))) & 0xff;
		if (register === COMMAND) return channel.command;
		return register === STATUS ? channel.status : 0xff;
	}

	private writeByte(offset: number, byte: number): void {
		const n = offset >> 3;
		const channel = this.channels[n];
		if (channel === undefined) return;
		const register = offset % CHANNEL;
		if (register >= TABLE) {
			const shift = 8 * (register - TABLE);
			channel.table = ((channel.table & ~(0xff << shift)) | ((byte << shift) & ~3)) >>> 0;
		} else if (register === COMMAND) this.writeCommand(n, channel, byte & COMMAND_WRITABLE);
		else if (register === STATUS) {
			const kept = channel.status & (ACTIVE | ((ERROR | INTERRUPT) & ~byte));
			channel.status = kept | (byte & DRIVES_CAPABLE);
		}
	}

	private writeCommand(n: number, channel: BusMasterChannel, command: number): void {
		const starts = (command & START) !== 0 && (channel.command & START) === 0;
		channel.command = command;
		if ((command & START) === 0) channel.status &= ~ACTIVE;
		if (!starts) return;
		channel.status |= ACTIVE;
		Object.assign(channel, { next: channel.table, left: 0, last: false });
		this.transfer(n);
	}

	/** Moves data where drive and software agree on it. */
	private transfer(n: number): void {
		const channel = this.channels[n]!;
		const drive = this.parts.channels[n]?.drive;
		const direction = channel.command & TO_MEMORY ? "in" : "out";
		if ((channel.status & ACTIVE) === 0 || drive?.wantsDma !== direction || !this.parts.allowed()) return;
		drive.dma((piece) => this.move(channel, piece, direction));
	}

	private move(channel: BusMasterChannel, piece: Uint8Array, direction: "in" | "out"): number {
		const { dma } = this.parts;
		let done = 0;
		while (done < piece.length) {
			if (channel.left === 0 && !this.nextDescriptor(channel)) break;
			const bytes = Math.min(channel.left, piece.length - done);
			const part = piece.subarray(done, done + bytes);
			if (direction === "in") dma.write(channel.address, part);
			else part.set(dma.read(channel.address, bytes));
			channel.address += bytes;
			channel.left -= bytes;
			done += bytes;
		}
		if (channel.left === 0 && channel.last) channel.status &= ~ACTIVE;
		return done;
	}

	/** @returns false where the last one has been used up */
	private nextDescriptor(channel: BusMasterChannel): boolean {
		if (channel.last) return false;
		const descriptor = this.parts.dma.read(channel.next, DESCRIPTOR_BYTES);
		const view = new DataView(descriptor.buffer, descriptor.byteOffset, DESCRIPTOR_BYTES);
		const count = view.getUint16(4, true) & 0xfffe;
		channel.next = (channel.next + DESCRIPTOR_BYTES) >>> 0;
		channel.address = (view.getUint32(0, true) & ~1) >>> 0;
		channel.left = count === 0 ? MOST_BYTES : count;
		channel.last = (view.getUint16(6, true) & 0x8000) !== 0;
		return true;
	}
}
