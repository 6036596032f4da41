import type { Core } from "./core.ts";
import { defineDescriptors } from "./descriptors.ts";
import { defineFar, defineFarHelpers } from "./far.ts";
import { defineGates } from "./gates.ts";
import { defineInterrupts } from "./interrupts.ts";
import { defineIoPermission } from "./io-permission.ts";
import { defineIret } from "./iret.ts";
import { definePagingControl } from "./paging-control.ts";
import { defineSegmentAccess } from "./segment-access.ts";
import { defineSegments } from "./segments.ts";
import { defineSelectors } from "./selectors.ts";
import { defineStackFrames } from "./stack-frames.ts";
import { defineTasks } from "./tasks.ts";

/** Segments, privilege levels, gates, interrupts and tasks: each part stands on those before it. */
export function defineSystemMode(core: Core): void {
	defineSegmentAccess(core);
	definePagingControl(core);
	defineIoPermission(core);
	defineDescriptors(core);
	defineStackFrames(core);
	defineSegments(core);
	defineSelectors(core);
	defineFar(core);
	defineTasks(core);
	defineGates(core);
	defineFarHelpers(core);
	defineInterrupts(core);
	defineIret(core);
}
