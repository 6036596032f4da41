import type { Core } from "../core.ts";
import { defineArithmetic } from "./arithmetic.ts";
import { defineCompare } from "./compare.ts";
import { defineConversions } from "./convert.ts";
import { defineEstimates } from "./estimate.ts";
import { defineFloatExceptions } from "./exceptions.ts";
import { F16, F32, F64 } from "./format.ts";
import { defineFused } from "./fused.ts";
import { definePackedFloat } from "./packed.ts";
import { defineRound } from "./round.ts";

/** The arithmetic of SSE and AVX on single numbers. */
export function defineFloat(core: Core): void {
	for (const format of [F16, F32, F64]) defineRound(core, format);
	for (const format of [F32, F64]) {
		defineArithmetic(core, format);
		defineFused(core, format);
		defineCompare(core, format);
	}
	defineConversions(core);
	defineEstimates(core);
	definePackedFloat(core);
	defineFloatExceptions(core);
}
