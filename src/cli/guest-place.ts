import { hex } from "../base/gpa.ts";
import type { MachineConfig } from "../config/index.ts";
import type { GuestView } from "../debug/symbols/guest-view.ts";
import { type Frame, placeText, type Symbols } from "../debug/symbols/symbols.ts";
import type { EndKind } from "../machine/outcome.ts";

/** Frames that the end of a run shows. */
const SHOWN = 8;

/** Ends of which one wants to know where the guest was. */
const PUZZLING: readonly EndKind[] = [
	...(["triple-fault", "no-code", "halted", "panic", "unwanted", "timeout"] as const),
	...(["instruction-limit", "guest-time-limit", "rom-write", "signal"] as const),
];

/**
 * The symbols that a run has: those that the user named, the kernel's own, and the names of UEFI images in memory.
 * @param problem told of files that are no use, once for each
 * @returns undefined where there can be none
 * @throws UserError for a file that is not there
 */
export async function symbolsOf(
	config: MachineConfig,
	view: () => GuestView,
	problem: (message: string) => void,
): Promise<Symbols | undefined> {
	const { symbols, kernel, firmware, bios, flash } = config;
	const mayHaveUefi = firmware !== undefined || bios !== undefined || flash.length > 0;
	if (symbols.length === 0 && kernel === undefined && !mayHaveUefi) return undefined;
	// Few runs ask for a place; the others do not load what reads the files.
	const { GuestSymbols } = await import("../debug/symbols/guest-symbols.ts");
	return new GuestSymbols({ sources: symbols, kernel, mayHaveUefi, view, problem });
}

/**
 * The call stack at the end of a run; empty where the end explains itself, or where nothing is known of the place.
 * @param load gets the symbols
 */
export async function finalStack(
	end: EndKind,
	view: () => GuestView,
	load: () => Promise<Symbols | undefined>,
): Promise<readonly Frame[]> {
	const symbols = PUZZLING.includes(end) ? await load() : undefined;
	if (symbols === undefined) return [];
	const { callStack } = await import("../debug/symbols/call-stack.ts");
	const { read, registers } = view();
	const frames = callStack(registers(), read, symbols, SHOWN);
	return frames[0]?.place === undefined ? [] : frames;
}

/** A call stack, a line for each frame; `?` marks what only looked like a return address. */
export function stackLines(frames: readonly Frame[]): readonly string[] {
	return frames.map(({ address, place, how }, n) => {
		const text = place === undefined ? "" : ` ${placeText(place)}`;
		return `  #${n} ${how === "scan" ? "? " : ""}${hex(address)}${text}`;
	});
}

/** The same for `--result`. */
export function stackJson(frames: readonly Frame[]): readonly object[] {
	return frames.map(({ address, place, how }) => ({ address: hex(address), ...place, how }));
}
