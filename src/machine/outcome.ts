import type { Logger } from "../base/logger.ts";
import type { ByteSink, ResetKind } from "../bus/device.ts";
import type { DebugPort } from "../debug/gdb/target.ts";
import type { RomWriteSink } from "../debug/rom-write.ts";
import type { GuestView } from "../debug/symbols/guest-view.ts";
import type { FlashEvent } from "../devices/pflash-events.ts";
import type { ByteSource } from "../host/byte-source.ts";
import type { TextCells } from "../host/text-screen.ts";
import type { ChosenFirmware } from "./chosen-firmware.ts";
import type { TraceEvent } from "./trace.ts";

export type { CodeMode, RomWrite, RomWriteSink } from "../debug/rom-write.ts";
export type { FlashEvent } from "../devices/pflash-events.ts";
export type { ChosenFirmware } from "./chosen-firmware.ts";
export type { TraceEvent } from "./trace.ts";

/** A store to ROM that a run was to end at: guest-physical and linear address of the first byte that ROM refused, and how many. */
export interface RefusedStore {
	readonly gpa: number;
	/** Absent where no instruction stores: a device's access. */
	readonly linear?: bigint;
	readonly size: number;
}

/** What an attached debugger gets control for, and what otherwise ends the run. */
export type PauseReason =
	/** `--rom-writes stop`. */
	| { readonly kind: "rom-write"; readonly store: RefusedStore }
	/** `--break`. */
	| { readonly kind: "break"; readonly on: "rom-write"; readonly store: RefusedStore };

/** What the host may stop a machine for. The machine itself honours the limits in its configuration. */
export type StopReason =
	/** Every `--expect` text has appeared. */
	| { readonly kind: "expected" }
	/** A `--fail-on` text has appeared. */
	| { readonly kind: "unwanted"; readonly text: string }
	| PauseReason
	/** A debugger ended the run. */
	| { readonly kind: "killed" }
	| { readonly kind: "signal"; readonly signal: "SIGINT" | "SIGTERM" | "SIGHUP" | "SIGPIPE" }
	/** A file takes no more bytes: a console's, or a flash's. */
	| { readonly kind: "output-error"; readonly detail: string };

/** Why a run ended. */
export type End =
	| StopReason
	/** The guest wrote `value` to the debug-exit port. */
	| { readonly kind: "debug-exit"; readonly value: number }
	/** The guest switched the power off. */
	| { readonly kind: "power-off" }
	/** The guest asked for a reset of the machine, by `cause`, and that was to end the run. */
	| { readonly kind: "reset"; readonly cause: ResetKind }
	/** The guest's kernel gave up: `panicText` appeared on a console. */
	| { readonly kind: "panic"; readonly message: string }
	/** `timeoutMs` of host time have passed. */
	| { readonly kind: "timeout" }
	/** `maxInstructions` have retired. */
	| { readonly kind: "instruction-limit" }
	/** `maxGuestTimeNs` have passed. */
	| { readonly kind: "guest-time-limit" }
	| { readonly kind: "triple-fault"; readonly detail: string }
	/** The processor was to run code where there is no memory. */
	| { readonly kind: "no-code"; readonly detail: string }
	/** The guest waits for an interrupt that can never come. */
	| { readonly kind: "halted"; readonly detail: string };

export type EndKind = End["kind"];

export interface Outcome {
	readonly end: End;
	/** Guest instructions retired since power-on. */
	readonly instructions: number;
	/** Guest time since power-on, nanoseconds. */
	readonly guestTimeNs: number;
	/** What `--firmware` has come to. */
	readonly firmware?: ChosenFirmware;
	/** One for each flash unit, unit 0 first. */
	readonly flash: readonly FlashActivity[];
}

/** What the guest did with one flash unit. */
export interface FlashActivity {
	/** Times the unit went from array reads to command mode or back. */
	readonly romdSwitches: number;
	readonly erasedBlocks: number;
	readonly programmedBytes: number;
}

/** A serial port's outer side. */
export interface SerialLine {
	readonly output: ByteSink;
	/** Absent where nothing can ever come in. */
	readonly input?: ByteSource;
}

/** Takes what the flash units are told and do, as it happens. */
export interface FlashSink {
	/** `unit`: 0 is the one at the highest addresses. */
	record(unit: number, event: FlashEvent): void;
}

/** What a machine stands on. Everything is called from within `run()`, synchronously. */
export interface MachineHost {
	/** One for each serial port, COM1 first. */
	readonly serial: readonly SerialLine[];
	readonly debugcon: ByteSink;
	/** What a terminal sends; it is typed on the machine's keyboard. */
	readonly keyboard?: ByteSource;
	readonly log: Logger;
	readonly romWrites: RomWriteSink;
	/** Absent where nobody wants to know. */
	readonly flash?: FlashSink;
	/** Takes each event that `config.trace` asks for. */
	readonly trace?: (event: TraceEvent) => void;
	/** One line of JSON for each interval of guest time in which the guest has stored to RAM; with `config.dirtyLog`. */
	readonly dirtyLog?: (line: string) => void;
	/** What a debugger comes in by; `describe` puts into words for its user why the run would have ended. */
	readonly debugger?: DebugPort & { describe(end: End): string };
	/** Called now and then while the screen changes, and once at the end of the run. */
	readonly screen?: (screen: TextCells) => void;
}

/** When and by which instruction the guest last did something that is no access to memory. */
export interface Moment {
	/** Guest time since power-on, nanoseconds. */
	readonly timeNs: number;
	/** Guest instructions retired before that one. */
	readonly instructions: number;
	readonly cs: number;
	/** Offset in CS. */
	readonly rip: bigint;
}

/** What the command needs of a machine. */
export interface RunningMachine {
	/**
	 * Runs until the guest, a limit or {@link stop} ends it. Gives the event loop a turn every few milliseconds of host time.
	 * @throws UserError when the machine cannot be built from its configuration; Bug on an error of tsvmm's own.
	 */
	run(): Promise<Outcome>;
	/** Ends the run once the current exit has been handled. The first reason given counts. */
	stop(reason: StopReason): void;
	/** Guest instructions retired since power-on. */
	readonly instructions: number;
	/** The guest as debuggers see it; once {@link run} has called anybody. */
	readonly view: GuestView;
	/** For those who are called from within {@link run}: when and where the access was made that they are told of. */
	readonly moment: Moment;
	/** The cells of a flash unit, as they are at any time; once {@link run} has called anybody. */
	flashCells(unit: number): Uint8Array;
	/** SHA-256 of guest RAM, in hexadecimal. */
	ramHash(): string;
}
