import type { CodeMode, RomWrite } from "../debug/rom-write.ts";
import { F, KEY } from "../vcpu/layout.ts";
import type { Processor } from "../vcpu/processor.ts";

const EFLAGS_VM = 0x20000;
/** Longest instruction. */
const CODE_BYTES = 15;

/** How the code that `processor` runs is to be read. */
export function codeMode(processor: Processor): CodeMode {
	return modeOf(processor.get(F.modeKey) | (processor.get(F.eflags) & EFLAGS_VM));
}

/** The same from what {@link F.exitMode} says. */
function modeOf(mode: number): CodeMode {
	if (mode & KEY.long) return "long";
	if (mode & EFLAGS_VM) return "v86";
	if (mode & KEY.real) return "real";
	return mode & KEY.code32 ? "prot32" : "prot16";
}

/** A store that ROM refused: `processor` has just left with it. */
export function romWriteOf(processor: Processor, gpa: number, data: Uint8Array, region: string): RomWrite {
	const linear = processor.get64(F.exitLinear);
	return {
		gpa,
		data,
		region,
		cs: processor.get(F.exitCs),
		rip: processor.get64(F.exitIp),
		linear,
		code: processor.peekCode(linear, CODE_BYTES),
		mode: modeOf(processor.get(F.exitMode)),
		// Instructions count as retired when their stores are reported.
		instructions: processor.retired() - 1,
	};
}
