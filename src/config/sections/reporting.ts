import { choice, path } from "../kinds.ts";
import { list, optional, required } from "../option.ts";
import { symbolPlace } from "../symbols.ts";
import { TRACE_CATEGORIES, traceWishes } from "../trace.ts";

export const reporting = [
	required({
		key: "romWrites",
		name: "rom-writes",
		kind: choice("summary", "log", "stop", "fault", "off"),
		default: "summary",
		help: "stores to ROM: sum them up at the end, log each, stop at the first, have each fault with #GP(0), or say nothing",
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
		kind: traceWishes,
		default: "none",
		help: `what to trace, separated by commas: ${TRACE_CATEGORIES.join(", ")}, or all; CATEGORY:FIRST-LAST or CATEGORY:FIRST+BYTES only what has its address there`,
	}),
	required({
		key: "traceFormat",
		name: "trace-format",
		kind: choice("text", "json"),
		default: "text",
		help: "traced events as text, or as lines of JSON",
	}),
	optional({
		key: "traceFile",
		name: "trace-file",
		kind: path,
		help: "write traced events to FILE instead of standard error",
	}),
	list({
		key: "symbols",
		name: "symbols",
		kind: symbolPlace,
		help: "symbols for reports: ELF with DWARF, PE, linker and NASM maps, System.map, or a folder with a build of edk2; repeatable; ADDRESS: where the image begins, if not where it was linked for",
	}),
	optional({
		key: "flashLog",
		name: "flash-log",
		kind: path,
		help: "write to FILE each command that a flash takes, in words, or as lines of JSON where it ends in .json or .jsonl",
	}),
	optional({
		key: "dirtyLog",
		name: "dirty-log",
		kind: path,
		help: "write to FILE, as lines of JSON, which pages the guest has stored to in each 10 ms of guest time",
	}),
] as const;
