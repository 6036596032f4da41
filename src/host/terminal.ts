import { fstatSync, type Stats } from "node:fs";

/** Linux's device number of /dev/null. */
const NULL_DEVICE = 0x103;

/** Whether it is /dev/null, where nothing comes from and nobody looks. */
export function isNullDevice(stat: Stats): boolean {
	return stat.isCharacterDevice() && stat.rdev === NULL_DEVICE;
}

/** Whether a person sees what goes to `descriptor`. Node's terminal module is loaded only where it may be one. */
export function isTerminal(descriptor: number): boolean {
	try {
		const stat = fstatSync(descriptor);
		if (!stat.isCharacterDevice() || isNullDevice(stat)) return false;
		return process.getBuiltinModule("node:tty").isatty(descriptor);
	} catch {
		// A closed descriptor.
		return false;
	}
}
