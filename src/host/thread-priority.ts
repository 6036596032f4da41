import { readdirSync } from "node:fs";
import { setPriority } from "node:os";

/** Nice value of threads that work beside the guest's: they have a tenth of its claim on a processor that both want. */
const BESIDE = 10;

/** On Linux a priority belongs to a thread; elsewhere to the whole process, which keeps its own. */
const HAS_THREADS = process.platform === "linux";

/** This thread, not the main one, leaves processors to those who want them more. */
export function yieldToOthers(): void {
	if (HAS_THREADS) attempt(0);
}

/** All threads of this process but the main one leave processors to it: they compile for V8 and collect its garbage. */
export function favourMainThread(): void {
	if (!HAS_THREADS) return;
	let tasks: readonly string[];
	try {
		tasks = readdirSync("/proc/self/task");
	} catch {
		// No /proc: everything stays as it is.
		return;
	}
	for (const task of tasks) if (Number(task) !== process.pid) attempt(Number(task));
}

function attempt(thread: number): void {
	try {
		setPriority(thread, BESIDE);
	} catch {
		// A thread that has ended, or a host that does not let us.
	}
}
