import { UserError } from "../../base/errors.ts";
import { flag } from "../kinds.ts";
import { listenAddress } from "../listen-address.ts";
import { optional } from "../option.ts";
import type { MachineConfig } from "../options.ts";

export const debugging = [
	optional({
		key: "gdb",
		name: "gdb",
		kind: listenAddress,
		help: "let GDB debug the guest, by its remote protocol at a TCP port (of this machine alone, unless HOST says otherwise) or a Unix socket",
	}),
	optional({
		key: "pause",
		name: "pause",
		kind: flag,
		help: "with --gdb, wait for the debugger before the first instruction",
	}),
] as const;

/** @throws UserError where the guest would wait for ever. */
export function checkDebugging({ gdb, pause }: Pick<MachineConfig, "gdb" | "pause">): void {
	if (pause && gdb === undefined)
		throw new UserError("--pause waits for a debugger, and there is no way in for one; give --gdb as well");
}
