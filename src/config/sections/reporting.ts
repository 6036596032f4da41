import { choice, words } from "../kinds.ts";
import { required } from "../option.ts";

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
] as const;
