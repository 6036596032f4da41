import type { AccessSize, Device, IrqLine } from "../bus/device.ts";

/** Command block registers by offset (ATA-5 7): reads and writes of one offset may mean different registers. */
export const IDE_DATA = 0;
export const IDE_DEVICE = 6;
const DEVICE_SELECT = 1 << 4;
const EXECUTE_DIAGNOSTIC = 0x90;
const IDE_COMMAND = 7;

/** What a drive tells the other end of its cable. */
export interface Cable {
	/** {@link IdeDrive.interrupting} may have changed. */
	interruptChanged(): void;
	/** {@link IdeDrive.wantsDma} is set. */
	dmaReady(): void;
}

/**
 * A drive at the end of the cable. As in ATA both drives see every write to the command block and to device control;
 * the selected one answers reads, executes commands, and drives the interrupt.
 */
export interface IdeDrive {
	connect(cable: Cable): void;
	/** Command block registers 1..7; reading 7, status, may acknowledge the interrupt. */
	readTask(register: number): number;
	/** `selected`: the drive this write is meant for; it executes the command when 7 is written. */
	writeTask(register: number, value: number, selected: boolean): void;
	readData(size: AccessSize): number;
	/** So many bytes as that many reads of the data register give. */
	readMany(into: Uint8Array): void;
	writeData(size: AccessSize, value: number): void;
	/** Status without side effects. */
	readonly alternateStatus: number;
	/** Device control: nIEN bit 1, SRST bit 2, HOB bit 7. */
	writeControl(value: number): void;
	readonly interrupting: boolean;
	/** The direction in which data is to move over the bus master; undefined: none is. */
	readonly wantsDma: "in" | "out" | undefined;
	/** Moves all data by `move`, which takes or fills a piece and says how many of its bytes it had room for. */
	dma(move: (piece: Uint8Array) => number): void;
	/** Power-on state. */
	reset(): void;
	/** The whole state as plain JSON data. */
	save(): unknown;
	load(state: unknown): void;
}

export interface IdeChannelState {
	readonly selected: number;
	/** Of each drive, null where there is none. */
	readonly drives: readonly unknown[];
}

/** The bus master behind a channel. */
export interface ChannelMaster {
	/** The channel's interrupt has risen. */
	interrupted(): void;
	/** A drive wants data moved. */
	dmaReady(): void;
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
	private readonly irq: IrqLine;
	private readonly drives: readonly (IdeDrive | undefined)[];
	private master: ChannelMaster | undefined;
	private selected = 0;
	private interrupting = false;

	constructor(name: string, irq: IrqLine, drives: readonly (IdeDrive | undefined)[] = []) {
		this.name = name;
		this.irq = irq;
		this.drives = drives;
		this.control = new IdeControl(`${name}-control`, this);
		const cable: Cable = {
			interruptChanged: () => this.updateInterrupt(),
			dmaReady: () => this.master?.dmaReady(),
		};
		for (const drive of drives) drive?.connect(cable);
	}

	/** The bus master registers that belong to this channel. */
	connect(master: ChannelMaster): void {
		this.master = master;
	}

	/** The drive that is selected, if there is one. */
	get drive(): IdeDrive | undefined {
		return this.drives[this.selected];
	}

	get alternateStatus(): number {
		return this.drive?.alternateStatus ?? 0;
	}

	writeControl(value: number): void {
		for (const drive of this.drives) drive?.writeControl(value);
		// A reset selects the first drive.
		if (value & 4) this.select(0);
	}

	read(offset: number, size: AccessSize): number {
		const { drive } = this;
		if (drive === undefined) return 0;
		if (offset === IDE_DATA) return drive.readData(size);
		let value = 0;
		for (let i = 0; i < size; i++) value |= (offset + i < 8 ? drive.readTask(offset + i) : 0xff) << (8 * i);
		return value >>> 0;
	}

	readMany(offset: number, size: AccessSize, into: Uint8Array): boolean {
		if (offset !== IDE_DATA || size === 1 || this.drive === undefined) return false;
		this.drive.readMany(into);
		return true;
	}

	write(offset: number, size: AccessSize, value: number): void {
		if (offset === IDE_DATA) {
			this.drive?.writeData(size, value);
			return;
		}
		for (let i = 0; i < size && offset + i < 8; i++) this.writeTask(offset + i, (value >>> (8 * i)) & 0xff);
	}

	reset(): void {
		for (const drive of this.drives) drive?.reset();
		this.select(0);
	}

	save(): IdeChannelState {
		return { selected: this.selected, drives: this.drives.map((drive) => drive?.save() ?? null) };
	}

	load(state: IdeChannelState): void {
		this.drives.forEach((drive, n) => {
			drive?.load(state.drives[n]);
		});
		this.select(state.selected);
	}

	private writeTask(register: number, value: number): void {
		if (register === IDE_DEVICE) this.select(value & DEVICE_SELECT ? 1 : 0);
		if (register === IDE_COMMAND && value === EXECUTE_DIAGNOSTIC) this.select(0);
		this.drives.forEach((drive, i) => {
			drive?.writeTask(register, value, i === this.selected);
		});
	}

	private select(drive: number): void {
		this.selected = drive;
		this.updateInterrupt();
	}

	private updateInterrupt(): void {
		const interrupting = this.drive?.interrupting ?? false;
		if (interrupting && !this.interrupting) this.master?.interrupted();
		this.interrupting = interrupting;
		this.irq.set(interrupting);
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
