import { describe } from "../isa/describe.ts";
import { instructionTable } from "../isa/index.ts";
import { opcodeMap } from "../isa/opcode-map.ts";

/** `tsvmm isa`: what is declared about the instruction that `words` name by mnemonic or encoding; without words, the map of all. */
export function isa(words: readonly string[]): string {
	return words.length === 0 ? opcodeMap(instructionTable()) : `${describe(words.join(" "))}\n`;
}
