import { describe, expect, test } from "vitest";
import { MACHINE_ENGINES, runMachine } from "../support/run-machine.ts";
import { guests, outputLines } from "./guests.ts";

describe.each(MACHINE_ENGINES)("guests on the %s engine", (engine) => {
	test.each(guests)("$name prints what the manuals ask for", async ({ image, expected }) => {
		const { outcome, serial } = await runMachine({
			bios: image,
			memory: "64M",
			engine,
			"max-instructions": "10000000",
		});
		expect(outputLines(serial)).toEqual(expected);
		expect(outcome.end).toEqual({ kind: "debug-exit", value: 0 });
	});
});

test.each(guests)("$name does the same on every run and on both engines", async ({ image }) => {
	const runs = [];
	for (const engine of [...MACHINE_ENGINES, ...MACHINE_ENGINES]) {
		const { outcome, serial, ramHash } = await runMachine({ bios: image, memory: "64M", engine });
		runs.push({ instructions: outcome.instructions, guestTimeNs: outcome.guestTimeNs, serial, ramHash });
	}
	for (const run of runs) expect(run).toEqual(runs[0]);
});
