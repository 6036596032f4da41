import { fstatSync } from "node:fs";

/** Whether a person sees what goes to `descriptor`. Node's terminal module is loaded only where it may be one. */
export function isTerminal(descriptor: number): boolean {
	try {
		return fstatSync(descriptor).isCharacterDevice() && process.getBuiltinModule("node:tty").isatty(descriptor);
	} catch {
		// A closed descriptor.
		return false;
	}
}
