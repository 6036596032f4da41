import { choice, path, words } from "../kinds.ts";
import { optional, required } from "../option.ts";

/** What `--trace` can show, one line per event. */
export const TRACE_CATEGORIES = [
	"exits",
	"mmio",
	"ports",
	"slots",
	"interrupts",
	"resets",
	"flash",
	"fw-cfg",
	"pci",
] as const;
export type TraceCategory = (typeof TRACE_CATEGORIES)[number];

export const reporting = [
	required({
		key: "romWrites",
		name: "rom-writes",
		kind: choice("summary", "log", "stop", "off"),
		default: "summary",
		help: "stores to ROM: sum them up at the end, log each, stop at the first, or say nothing",
	}),
	optional({ key: "result", name: "result", kind: path, help: "write the outcome to FILE as JSON" }),
	required({
		key: "logLevel",
		name: "log",
		kind: choice("error", "warn", "info", "debug", "off"),
		default: "warn",
		help: "how much tsvmm says about itself on standard error",
	}),
	required({
		key: "trace",
		name: "trace",
		kind: words(...TRACE_CATEGORIES),
		default: "none",
		help: `what to trace on standard error, separated by commas: ${TRACE_CATEGORIES.join(", ")}, or all`,
	}),
	optional({
		key: "dirtyLog",
		name: "dirty-log",
		kind: path,
		help: "write to FILE, as lines of JSON, which pages the guest has stored to in each 10 ms of guest time",
	}),
] as const;
