import { createRequire } from "node:module";
import type { pino as Pino } from "pino";
import type { MachineConfig } from "../config/index.ts";
import { type ByteWriter, FileWriter } from "../host/byte-writer.ts";
import type { TraceEvent } from "../machine/outcome.ts";
import type { Messages } from "./messages.ts";

/** An event as a line for people: `ports: 5304 out port=0x03f8 value=0x41 device=uart16550`. */
function readable({ category, event, instructions, fields }: TraceEvent): string {
	const details = Object.entries(fields).map(([name, value]) => {
		const text = String(value);
		return `${name}=${/[\s"]/.test(text) ? JSON.stringify(text) : text}`;
	});
	return [`${category}: ${instructions} ${event}`, ...details].join(" ");
}

/** Lines of JSON to `write`, one for each event. */
function jsonLines(write: (line: string) => void): (event: TraceEvent) => void {
	const { pino } = createRequire(import.meta.url)("pino") as { readonly pino: typeof Pino };
	const logger = pino(
		{
			level: "trace",
			base: null,
			timestamp: false,
			messageKey: "event",
			formatters: { level: (label) => ({ level: label }) },
		},
		{ write },
	);
	return ({ category, event, instructions, timeNs, fields }) => {
		logger.trace({ category, instructions, timeNs, ...fields }, event);
	};
}

/** Writes what a run traces: to standard error among the other messages, or to a file. */
export class Tracer {
	readonly take: (event: TraceEvent) => void;
	private readonly writer: ByteWriter | undefined;

	/**
	 * `onError` is told once when the file can take no more.
	 * @throws UserError when the file cannot be created.
	 */
	constructor(config: MachineConfig, messages: Messages, onError: (error: unknown) => void) {
		const { traceFile, traceFormat } = config;
		const writer = traceFile === undefined ? undefined : new FileWriter(traceFile, "--trace-file", onError);
		this.writer = writer;
		const line = (text: string): void => (writer ? writer.writeText(`${text}\n`) : messages.line(text, "quiet"));
		this.take = traceFormat === "json" ? jsonLines((text) => line(text.trimEnd())) : (event) => line(readable(event));
	}

	close(): void {
		this.writer?.close();
	}
}
