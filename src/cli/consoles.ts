import type { MachineConfig, OutputTarget } from "../config/index.ts";
import type { ByteSource } from "../host/byte-source.ts";
import { type BufferedSink, ByteWriter, FileWriter, nullSink } from "../host/byte-writer.ts";
import type { Expectations } from "../host/expectations.ts";
import { StandardInput } from "../host/stdin.ts";
import type { SerialLine, StopReason } from "../machine/outcome.ts";

const NEWLINE = 0x0a;

/** Standard output as the guest's consoles share it. */
class GuestOutput extends ByteWriter {
	private last = NEWLINE;

	/** The next byte begins a line. */
	get atLineStart(): boolean {
		return this.last === NEWLINE;
	}

	override write(byte: number): void {
		this.last = byte;
		super.write(byte);
	}
}

/** What a run ends with when a file takes no more of what is written to it. */
export function lost(what: string, error: unknown): StopReason {
	if (error instanceof Error && "code" in error && error.code === "EPIPE") return { kind: "signal", signal: "SIGPIPE" };
	return { kind: "output-error", detail: `${what}: ${error instanceof Error ? error.message : String(error)}` };
}

/** The outer side of a machine's serial ports and debug consoles. */
export class Consoles {
	readonly serial: readonly SerialLine[];
	readonly debugcon: SerialLine["output"];
	/** Standard input, where the machine's screen is shown. */
	readonly keyboard: ByteSource | undefined;
	readonly stdout: GuestOutput;
	private readonly sinks: BufferedSink[] = [];
	private readonly input: StandardInput;

	/** @throws UserError when a console's file cannot be created. */
	constructor(config: MachineConfig, expectations: Expectations, stop: (reason: StopReason) => void) {
		this.stdout = new GuestOutput(1, (error) => stop(lost("standard output", error)));
		this.input = new StandardInput(() => stop({ kind: "signal", signal: "SIGINT" }));
		const open = (target: OutputTarget, what: string): SerialLine["output"] => {
			const sink = this.open(target, what, stop);
			this.sinks.push(sink);
			return expectations.watch(sink);
		};
		this.keyboard = config.display === "text" ? this.input : undefined;
		const withInput = this.keyboard ? -1 : config.serial.findIndex((target) => target.to === "stdio");
		this.serial = config.serial.map((target, port): SerialLine => {
			const output = open(target, "--serial");
			return port === withInput ? { output, input: this.input } : { output };
		});
		this.debugcon = open(config.debugcon, "--debugcon");
	}

	private open(target: OutputTarget, what: string, stop: (reason: StopReason) => void): BufferedSink {
		if (target.to === "null") return nullSink;
		if (target.to === "stdio") return this.stdout;
		return new FileWriter(target.path, what, (error) => stop(lost(`${what}: ${target.path}`, error)));
	}

	/** Brings out everything and gives the terminal back. */
	close(): void {
		this.input.close();
		for (const sink of this.sinks) sink.close();
		this.stdout.flush();
	}
}
