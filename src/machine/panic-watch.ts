import type { Alarm, ByteSink, Clock } from "../bus/device.ts";
import type { Requests } from "./requests.ts";

const NEWLINE = 0x0a;
/** Bytes of a line that are looked at, and characters of a message that are kept. */
const LONGEST_LINE = 4096;
const LONGEST_MESSAGE = 300;
/** Guest nanoseconds after a panic in which the guest may say more about it, and end by itself. */
const PATIENCE_NS = 1e9;

/**
 * Looks in a guest's consoles, line by line, for the text by which a kernel says that it gives up. What follows (a trace of calls)
 * is still let through: the run ends with the line in which the text appears on the same console once more, as Linux has it at
 * the end of a panic, one second of guest time later, or when the guest ends by itself, by a reset for instance.
 */
export class PanicWatch {
	private readonly text: string;
	private readonly clock: Clock;
	private readonly requests: Requests;
	private readonly alarm: Alarm;
	private found: string | undefined;

	constructor(text: string, clock: Clock, requests: Requests) {
		this.text = text;
		this.clock = clock;
		this.requests = requests;
		this.alarm = clock.alarm(() => this.end());
		requests.explainBy(() => this.found);
	}

	/** A sink that watches one console and passes it on. */
	watch(sink: ByteSink): ByteSink {
		let line: number[] = [];
		let seen = 0;
		return {
			write: (byte) => {
				sink.write(byte);
				if ((byte & 0xff) !== NEWLINE) {
					if (line.length < LONGEST_LINE) line.push(byte & 0xff);
					return;
				}
				const message = this.messageIn(line);
				line = [];
				if (message === undefined) return;
				this.panicked(message);
				if (++seen === 2) this.end();
			},
		};
	}

	private messageIn(line: readonly number[]): string | undefined {
		if (line.length < this.text.length) return undefined;
		const text = new TextDecoder().decode(Uint8Array.from(line));
		const at = text.indexOf(this.text);
		return at < 0 ? undefined : text.slice(at, at + LONGEST_MESSAGE).trimEnd();
	}

	/** The first message counts. */
	private panicked(message: string): void {
		if (this.found !== undefined) return;
		this.found = message;
		this.alarm.at(this.clock.now() + PATIENCE_NS);
	}

	private end(): void {
		if (this.found !== undefined) this.requests.finish({ kind: "panic", message: this.found });
	}
}
