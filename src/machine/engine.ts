import type { UnitCompiler } from "../vcpu/jit/compiler.ts";
import type { Processor } from "../vcpu/processor.ts";

/** What runs the instructions of one processor. */
export type EngineChoice = "interpreter" | "auto" | "compiled";

/** Runs of a block before it is compiled: when it pays, and almost at once to put the compiler to the test. */
const HEAT: Readonly<Record<Exclude<EngineChoice, "interpreter">, number>> = { auto: 4000, compiled: 4 };

/** The interpreter alone, or with a compiler for hot code (loaded only where it is wanted). */
export async function useEngine(processor: Processor, engine: EngineChoice): Promise<UnitCompiler | undefined> {
	if (engine === "interpreter") return undefined;
	const { UnitCompiler } = await import("../vcpu/jit/compiler.ts");
	const compiler = new UnitCompiler(processor, HEAT[engine]);
	processor.setCompiler(compiler);
	return compiler;
}
