import type { ConfigOf } from "./option.ts";
import { board } from "./sections/board.ts";
import { consoles } from "./sections/consoles.ts";
import { debugExit } from "./sections/debug-exit.ts";
import { debugging } from "./sections/debugging.ts";
import { devices } from "./sections/devices.ts";
import { drives } from "./sections/drives.ts";
import { engine } from "./sections/engine.ts";
import { firmware } from "./sections/firmware.ts";
import { kernel } from "./sections/kernel.ts";
import { limits } from "./sections/limits.ts";
import { reporting } from "./sections/reporting.ts";
import { verdict } from "./sections/verdict.ts";

/** The options by what they are about, in the order in which help and documentation show them. */
export const OPTION_GROUPS = [
	["The machine", board],
	["What it boots", [...firmware, ...kernel]],
	["Drives and devices", [...drives, ...devices]],
	["Consoles", consoles],
	["How a run ends", [...limits, ...verdict, ...debugExit]],
	["How it runs", engine],
	["What is reported", reporting],
	["Debugging", debugging],
] as const;

type AnyOption = (typeof OPTION_GROUPS)[number][1][number];

/** Every option of a machine. */
export const OPTIONS: readonly AnyOption[] = OPTION_GROUPS.flatMap(([, options]): readonly AnyOption[] => options);

/** A machine as the user wants it: validated, frozen. Derived from {@link OPTIONS}; see there for what each property means. */
export type MachineConfig = ConfigOf<AnyOption>;
