import type { Logger } from "../base/logger.ts";
import type { ByteSink } from "../bus/device.ts";
import type { RomWriteSink } from "../debug/rom-write.ts";

export type { CodeMode, RomWrite, RomWriteSink } from "../debug/rom-write.ts";

/** What the host may stop a machine for. The machine itself honours the limits in its configuration. */
export type StopReason =
	/** Every `--expect` text has appeared. */
	| { readonly kind: "expected" }
	/** A `--fail-on` text has appeared. */
	| { readonly kind: "unwanted"; readonly text: string }
	/** `--rom-writes stop`. */
	| { readonly kind: "rom-write" }
	| { readonly kind: "signal"; readonly signal: "SIGINT" | "SIGTERM" | "SIGHUP" };

/** Why a run ended. */
export type End =
	| StopReason
	/** The guest wrote `value` to the debug-exit port. */
	| { readonly kind: "debug-exit"; readonly value: number }
	/** The guest switched the power off. */
	| { readonly kind: "power-off" }
	/** `timeoutMs` of host time have passed. */
	| { readonly kind: "timeout" }
	/** `maxInstructions` have retired. */
	| { readonly kind: "instruction-limit" }
	/** `maxGuestTimeNs` have passed. */
	| { readonly kind: "guest-time-limit" }
	| { readonly kind: "triple-fault"; readonly detail: string }
	/** The guest waits for an interrupt that can never come. */
	| { readonly kind: "halted"; readonly detail: string };

export type EndKind = End["kind"];

export interface Outcome {
	readonly end: End;
	/** Guest instructions retired since power-on. */
	readonly instructions: number;
	/** Guest time since power-on, nanoseconds. */
	readonly guestTimeNs: number;
}

/** The VGA text screen: `cells` are character and attribute pairs, row by row. */
export interface TextScreen {
	readonly columns: number;
	readonly rows: number;
	readonly cells: Uint8Array;
	/** Cell index, or undefined when hidden. */
	readonly cursor: number | undefined;
}

/** What a machine stands on. Everything is called from within `run()`, synchronously. */
export interface MachineHost {
	/** One for each serial port, COM1 first. */
	readonly serial: readonly ByteSink[];
	readonly debugcon: ByteSink;
	readonly log: Logger;
	readonly romWrites: RomWriteSink;
	/** One line for each event of a category in `config.trace`. */
	readonly trace?: (category: string, line: string) => void;
	/** Called now and then while the screen changes, and once at the end of the run. */
	readonly screen?: (screen: TextScreen) => void;
}
