import { FLOAT_FUNCTIONS, type FloatFunction } from "../../isa/float.ts";
import { instructionTable } from "../../isa/index.ts";
import { PURE } from "../../isa/pure.ts";
import { defineCodePages } from "./code-pages.ts";
import { Core } from "./core.ts";
import { defineDebugger } from "./debugger.ts";
import { defineFaults } from "./fault.ts";
import { defineFlags } from "./flags.ts";
import { defineFloat } from "./float/build.ts";
import { floatCallee } from "./float/packed.ts";
import { defineHandlers } from "./handlers.ts";
import { defineLoop } from "./loop.ts";
import { defineChecks, defineMemory } from "./memory.ts";
import { defineMode } from "./mode.ts";
import { defineSystemHelpers } from "./system-helpers.ts";
import { defineSystemMode } from "./system-mode.ts";
import { defineTlb } from "./tlb.ts";
import { defineVectorMemory } from "./vector-memory.ts";
import { defineVectorPure } from "./vector-pure.ts";
import { defineVectorState } from "./vector-state.ts";
import { defineWalk } from "./walk.ts";
import { defineWide } from "./wide.ts";
import { defineX87 } from "./x87/x87.ts";
import { defineXsave } from "./x87/xsave.ts";

/** Functions that TypeScript calls. */
const EXPORTS = [
	"updateSegment",
	"updateSegments",
	"updateMode",
	"flushTlb",
	"flushPage",
	"flushWrites",
	"flushHost",
	"fetchHost",
	"portRead",
	"portWrite",
	"readFlags",
	"writeFlags",
	"gvaToTlb",
	"tlbToIo",
	"runIoList",
	"walk",
	"slotFind",
	"slotHost",
	"markDirty",
	"load",
	"store",
	"touch",
	"confirmPages",
	"raise",
	"stored",
	"askUser",
	"checkCode",
	"loadPdptes",
	"helper_rdmsr",
	"helper_wrmsr",
	"interpret",
	"legacyToArea",
	"legacyFromArea",
	"mxcsrToArea",
	"stateInUse",
] as const;

/** Prints the core: everything of the processor that runs as WebAssembly and is not compiled from guest code. */
export function buildCore(): Uint8Array<ArrayBuffer> {
	const core = new Core();
	defineFaults(core);
	defineFlags(core);
	defineTlb(core);
	defineWalk(core);
	defineDebugger(core);
	defineChecks(core);
	defineMemory(core);
	defineCodePages(core);
	defineMode(core);
	defineSystemMode(core);
	defineWide(core);
	defineX87(core);
	defineSystemHelpers(core);
	defineXsave(core);
	defineFloat(core);
	defineVectorState(core);
	defineVectorPure(core);
	defineVectorMemory(core);
	defineHandlers(core, instructionTable());
	defineLoop(core);
	for (const name of EXPORTS) core.m.export(core.fn(name));
	// Compiled code calls them.
	for (const name of Object.keys(PURE)) core.m.export(core.fn(`pure_${name}`));
	for (const name of Object.keys(FLOAT_FUNCTIONS)) core.m.export(core.fn(floatCallee(name as FloatFunction)));
	return core.m.encode();
}
