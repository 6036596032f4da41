import { FAMILIES } from "./families/index.ts";
import { InstructionTable } from "./table.ts";

let table: InstructionTable | undefined;

/** The instruction table, built on first use. */
export function instructionTable(): InstructionTable {
	table ??= new InstructionTable(FAMILIES, [16, 32, 64]);
	return table;
}
