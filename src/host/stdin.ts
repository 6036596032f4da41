import { fstatSync, readSync } from "node:fs";
import type { ByteSource } from "./byte-source.ts";
import { isNullDevice } from "./terminal.ts";

/** Bytes kept in hand before reading from standard input pauses. */
const ENOUGH = 65536;

/** Bytes that arrive by themselves and wait until they are taken. */
export class QueuedSource implements ByteSource {
	private readonly chunks: Uint8Array[] = [];
	private queued = 0;
	private closed = false;
	private wake: (() => void) | undefined;

	/** Bytes waiting. */
	get waiting(): number {
		return this.queued;
	}

	get ended(): boolean {
		return this.closed && this.queued === 0;
	}

	push(bytes: Uint8Array): void {
		if (bytes.length === 0 || this.closed) return;
		this.chunks.push(bytes);
		this.queued += bytes.length;
		this.wake?.();
	}

	/** Nothing more will come. */
	end(): void {
		this.closed = true;
		this.wake?.();
	}

	take(max: number): Uint8Array {
		const taken = new Uint8Array(Math.min(max, this.queued));
		let filled = 0;
		while (filled < taken.length) {
			const chunk = this.chunks[0]!;
			const part = chunk.subarray(0, taken.length - filled);
			taken.set(part, filled);
			filled += part.length;
			if (part.length === chunk.length) this.chunks.shift();
			else this.chunks[0] = chunk.subarray(part.length);
		}
		this.queued -= filled;
		return taken;
	}

	onArrival(wake: () => void): void {
		this.wake = wake;
	}
}

/** A file: it is read exactly when the guest has room, so that runs repeat. */
class FileSource implements ByteSource {
	private readonly descriptor: number;
	/** It has no moment of its own to arrive: a guest that sleeps does not look for it. */
	readonly ended = true;
	private atEnd = false;

	constructor(descriptor: number) {
		this.descriptor = descriptor;
	}

	take(max: number): Uint8Array {
		if (this.atEnd || max === 0) return new Uint8Array(0);
		const bytes = new Uint8Array(max);
		let got = 0;
		try {
			got = readSync(this.descriptor, bytes);
		} catch {
			// An unreadable file is one without input.
		}
		if (got === 0) this.atEnd = true;
		return bytes.subarray(0, got);
	}

	onArrival(): void {}
}

/** A regular file, or /dev/null: reading it never waits. */
function isFile(descriptor: number): boolean {
	try {
		const stat = fstatSync(descriptor);
		return stat.isFile() || isNullDevice(stat);
	} catch {
		// Closed: an empty stream.
		return false;
	}
}

/** Keys after Ctrl-A: x ends the run, Ctrl-A and Ctrl-C are passed on. */
const CTRL_A = 0x01;
const CTRL_C = 0x03;

/**
 * What a person types, without the keys meant for tsvmm: Ctrl-C or Ctrl-A x end the run; Ctrl-A Ctrl-C and Ctrl-A Ctrl-A send
 * that second key to the guest.
 */
export class KeyFilter {
	private escaped = false;
	private readonly quit: () => void;

	constructor(quit: () => void) {
		this.quit = quit;
	}

	pass(keys: Uint8Array): Uint8Array {
		const passed: number[] = [];
		for (const key of keys) {
			if (this.escaped) {
				this.escaped = false;
				if (key === CTRL_A || key === CTRL_C) passed.push(key);
				else if (key === 0x78 || key === 0x58) this.quit();
			} else if (key === CTRL_A) this.escaped = true;
			else if (key === CTRL_C) this.quit();
			else passed.push(key);
		}
		return Uint8Array.from(passed);
	}
}

/**
 * Standard input as a source of bytes. A terminal or a pipe is opened with the first turn of the event loop after someone
 * wants to hear of arrivals, so that a run that is over before that never touches it; a regular file with the first
 * {@link take}, because what it holds must not arrive at a moment that the host chooses.
 */
export class StandardInput implements ByteSource {
	private readonly quit: () => void;
	private source: ByteSource | undefined;
	private wake: () => void = () => {};
	private release: () => void = () => {};
	private closed = false;

	/** `quit` is called when a person at the terminal asks to end the run. */
	constructor(quit: () => void) {
		this.quit = quit;
	}

	get ended(): boolean {
		return this.opened().ended;
	}

	take(max: number): Uint8Array {
		return this.opened().take(max);
	}

	onArrival(wake: () => void): void {
		this.wake = wake;
		if (this.source !== undefined) this.source.onArrival(wake);
		else if (!isFile(0)) setImmediate(() => this.openedUnlessClosed());
	}

	/** Gives the terminal back as it was. Nothing is read afterwards. */
	close(): void {
		this.closed = true;
		this.release();
		this.release = () => {};
	}

	private openedUnlessClosed(): void {
		if (!this.closed) this.opened();
	}

	private opened(): ByteSource {
		if (this.source === undefined) {
			this.source = isFile(0) ? new FileSource(0) : this.openStream();
			this.source.onArrival(this.wake);
		}
		return this.source;
	}

	private openStream(): ByteSource {
		const queue = new QueuedSource();
		const { stdin } = process;
		const raw = stdin.isTTY && process.stdout.isTTY;
		const keys = raw ? new KeyFilter(this.quit) : undefined;
		if (raw) stdin.setRawMode(true);
		stdin.on("data", (chunk: Buffer) => {
			queue.push(keys?.pass(chunk) ?? chunk);
			if (queue.waiting > ENOUGH) stdin.pause();
		});
		stdin.on("end", () => queue.end());
		stdin.on("error", () => queue.end());
		this.release = () => {
			if (raw) stdin.setRawMode(false);
			stdin.destroy();
		};
		return {
			take(max) {
				const taken = queue.take(max);
				if (queue.waiting < ENOUGH && stdin.isPaused()) stdin.resume();
				return taken;
			},
			onArrival: (wake) => queue.onArrival(wake),
			get ended() {
				return queue.ended;
			},
		};
	}
}
