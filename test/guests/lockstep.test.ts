import { describe, expect, test } from "vitest";
import { describeWith } from "../support/guest-files.ts";
import { runMachine } from "../support/run-machine.ts";
import { guests, outputLines } from "./guests.ts";

/** A difference between the engines ends the run with an exception that says all about it. */
const lockstep = { engine: "lockstep" } as const;

describeWith(["seabios"], "SeaBIOS in lockstep", (bios) => {
	test("is the same on both engines after every few instructions, to where nothing can be booted", async () => {
		const { outcome, debugcon } = await runMachine({ ...lockstep, bios, "max-instructions": "5500000" });
		expect(debugcon.trimEnd()).toMatch(/No bootable device\.$/);
		expect(outcome.end).toEqual({ kind: "instruction-limit" });
	});
});

describe("guests in lockstep", () => {
	test.each(guests)("$name is the same on both engines after every few instructions", async ({ image, expected }) => {
		const { outcome, serial } = await runMachine({ ...lockstep, bios: image, memory: "8M", "max-instructions": "1M" });
		expect(outputLines(serial)).toEqual(expected);
		expect(outcome.end).toEqual({ kind: "debug-exit", value: 0 });
	});
});
