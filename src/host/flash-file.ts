import { closeSync, fstatSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import { assert, UserError } from "../base/errors.ts";
import { fileProblem } from "../base/file-problem.ts";
import { lockFile } from "./file-lock.ts";

/** Changes reach the file at the latest this long after they were made. */
const FLUSH_DELAY_MS = 100;
/** Separate dirty ranges kept; beyond that they are joined into one. */
const MAX_RANGES = 64;

export interface FlashFileOptions {
	/** Names the option in messages, such as `--flash`. */
	readonly what: string;
	readonly readonly: boolean;
	/** Bytes the image's length must be a multiple of. */
	readonly sectorSize: number;
	/** Bytes at most. */
	readonly limit: number;
}

/**
 * A flash image in the user's file. Changes are written in place, so the file keeps its identity, and only where the
 * guest changed something. What has been flushed survives the end of this process, however it ends; {@link close}
 * makes it survive the host's too.
 */
export class FlashFile {
	/** Bytes. */
	readonly size: number;
	private readonly name: string;
	private readonly descriptor: number;
	private readonly readonly: boolean;
	private readonly unlock: () => void;
	private memory: Uint8Array | undefined;
	/** Start and end of what memory has and the file has not. */
	private dirty: [start: number, end: number][] = [];
	private timer: NodeJS.Timeout | undefined;
	private open = true;

	/**
	 * Opens the image, locked against other writers unless it is read-only.
	 * @throws UserError for a file that is missing, not accessible, in use, or of a length no flash can have.
	 */
	constructor(file: string, options: FlashFileOptions) {
		this.name = `${options.what}: ${file}`;
		this.readonly = options.readonly;
		try {
			this.descriptor = openSync(file, options.readonly ? "r" : "r+");
		} catch (error) {
			throw new UserError(`${this.name} ${fileProblem(error)}${options.readonly ? "" : hint(error)}`);
		}
		try {
			this.size = this.checkedSize(options);
			this.unlock = options.readonly ? () => {} : lockFile(file, options.what);
		} catch (error) {
			closeSync(this.descriptor);
			throw error;
		}
	}

	/** Fills `memory`, as long as the image, from the file; from then on changes are taken from there. */
	load(memory: Uint8Array): void {
		assert(memory.length === this.size, "flash memory is as long as its file");
		try {
			for (let filled = 0; filled < this.size; ) {
				const read = readSync(this.descriptor, memory, filled, this.size - filled, filled);
				if (read === 0) throw new UserError(`${this.name} became shorter while it was read`);
				filled += read;
			}
		} catch (error) {
			throw error instanceof UserError ? error : new UserError(`${this.name} ${fileProblem(error)}`);
		}
		this.memory = memory;
	}

	/** Bytes of the memory have changed; they reach the file with the next flush, or soon. */
	write(offset: number, length: number): void {
		if (this.readonly || length === 0) return;
		const end = offset + length;
		const last = this.dirty.at(-1);
		if (last !== undefined && offset <= last[1] && end >= last[0]) {
			last[0] = Math.min(last[0], offset);
			last[1] = Math.max(last[1], end);
		} else {
			this.dirty.push([offset, end]);
			if (this.dirty.length > MAX_RANGES) this.joinRanges();
		}
		this.timer ??= setTimeout(() => this.flushLater(), FLUSH_DELAY_MS).unref();
	}

	/**
	 * Writes what has changed.
	 * @throws UserError when the host refuses; the next flush tries again.
	 */
	flush(): void {
		clearTimeout(this.timer);
		this.timer = undefined;
		for (let range = this.dirty[0]; range !== undefined; range = this.dirty[0]) {
			this.writeRange(range);
			this.dirty.shift();
		}
	}

	/** Flushes to the disk itself, gives the lock back and closes. May be called twice. */
	close(): void {
		if (!this.open) return;
		this.open = false;
		try {
			this.flush();
			if (!this.readonly) fsyncSync(this.descriptor);
		} catch (error) {
			throw error instanceof UserError ? error : new UserError(`${this.name} ${fileProblem(error)}`);
		} finally {
			closeSync(this.descriptor);
			this.unlock();
		}
	}

	private checkedSize(options: FlashFileOptions): number {
		const stat = fstatSync(this.descriptor);
		if (!stat.isFile()) throw new UserError(`${this.name} is not a regular file`);
		if (stat.size === 0) throw new UserError(`${this.name} is empty`);
		if (stat.size % options.sectorSize !== 0) {
			throw new UserError(
				`${this.name} is ${stat.size} bytes long; a flash image is a multiple of ${options.sectorSize} bytes`,
			);
		}
		if (stat.size > options.limit) {
			throw new UserError(`${this.name} is ${stat.size} bytes long; at most ${options.limit} are possible`);
		}
		return stat.size;
	}

	/** Joined ranges also write bytes in between; those are the same in the file. */
	private joinRanges(): void {
		const start = Math.min(...this.dirty.map((range) => range[0]));
		const end = Math.max(...this.dirty.map((range) => range[1]));
		this.dirty = [[start, end]];
	}

	private writeRange(range: [start: number, end: number]): void {
		const { memory } = this;
		assert(memory !== undefined, "a flash file is loaded before it is written");
		try {
			while (range[0] < range[1]) {
				range[0] += writeSync(this.descriptor, memory, range[0], range[1] - range[0], range[0]);
			}
		} catch (error) {
			throw new UserError(`${this.name} ${fileProblem(error)}`);
		}
	}

	/** The timer has nobody to tell that the host refused: the next flush tries again and tells. */
	private flushLater(): void {
		try {
			this.flush();
		} catch (error) {
			if (!(error instanceof UserError)) throw error;
		}
	}
}

function hint(error: unknown): string {
	const code = error instanceof Error && "code" in error ? error.code : "";
	return code === "EACCES" || code === "EPERM" || code === "EROFS" ? "; add ,readonly to leave it unchanged" : "";
}
