import { count, duration } from "../kinds.ts";
import { optional } from "../option.ts";

export const limits = [
	optional({ key: "timeoutMs", name: "timeout", kind: duration("ms"), help: "end the run after this much host time" }),
	optional({
		key: "maxInstructions",
		name: "max-instructions",
		kind: count,
		help: "end the run after exactly N guest instructions",
	}),
	optional({
		key: "maxGuestTimeNs",
		name: "max-guest-time",
		kind: duration("ns"),
		help: "end the run after this much guest time",
	}),
] as const;
