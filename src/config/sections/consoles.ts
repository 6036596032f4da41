import { UserError } from "../../base/errors.ts";
import { choice, type OutputTarget, output } from "../kinds.ts";
import { list, required } from "../option.ts";

export const consoles = [
	list({
		key: "serial",
		name: "serial",
		kind: output,
		default: ["stdio"],
		help: "where COM1 goes; repeatable for COM2 to COM4; the first stdio also brings input, unless --display text takes it",
	}),
	required({
		key: "debugcon",
		name: "debugcon",
		kind: output,
		default: "null",
		help: "where the debug consoles (ports 0x402 and 0xe9) go",
	}),
	required({
		key: "display",
		name: "display",
		kind: choice("none", "text"),
		default: "none",
		help: "text: show the VGA text screen in the terminal and type on the machine's keyboard there",
	}),
] as const;

const SERIAL_PORTS = 4;

export function checkConsoles(config: {
	readonly serial: readonly OutputTarget[];
	readonly debugcon: OutputTarget;
	readonly display: "none" | "text";
}): void {
	if (config.serial.length > SERIAL_PORTS) {
		throw new UserError(
			`--serial: given ${config.serial.length} times, but the machine has ${SERIAL_PORTS} serial ports`,
		);
	}
	const targets = [...config.serial, config.debugcon];
	const files = targets.flatMap((target) => (target.to === "file" ? [target.path] : []));
	const twice = files.find((file, at) => files.indexOf(file) !== at);
	if (twice !== undefined) {
		throw new UserError(
			`--serial, --debugcon: two consoles would write over each other in ${twice}; give each its own file`,
		);
	}
}
