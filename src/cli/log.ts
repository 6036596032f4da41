import { createRequire } from "node:module";
import type { pino as Pino } from "pino";
import type { Logger } from "../base/logger.ts";
import type { MachineConfig } from "../config/index.ts";

const LEVELS = ["debug", "info", "warn", "error"] as const;
type Level = (typeof LEVELS)[number];

function field([name, value]: readonly [string, unknown]): string {
	return `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`;
}

/** One record of pino's as a line for people: `warn: message  name=value`. */
function readable(record: string): string {
	const { level, msg, ...fields } = JSON.parse(record) as Readonly<Record<string, unknown>>;
	const details = Object.entries(fields).map(field).join(" ");
	return `${String(level)}: ${String(msg)}${details === "" ? "" : `  ${details}`}`;
}

/** Loads pino: only a run that has something to say pays for it. */
function load(level: Level, line: (text: string) => void): Logger {
	const { pino } = createRequire(import.meta.url)("pino") as { readonly pino: typeof Pino };
	return pino(
		{ level, base: null, timestamp: false, formatters: { level: (label) => ({ level: label }) } },
		{ write: (record) => line(readable(record)) },
	);
}

/** A logger that hands lines for people to `line`, from `level` on. */
export function createLogger(level: MachineConfig["logLevel"], line: (text: string) => void): Logger {
	let logger: Logger | undefined;
	const write = (wanted: Level) => {
		if (level === "off" || LEVELS.indexOf(wanted) < LEVELS.indexOf(level)) return () => {};
		return (fields: object, message: string): void => {
			logger ??= load(level, line);
			logger[wanted](fields, message);
		};
	};
	return { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
}
