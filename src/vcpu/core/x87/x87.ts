import type { Core } from "../core.ts";
import { defineX87State } from "./state.ts";

/** The x87 FPU and the instructions that save and restore its state. */
export function defineX87(core: Core): void {
	defineX87State(core);
}
