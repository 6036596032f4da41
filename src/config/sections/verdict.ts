import { breakWish } from "../break.ts";
import { choice, text } from "../kinds.ts";
import { list, required } from "../option.ts";

export const verdict = [
	list({
		key: "expect",
		name: "expect",
		kind: text,
		help: "end with success once TEXT, and every other --expect, has appeared on a serial or debug console; repeatable",
	}),
	list({
		key: "failOn",
		name: "fail-on",
		kind: text,
		help: "end with failure as soon as TEXT appears on a serial or debug console; repeatable",
	}),
	required({
		key: "panicText",
		name: "panic-text",
		kind: text,
		default: "Kernel panic - not syncing",
		help: "what a kernel says on a serial or debug console when it gives up: a failure of its own; off: nothing",
	}),
	required({
		key: "onReset",
		name: "on-reset",
		kind: choice("auto", "restart", "end"),
		default: "auto",
		help: "when the guest resets the machine: restart it, or end the run; auto: end it where a kernel was booted without firmware",
	}),
	list({
		key: "breaks",
		name: "break",
		kind: breakWish,
		help: "end the run at a store to ROM, in RANGE where one is given (0xf0000-0xfffff, 0xf0000+16 or one physical address); an attached debugger gets control instead; repeatable",
	}),
] as const;
