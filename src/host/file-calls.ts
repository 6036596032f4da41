import {
	closeSync,
	fdatasyncSync,
	fstatSync,
	fsyncSync,
	openSync,
	readSync,
	realpathSync,
	rmSync,
	writeSync,
} from "node:fs";
import { lockFile } from "./file-lock.ts";

/**
 * The calls that a flash file makes on the host, one system call each but for {@link FileCalls.lock}: what is durable after a
 * kill at any of them can be tested. All throw what node:fs throws.
 */
export interface FileCalls {
	/** The path with symbolic links followed. */
	resolve(path: string): string;
	/** `w+` makes an empty file, `r+` and `r` open one that is there. */
	open(path: string, mode: "r" | "r+" | "w+"): number;
	/** Bytes; undefined where it is no regular file. */
	size(descriptor: number): number | undefined;
	/** At most as many bytes as `into` has. @returns how many, 0 at the end. */
	read(descriptor: number, into: Uint8Array, position: number): number;
	/** At least one byte of `from`. @returns how many. */
	write(descriptor: number, from: Uint8Array, position: number): number;
	/** The contents reach the disk. */
	sync(descriptor: number): void;
	/** The names in a folder reach the disk. */
	syncFolder(path: string): void;
	remove(path: string): void;
	close(descriptor: number): void;
	/** See {@link lockFile}. */
	lock(path: string, descriptor: number, what: string): () => void;
}

export const hostFiles: FileCalls = {
	resolve: (path) => realpathSync(path),
	open: (path, mode) => openSync(path, mode),
	size: (descriptor) => {
		const stat = fstatSync(descriptor);
		return stat.isFile() ? stat.size : undefined;
	},
	read: (descriptor, into, position) => readSync(descriptor, into, 0, into.length, position),
	write: (descriptor, from, position) => writeSync(descriptor, from, 0, from.length, position),
	sync: (descriptor) => fdatasyncSync(descriptor),
	syncFolder: (path) => {
		const descriptor = openSync(path, "r");
		try {
			fsyncSync(descriptor);
		} finally {
			closeSync(descriptor);
		}
	},
	remove: (path) => rmSync(path, { force: true }),
	close: (descriptor) => closeSync(descriptor),
	lock: lockFile,
};

/** Reads as many bytes as `into` has. @returns how many there were. */
export function readFully(files: FileCalls, descriptor: number, into: Uint8Array): number {
	let filled = 0;
	while (filled < into.length) {
		const read = files.read(descriptor, into.subarray(filled), filled);
		if (read === 0) break;
		filled += read;
	}
	return filled;
}

/** Writes all of `from` at `position`. */
export function writeAll(files: FileCalls, descriptor: number, from: Uint8Array, position: number): void {
	for (let done = 0; done < from.length; ) done += files.write(descriptor, from.subarray(done), position + done);
}
