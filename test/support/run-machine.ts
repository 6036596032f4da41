import {
	Machine,
	type MachineHost,
	machineConfig,
	nullSink,
	type OptionTexts,
	type Outcome,
	silentLogger,
} from "../../src/index.ts";
import type { RomWrite } from "../../src/machine/outcome.ts";
import { RecordedBytes } from "./lines.ts";
import { copyOf } from "./rom-write.ts";

/** The engines a machine can be told to run on, lockstep apart. */
export const MACHINE_ENGINES = ["interpreter", "compiled"] as const;

export interface MachineRun {
	readonly outcome: Outcome;
	/** What the guest sent to COM1. */
	readonly serial: string;
	/** What it sent to the debug consoles. */
	readonly debugcon: string;
	/** Stores that ROM refused. */
	readonly romWrites: readonly RomWrite[];
	/** Stores that flash took as commands. */
	readonly flashCommands: readonly RomWrite[];
	/** SHA-256 of RAM at the end. */
	readonly ramHash: string;
}

/** Runs a whole machine in this process; `options` are those of `tsvmm run`, `host` what else it stands on. */
export async function runMachine(options: OptionTexts, host: Pick<MachineHost, "flash"> = {}): Promise<MachineRun> {
	const serial = new RecordedBytes();
	const debugcon = new RecordedBytes();
	const writes: RomWrite[] = [];
	const machine = new Machine(machineConfig(options), {
		serial: [{ output: serial }, { output: nullSink }, { output: nullSink }, { output: nullSink }],
		debugcon,
		log: silentLogger,
		romWrites: { record: (write) => writes.push(copyOf(write)) },
		...host,
	});
	const outcome = await machine.run();
	return {
		outcome,
		serial: serial.text,
		debugcon: debugcon.text,
		romWrites: writes.filter(({ command }) => command === undefined),
		flashCommands: writes.filter(({ command }) => command !== undefined),
		ramHash: machine.ramHash(),
	};
}
