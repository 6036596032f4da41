import type { ConfigOf } from "./option.ts";
import { consoles } from "./sections/consoles.ts";
import { debugExit } from "./sections/debug-exit.ts";
import { devices } from "./sections/devices.ts";
import { drives } from "./sections/drives.ts";
import { engine } from "./sections/engine.ts";
import { firmware } from "./sections/firmware.ts";
import { kernel } from "./sections/kernel.ts";
import { limits } from "./sections/limits.ts";
import { memory } from "./sections/memory.ts";
import { reporting } from "./sections/reporting.ts";
import { verdict } from "./sections/verdict.ts";

/** Every option of a machine, in the order in which help and documentation show them. */
export const OPTIONS = [
	...memory,
	...firmware,
	...kernel,
	...consoles,
	...debugExit,
	...drives,
	...devices,
	...limits,
	...verdict,
	...engine,
	...reporting,
] as const;

/** A machine as the user wants it: validated, frozen. Derived from {@link OPTIONS}; see there for what each property means. */
export type MachineConfig = ConfigOf<(typeof OPTIONS)[number]>;
