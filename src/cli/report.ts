import { hex } from "../base/gpa.ts";
import { plural } from "../base/plural.ts";
import type { RomWriteJournal } from "../debug/rom-write-journal.ts";
import { timeText } from "../debug/rom-writes/words.ts";
import type { Frame } from "../debug/symbols/symbols.ts";
import type { End, FlashActivity, Outcome } from "../machine/outcome.ts";
import { stackJson } from "./guest-place.ts";

/** Why the run ended, in words. */
export function endText(end: End): string {
	switch (end.kind) {
		case "debug-exit":
			return `the guest wrote ${end.value} to the debug-exit port`;
		case "power-off":
			return "the guest switched the power off";
		case "reset":
			return `the guest reset the machine (${end.cause})`;
		case "panic":
			return `the guest's kernel panicked: ${end.message}`;
		case "expected":
			return "every expected text has appeared";
		case "unwanted":
			return `the text ${JSON.stringify(end.text)} appeared (--fail-on)`;
		case "timeout":
			return "time is up (--timeout)";
		case "instruction-limit":
			return "the instruction limit is reached (--max-instructions)";
		case "guest-time-limit":
			return "the guest time limit is reached (--max-guest-time)";
		case "triple-fault":
			return `triple fault: ${end.detail}`;
		case "no-code":
			return `the processor left memory: ${end.detail}`;
		case "halted":
			return `halted for good: ${end.detail}`;
		case "rom-write":
			return `stopped at a store to ROM at ${hex(end.store.gpa)} (--rom-writes stop)`;
		case "break":
			return `stopped at a store to ROM at ${hex(end.store.gpa)} (--break)`;
		case "signal":
			return end.signal === "SIGINT" ? "interrupted" : `ended by ${end.signal}`;
		case "killed":
			return "ended by the debugger";
		case "output-error":
			return end.detail;
	}
}

/** One line on the whole run. */
export function outcomeLine(outcome: Outcome, hostMs: number): string {
	const counts = `${plural(outcome.instructions, "instruction")}, ${timeText(outcome.guestTimeNs)} of guest time`;
	return `tsvmm: ${endText(outcome.end)}; ${counts}, ${timeText(hostMs * 1e6)} of host time`;
}

/** What happened to the flash, a line for each unit that the guest sent commands to. */
export function flashLines(flash: readonly FlashActivity[]): readonly string[] {
	return flash.flatMap(({ romdSwitches, erasedBlocks, programmedBytes }, unit) => {
		if (romdSwitches + erasedBlocks + programmedBytes === 0) return [];
		const work = `${plural(erasedBlocks, "block")} erased, ${plural(programmedBytes, "byte")} programmed`;
		return [`flash ${unit}: ${plural(romdSwitches, "ROMD switch", "ROMD switches")}, ${work}`];
	});
}

/** How a `--result` file begins. The version grows when a field that exists changes its meaning or goes. */
export const RESULT_FORMAT = { format: "tsvmm-result", version: 1 } as const;

/** What `--result` writes. */
export interface Result {
	readonly outcome: Outcome;
	readonly status: number;
	/** Expected texts that never appeared. */
	readonly missing: readonly string[];
	readonly hostMs: number;
	readonly romWrites: RomWriteJournal;
	/** Where the guest was; empty where that is not known. */
	readonly stack: readonly Frame[];
	readonly ramHash: string;
}

/** The `--result` file's text. */
export function resultJson({ outcome, status, missing, hostMs, romWrites, stack, ramHash }: Result): string {
	const { kind, ...details } = outcome.end;
	const result = {
		...RESULT_FORMAT,
		outcome: kind,
		...details,
		status,
		missing,
		instructions: outcome.instructions,
		guestTimeNs: outcome.guestTimeNs,
		hostTimeMs: Math.round(hostMs * 1000) / 1000,
		romWrites,
		...(outcome.firmware ? { firmware: outcome.firmware } : {}),
		flash: outcome.flash,
		...(stack.length === 0 ? {} : { stack: stackJson(stack) }),
		ramSha256: ramHash,
	};
	const plain = (_key: string, value: unknown): unknown => (typeof value === "bigint" ? hex(value) : value);
	return `${JSON.stringify(result, plain, "\t")}\n`;
}
