import { closeSync, fdatasyncSync, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { UserError } from "../base/errors.ts";
import { fileProblem, writeHint } from "../base/file-problem.ts";
import { type BlockStore, SECTOR } from "../bus/block-store.ts";
import { atExit } from "./at-exit.ts";
import { lockFile } from "./file-lock.ts";

/** What is read from the file at once, so that sector after sector costs no call each. */
const PIECE = 64 * 1024;
/** Pieces kept. */
const CACHED_PIECES = 32;
/** What changes are kept in, where they do not go to the file. */
const PAGE = 4096;

/** Where changes go: to the file at once, to the file when it is closed, or nowhere. */
export type Keep = "now" | "at-close" | "never";

export interface DiskImageOptions {
	/** Names the option in messages, such as `--drive`. */
	readonly what: string;
	/** The guest cannot write. */
	readonly readonly: boolean;
	readonly keep: Keep;
	/** Bytes that the image's length must be a multiple of. */
	readonly unit: number;
}

/** A raw disk image in the user's file: as much of it is in memory as helps, and what the guest changed and the file shall not have yet. */
export class DiskImage implements BlockStore {
	readonly sectors: number;
	readonly readonly: boolean;
	private readonly name: string;
	private readonly descriptor: number;
	private readonly keep: Keep;
	private readonly size: number;
	private readonly unlock: () => void;
	private readonly forget: () => void;
	/** By number; the one used longest ago comes first. */
	private readonly pieces = new Map<number, Uint8Array>();
	/** Changed pages by number, where changes do not go to the file. */
	private readonly pages = new Map<number, Uint8Array>();
	private open = true;

	/**
	 * Opens the image, locked against other writers where it may be written.
	 * @throws UserError for a file that is missing, not accessible, in use, or of a length that no disk has.
	 */
	constructor(file: string, options: DiskImageOptions) {
		this.name = `${options.what}: ${file}`;
		this.readonly = options.readonly;
		this.keep = options.readonly ? "never" : options.keep;
		const writes = this.keep !== "never";
		try {
			this.descriptor = openSync(file, writes ? "r+" : "r");
		} catch (error) {
			throw new UserError(`${this.name} ${fileProblem(error)}${writes ? writeHint(error) : ""}`);
		}
		try {
			this.size = this.checkedSize(options.unit);
			this.unlock = writes ? lockFile(file, this.descriptor, options.what) : () => {};
		} catch (error) {
			closeSync(this.descriptor);
			throw error;
		}
		this.sectors = this.size / SECTOR;
		this.forget = atExit(() => this.close());
	}

	read(sector: number, into: Uint8Array): boolean {
		const start = sector * SECTOR;
		try {
			for (let done = 0; done < into.length; ) {
				const at = start + done;
				const page = this.pages.get(Math.floor(at / PAGE));
				const room = page ? PAGE - (at % PAGE) : this.unchanged(at, into.length - done);
				const part = into.subarray(done, done + Math.min(room, into.length - done));
				if (page) part.set(page.subarray(at % PAGE, (at % PAGE) + part.length));
				else this.readFile(at, part);
				done += part.length;
			}
			return true;
		} catch (error) {
			if (isRefusal(error)) return false;
			throw error;
		}
	}

	write(sector: number, from: Uint8Array): boolean {
		const start = sector * SECTOR;
		try {
			if (this.keep === "now") this.writeFile(start, from);
			else this.change(start, from);
			return true;
		} catch (error) {
			if (isRefusal(error)) return false;
			throw error;
		}
	}

	flush(): boolean {
		if (this.keep !== "now") return true;
		try {
			fdatasyncSync(this.descriptor);
			return true;
		} catch {
			return false;
		}
	}

	/** Everything that the file shall have reaches the disk; gives the lock back. May be called twice. */
	close(): void {
		if (!this.open) return;
		this.open = false;
		this.forget();
		try {
			if (this.keep === "at-close")
				for (const [number, page] of this.pages) this.writeFile(number * PAGE, this.clipped(number, page));
			if (this.keep !== "never") fdatasyncSync(this.descriptor);
		} catch (error) {
			throw new UserError(`${this.name} ${fileProblem(error)}`);
		} finally {
			closeSync(this.descriptor);
			this.unlock();
		}
	}

	private checkedSize(unit: number): number {
		const stat = fstatSync(this.descriptor);
		if (!stat.isFile()) throw new UserError(`${this.name} is not a regular file`);
		if (stat.size === 0) throw new UserError(`${this.name} is empty`);
		if (stat.size % unit !== 0) {
			throw new UserError(`${this.name} is ${stat.size} bytes long; a raw image is a multiple of ${unit} bytes`);
		}
		return stat.size;
	}

	/** How many of `length` bytes from `at` on come from the file, at least one. */
	private unchanged(at: number, length: number): number {
		if (this.pages.size === 0) return length;
		let end = (Math.floor(at / PAGE) + 1) * PAGE;
		while (end < at + length && !this.pages.has(end / PAGE)) end += PAGE;
		return end - at;
	}

	/** Small reads come from pieces that are kept, large ones straight from the file. */
	private readFile(at: number, into: Uint8Array): void {
		if (into.length >= PIECE) {
			this.readFully(at, into);
			return;
		}
		for (let done = 0; done < into.length; ) {
			const offset = (at + done) % PIECE;
			const piece = this.piece((at + done - offset) / PIECE);
			const part = piece.subarray(offset, offset + into.length - done);
			into.set(part, done);
			done += part.length;
		}
	}

	private piece(number: number): Uint8Array {
		let piece = this.pieces.get(number);
		if (piece === undefined) {
			piece = new Uint8Array(Math.min(PIECE, this.size - number * PIECE));
			this.readFully(number * PIECE, piece);
			const [oldest] = this.pieces.keys();
			if (oldest !== undefined && this.pieces.size >= CACHED_PIECES) this.pieces.delete(oldest);
		} else this.pieces.delete(number);
		this.pieces.set(number, piece);
		return piece;
	}

	private readFully(at: number, into: Uint8Array): void {
		for (let done = 0; done < into.length; ) {
			const bytes = readSync(this.descriptor, into, done, into.length - done, at + done);
			// The file has become shorter.
			if (bytes === 0) throw new Refusal();
			done += bytes;
		}
	}

	private writeFile(at: number, from: Uint8Array): void {
		for (let number = Math.floor(at / PIECE); number * PIECE < at + from.length; number++) this.pieces.delete(number);
		for (let done = 0; done < from.length; ) {
			done += writeSync(this.descriptor, from, done, from.length - done, at + done);
		}
	}

	private change(at: number, from: Uint8Array): void {
		for (let done = 0; done < from.length; ) {
			const number = Math.floor((at + done) / PAGE);
			const offset = (at + done) % PAGE;
			const bytes = Math.min(PAGE - offset, from.length - done);
			let page = this.pages.get(number);
			if (page === undefined) {
				page = new Uint8Array(PAGE);
				if (bytes < PAGE) this.readFile(number * PAGE, this.clipped(number, page));
				this.pages.set(number, page);
			}
			page.set(from.subarray(done, done + bytes), offset);
			done += bytes;
		}
	}

	/** What of a page lies within the image. */
	private clipped(number: number, page: Uint8Array): Uint8Array {
		return page.subarray(0, Math.min(PAGE, this.size - number * PAGE));
	}
}

/** The host has not given what it had. */
class Refusal extends Error {}

function isRefusal(error: unknown): boolean {
	return error instanceof Refusal || (error instanceof Error && "syscall" in error);
}
