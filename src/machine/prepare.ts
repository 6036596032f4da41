import { loadCore } from "../vcpu/core/load.ts";

/** Starts what every machine needs and other threads can do, while the caller finds out which machine that is. */
export function prepareMachine(): void {
	// Whoever builds the machine asks for it again, and hears of a failure.
	loadCore().catch(() => {});
}
