import type { Ex, Local } from "../../wasm/expression.ts";
import type { FunctionBuilder } from "../../wasm/function.ts";
import type { UnitImports } from "./unit-imports.ts";
import type { UnitRegisters } from "./unit-registers.ts";
import type { UnitVariable } from "./unit-variable.ts";

/** What all instructions of a unit share. */
export interface UnitFrame {
	readonly f: FunctionBuilder;
	readonly st: Local;
	readonly registers: UnitRegisters;
	readonly fa: UnitVariable;
	readonly fb: UnitVariable;
	readonly fk: Local;
	/** Mode that the unit is compiled for. */
	readonly key: number;
	/** Base and last offset of CS, where it is not flat. */
	readonly csHigh: number;
	/** Address of the TLBs of this processor. */
	readonly tlbArea: number;
	/** What every TLB entry must have as its addend; undefined: whatever it has. */
	readonly addend: number | undefined;
	/** Leaves for the interpreter in front of the current instruction; `missed`: because of the TLB. */
	leave(missed?: boolean): void;
	/** With `touch` for units that miss the TLB often; the others leave. */
	readonly imports: UnitImports;
	/** Makes flags of a kind that is not told apart here explicit ones. */
	spellFlags(): void;
	/** Ends the block: a jump of the current instruction. `target` has the registers' type. */
	branch(target: Ex, when: Ex | undefined): void;
}
