import type { CodeMode } from "../debug/rom-write.ts";
import { F, KEY } from "../vcpu/layout.ts";
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
