import type { CodeMode, RomWrite } from "../debug/rom-write.ts";
import { SEGMENT } from "../isa/registers.ts";
import { ATTR, F, KEY, SEG, segmentOffset } from "../vcpu/layout.ts";
import type { Processor } from "../vcpu/processor.ts";

const EFLAGS_VM = 0x20000;
/** Longest instruction. */
const CODE_BYTES = 15;

/** How the code that `processor` runs is to be read. */
export function codeMode(processor: Processor): CodeMode {
	const key = processor.get(F.modeKey);
	if (key & KEY.long) return "long";
	if (processor.get(F.eflags) & EFLAGS_VM) return "v86";
	if (key & KEY.real) return "real";
	return processor.get(SEG.attributes, segmentOffset(SEGMENT.cs)) & ATTR.big ? "prot32" : "prot16";
}

/** A store that ROM refused: `processor` has just left with it. */
export function romWriteOf(processor: Processor, gpa: number, data: Uint8Array, region: string): RomWrite {
	const cs = segmentOffset(SEGMENT.cs);
	const rip = processor.get64(F.exitIp);
	const linear = (processor.get64(SEG.base, cs) + rip) & processor.get64(F.linearMask);
	return {
		gpa,
		data,
		region,
		cs: processor.get(SEG.selector, cs),
		rip,
		linear,
		code: processor.peekCode(linear, CODE_BYTES),
		mode: codeMode(processor),
		// Instructions count as retired when their stores are reported.
		instructions: processor.retired() - 1,
	};
}
