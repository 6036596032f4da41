import { choice, size } from "../kinds.ts";
import { required } from "../option.ts";

export const memory = [
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
] as const;
