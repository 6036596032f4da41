import { choice } from "../kinds.ts";
import { list } from "../option.ts";

export const devices = [
	list({
		key: "devices",
		name: "device",
		kind: choice("pc-testdev"),
		help: "a device more; repeatable. pc-testdev: what kvm-unit-tests use; a --kernel with --debug-exit-encoding qemu has it anyway",
	}),
] as const;
