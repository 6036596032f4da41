import { fstatSync, readdirSync, readFileSync, type Stats, statSync } from "node:fs";

/** A process that has a file open. */
export interface FileUser {
	readonly pid: number;
	/** What it calls itself, at most 15 characters; empty where that cannot be read. */
	readonly name: string;
	/** It has opened the file for writing. */
	readonly writes: boolean;
}

/**
 * Who has the file open, under whatever name, apart from `descriptor` itself: on Linux, as far as this process may look into others.
 * Takes milliseconds.
 */
export function usersOf(descriptor: number): FileUser[] {
	const { dev, ino } = fstatSync(descriptor);
	const users: FileUser[] = [];
	for (const pid of numbersIn("/proc")) {
		for (const number of numbersIn(`/proc/${pid}/fd`)) {
			if (pid === process.pid && number === descriptor) continue;
			const stat = statOf(`/proc/${pid}/fd/${number}`);
			if (stat?.dev === dev && stat.ino === ino) {
				users.push({ pid, name: text(`/proc/${pid}/comm`).trim(), writes: writes(pid, number) });
			}
		}
	}
	return users;
}

/** proc(5): fdinfo has the flags of open(2) in octal; the last two bits are the access mode. */
function writes(pid: number, descriptor: number): boolean {
	const flags = /^flags:\s*([0-7]+)$/m.exec(text(`/proc/${pid}/fdinfo/${descriptor}`))?.[1];
	return flags !== undefined && (Number.parseInt(flags, 8) & 3) !== 0;
}

/** Undefined for what is gone, or not for us to know. */
function statOf(path: string): Stats | undefined {
	try {
		return statSync(path);
	} catch {
		return undefined;
	}
}

/** Names in a folder that are numbers; none where it cannot be read. */
function numbersIn(folder: string): number[] {
	try {
		return readdirSync(folder)
			.map(Number)
			.filter((number) => Number.isSafeInteger(number));
	} catch {
		return [];
	}
}

function text(path: string): string {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return "";
	}
}
