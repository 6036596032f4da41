import { type BlockStore, SECTOR } from "../../bus/block-store.ts";
import type { Clock } from "../../bus/device.ts";
import { CD_SECTOR, CdromPackets, MEDIUM_ERROR, NO_SENSE, type PacketAnswer, type Sense } from "./cdrom-packets.ts";
import { BUFFER_BYTES, BYTE_NS, COMMAND_NS, Drive, type DriveState } from "./drive.ts";
import { IdentifyBlock } from "./identify.ts";
import { ABRT, COUNT, DRDY, DSC, ERR, FEATURES, LBA_HIGH, LBA_MID } from "./task-file.ts";
import { modeOf, type TransferMode } from "./transfer-mode.ts";

const DEVICE_RESET = 0x08;
const PACKET = 0xa0;
const IDENTIFY_PACKET = 0xa1;
const IDENTIFY = 0xec;
const SET_FEATURES = 0xef;
const READ_SECTORS = 0x20;
/** Old and new numbers of the power commands; a drive that has nothing to write out is ready for all of them. */
const POWER = [0x94, 0x95, 0x96, 0x97, 0xe0, 0xe1, 0xe2, 0xe3, 0xe6, 0x99];
const CHECK_POWER = [0x98, 0xe5];

const PACKET_BYTES = 12;
/** Feature of PACKET: data comes by DMA. */
const BY_DMA = 1 << 0;
/** Interrupt reason, in the count register (ATA/ATAPI-6, 7.11). */
const REASON_COMMAND = 1;
const REASON_IN = 2;
const REASON_DONE = 3;
/** The longest block where the host names none. */
const LONGEST_BLOCK = 0xfffe;
const PIECE = BUFFER_BYTES / CD_SECTOR;

interface PacketState {
	sense: Sense;
	mode: TransferMode;
	/** Where the packet is: not there, being written, its data on the way. */
	step: "idle" | "packet" | "answer" | "data";
	/** Bytes in a block at most. */
	limit: number;
	dma: boolean;
	/** Sectors of the disc that are still to be read into the buffer. */
	sector: number;
	left: number;
	/** What of the buffer is still to be offered. */
	from: number;
	ready: number;
	packet: number[];
}

export type CdromState = DriveState & PacketState;

function powerOn(): PacketState {
	return {
		...{ sense: NO_SENSE, mode: { kind: "udma", number: 2 }, step: "idle", limit: LONGEST_BLOCK, dma: false },
		...{ sector: 0, left: 0, from: 0, ready: 0, packet: [] },
	};
}

/** An ATAPI CD-ROM drive (ATA/ATAPI-6, 9.8) with a disc in it that stays there. */
export class Cdrom extends Drive {
	private readonly store: BlockStore;
	private readonly serial: string;
	private readonly packets: CdromPackets;
	private state = powerOn();

	/** `store`: a whole number of sectors of {@link CD_SECTOR} bytes. */
	constructor({ clock, store, serial }: { clock: Clock; store: BlockStore; serial: string }) {
		super(clock, true);
		this.store = store;
		this.serial = serial;
		this.packets = new CdromPackets(Math.floor((store.sectors * SECTOR) / CD_SECTOR));
	}

	save(): CdromState {
		const { state } = this;
		return {
			...this.saveDrive(),
			...state,
			sense: { ...state.sense },
			mode: { ...state.mode },
			packet: [...state.packet],
		};
	}

	load(saved: CdromState): void {
		const { sense, mode, step, limit, dma, sector, left, from, ready, packet } = saved;
		this.state = { sense, mode, step, limit, dma, sector, left, from, ready, packet: [...packet] };
		this.loadDrive(saved);
	}

	protected settle(hard: boolean): void {
		const { mode } = this.state;
		this.state = { ...powerOn(), ...(hard ? {} : { mode }) };
	}

	protected execute(command: number): void {
		const { state, task } = this;
		if (command === DEVICE_RESET) {
			this.settle(false);
			this.showReset();
		} else if (command === PACKET) {
			state.step = "packet";
			state.dma = (task.get(FEATURES) & BY_DMA) !== 0;
			state.limit = limitOf(task.get(LBA_MID) | (task.get(LBA_HIGH) << 8));
			this.work(COMMAND_NS);
		} else if (command === IDENTIFY_PACKET) this.work(COMMAND_NS);
		else if (command === IDENTIFY || command === READ_SECTORS) {
			// The signature tells who asked that this is no disk.
			this.task.showSignature(true);
			this.abort();
		} else if (command === SET_FEATURES) this.setFeatures(task.get(FEATURES), task.get(COUNT));
		else if (CHECK_POWER.includes(command)) {
			task.show(COUNT, 0xff);
			this.succeed();
		} else if (POWER.includes(command)) this.succeed();
		else this.abort();
	}

	protected goOn(): void {
		const { state, task } = this;
		if (this.command === IDENTIFY_PACKET) {
			this.buffer.set(this.identity());
			this.offer("in", SECTOR, true);
		} else if (state.step === "packet") {
			task.show(COUNT, REASON_COMMAND);
			this.offer("out", PACKET_BYTES, false);
		} else if (state.step === "answer") this.answer(this.packets.execute(Uint8Array.from(state.packet), state.sense));
		else this.offerBlock();
	}

	protected blockMoved(): void {
		const { state } = this;
		if (this.command === IDENTIFY_PACKET) this.succeed(false);
		else if (state.step === "packet") {
			state.packet = [...this.buffer.subarray(0, PACKET_BYTES)];
			state.step = "answer";
			this.work(COMMAND_NS);
		} else this.work(BYTE_NS * Math.min(state.limit, CD_SECTOR));
	}

	dma(move: (piece: Uint8Array) => number): void {
		const { state } = this;
		while (this.fill()) {
			const piece = this.buffer.subarray(state.from, state.from + state.ready);
			if (move(piece) < piece.length) return;
			state.ready = 0;
		}
	}

	private answer(answer: PacketAnswer): void {
		const { state } = this;
		if (answer.kind === "error") {
			this.refuse(answer.sense);
			return;
		}
		state.sense = NO_SENSE;
		state.step = "data";
		state.from = 0;
		state.ready = 0;
		state.left = 0;
		if (answer.kind === "data") {
			this.buffer.set(answer.bytes);
			state.ready = answer.bytes.length;
		} else if (answer.kind === "sectors") {
			state.sector = answer.first;
			state.left = answer.count;
		}
		if (state.ready === 0 && state.left === 0) this.complete();
		else if (state.dma) this.offerDma("dma-in");
		else if (answer.kind === "sectors") this.work(BYTE_NS * CD_SECTOR);
		else this.offerBlock();
	}

	/** The next block of data, or the end. */
	private offerBlock(): void {
		const { state, task } = this;
		if (!this.fill()) return;
		const bytes = Math.min(state.ready, state.limit);
		task.show(COUNT, REASON_IN);
		task.show(LBA_MID, bytes & 0xff);
		task.show(LBA_HIGH, bytes >> 8);
		this.offer("in", bytes, true, state.from);
		state.from += bytes;
		state.ready -= bytes;
	}

	/** Sees to it that there is something in the buffer. @returns false where the command is over */
	private fill(): boolean {
		const { state } = this;
		if (state.ready > 0) return true;
		if (state.left === 0) {
			this.complete();
			return false;
		}
		const sectors = Math.min(state.left, PIECE);
		const bytes = sectors * CD_SECTOR;
		if (!this.store.read(state.sector * (CD_SECTOR / SECTOR), this.buffer.subarray(0, bytes))) {
			this.refuse(MEDIUM_ERROR);
			return false;
		}
		state.sector += sectors;
		state.left -= sectors;
		state.from = 0;
		state.ready = bytes;
		return true;
	}

	private complete(): void {
		this.state.step = "idle";
		this.task.show(COUNT, REASON_DONE);
		this.succeed();
	}

	private refuse(sense: Sense): void {
		this.state.sense = sense;
		this.state.step = "idle";
		this.task.show(COUNT, REASON_DONE);
		this.finish(DRDY | DSC | ERR, (sense.key << 4) | ABRT, true);
	}

	private setFeatures(feature: number, count: number): void {
		const mode = feature === 0x03 ? modeOf(count) : undefined;
		if (feature === 0x03 && mode === undefined) {
			this.abort();
			return;
		}
		if (mode !== undefined) this.state.mode = mode;
		this.succeed();
	}

	/** The data of IDENTIFY PACKET DEVICE (ATA/ATAPI-6, 8.16). */
	private identity(): Uint8Array {
		const block = new IdentifyBlock();
		// A CD-ROM drive with a removable medium, ready for a packet of 12 bytes within 50 µs.
		block.set(0, 0x85c0);
		block.text(10, 10, this.serial);
		block.text(23, 4, "1.0");
		block.text(27, 20, "TSVMM CD-ROM");
		block.set(48, 1, 0x0b00, 0, 0x0200, 0x0200, 0x0006);
		block.modes(this.state.mode);
		block.set(64, 0x03, 120, 120, 120, 120);
		block.set(80, 0x0070, 0);
		// Packets, NOP and DEVICE RESET.
		block.set(82, 0x4210, 0x4000, 0x4000, 0x4210, 0, 0x4000);
		block.set(93, 0x6001);
		return block.bytes();
	}
}

/** Bytes of a block as the host limits it: even, and not none. */
function limitOf(given: number): number {
	return given === 0 || given === 0xffff ? LONGEST_BLOCK : Math.max(given & ~1, 2);
}
