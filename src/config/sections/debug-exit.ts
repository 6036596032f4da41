import { choice, portOrOff } from "../kinds.ts";
import { required } from "../option.ts";

export const debugExit = [
	required({
		key: "debugExitPort",
		name: "debug-exit",
		kind: portOrOff,
		default: "0xf4",
		help: "a guest's write to this I/O port ends the run; the value is the exit status",
	}),
	required({
		key: "debugExitEncoding",
		name: "debug-exit-encoding",
		kind: choice("tsvmm", "qemu"),
		default: "tsvmm",
		help: "tsvmm: value v below 120 is the exit status, a larger one gives 119; qemu: ((v << 1) | 1) & 255",
	}),
] as const;
