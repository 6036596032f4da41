import { disassemble } from "../../debug/disassemble.ts";
import { SEGMENT } from "../../isa/registers.ts";
import type { UnitCompiler } from "../../vcpu/jit/compiler.ts";
import { F, SEG, segmentOffset } from "../../vcpu/layout.ts";
import type { Processor } from "../../vcpu/processor.ts";
import { codeMode } from "../code-mode.ts";
import { hex } from "../trace.ts";
import type { Difference } from "./processor-state.ts";

/** Longest instruction, bytes. */
const CODE_BYTES = 15;
/** Bytes of RAM compared at a time. */
const PIECE = 1 << 16;
/** Columns of the bytes of an instruction. */
const BYTES_WIDTH = 24;

/** One instruction on the way to a difference. */
export interface TracedInstruction {
	/** Instructions retired before it. */
	readonly count: number;
	readonly place: string;
	readonly code: Uint8Array;
	readonly text: string;
	/** The compiled unit that has it, for people. */
	readonly unit: string | undefined;
}

/** The instruction that `processor` does next; `compiler` belongs to `first`, which has run it. */
export function tracedInstruction(processor: Processor, compiler: UnitCompiler, first: Processor): TracedInstruction {
	const cs = segmentOffset(SEGMENT.cs);
	const rip = processor.get64(F.rip);
	const linear = (processor.get64(SEG.start, cs) + rip) & processor.get64(F.linearMask);
	const code = processor.peekCode(linear, CODE_BYTES);
	const { text, length } = disassemble(code, codeMode(processor), rip);
	const host = first.fetchCached(Number(linear & ~0xfffn));
	return {
		count: processor.retired(),
		place: `${hex(processor.get(SEG.selector, cs), 2).slice(2)}:${rip.toString(16).padStart(8, "0")}`,
		code: code.subarray(0, Math.max(length, 1)),
		text,
		unit: host === 0 ? undefined : compiler.unitAt(host + Number(linear & 0xfffn), processor.get(F.modeKey)),
	};
}

/** What differs, after which instructions, in which units; for people who look for the bug. */
export function differenceReport(parts: {
	readonly differences: readonly Difference[];
	/** How the runs of the two machines ended, if they did; and where they are. */
	readonly ends: readonly (string | undefined)[];
	readonly places: readonly string[];
	readonly trace: readonly TracedInstruction[];
	readonly compiler: UnitCompiler;
}): string {
	const { differences, ends, places, trace, compiler } = parts;
	const start = trace[0];
	const lines = [
		`lockstep: the engines differ; they were equal after ${start?.count} instructions, at ${start?.place}`,
	];
	const row = (name: string, a: string, b: string): string => `  ${name.padEnd(24)} ${a.padEnd(20)} ${b}`;
	lines.push(row("", "compiled", "interpreted"), row("now at", places[0] ?? "", places[1] ?? ""));
	for (const { name, first, second } of differences) lines.push(row(name, first, second));
	if (ends[0] !== ends[1]) lines.push(row("end", ends[0] ?? "none", ends[1] ?? "none"));
	lines.push("  Interpreted in between (| in a unit):");
	for (const { count, place, code, text, unit } of trace) {
		const bytes = Buffer.from(code).toString("hex").padEnd(BYTES_WIDTH);
		lines.push(`  ${String(count).padStart(12)} ${unit ? "|" : " "} ${place} ${bytes} ${text}`);
	}
	const units = new Set(trace.map(({ unit }) => unit).filter((unit) => unit !== undefined));
	for (const unit of units) lines.push(`  ${unit}`);
	lines.push(`  ${compiler.made} units made, ${compiler.dropped} dropped for changed code`);
	return lines.join("\n");
}

/** The first difference between two memories of one size, for people; undefined: there is none. */
export function ramDifference(a: Uint8Array, b: Uint8Array): string | undefined {
	for (let at = 0; at < a.length; at += PIECE) {
		const [x, y] = [a, b].map((bytes) =>
			Buffer.from(bytes.buffer, bytes.byteOffset + at, Math.min(PIECE, a.length - at)),
		);
		if (x!.equals(y!)) continue;
		const n = x!.findIndex((byte, index) => byte !== y![index]);
		const show = (bytes: Buffer): string => bytes.subarray(n & ~15, (n & ~15) + 16).toString("hex");
		return `${hex(at + n, 4)}: compiled ${show(x!)}, interpreted ${show(y!)} (16 bytes from ${hex((at + n) & ~15, 4)})`;
	}
	return undefined;
}
