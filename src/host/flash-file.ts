import { assert, UserError } from "../base/errors.ts";
import { codeOf, fileProblem, writeHint } from "../base/file-problem.ts";
import { atExit } from "./at-exit.ts";
import { type FileCalls, hostFiles, readFully, writeAll } from "./file-calls.ts";
import { bytesAfter, type Intent, intentOf, progressOf } from "./flash-intent.ts";
import { IntentFile } from "./flash-intent-file.ts";

/** Changes reach the file at the latest this long after they were made. */
const FLUSH_DELAY_MS = 100;
/** The host writes what lies in one page whole or not at all, however this process ends. Larger pages are multiples of it. */
const PAGE = 4096;
/** Pages that wait to be written, at most. */
const MAX_WAITING = 64;

export interface FlashFileOptions {
	/** Names the option in messages, such as `--flash`. */
	readonly what: string;
	/** The file is only read. What is changed stays in memory. */
	readonly readonly: boolean;
	/** Bytes the image's length must be a multiple of. */
	readonly sectorSize: number;
	/** Bytes at most. */
	readonly limit: number;
	/** Told, once, when the host does not take what has changed: from then on the file stays as it is. */
	readonly failed: (problem: string) => void;
}

/** A part of one page that has been changed, and in which the file is not yet as {@link FlashFile} wants it. */
interface Change {
	readonly page: number;
	start: number;
	end: number;
}

/**
 * A flash image in the user's file. Changes are written in place, so the file keeps its identity, in the order in which they were
 * made, and only where the guest changed something. However this process ends, the file holds what was changed before the last
 * flush, and of what came after it a beginning. A change that was written at once is in the file as a whole or not at all: within a
 * page by itself, across pages because an {@link IntentFile} has told of it before. What has been synced survives the host's end, too.
 */
export class FlashFile {
	/** Bytes. */
	readonly size: number;
	private readonly name: string;
	private readonly files: FileCalls;
	private readonly descriptor: number;
	private readonly readonly: boolean;
	private readonly failed: (problem: string) => void;
	private readonly intentFile: IntentFile;
	private readonly unlock: () => void;
	private readonly forget: () => void;
	private memory: Uint8Array | undefined;
	/** The image as it shall be in the file; the memory may be further. Absent where nothing is written. */
	private image: Uint8Array | undefined;
	/** What is to be written, in this order; no page twice. */
	private waiting: Change[] = [];
	/** Something has been written that may not have reached the disk. */
	private unsynced = false;
	/** The host refused a change: the file shall not get what came after it. */
	private broken = false;
	/** The intent file tells of a change that is not done. */
	private inDoubt = false;
	private timer: NodeJS.Timeout | undefined;
	private isOpen = true;

	/**
	 * Opens the image, locked against other writers unless it is read-only.
	 * @throws UserError for a file that is missing, not accessible, in use, or of a length no flash can have.
	 */
	constructor(file: string, options: FlashFileOptions, files: FileCalls = hostFiles) {
		this.name = `${options.what}: ${file}`;
		this.readonly = options.readonly;
		this.failed = options.failed;
		this.files = files;
		try {
			this.descriptor = files.open(file, options.readonly ? "r" : "r+");
		} catch (error) {
			throw this.complaint(error, options.readonly ? "" : writeHint(error));
		}
		try {
			this.intentFile = new IntentFile(files.resolve(file), files);
			this.size = this.checkedSize(options);
			this.unlock = options.readonly ? () => {} : files.lock(file, this.descriptor, options.what);
		} catch (error) {
			files.close(this.descriptor);
			throw error;
		}
		this.forget = atExit(() => this.close());
	}

	/**
	 * Fills `memory`, as long as the image, from the file; from then on changes are taken from there. A change that a run before
	 * could not finish is finished; in memory only, where the file is only read.
	 * @throws UserError where the image cannot be read or such a change cannot be understood.
	 */
	load(memory: Uint8Array): void {
		assert(memory.length === this.size, "flash memory is as long as its file");
		const image = new Uint8Array(this.size);
		try {
			if (readFully(this.files, this.descriptor, image) < this.size) {
				throw new UserError(`${this.name} became shorter while it was read`);
			}
			this.recover(image);
		} catch (error) {
			throw this.complaint(error);
		}
		memory.set(image);
		this.memory = memory;
		if (!this.readonly) this.image = image;
	}

	/** Bytes of the memory have changed, at once; they reach the file with the next flush, or soon. */
	write(offset: number, length: number): void {
		const { image, memory } = this;
		if (image === undefined || memory === undefined || this.broken || length === 0) return;
		const page = Math.floor(offset / PAGE);
		const end = offset + length;
		if (end > (page + 1) * PAGE) {
			this.writeAcross(image, offset, memory.slice(offset, end));
			return;
		}
		this.await(page, offset, end);
		if (length === 1) image[offset] = memory[offset]!;
		else image.set(memory.subarray(offset, end), offset);
		this.timer ??= setTimeout(() => this.flush(), FLUSH_DELAY_MS).unref();
	}

	/** Writes what has changed. */
	flush(): void {
		clearTimeout(this.timer);
		this.timer = undefined;
		const { waiting, image } = this;
		if (waiting.length === 0 || image === undefined) return;
		this.waiting = [];
		this.attempt(() => {
			this.unsynced = true;
			for (const { start, end } of waiting) writeAll(this.files, this.descriptor, image.subarray(start, end), start);
		});
	}

	/** Writes what has changed, to the disk itself. */
	sync(): void {
		this.flush();
		if (!this.unsynced) return;
		this.attempt(() => {
			this.files.sync(this.descriptor);
			this.unsynced = false;
		});
	}

	/** Syncs, gives the lock back and closes. May be called twice. */
	close(): void {
		if (!this.isOpen) return;
		this.isOpen = false;
		this.forget();
		try {
			this.sync();
			this.intentFile.close(this.inDoubt);
		} finally {
			this.files.close(this.descriptor);
			this.unlock();
		}
	}

	private checkedSize(options: FlashFileOptions): number {
		const size = this.files.size(this.descriptor);
		if (size === undefined) throw new UserError(`${this.name} is not a regular file`);
		if (size === 0) throw new UserError(`${this.name} is empty`);
		if (size % options.sectorSize !== 0) {
			throw new UserError(
				`${this.name} is ${size} bytes long; a flash image is a multiple of ${options.sectorSize} bytes`,
			);
		}
		if (size > options.limit) {
			throw new UserError(`${this.name} is ${size} bytes long; at most ${options.limit} are possible`);
		}
		return size;
	}

	/** `image` is as the file; becomes what it was to be. */
	private recover(image: Uint8Array): void {
		const { intentFile } = this;
		const intent = intentFile.left();
		if (intent !== undefined) this.finish(intent, image);
		if (!this.readonly) intentFile.remove();
	}

	private finish(intent: Intent, image: Uint8Array): void {
		const progress = progressOf(intent, image);
		if (progress === "unclear") {
			throw new UserError(
				`${this.name} may be damaged: ${this.intentFile.path} tells of a change that a run could not finish, but the image has only parts of it; if it is good as it is, remove that file`,
			);
		}
		if (progress !== "torn") return;
		const after = bytesAfter(intent);
		image.set(after, intent.offset);
		if (this.readonly) return;
		writeAll(this.files, this.descriptor, after, intent.offset);
		this.files.sync(this.descriptor);
	}

	/** A part of a page waits to be written, behind what waits already. */
	private await(page: number, start: number, end: number): void {
		const last = this.waiting.at(-1);
		if (last?.page === page) {
			last.start = Math.min(last.start, start);
			last.end = Math.max(last.end, end);
			return;
		}
		if (this.waiting.length >= MAX_WAITING || this.waiting.some((change) => change.page === page)) this.flush();
		this.waiting.push({ page, start, end });
	}

	/** A change of several pages: written down, made, and crossed out, each on the disk before the next, and what came before it first. */
	private writeAcross(image: Uint8Array, offset: number, after: Uint8Array): void {
		this.sync();
		const { files, intentFile, descriptor } = this;
		this.attempt(() => {
			intentFile.write(intentOf(image, offset, after));
			this.inDoubt = true;
			writeAll(files, descriptor, after, offset);
			files.sync(descriptor);
			intentFile.clear();
			this.inDoubt = false;
		});
		image.set(after, offset);
	}

	/** What the host refused, in words for the user; any other error as it is. */
	private complaint(error: unknown, hint = ""): unknown {
		return codeOf(error) === "" ? error : new UserError(`${this.name} ${fileProblem(error)}${hint}`);
	}

	/** Does what the host may refuse, unless it has refused before. */
	private attempt(action: () => void): void {
		if (this.broken) return;
		try {
			action();
		} catch (error) {
			if (codeOf(error) === "") throw error;
			this.broken = true;
			this.failed(`${this.name} ${fileProblem(error)}; the last changes are not in it`);
		}
	}
}
