import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { UserError } from "../../base/errors.ts";
import { fileProblem } from "../../base/file-problem.ts";
import { Bytes, Damaged } from "./bytes.ts";

// Windows knows no pipes in the file system, and no such flag.
const NONBLOCKING_READ = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);
/** Most bytes of one section or text: more is no symbol file. */
const MOST = 2 ** 30;
/** Node cannot have strings of twice that length. */
const LONGEST_TEXT = 2 ** 28;

/** A file with symbols, of which only what is asked for is read. */
export class SymbolFile {
	readonly path: string;
	readonly size: number;
	private readonly what: string;
	private readonly descriptor: number;

	/** @throws UserError for a file that is missing, not accessible or no regular file. */
	constructor(path: string, what: string) {
		this.path = path;
		this.what = what;
		try {
			// A pipe without a writer would wait for ever.
			this.descriptor = openSync(path, NONBLOCKING_READ);
		} catch (error) {
			throw new UserError(`${what}: ${path} ${fileProblem(error)}`);
		}
		const status = fstatSync(this.descriptor);
		if (!status.isFile()) {
			closeSync(this.descriptor);
			throw new UserError(`${what}: ${path} is not a regular file`);
		}
		this.size = status.size;
	}

	/** @param what the bytes are, for messages @throws Damaged where they are not all there. */
	read(at: number, size: number, what: string): Bytes {
		if (at < 0 || size < 0 || at + size > this.size || size > MOST)
			throw new Damaged(`is damaged or truncated: ${what} ends at byte ${at + size}, and the file has ${this.size}`);
		const bytes = Buffer.allocUnsafeSlow(size);
		for (let done = 0; done < size; ) {
			const read = readSync(this.descriptor, bytes, done, size - done, at + done);
			if (read === 0) throw new Damaged(`has become shorter while it was read`);
			done += read;
		}
		return new Bytes(bytes, what);
	}

	/** The same file, opened once more. */
	again(): SymbolFile {
		return new SymbolFile(this.path, this.what);
	}

	/** All of a file of text. @throws Damaged for more than any list of symbols is */
	text(): string {
		if (this.size > LONGEST_TEXT) throw new Damaged(`has ${this.size} bytes of text; at most ${LONGEST_TEXT} are read`);
		return this.read(0, this.size, "its text").data.toString("utf8");
	}

	close(): void {
		closeSync(this.descriptor);
	}
}
