import type { UnitCompiler } from "../vcpu/jit/compiler.ts";
import type { TableRoom, Workshop } from "../vcpu/jit/unit-order.ts";
import type { Processor } from "../vcpu/processor.ts";

/** What runs the instructions of one processor. */
export type EngineChoice = "interpreter" | keyof typeof EAGERNESS;

/**
 * Runs of a block before it is compiled, and the share of the host's time for compiling: when it pays; almost at once; and everything, to
 * put the compiler to the test.
 */
const EAGERNESS = { auto: [16000, 0.5], compiled: [4, 0.5], lockstep: [2, 1] } as const;

/** The interpreter alone, or with a compiler for hot code (loaded only where it is wanted). */
export async function useEngine(processor: Processor, engine: EngineChoice): Promise<UnitCompiler | undefined> {
	if (engine === "interpreter") return undefined;
	const { UnitCompiler } = await import("../vcpu/jit/compiler.ts");
	const [heat, share] = EAGERNESS[engine];
	const compiler = new UnitCompiler(processor, await workshopFor(engine), heat, share);
	processor.setCompiler(compiler);
	return compiler;
}

/** Beside the guest where it may depend on the host when code is compiled; else every run compiles at the same instructions. */
async function workshopFor(engine: keyof typeof EAGERNESS): Promise<(room: TableRoom) => Workshop> {
	if (engine === "auto") {
		const { canWorkBeside, WorkshopBeside } = await import("./workshop-beside.ts");
		if (canWorkBeside()) return (room) => new WorkshopBeside(room);
	}
	const { WorkshopInPlace } = await import("../vcpu/jit/workshop-in-place.ts");
	return (room) => new WorkshopInPlace(room);
}
