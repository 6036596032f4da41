import { opcodesOf } from "./encoding.ts";
import type { Family } from "./family.ts";

/** Which lines of which files have an opcode. Lines of all files are numbered through. */
export interface OpcodeIndex {
	/** Number of the first line of each file, and at the end how many lines there are. */
	readonly starts: readonly number[];
	/** Numbers of the lines that have an opcode (map * 256 + byte). */
	lines(opcode: number): readonly number[];
}

/** Looks at every line of every file. */
export function indexOpcodes(files: readonly (() => readonly Family[])[]): OpcodeIndex {
	const starts: number[] = [];
	const byOpcode: number[][] = [];
	let lines = 0;
	for (const file of files) {
		starts.push(lines);
		for (const { forms } of file()) {
			for (const [encoding] of forms) {
				const { first, count } = opcodesOf(encoding);
				for (let opcode = first; opcode < first + count; opcode++) {
					const there = byOpcode[opcode];
					if (there) there.push(lines);
					else byOpcode[opcode] = [lines];
				}
				lines++;
			}
		}
	}
	starts.push(lines);
	return { starts, lines: (opcode) => byOpcode[opcode] ?? [] };
}

/** An index as text, for opcodes below `count`: the starts, then the lines of each opcode. */
export function printOpcodeIndex({ starts, lines }: OpcodeIndex, count: number): string {
	return [starts, ...Array.from({ length: count }, (_, opcode) => lines(opcode))].map((list) => list.join()).join(";");
}

/** Reads what {@link printOpcodeIndex} printed: no file is loaded for it. */
export function readOpcodeIndex(text: string): OpcodeIndex {
	const [starts = "", ...opcodes] = text.split(";");
	const numbers = (list: string): number[] => (list === "" ? [] : list.split(",").map(Number));
	return { starts: numbers(starts), lines: (opcode) => numbers(opcodes[opcode] ?? "") };
}
