import { linkSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { UserError } from "../base/errors.ts";
import { fileProblem } from "../base/file-problem.ts";

/** Others may take and drop the lock while this process looks; after so many looks it counts as taken. */
const ATTEMPTS = 5;

/** Who holds a lock: three lines of text. */
interface Holder {
	readonly pid: number;
	/** When the process started, in the system's own terms; empty where the system does not tell. */
	readonly started: string;
	readonly host: string;
}

/**
 * Takes the advisory lock of a file: FILE.lock beside it, naming the process. A lock whose process is gone is removed.
 * `what` names the option in messages. Returns what gives the lock back.
 * @throws UserError when a living process holds it, or it cannot be made.
 */
export function lockFile(file: string, what: string): () => void {
	const path = `${realpathSync(file)}.lock`;
	const mine = describe({ pid: process.pid, started: startOf(process.pid), host: hostname() });
	for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
		if (create(path, mine, what)) return () => release(path, mine);
		const text = contents(path);
		if (text === undefined) continue;
		const holder = parse(text);
		if (alive(holder)) {
			throw new UserError(`${what}: ${file} is in use${by(holder)} (its lock is ${path})`);
		}
		removeStale(path, text);
	}
	throw new UserError(`${what}: ${file} is in use (its lock is ${path})`);
}

function by(holder: Holder): string {
	if (Number.isNaN(holder.pid)) return "";
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
		throw new UserError(`${what}: the lock ${path} ${fileProblem(error)}`);
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

/** Start time of a process in clock ticks since boot (proc(5): stat, field 22), so that a reused number is noticed. */
function startOf(pid: number): string {
	const stat = contents(`/proc/${pid}/stat`);
	return stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
}

function codeOf(error: unknown): string {
	return error instanceof Error && "code" in error ? String(error.code) : "";
}
