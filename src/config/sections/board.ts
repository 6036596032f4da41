import { choice, cpu, size } from "../kinds.ts";
import { required } from "../option.ts";

export const board = [
	required({ key: "machine", name: "machine", short: "M", kind: choice("pc"), default: "pc", help: "the board" }),
	required({
		key: "memoryBytes",
		name: "memory",
		short: "m",
		// All of a VM lives in one WebAssembly memory of 4 GiB, together with its ROMs and translated code.
		kind: size({ min: 2 ** 20, max: 3 * 2 ** 30, multiple: 4096 }),
		default: "128M",
		help: "guest RAM, 1M to 3G",
	}),
	required({
		key: "cpu",
		name: "cpu",
		kind: cpu,
		default: "max",
		help: "the processor: max (all there is), qemu64, x86-64-v2, x86-64-v3, qemu32, pentium3; +FEATURE and -FEATURE change it",
	}),
] as const;
