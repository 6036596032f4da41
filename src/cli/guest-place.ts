import { hex } from "../base/gpa.ts";
import type { MachineConfig } from "../config/index.ts";
import type { RomWrite } from "../debug/rom-write.ts";
import type { Explainer } from "../debug/rom-writes/row.ts";
import * as stacks from "../debug/symbols/call-stack.ts"; // deferred
import * as symbolFiles from "../debug/symbols/guest-symbols.ts"; // deferred
import type { GuestView, StackRegisters } from "../debug/symbols/guest-view.ts";
import { type Frame, type MemoryReader, placeText, type Symbols } from "../debug/symbols/symbols.ts";
import type { EndKind } from "../machine/outcome.ts";

const HLT = 0xf4;
/** Frames that the end of a run shows, and a debugger. */
const SHOWN = 8;
const MOST_FRAMES = 64;

const NO_SYMBOLS: Symbols = { at: () => undefined };

/** Ends of which one wants to know where the guest was. */
const PUZZLING: readonly EndKind[] = [
	...(["triple-fault", "no-code", "halted", "panic", "unwanted", "timeout"] as const),
	...(["instruction-limit", "guest-time-limit", "signal"] as const),
];

/**
 * The symbols that a run has: those that the user named, the kernel's own, and the names of UEFI images in memory.
 * @param problem told of files that are no use, once for each
 * @returns undefined where there can be none
 * @throws UserError for a file that is not there
 */
export function symbolsOf(
	config: MachineConfig,
	view: () => GuestView,
	problem: (message: string) => void,
): Symbols | undefined {
	const { symbols, kernel, firmware, bios, flash } = config;
	const mayHaveUefi = firmware !== undefined || bios !== undefined || flash.length > 0;
	if (symbols.length === 0 && kernel === undefined && !mayHaveUefi) return undefined;
	const Guest = symbolFiles.GuestSymbols;
	return new Guest({ sources: symbols, kernel, mayHaveUefi, view, problem });
}

/**
 * The call stack at the end of a run; empty where the end explains itself, or where nothing is known of the place.
 * @param load gets the symbols
 */
export function finalStack(end: EndKind, view: () => GuestView, load: () => Symbols | undefined): readonly Frame[] {
	const symbols = PUZZLING.includes(end) ? load() : undefined;
	if (symbols === undefined) return [];
	const { read, registers } = view();
	const now = end === "halted" ? atHalt(registers(), read) : registers();
	const frames = stacks.callStack(now, read, symbols, SHOWN);
	return frames[0]?.place === undefined ? [] : frames;
}

/** The processor is behind the HLT that it waits in, which may be where another function begins. */
function atHalt(registers: StackRegisters, read: MemoryReader): StackRegisters {
	const { regs, codeBase } = registers;
	const isBehind = regs.rip > 0n && read(codeBase + regs.rip - 1n, 1)?.[0] === HLT;
	return isBehind ? { ...registers, regs: { ...regs, rip: regs.rip - 1n } } : registers;
}

/** The call stack where the guest is. */
export function currentStack(view: () => GuestView, symbols: Symbols = NO_SYMBOLS): readonly Frame[] {
	const { read, registers } = view();
	return stacks.callStack(registers(), read, symbols, MOST_FRAMES);
}

/** Says what the guest was doing at a store to ROM. `load` gets the symbols, at the first one. */
export function storeExplainer(view: () => GuestView, load: () => Symbols | undefined): Explainer {
	return {
		place: (address) => load()?.at(address),
		stack: (write) => {
			const symbols = load();
			if (write.by.kind === "delivery") return [];
			const { read, registers } = view();
			const frames = stacks.callStack(atInstruction(registers(), write), read, symbols);
			// The instruction alone is no news.
			return frames.length === 1 && frames[0]?.place === undefined ? [] : frames;
		},
	};
}

/** The processor has left behind the instruction, whose other registers are those that it wrote. */
function atInstruction(registers: StackRegisters, { rip, linear, mode }: RomWrite): StackRegisters {
	return { ...registers, mode, codeBase: linear - rip, regs: { ...registers.regs, rip } };
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
