import { type ApicMessage, destinationOf, FIXED, INIT, LOWEST_PRIORITY } from "./lapic-bus.ts";
import {
	FIRST_VECTOR,
	ICR_ASSERT,
	ICR_LEVEL,
	ICR_LOGICAL,
	SEND_ILLEGAL_VECTOR,
	TO_ALL,
	TO_OTHERS,
	TO_SELF,
} from "./lapic-registers.ts";

/** What a write of the interrupt command register comes to (SDM 3A 11.6.1). */
export type ApicCommand =
	| { readonly to: "self"; readonly vector: number }
	| { readonly to: "all" | "others" | "destination"; readonly message: ApicMessage }
	| { readonly to: "nobody"; readonly error: number };

/** @param high the destination field: eight bits, in x2APIC mode (`extended`) 32 */
export function commandOf(low: number, high: number, extended: boolean): ApicCommand {
	const mode = (low >> 8) & 7;
	const vector = low & 0xff;
	if ((mode === FIXED || mode === LOWEST_PRIORITY) && vector < FIRST_VECTOR) {
		return { to: "nobody", error: SEND_ILLEGAL_VECTOR };
	}
	// INIT level de-assert only synchronises arbitration.
	if (mode === INIT && (low & (ICR_LEVEL | ICR_ASSERT)) === ICR_LEVEL) return { to: "nobody", error: 0 };
	const destination = extended ? high : destinationOf(high);
	const message: ApicMessage = { vector, mode, destination, logical: (low & ICR_LOGICAL) !== 0, level: false };
	switch ((low >> 18) & 3) {
		case TO_SELF:
			return mode === FIXED ? { to: "self", vector } : { to: "nobody", error: 0 };
		case TO_ALL:
			return { to: "all", message };
		case TO_OTHERS:
			return { to: "others", message };
		default:
			return { to: "destination", message };
	}
}
