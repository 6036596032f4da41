import { fstatSync, linkSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { UserError } from "../base/errors.ts";
import { codeOf, fileProblem, writeHint } from "../base/file-problem.ts";
import { atExit } from "./at-exit.ts";
import { type FileUser, usersOf } from "./file-users.ts";
import { forbidsWriting, lockRanges } from "./range-locks.ts";

/** Others may take and drop the lock while this process looks; after so many looks it counts as taken. */
const ATTEMPTS = 5;

/** Who holds a lock: three lines of text. */
interface Holder {
	readonly pid: number;
	/** When the process started; empty where the system does not tell. */
	readonly started: string;
	readonly host: string;
}

/**
 * Takes the locks of a writer of a file that is open for writing. FILE.lock beside it names the process, on every host; one whose
 * process is gone is removed. On Linux the file itself is locked as QEMU does it, whatever its name, until the descriptor is closed.
 * `what` names the option in messages. Returns what gives FILE.lock back; the end of the process does that, too.
 * @throws UserError when a living process holds one of them or, as far as that can be seen, writes to the file, or FILE.lock cannot be made.
 */
export function lockFile(file: string, descriptor: number, what: string): () => void {
	const release = lockBeside(file, what);
	const forget = atExit(release);
	const unlock = (): void => {
		forget();
		release();
	};
	try {
		if (isWritten(descriptor)) {
			throw new UserError(`${what}: ${file} is in use${by(usersOf(descriptor))}`);
		}
	} catch (error) {
		unlock();
		throw error;
	}
	return unlock;
}

/** Locks the file itself, or finds that somebody else writes to it. */
function isWritten(descriptor: number): boolean {
	const locks = lockRanges(descriptor);
	if (locks !== "unavailable") return locks === "refused";
	const { dev, ino, nlink } = fstatSync(descriptor, { bigint: true });
	if (forbidsWriting(contents("/proc/locks") ?? "", dev, ino)) return true;
	// Under another name it may have another FILE.lock.
	return nlink > 1n && usersOf(descriptor).some((user) => user.writes);
}

function by(users: readonly FileUser[]): string {
	const user = users.find(({ writes }) => writes) ?? users[0];
	if (user === undefined) return "";
	return user.pid === process.pid
		? " by this process already"
		: ` by process ${user.pid}${user.name && ` (${user.name})`}`;
}

/** FILE.lock. */
function lockBeside(file: string, what: string): () => void {
	const path = `${realpathSync(file)}.lock`;
	const mine = describe({ pid: process.pid, started: startOf(process.pid), host: hostname() });
	const inUse = (holder: string) => new UserError(`${what}: ${file} is in use${holder} (its lock is ${path})`);
	for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
		if (create(path, mine, what)) return () => release(path, mine);
		const text = contents(path);
		if (text === undefined) continue;
		const holder = parse(text);
		if (alive(holder)) throw inUse(nameOf(holder));
		removeStale(path, text);
	}
	throw inUse("");
}

function nameOf(holder: Holder): string {
	if (Number.isNaN(holder.pid)) return "";
	if (holder.pid === process.pid && holder.host === hostname()) return " by this process already";
	return ` by process ${holder.pid}${holder.host === hostname() ? "" : ` on ${holder.host}`}`;
}

/** Makes the lock with its contents in one step; false when there is one already. */
function create(path: string, text: string, what: string): boolean {
	const draft = `${path}.${process.pid}`;
	try {
		writeFileSync(draft, text);
		try {
			linkSync(draft, path);
		} catch (error) {
			if (codeOf(error) === "EEXIST") return false;
			// A file system without links: the contents follow the name a moment later.
			writeFileSync(path, text, { flag: "wx" });
		} finally {
			rmSync(draft, { force: true });
		}
		return true;
	} catch (error) {
		if (codeOf(error) === "EEXIST") return false;
		throw new UserError(`${what}: the lock ${path} ${fileProblem(error)}${writeHint(error)}`);
	}
}

/** Moves the lock aside before it goes, and puts it back when somebody else has renewed it meanwhile. */
function removeStale(path: string, text: string): void {
	const aside = `${path}.${process.pid}.stale`;
	try {
		renameSync(path, aside);
		if (contents(aside) !== text) linkSync(aside, path);
	} catch {
		// Somebody else was faster; the next look shows what came of it.
	}
	rmSync(aside, { force: true });
}

function release(path: string, mine: string): void {
	if (contents(path) === mine) rmSync(path, { force: true });
}

function contents(path: string): string | undefined {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return undefined;
	}
}

function describe(holder: Holder): string {
	return `${holder.pid}\n${holder.started}\n${holder.host}\n`;
}

function parse(text: string): Holder {
	const [pid = "", started = "", host = ""] = text.split("\n");
	return { pid: Number.parseInt(pid, 10), started, host };
}

/** A process of another host cannot be asked; neither can a lock that says nothing. */
function alive(holder: Holder): boolean {
	if (holder.host !== hostname()) return true;
	if (!Number.isSafeInteger(holder.pid) || holder.pid <= 0) return true;
	try {
		process.kill(holder.pid, 0);
	} catch (error) {
		if (codeOf(error) === "ESRCH") return false;
	}
	const started = startOf(holder.pid);
	return started === "" || holder.started === "" || started === holder.started;
}

/**
 * Start of a process, so that a reused number is noticed: the boot's name, which every boot has anew, and clock ticks since then
 * (proc(5): stat, field 22).
 */
function startOf(pid: number): string {
	const stat = contents(`/proc/${pid}/stat`);
	const ticks = stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
	return ticks === undefined ? "" : `${contents("/proc/sys/kernel/random/boot_id")?.trim() ?? ""} ${ticks}`;
}
