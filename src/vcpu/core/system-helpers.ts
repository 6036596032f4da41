import type { Core } from "./core.ts";
import { defineCpuid } from "./cpuid.ts";
import { defineDebugRegisters } from "./debug-registers.ts";
import { defineDivide } from "./divide.ts";
import { defineExtendedControl } from "./extended-control.ts";
import { defineFastCall } from "./fast-call.ts";
import { defineFlagHelpers } from "./flag-helpers.ts";
import { defineHostCalls } from "./host-calls.ts";
import { defineMsr } from "./msr.ts";
import { definePageRights } from "./page-rights.ts";
import { definePorts } from "./ports.ts";
import { defineScalarHelpers } from "./scalar-helpers.ts";
import { defineSegmentBases } from "./segment-bases.ts";
import { defineStackHelpers } from "./stack-helpers.ts";
import { defineStringHelper, defineStrings } from "./strings.ts";
import { defineSystem } from "./system.ts";
import { defineTimeStamp } from "./time-stamp.ts";

/** The helpers of instructions that are no expressions: strings, ports, flags and stack frames, system registers. */
export function defineSystemHelpers(core: Core): void {
	defineStackHelpers(core);
	defineFlagHelpers(core);
	defineStrings(core);
	definePorts(core);
	defineStringHelper(core);
	defineHostCalls(core);
	defineSystem(core);
	defineDebugRegisters(core);
	defineTimeStamp(core);
	defineMsr(core);
	defineCpuid(core);
	defineFastCall(core);
	defineSegmentBases(core);
	definePageRights(core);
	defineExtendedControl(core);
	defineDivide(core);
	defineScalarHelpers(core);
}
