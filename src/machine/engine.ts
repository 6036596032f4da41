import type { MachineConfig } from "../config/index.ts";
import type { Processor } from "../vcpu/processor.ts";

/** Runs of a block before it is compiled: when it pays, and almost at once to put the compiler to the test. */
const HEAT_AUTO = 4000;
const HEAT_COMPILED = 4;

/** The interpreter alone, or with a compiler for hot code (loaded only where it is wanted). */
export async function chooseEngine(processor: Processor, engine: MachineConfig["engine"]): Promise<void> {
	if (engine === "interpreter") return;
	const { UnitCompiler } = await import("../vcpu/jit/compiler.ts");
	processor.setCompiler(new UnitCompiler(processor, engine === "compiled" ? HEAT_COMPILED : HEAT_AUTO));
}
