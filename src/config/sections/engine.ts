import { choice, rtcStart } from "../kinds.ts";
import { required } from "../option.ts";

export const engine = [
	required({
		key: "engine",
		name: "engine",
		kind: choice("auto", "interpreter", "compiled", "lockstep"),
		default: "auto",
		help: "how instructions run; lockstep runs both engines and compares them",
	}),
	required({
		key: "clock",
		name: "clock",
		kind: choice("instructions", "host"),
		default: "instructions",
		help: "what moves guest time: instructions (every run repeats exactly) or the host's clock (for people at a terminal)",
	}),
	required({
		key: "rtc",
		name: "rtc",
		kind: rtcStart,
		default: "2026-01-01T00:00:00",
		help: "the real-time clock at power-on: the host's (utc), or a date in UTC",
	}),
] as const;
