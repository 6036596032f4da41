import type { CodeMode } from "../debug/rom-write.ts";
import { SEGMENT } from "../isa/registers.ts";
import { F, KEY, SEG, segmentOffset } from "../vcpu/layout.ts";
import type { Processor } from "../vcpu/processor.ts";

const EFLAGS_VM = 0x20000;

/** How the code that `processor` runs is to be read. */
export function codeMode(processor: Processor): CodeMode {
	return modeOf(processor.get(F.modeKey) | (processor.get(F.eflags) & EFLAGS_VM));
}

/** The same from what {@link F.exitMode} says. */
export function modeOf(mode: number): CodeMode {
	if (mode & KEY.long) return "long";
	if (mode & EFLAGS_VM) return "v86";
	if (mode & KEY.real) return "real";
	return mode & KEY.code32 ? "prot32" : "prot16";
}

/** CS:IP of the next instruction, for people. */
export function whereIs(processor: Processor): string {
	const cs = processor.get(SEG.selector, segmentOffset(SEGMENT.cs));
	return `${cs.toString(16).padStart(4, "0")}:${processor.get64(F.rip).toString(16).padStart(8, "0")}`;
}
