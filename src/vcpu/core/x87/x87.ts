import type { Core } from "../core.ts";
import { defineArea } from "./area.ts";
import { defineArithmetic } from "./arithmetic.ts";
import { defineCompare } from "./compare.ts";
import { defineConversions } from "./convert.ts";
import { defineEnvironment } from "./environment.ts";
import { defineFunctions } from "./functions.ts";
import { defineFxsave } from "./fxsave.ts";
import { defineInstructions } from "./instructions.ts";
import { defineRounding } from "./round.ts";
import { defineStack } from "./stack.ts";
import { defineX87State } from "./state.ts";
import { defineSteps } from "./steps.ts";
import { defineTrigonometry } from "./trigonometry.ts";
import { defineStateInUse } from "./xsave.ts";

/** The x87 FPU and the instructions that save and restore its state. */
export function defineX87(core: Core): void {
	defineX87State(core);
	defineStack(core);
	defineRounding(core);
	defineArithmetic(core);
	defineCompare(core);
	defineConversions(core);
	defineInstructions(core);
	defineSteps(core);
	defineFunctions(core);
	defineTrigonometry(core);
	defineArea(core);
	defineEnvironment(core);
	defineFxsave(core);
	defineStateInUse(core);
}
