import { type BlockStore, SECTOR } from "../../bus/block-store.ts";
import type { Clock } from "../../bus/device.ts";
import { BUFFER_BYTES, BYTE_NS, COMMAND_NS, Drive, type DriveState } from "./drive.ts";
import { identifyDisk, MOST_MULTIPLE } from "./identify.ts";
import { Smart, type SmartState } from "./smart.ts";
import { COUNT, DEVICE, FEATURES, type Geometry, IDNF, UNC } from "./task-file.ts";
import { modeOf, type TransferMode } from "./transfer-mode.ts";

const MOST_CYLINDERS = 16383;
const HEADS = 16;
const SECTORS = 63;
/** Guest nanoseconds that the disk takes to come back to speed, and to write out what it holds. */
const SPIN_UP_NS = 1_000_000;
const FLUSH_NS = 200_000;
/** Sectors in a drive's buffer. */
const PIECE = BUFFER_BYTES / SECTOR;

const MODE_DEFAULT: TransferMode = { kind: "udma", number: 5 };
/** How a command that moves sectors does it. */
interface Access {
	readonly write: boolean;
	readonly by: "pio" | "multiple" | "dma" | "verify";
	/** 48-bit addresses. */
	readonly extended: boolean;
	/** Nothing stays in the cache. */
	readonly through?: boolean;
}

const access = (by: Access["by"], write: boolean, extended: boolean, through = false): Access => ({
	...{ by, write, extended, through },
});

/** Commands that move sectors (ATA/ATAPI-6, table of commands), retries or not. */
const ACCESSES: ReadonlyMap<number, Access> = new Map([
	[0x20, access("pio", false, false)],
	[0x21, access("pio", false, false)],
	[0x24, access("pio", false, true)],
	[0x25, access("dma", false, true)],
	[0x29, access("multiple", false, true)],
	[0x30, access("pio", true, false)],
	[0x31, access("pio", true, false)],
	[0x34, access("pio", true, true)],
	[0x35, access("dma", true, true)],
	[0x39, access("multiple", true, true)],
	[0x3c, access("pio", true, false)],
	[0x3d, access("dma", true, true, true)],
	[0x40, access("verify", false, false)],
	[0x41, access("verify", false, false)],
	[0x42, access("verify", false, true)],
	[0xc4, access("multiple", false, false)],
	[0xc5, access("multiple", true, false)],
	[0xc8, access("dma", false, false)],
	[0xc9, access("dma", false, false)],
	[0xca, access("dma", true, false)],
	[0xcb, access("dma", true, false)],
	[0xce, access("multiple", true, true, true)],
]);

const NATIVE_MAX_EXTENDED = 0x27;
const INITIALIZE_PARAMETERS = 0x91;
const SMART = 0xb0;
const SET_MULTIPLE = 0xc6;
const FLUSH = 0xe7;
const FLUSH_EXTENDED = 0xea;
const IDENTIFY = 0xec;
const SET_FEATURES = 0xef;
const NATIVE_MAX = 0xf8;
/** Old and new numbers of the power commands. */
const STANDBY = [0x94, 0x96, 0xe0, 0xe2];
const IDLE = [0x95, 0x97, 0xe1, 0xe3];
const CHECK_POWER = [0x98, 0xe5];
const SLEEP = [0x99, 0xe6];
/** RECALIBRATE and SEEK, in the upper four bits. */
const RECALIBRATE = 0x1;
const SEEK = 0x7;

interface DiskSettings {
	current: Geometry;
	multiple: number;
	mode: TransferMode;
	writeCache: boolean;
	lookAhead: boolean;
	power: "active" | "standby" | "sleep";
}

export interface DiskState extends DriveState, DiskSettings {
	smart: SmartState;
	sector: number;
	left: number;
}

/** An ATA hard disk (ATA/ATAPI-6) with the sectors of a {@link BlockStore}. */
export class Disk extends Drive {
	private readonly store: BlockStore;
	private readonly serial: string;
	private readonly geometry: Geometry;
	private readonly smart = new Smart();
	private settings: DiskSettings;
	/** What a transfer has still to do: from which sector, and how many; sectors in the buffer included. */
	private sector = 0;
	private left = 0;

	constructor({ clock, store, serial }: { clock: Clock; store: BlockStore; serial: string }) {
		super(clock, false);
		this.store = store;
		this.serial = serial;
		this.geometry = geometryOf(store.sectors);
		this.settings = this.defaults();
	}

	save(): DiskState {
		const { settings, sector, left } = this;
		return { ...this.saveDrive(), ...settings, smart: this.smart.save(), sector, left };
	}

	load(state: DiskState): void {
		const { current, multiple, mode, writeCache, lookAhead, power, sector, left } = state;
		this.settings = { current, multiple, mode, writeCache, lookAhead, power };
		this.smart.load(state.smart);
		this.sector = sector;
		this.left = left;
		this.loadDrive(state);
	}

	protected settle(hard: boolean): void {
		this.sector = 0;
		this.left = 0;
		if (hard) {
			this.settings = this.defaults();
			this.smart.reset();
		} else this.settings.power = "active";
	}

	protected execute(command: number): void {
		// Asleep, it hears resets only.
		if (this.settings.power === "sleep") return;
		const transfer = ACCESSES.get(command);
		if (transfer !== undefined) this.start(transfer);
		else if (command >> 4 === RECALIBRATE || command === INITIALIZE_PARAMETERS) this.work(COMMAND_NS);
		else if (command >> 4 === SEEK) this.work(COMMAND_NS);
		else if (command === IDENTIFY || command === SMART) this.work(COMMAND_NS);
		else if (command === FLUSH || command === FLUSH_EXTENDED) this.work(FLUSH_NS);
		else if (command === NATIVE_MAX || command === NATIVE_MAX_EXTENDED) this.nativeMax(command === NATIVE_MAX_EXTENDED);
		else if (command === SET_MULTIPLE) this.setMultiple(this.task.get(COUNT));
		else if (command === SET_FEATURES) this.setFeatures(this.task.get(FEATURES), this.task.get(COUNT));
		else this.power(command);
	}

	protected goOn(): void {
		const transfer = ACCESSES.get(this.command);
		if (transfer !== undefined) {
			this.proceed(transfer);
			return;
		}
		switch (this.command) {
			case IDENTIFY:
				this.give(identifyDisk({ ...this.settings, ...this.identity() }));
				break;
			case SMART:
				this.answerSmart();
				break;
			case INITIALIZE_PARAMETERS:
				this.setGeometry();
				break;
			case FLUSH:
			case FLUSH_EXTENDED:
				if (this.store.flush()) this.succeed();
				else this.abort();
				break;
			default:
				this.succeed();
				break;
		}
	}

	protected blockMoved(): void {
		const transfer = ACCESSES.get(this.command);
		if (transfer === undefined) this.succeed(false);
		else if (transfer.write) this.work(this.block(transfer) * SECTOR * BYTE_NS);
		else {
			this.advance(this.block(transfer));
			if (this.left === 0) this.succeed(false);
			else this.work(this.block(transfer) * SECTOR * BYTE_NS);
		}
	}

	dma(move: (piece: Uint8Array) => number): void {
		const transfer = ACCESSES.get(this.command);
		while (transfer !== undefined && this.left > 0) {
			const sectors = Math.min(this.left, PIECE);
			const piece = this.buffer.subarray(0, sectors * SECTOR);
			if (!transfer.write && !this.store.read(this.sector, piece)) {
				this.fail(UNC);
				return;
			}
			// The bus master has no more room: the rest is never asked for.
			if (move(piece) < piece.length) return;
			if (transfer.write && !this.store.write(this.sector, piece)) {
				this.abort();
				return;
			}
			this.advance(sectors);
		}
		this.complete(transfer);
	}

	private defaults(): DiskSettings {
		return {
			...{ current: this.geometry, multiple: MOST_MULTIPLE, mode: MODE_DEFAULT },
			...{ writeCache: true, lookAhead: true, power: "active" as const },
		};
	}

	private identity(): { sectors: number; serial: string; geometry: Geometry; smart: boolean } {
		const { serial, geometry, smart, store } = this;
		return { sectors: store.sectors, serial, geometry, smart: smart.enabled };
	}

	private start({ by, write, extended }: Access): void {
		const { current, multiple } = this.settings;
		const sector = this.task.address(extended, current);
		const count = this.task.count(extended);
		this.settings.power = "active";
		if (by === "multiple" && multiple === 0) this.abort();
		else if (sector === undefined || sector + count > this.store.sectors) this.fail(IDNF);
		else if (write && this.store.readonly) this.abort();
		else {
			this.sector = sector;
			this.left = count;
			this.work(COMMAND_NS + (by === "dma" || by === "verify" ? count * SECTOR * BYTE_NS : 0));
		}
	}

	/** Time has passed: data is there, or has been written, or can come. */
	private proceed(transfer: Access): void {
		const { by, write } = transfer;
		if (by === "dma") this.offerDma(write ? "dma-out" : "dma-in");
		else if (by === "verify") {
			this.advance(this.left);
			this.complete(transfer);
		} else if (write) this.proceedWriting(transfer);
		else {
			const bytes = this.block(transfer) * SECTOR;
			if (this.store.read(this.sector, this.buffer.subarray(0, bytes))) this.offer("in", bytes, true);
			else this.fail(UNC);
		}
	}

	/** The first block of a write is asked for without an interrupt. */
	private proceedWriting(transfer: Access): void {
		const sectors = this.block(transfer);
		if (!this.filled) {
			this.offer("out", sectors * SECTOR, false);
			return;
		}
		if (!this.store.write(this.sector, this.buffer.subarray(0, sectors * SECTOR))) {
			this.abort();
			return;
		}
		this.advance(sectors);
		if (this.left === 0) this.complete(transfer);
		else this.offer("out", this.block(transfer) * SECTOR, true);
	}

	private complete(transfer: Access | undefined): void {
		if (transfer?.through && !this.store.flush()) this.abort();
		else this.succeed();
	}

	/** Sectors of the block that is next. */
	private block({ by }: Access): number {
		return Math.min(this.left, by === "multiple" ? this.settings.multiple : 1);
	}

	/** So many sectors are done; the registers show the last of them. */
	private advance(sectors: number): void {
		this.sector += sectors;
		this.left -= sectors;
		const extended = ACCESSES.get(this.command)?.extended ?? false;
		this.task.showAddress(this.sector - 1, extended, this.settings.current);
		this.showCount(this.left);
	}

	/** A block to read that is not the disk's contents. */
	private give(bytes: Uint8Array): void {
		this.buffer.set(bytes);
		this.offer("in", bytes.length, true);
	}

	private nativeMax(extended: boolean): void {
		this.task.showAddress(this.store.sectors - 1, extended, this.settings.current);
		this.succeed();
	}

	private answerSmart(): void {
		const answer = this.smart.execute(this.task.get(FEATURES), this.task);
		if (answer === "abort") this.abort();
		else if (answer === "done") this.succeed();
		else this.give(answer);
	}

	private setGeometry(): void {
		const sectors = this.task.get(COUNT);
		const heads = (this.task.get(DEVICE) & 0x0f) + 1;
		if (sectors === 0) {
			this.abort();
			return;
		}
		const cylinders = Math.min(Math.floor(this.store.sectors / (heads * sectors)), 65535);
		this.settings.current = { cylinders, heads, sectors };
		this.succeed();
	}

	private setMultiple(sectors: number): void {
		if (sectors > MOST_MULTIPLE || (sectors & (sectors - 1)) !== 0) {
			this.abort();
			return;
		}
		this.settings.multiple = sectors;
		this.succeed();
	}

	private setFeatures(feature: number, count: number): void {
		const { settings } = this;
		switch (feature) {
			case 0x02:
			case 0x82:
				settings.writeCache = feature === 0x02;
				break;
			case 0xaa:
			case 0x55:
				settings.lookAhead = feature === 0xaa;
				break;
			case 0x03: {
				const mode = modeOf(count);
				if (mode === undefined) {
					this.abort();
					return;
				}
				settings.mode = mode;
				break;
			}
			case 0x66:
			case 0xcc:
				// Whether settings survive a soft reset: they do.
				break;
			default:
				this.abort();
				return;
		}
		this.succeed();
	}

	private power(command: number): void {
		if (CHECK_POWER.includes(command)) {
			this.task.show(COUNT, this.settings.power === "active" ? 0xff : 0);
			this.succeed();
		} else if (STANDBY.includes(command)) this.enter("standby");
		else if (IDLE.includes(command)) this.enter("active");
		else if (SLEEP.includes(command)) this.enter("sleep");
		else this.abort();
	}

	private enter(power: DiskSettings["power"]): void {
		const wakes = this.settings.power !== "active" && power === "active";
		this.settings.power = power;
		if (wakes) this.work(SPIN_UP_NS);
		else this.succeed();
	}
}

/** A geometry that old systems can address, as large as the disk where that is possible. */
function geometryOf(sectors: number): Geometry {
	const cylinders = Math.min(Math.max(Math.floor(sectors / (HEADS * SECTORS)), 1), MOST_CYLINDERS);
	return { cylinders, heads: HEADS, sectors: SECTORS };
}
