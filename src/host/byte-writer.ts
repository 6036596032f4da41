import { closeSync, openSync, writeSync } from "node:fs";
import { UserError } from "../base/errors.ts";
import { fileProblem } from "../base/file-problem.ts";
import type { ByteSink } from "../bus/device.ts";

/** A sink with a buffer behind it. */
export interface BufferedSink extends ByteSink {
	/** Everything written so far has reached the host when this returns. */
	flush(): void;
	/** Flushes and lets go. May be called repeatedly; nothing is written afterwards. */
	close(): void;
}

/** Bytes collected before they go out in one piece. */
const BUFFER = 16384;
/** Host milliseconds that bytes may wait in the buffer: too short to notice at a terminal, long enough to collect lines. */
const DELAY = 4;
/** Milliseconds between attempts on a terminal or pipe that is full. */
const RETRY = 1;

const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** Writes all of `bytes`, waiting where the other side is slow. */
export function writeFully(descriptor: number, bytes: Uint8Array): void {
	let done = 0;
	while (done < bytes.length) {
		try {
			done += writeSync(descriptor, bytes, done);
		} catch (error) {
			if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) throw error;
			Atomics.wait(sleeper, 0, 0, RETRY);
		}
	}
}

/** Collects a guest's bytes and writes them to a file descriptor in large pieces. */
export class ByteWriter implements BufferedSink {
	private readonly descriptor: number;
	private readonly onError: (error: unknown) => void;
	private readonly buffer = new Uint8Array(BUFFER);
	private used = 0;
	private timer: NodeJS.Timeout | undefined;
	private broken = false;

	/** `onError` is told once when the other side can take no more, for example a closed pipe; later bytes are dropped. */
	constructor(descriptor: number, onError: (error: unknown) => void) {
		this.descriptor = descriptor;
		this.onError = onError;
	}

	write(byte: number): void {
		if (this.used === 0) this.timer ??= setTimeout(() => this.flush(), DELAY);
		this.buffer[this.used++] = byte;
		if (this.used === BUFFER) this.flush();
	}

	/** UTF-8. */
	writeText(text: string): void {
		for (const byte of Buffer.from(text, "utf8")) this.write(byte);
	}

	flush(): void {
		clearTimeout(this.timer);
		this.timer = undefined;
		const { used } = this;
		this.used = 0;
		if (used === 0 || this.broken) return;
		try {
			writeFully(this.descriptor, this.buffer.subarray(0, used));
		} catch (error) {
			this.broken = true;
			this.onError(error);
		}
	}

	/** The descriptor stays open: whoever opened it closes it. */
	close(): void {
		this.flush();
	}
}

/** A {@link ByteWriter} to a file of its own, which it creates or empties. */
export class FileWriter extends ByteWriter {
	private readonly file: number;
	private closed = false;

	/**
	 * `what` names the option in messages.
	 * @throws UserError when the file cannot be created.
	 */
	constructor(path: string, what: string, onError: (error: unknown) => void) {
		let file: number;
		try {
			file = openSync(path, "w");
		} catch (error) {
			throw new UserError(`${what}: ${path} ${fileProblem(error)}`);
		}
		super(file, onError);
		this.file = file;
	}

	override close(): void {
		if (this.closed) return;
		this.closed = true;
		super.close();
		closeSync(this.file);
	}
}

/** Drops everything. */
export const nullSink: BufferedSink = {
	write() {},
	flush() {},
	close() {},
};
