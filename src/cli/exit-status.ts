import type { MachineConfig } from "../config/index.ts";
import type { EndKind, Outcome } from "../machine/outcome.ts";

/**
 * Every exit status of the command that is tsvmm's own. A guest's debug exit gives its own value, below 120. 126 and 127 are left
 * to shells, 129 to 192 to signals.
 */
export const STATUS = {
	success: 0,
	/** Of `flash diff`, as diff(1) has it. */
	different: 1,
	usage: 2,
	debugExitTooLarge: 119,
	instructionLimit: 120,
	guestTimeLimit: 121,
	tripleFault: 122,
	halted: 123,
	timeout: 124,
	internalError: 125,
	expectationMissing: 200,
	unwantedText: 201,
	romWrite: 202,
	noCode: 203,
	panic: 204,
	reset: 205,
	breakpoint: 206,
	killed: 207,
} as const;

/** The table for help and documentation: status and meaning. */
export const STATUS_MEANINGS: readonly (readonly [status: string, meaning: string])[] = [
	[`${STATUS.success}`, "the guest switched off, wrote 0 to the debug-exit port, or showed every --expect text"],
	[`1 to ${STATUS.debugExitTooLarge - 1}`, "the value that the guest wrote to the debug-exit port"],
	[`${STATUS.usage}`, "wrong usage, configuration or file; one message on standard error says which"],
	[
		`${STATUS.debugExitTooLarge}`,
		"the guest wrote 119 or more to the debug-exit port; the value is in the --result file",
	],
	[`${STATUS.instructionLimit}`, "--max-instructions reached"],
	[`${STATUS.guestTimeLimit}`, "--max-guest-time reached"],
	[`${STATUS.tripleFault}`, "triple fault"],
	[`${STATUS.halted}`, "halted for good: the guest waits for an interrupt that cannot come"],
	[`${STATUS.timeout}`, "--timeout reached"],
	[`${STATUS.internalError}`, "an error of tsvmm's own; please report it"],
	["128 + n", "ended by signal n: 130 for Ctrl-C (SIGINT), 143 for SIGTERM, 141 when standard output was closed"],
	[`${STATUS.expectationMissing}`, "the guest ended without having shown every --expect text"],
	[`${STATUS.unwantedText}`, "a --fail-on text appeared"],
	[`${STATUS.romWrite}`, "stopped at a store to ROM (--rom-writes stop)"],
	[`${STATUS.noCode}`, "the processor was to run code where there is no memory"],
	[`${STATUS.panic}`, "the guest's kernel panicked: --panic-text appeared"],
	[`${STATUS.reset}`, "the guest reset the machine, and --on-reset said to end then"],
	[`${STATUS.breakpoint}`, "stopped at a --break"],
	[`${STATUS.killed}`, "a debugger ended the run (--gdb)"],
];

const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGPIPE: 13, SIGTERM: 15 } as const;

/** As shells report a process that the signal ended. */
export const signalStatus = (signal: keyof typeof SIGNALS): number => 128 + SIGNALS[signal];

const STATUS_OF: Readonly<Record<Exclude<EndKind, "debug-exit" | "signal">, number>> = {
	expected: STATUS.success,
	"power-off": STATUS.success,
	unwanted: STATUS.unwantedText,
	"rom-write": STATUS.romWrite,
	break: STATUS.breakpoint,
	"output-error": STATUS.usage,
	timeout: STATUS.timeout,
	"instruction-limit": STATUS.instructionLimit,
	"guest-time-limit": STATUS.guestTimeLimit,
	"triple-fault": STATUS.tripleFault,
	"no-code": STATUS.noCode,
	halted: STATUS.halted,
	panic: STATUS.panic,
	reset: STATUS.reset,
	killed: STATUS.killed,
};

function debugExitStatus(value: number, encoding: MachineConfig["debugExitEncoding"]): number {
	if (encoding === "qemu") return ((value << 1) | 1) & 255;
	return value < STATUS.instructionLimit ? value : STATUS.debugExitTooLarge;
}

/**
 * The exit status of a run. `missing`: the `--expect` texts that never appeared; they turn a success, in either encoding of the
 * debug-exit value, into a failure, while any other end keeps its own status.
 */
export function exitStatus(
	{ end }: Outcome,
	encoding: MachineConfig["debugExitEncoding"],
	missing: readonly string[],
): number {
	if (end.kind === "signal") return signalStatus(end.signal);
	const success = end.kind === "debug-exit" ? end.value === 0 : STATUS_OF[end.kind] === STATUS.success;
	if (success && missing.length > 0) return STATUS.expectationMissing;
	return end.kind === "debug-exit" ? debugExitStatus(end.value, encoding) : STATUS_OF[end.kind];
}
