import type { AccessSize, Device } from "../bus/device.ts";

/** Command block registers by offset (ATA-5 7): reads and writes of one offset may mean different registers. */
export const IDE_DATA = 0;
export const IDE_DEVICE = 6;
const DEVICE_SELECT = 1 << 4;

/**
 * A drive at the end of the cable. As in ATA both drives see every write to the command block and to device control;
 * the selected one answers reads and executes commands. A drive drives the channel's interrupt itself.
 */
export interface IdeDrive {
	/** Command block registers 1..7; reading 7, status, may acknowledge the interrupt. */
	readTask(register: number): number;
	/** `selected`: the drive this write is meant for; it executes the command when 7 is written. */
	writeTask(register: number, value: number, selected: boolean): void;
	readData(size: AccessSize): number;
	writeData(size: AccessSize, value: number): void;
	/** Status without side effects. */
	readonly alternateStatus: number;
	/** Device control: nIEN bit 1, SRST bit 2, HOB bit 7. */
	writeControl(value: number): void;
}

export interface IdeChannelState {
	readonly selected: number;
}

/**
 * One IDE channel: the cable between the controller and up to two drives. An absent drive's registers read 0, as
 * pulled-down lines do, so firmware sees neither busy nor ready and finds nothing.
 */
export class IdeChannel implements Device<IdeChannelState> {
	readonly name: string;
	readonly sizes: readonly AccessSize[] = [1, 2, 4];
	/** The control block: one byte at 0x3F6 or 0x376. */
	readonly control: IdeControl;
	private readonly drives: readonly (IdeDrive | undefined)[];
	private selected = 0;

	constructor(name: string, drives: readonly (IdeDrive | undefined)[] = []) {
		this.name = name;
		this.drives = drives;
		this.control = new IdeControl(`${name}-control`, this);
	}

	get alternateStatus(): number {
		return this.drives[this.selected]?.alternateStatus ?? 0;
	}

	writeControl(value: number): void {
		for (const drive of this.drives) drive?.writeControl(value);
	}

	read(offset: number, size: AccessSize): number {
		const drive = this.drives[this.selected];
		if (drive === undefined) return 0;
		if (offset === IDE_DATA) return drive.readData(size);
		let value = 0;
		for (let i = 0; i < size; i++) value |= (offset + i < 8 ? drive.readTask(offset + i) : 0xff) << (8 * i);
		return value >>> 0;
	}

	write(offset: number, size: AccessSize, value: number): void {
		if (offset === IDE_DATA) {
			this.drives[this.selected]?.writeData(size, value);
			return;
		}
		for (let i = 0; i < size && offset + i < 8; i++) this.writeTask(offset + i, (value >>> (8 * i)) & 0xff);
	}

	reset(): void {
		this.selected = 0;
	}

	save(): IdeChannelState {
		return { selected: this.selected };
	}

	load(state: IdeChannelState): void {
		this.selected = state.selected;
	}

	private writeTask(register: number, value: number): void {
		if (register === IDE_DEVICE) this.selected = value & DEVICE_SELECT ? 1 : 0;
		this.drives.forEach((drive, i) => {
			drive?.writeTask(register, value, i === this.selected);
		});
	}
}

/** Alternate status for reads, device control for writes (ATA-5 7.3 and 7.8). */
class IdeControl implements Device<null> {
	readonly name: string;
	readonly sizes: readonly AccessSize[] = [1];
	private readonly channel: IdeChannel;

	constructor(name: string, channel: IdeChannel) {
		this.name = name;
		this.channel = channel;
	}

	read(): number {
		return this.channel.alternateStatus;
	}

	write(_offset: number, _size: AccessSize, value: number): void {
		this.channel.writeControl(value);
	}

	reset(): void {}

	save(): null {
		return null;
	}

	load(): void {}
}
