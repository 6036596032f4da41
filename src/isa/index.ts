import { FAMILY_FILES } from "./families/index.ts";
import { readOpcodeIndex } from "./opcode-index.ts";
import { PRINTED_INDEX } from "./printed-index.ts";
import { InstructionTable } from "./table.ts";

let table: InstructionTable | undefined;

/** The instruction table, built on first use. */
export function instructionTable(): InstructionTable {
	table ??= new InstructionTable(
		FAMILY_FILES,
		[16, 32, 64],
		PRINTED_INDEX === undefined ? undefined : readOpcodeIndex(PRINTED_INDEX),
	);
	return table;
}
