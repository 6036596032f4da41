import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** A guest that tries what the manuals say and prints a line for each trial on COM1: `source/NAME.asm`. */
export interface Guest {
	readonly name: string;
	/** Path of the ROM. */
	readonly image: string;
	/** What a processor that keeps to the manuals prints. */
	readonly expected: readonly string[];
	/** What QEMU 7.2's TCG prints, where that differs: trial → line. */
	readonly qemuDepartures: ReadonlyMap<string, string>;
	/** It runs 64-bit code. */
	readonly needs64: boolean;
}

const folder = fileURLToPath(new URL(".", import.meta.url));

/** All guests here. */
export const guests: readonly Guest[] = readdirSync(`${folder}source`)
	.filter((file) => file.endsWith(".asm"))
	.map((file) => file.slice(0, -".asm".length))
	.sort()
	.map((name) => ({
		name,
		image: `${folder}images/${name}.bin`,
		expected: outputLines(readFileSync(`${folder}expected/${name}.txt`, "utf8")),
		qemuDepartures: new Map(
			outputLines(readFileSync(`${folder}expected/${name}.qemu.txt`, "utf8")).map((line) => [trial(line), line]),
		),
		needs64: name === "long",
	}));

/** The lines a guest printed, without empty ones and line ends. */
export function outputLines(text: string): string[] {
	return text.split(/[\r\n]+/).filter((line) => line !== "");
}

/** What a line is about: the part before the outcome. */
export function trial(line: string): string {
	return line.replace(/: (ok|#).*$/, "");
}
