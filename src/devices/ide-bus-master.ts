import type { AccessSize, Device } from "../bus/device.ts";

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

export interface BusMasterChannel {
	readonly command: number;
	readonly status: number;
	/** Guest-physical address of the region descriptor table, a multiple of 4. */
	readonly table: number;
}

export interface IdeBusMasterState {
	readonly channels: readonly BusMasterChannel[];
}

/**
 * The bus master IDE registers (Programming Interface for Bus Master IDE Controller 1.0): 8 bytes for each of two
 * channels. A transfer that is started without a drive stays active until it is stopped.
 */
export class IdeBusMaster implements Device<IdeBusMasterState> {
	readonly name = "ide-bus-master";
	readonly sizes: readonly AccessSize[] = [1, 2, 4];
	private readonly channels = [
		{ command: 0, status: 0, table: 0 },
		{ command: 0, status: 0, table: 0 },
	];

	channel(index: 0 | 1): BusMasterChannel {
		return this.channels[index]!;
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
		for (const channel of this.channels) Object.assign(channel, { command: 0, status: 0, table: 0 });
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
		const channel = this.channels[offset >> 3];
		if (channel === undefined) return;
		const register = offset % CHANNEL;
		if (register >= TABLE) {
			const shift = 8 * (register - TABLE);
			channel.table = ((channel.table & ~(0xff << shift)) | ((byte << shift) & ~3)) >>> 0;
		} else if (register === COMMAND) {
			channel.command = byte & COMMAND_WRITABLE;
			channel.status = (channel.status & ~ACTIVE) | (byte & START ? ACTIVE : 0);
		} else if (register === STATUS) {
			const kept = channel.status & (ACTIVE | ((ERROR | INTERRUPT) & ~byte));
			channel.status = kept | (byte & DRIVES_CAPABLE);
		}
	}
}
