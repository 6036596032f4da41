import type { AccessSize, Alarm, Clock } from "../../bus/device.ts";
import type { Cable, IdeDrive } from "../ide-channel.ts";
import {
	ABRT,
	BSY,
	COMMAND,
	COUNT,
	DEVICE,
	DRDY,
	DRQ,
	DSC,
	ERR,
	ERROR,
	STATUS,
	TaskFile,
	type TaskFileState,
} from "./task-file.ts";

/** Device control. */
const NO_INTERRUPT = 1 << 1;
const SOFT_RESET = 1 << 2;
const HIGH_ORDER = 1 << 7;

/** Guest nanoseconds: a command's start, a reset, and a byte on its way (100 MB/s). */
export const COMMAND_NS = 50_000;
const RESET_NS = 1_000_000;
export const BYTE_NS = 10;

const EXECUTE_DIAGNOSTIC = 0x90;
const DEVICE_RESET = 0x08;
/** Diagnostic code: this drive works; the other one has no say here, as it works too. */
const PASSED = 0x01;

/** Bytes in a drive's buffer: the largest block between two interrupts, and the piece in which DMA moves. */
export const BUFFER_BYTES = 128 * 512;

/** What a drive's data register does now. */
export type DataPhase = "none" | "in" | "out" | "dma-in" | "dma-out";

export interface DriveState {
	task: TaskFileState;
	status: number;
	error: number;
	control: number;
	command: number;
	interrupt: boolean;
	/** Where the data register is, and where the block in the buffer ends. */
	phase: DataPhase;
	position: number;
	end: number;
	/** Guest nanosecond at which the drive goes on, or null. */
	due: number | null;
	resetting: boolean;
	/** The first {@link end} bytes of the buffer, base64. */
	buffer: string;
}

/**
 * What all drives on an IDE cable have in common (ATA/ATAPI-6): registers, resets, interrupts, and the data register's buffer. A subclass
 * executes commands. It works for some guest time and then goes on: see {@link work} and {@link goOn}.
 */
export abstract class Drive implements IdeDrive {
	protected readonly task = new TaskFile();
	protected readonly buffer = Buffer.alloc(BUFFER_BYTES);
	protected readonly clock: Clock;
	/** A packet drive has its own signature, and is not ready after a reset. */
	private readonly packet: boolean;
	private readonly alarm: Alarm;
	private cable: Cable | undefined;
	private status = 0;
	private error = 0;
	private control = 0;
	/** The command that is being executed, or was last. */
	protected command = 0;
	private interrupt = false;
	private phase: DataPhase = "none";
	private position = 0;
	private end = 0;
	private resetting = false;

	constructor(clock: Clock, packet: boolean) {
		this.clock = clock;
		this.packet = packet;
		this.alarm = clock.alarm(() => this.ring());
		this.showReset();
	}

	/** A command has been written, and the drive is ready for one. */
	protected abstract execute(command: number): void;
	/** The time given to {@link work} has passed. */
	protected abstract goOn(): void;
	/** The block in the buffer has been read or filled by the host. */
	protected abstract blockMoved(): void;
	/** Settings after a reset; `hard`: of the machine. */
	protected abstract settle(hard: boolean): void;

	connect(cable: Cable): void {
		this.cable = cable;
	}

	get interrupting(): boolean {
		return this.interrupt && (this.control & NO_INTERRUPT) === 0;
	}

	/** Waits for the bus master to move data. */
	get wantsDma(): "in" | "out" | undefined {
		if (this.phase === "dma-in") return "in";
		return this.phase === "dma-out" ? "out" : undefined;
	}

	get alternateStatus(): number {
		return this.status;
	}

	readTask(register: number): number {
		if (register === STATUS) {
			this.setInterrupt(false);
			return this.status;
		}
		if (register === ERROR) return this.error;
		return this.task.get(register, (this.control & HIGH_ORDER) !== 0);
	}

	writeTask(register: number, value: number, selected: boolean): void {
		this.control &= ~HIGH_ORDER;
		if (register === COMMAND) {
			this.writeCommand(value, selected);
			return;
		}
		if (this.status & (BSY | DRQ)) return;
		this.task.write(register, value);
	}

	writeControl(value: number): void {
		const wasResetting = (this.control & SOFT_RESET) !== 0;
		this.control = value & (NO_INTERRUPT | SOFT_RESET | HIGH_ORDER);
		this.cable?.interruptChanged();
		if (value & SOFT_RESET) {
			this.stop();
			this.command = 0;
			this.status = BSY;
		} else if (wasResetting) this.startReset();
	}

	readData(size: AccessSize): number {
		if (this.phase !== "in" || (this.status & DRQ) === 0) return 0;
		const left = this.end - this.position;
		const value = this.buffer.readUIntLE(this.position, Math.min(size, left));
		this.moved(size);
		return value;
	}

	writeData(size: AccessSize, value: number): void {
		if (this.phase !== "out" || (this.status & DRQ) === 0) return;
		const bytes = Math.min(size, this.end - this.position);
		this.buffer.writeUIntLE(bytes === size ? value : value & ((1 << (8 * bytes)) - 1), this.position, bytes);
		this.moved(size);
	}

	/** Bytes that can be read at once: what is left of the block. */
	readMany(into: Uint8Array): void {
		const bytes = this.phase === "in" && this.status & DRQ ? Math.min(into.length, this.end - this.position) : 0;
		into.set(this.buffer.subarray(this.position, this.position + bytes));
		into.fill(0, bytes);
		if (bytes > 0) this.moved(bytes);
	}

	abstract save(): DriveState;
	abstract load(state: unknown): void;
	abstract dma(move: (piece: Uint8Array) => number): void;

	/** The machine is reset: there is nothing that goes on, and the drive is ready. */
	reset(): void {
		this.stop();
		this.control = 0;
		this.task.reset();
		this.settle(true);
		this.showReset();
		this.cable?.interruptChanged();
	}

	protected saveDrive(): DriveState {
		const { status, error, control, command, interrupt, phase, position, end, resetting, alarm } = this;
		return {
			...{ task: this.task.save(), status, error, control, command, interrupt, phase, position, end, resetting },
			due: alarm.deadline ?? null,
			buffer: this.buffer.toString("base64", 0, end),
		};
	}

	protected loadDrive(state: DriveState): void {
		this.task.load(state.task);
		this.status = state.status;
		this.error = state.error;
		this.control = state.control;
		this.command = state.command;
		this.interrupt = state.interrupt;
		this.phase = state.phase;
		this.position = state.position;
		this.end = state.end;
		this.resetting = state.resetting;
		this.buffer.write(state.buffer, "base64");
		if (state.due === null) this.alarm.cancel();
		else this.alarm.at(state.due);
		this.cable?.interruptChanged();
	}

	/** Busy for so many guest nanoseconds; then {@link goOn}. */
	protected work(ns: number): void {
		this.status = BSY | DRDY | DSC;
		this.phase = "none";
		this.alarm.at(this.clock.now() + ns);
	}

	/** `bytes` of the buffer, from `from` on, wait for the host to read them, or to be filled. */
	protected offer(phase: "in" | "out", bytes: number, interrupt: boolean, from = 0): void {
		this.phase = phase;
		this.position = from;
		this.end = from + bytes;
		this.status = DRDY | DSC | DRQ;
		if (interrupt) this.setInterrupt(true);
	}

	/** The bus master may move data now; see {@link IdeDrive.dma}. */
	protected offerDma(phase: "dma-in" | "dma-out"): void {
		this.phase = phase;
		this.end = 0;
		this.status = DRDY | DSC | DRQ;
		this.cable?.dmaReady();
	}

	/** The command has ended as it should. */
	protected succeed(interrupt = true): void {
		this.finish(DRDY | DSC, 0, interrupt);
	}

	/** The command has ended with bits of the error register. */
	protected fail(error: number): void {
		this.finish(DRDY | DSC | ERR, error, true);
	}

	protected finish(status: number, error: number, interrupt: boolean): void {
		this.phase = "none";
		this.end = 0;
		this.status = status;
		this.error = error;
		if (interrupt) this.setInterrupt(true);
	}

	protected abort(): void {
		this.fail(ABRT);
	}

	/** The host has filled the block that was offered last. */
	protected get filled(): boolean {
		return this.end > 0 && this.position >= this.end;
	}

	/** DEVICE RESET and other ways to the state after a reset, at once. */
	protected showReset(): void {
		this.task.showSignature(this.packet);
		this.error = PASSED;
		this.status = this.packet ? 0 : DRDY | DSC;
	}

	private writeCommand(command: number, selected: boolean): void {
		// Both drives execute diagnostics; the first one reports (ATA/ATAPI-6, 9.10).
		if (command === EXECUTE_DIAGNOSTIC) {
			this.stop();
			this.command = command;
			this.startReset();
			return;
		}
		if (!selected) return;
		const busy = (this.status & (BSY | DRQ)) !== 0;
		if (busy && !(this.packet && command === DEVICE_RESET)) return;
		this.setInterrupt(false);
		this.stop();
		this.command = command;
		this.error = 0;
		this.execute(command);
	}

	private startReset(): void {
		this.resetting = true;
		this.status = BSY;
		this.alarm.at(this.clock.now() + RESET_NS);
	}

	private ring(): void {
		if (!this.resetting) {
			this.goOn();
			return;
		}
		this.resetting = false;
		this.settle(false);
		this.task.show(DEVICE, 0);
		this.showReset();
		if (this.command !== EXECUTE_DIAGNOSTIC) return;
		this.command = 0;
		this.setInterrupt(true);
	}

	/** Nothing goes on any more. */
	private stop(): void {
		this.alarm.cancel();
		this.phase = "none";
		this.end = 0;
		this.position = 0;
		this.resetting = false;
		this.setInterrupt(false);
	}

	private moved(bytes: number): void {
		this.position += bytes;
		if (this.position >= this.end) this.blockMoved();
	}

	private setInterrupt(on: boolean): void {
		this.interrupt = on;
		this.cable?.interruptChanged();
	}

	/** Sectors that are left, as the count register shows them while a command runs. */
	protected showCount(sectors: number): void {
		this.task.show(COUNT, sectors & 0xff);
	}
}
