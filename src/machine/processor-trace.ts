import type { TraceWish } from "../config/index.ts";
import { disassemble } from "../debug/disassemble.ts";
import { SEGMENT, VECTOR } from "../isa/registers.ts";
import { ACCESS, EVENT, F, SEG, segmentOffset, TRACED } from "../vcpu/layout.ts";
import type { Processor } from "../vcpu/processor.ts";
import { codeMode, whereIs } from "./code-mode.ts";
import { hex, type Trace } from "./trace.ts";

/** Longer than any instruction. */
const MOST_BYTES = 15;
const HIGHEST = 0xffff_ffff_ffff_ffffn;
const EXCEPTIONS = new Map<number, string>(Object.entries(VECTOR).map(([name, vector]) => [vector, `#${name}`]));

/** How an event came, by its kind: what is delivered for an instruction, and what comes from outside. */
const HOW: ReadonlyMap<number, string> = new Map([
	[EVENT.external, "interrupt"],
	[EVENT.software, "int"],
	[EVENT.trap, "int"],
	[EVENT.int1, "int"],
]);

/** What a processor tells of itself while it runs. */
export interface ProcessorTrace {
	/** What is wanted: bits of TRACED. */
	readonly wanted: number;
	/** Linear addresses between which instructions are wanted. */
	readonly first: bigint;
	readonly last: bigint;
	readonly traced: (what: number, number: number, address: bigint, value: bigint) => void;
}

/** Instructions, exceptions, interrupts and TLB misses, where any of them are wanted. */
export function processorTrace(
	trace: Trace,
	wishes: readonly TraceWish[],
	processor: () => Processor,
): ProcessorTrace | undefined {
	const instructions = trace("instructions");
	const exceptions = trace("exceptions");
	const interrupts = trace("interrupts");
	const misses = trace("tlb");
	const events = exceptions ?? interrupts;
	const wanted = (instructions ? TRACED.instructions : 0) | (events ? TRACED.events : 0) | (misses ? TRACED.misses : 0);
	if (wanted === 0) return undefined;
	/** Linear address of the next instruction. */
	const next = (): bigint => {
		const linear = processor().get64(SEG.start, segmentOffset(SEGMENT.cs)) + processor().get64(F.rip);
		return linear & processor().get64(F.linearMask);
	};
	return {
		wanted,
		...spanned(wishes),
		traced(what, number, address, value) {
			if (what === TRACED.instructions) {
				instructions?.("done", instructionFields(processor(), address, value), address);
				return;
			}
			if (what === TRACED.misses) {
				misses?.(accessOf(number), { linear: hex(address), gpa: hex(value) }, address);
				return;
			}
			const [vector, kind] = [number & 0xff, number >> 8];
			const at = whereIs(processor());
			if (kind !== EVENT.exception) {
				interrupts?.(HOW.get(kind) ?? "interrupt", { vector: hex(vector, 1), at });
				return;
			}
			const fields = {
				code: hex(address),
				...(vector === VECTOR.PF ? { address: hex(value) } : {}),
				at,
			};
			exceptions?.(EXCEPTIONS.get(vector) ?? hex(vector, 1), fields, next());
		},
	};
}

/** The range around all that is wanted of instructions: what lies between is left out later. */
function spanned(wishes: readonly TraceWish[]): { readonly first: bigint; readonly last: bigint } {
	let [first, last] = [HIGHEST, 0n];
	for (const { category, range = { first: 0n, last: HIGHEST } } of wishes) {
		if (category !== "instructions") continue;
		if (range.first < first) first = range.first;
		if (range.last > last) last = range.last;
	}
	return { first, last };
}

function instructionFields(processor: Processor, linear: bigint, ip: bigint): Record<string, string> {
	const bytes = processor.peekCode(linear, MOST_BYTES);
	const { text, length } = disassemble(bytes, codeMode(processor), ip);
	const shown = Buffer.from(bytes.subarray(0, length)).toString("hex");
	return { linear: hex(linear), bytes: shown, instruction: text };
}

function accessOf(access: number): string {
	const kind = access & ACCESS.fetch ? "fetch" : access & (ACCESS.write | ACCESS.modify) ? "write" : "read";
	return access & ACCESS.user ? `user ${kind}` : kind;
}
