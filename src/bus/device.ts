/** Width of one access as a device sees it, in bytes. The bus splits wider ones. */
export type AccessSize = 1 | 2 | 4;

/**
 * A device model. It knows offsets from its own base, never the base itself, never the machine.
 * Values are unsigned 32-bit numbers. Guest behaviour never makes a device throw: an unknown register
 * answers as the bus does (all ones) and its writes are dropped.
 * Reads may have side effects; debuggers look at {@link Device.save}.
 */
export interface Device<State = unknown> {
	readonly name: string;
	/** Widths that `read` and `write` accept, ascending; the bus splits or widens all others. */
	readonly sizes: readonly AccessSize[];
	read(offset: number, size: AccessSize): number;
	write(offset: number, size: AccessSize, value: number): void;
	/**
	 * Many reads of one register at once: fills `into` as so many reads of `size` bytes would, least significant byte first.
	 * @returns false where the device has no quicker way; nothing has happened then. Absent: it never has.
	 */
	readMany?(offset: number, size: AccessSize, into: Uint8Array): boolean;
	/** Power-on state. May be called repeatedly. */
	reset(): void;
	/** The whole state as plain JSON data. */
	save(): State;
	/** Takes over a saved state and drives interrupt lines again. */
	load(state: State): void;
}

/** An interrupt line: a level, idempotent. Edge or level triggering is the receiver's business. */
export interface IrqLine {
	set(asserted: boolean): void;
}

/** Guest time in nanoseconds since power-on. Integral, below 2^53. */
export interface Clock {
	now(): number;
	/** A stopped alarm that calls `fire` from the run loop, at or after its deadline, in deadline order. */
	alarm(fire: () => void): Alarm;
	/** The guest has read a timer. A guest that does nothing else waits, and who keeps the time may shorten that. */
	polled?(): void;
}

export interface Alarm {
	/** Absolute deadline in guest nanoseconds; replaces an earlier one. A past deadline fires at the next opportunity. */
	at(deadline: number): void;
	cancel(): void;
	/** The pending deadline, or undefined. */
	readonly deadline: number | undefined;
}

/** Takes bytes from the guest, for example the terminal. */
export interface ByteSink {
	write(byte: number): void;
}

/** Bus-master access to guest-physical memory. Reads of nothing give 0xFF; writes to nothing or to ROM are dropped. */
export interface Dma {
	read(gpa: number, length: number): Uint8Array;
	write(gpa: number, data: Uint8Array): void;
}

/** Why the machine starts over. */
export type ResetKind = "cf9" | "keyboard" | "port92" | "triple-fault" | "acpi" | "debugger" | "init";

/** What devices may ask of the machine as a whole. Requests take effect when the current exit has been handled. */
export interface PowerControl {
	reset(kind: ResetKind): void;
	powerOff(): void;
	/** The debug-exit device was written: `value` as the guest wrote it. */
	debugExit(value: number): void;
}
