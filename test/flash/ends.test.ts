import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { Machine, machineConfig, nullSink, type OptionTexts, silentLogger } from "../../src/index.ts";
import { describeWith } from "../support/guest-files.ts";
import { runMachine } from "../support/run-machine.ts";
import { finalImage, initialImage, type Place, placeOf, type WriterSettings, writerRom } from "./writer.ts";

const folder = mkdtempSync(join(tmpdir(), "tsvmm-ends-"));
afterAll(() => rmSync(folder, { recursive: true }));
const rom = join(folder, "rom");
const flash = join(folder, "vars.fd");

/** Never returns to the array: only what ends the run, or time, brings changes into the file. */
const SETTINGS: WriterSettings = { size: 0x8000, block: 0x1000, stride: 0x40, burst: 0, passes: 1, end: "exit" };
const CHANGES = 8 * (1 + 64);

function prepare(settings: WriterSettings): void {
	writeFileSync(rom, writerRom(settings));
	writeFileSync(flash, initialImage(settings.size));
}

/** How far the file is. */
function place(settings: WriterSettings): Place | undefined {
	expect(existsSync(`${flash}.lock`)).toBe(false);
	return placeOf(readFileSync(flash), settings, 0);
}

const OPTIONS: OptionTexts = { bios: rom, flash: [flash], memory: "1M" };

describe("what the guest has changed is in the file", () => {
	test.each([
		["it exits", { end: "exit" }, {}, "debug-exit"],
		["it resets the machine, which ends the run", { end: "reset" }, { "on-reset": "end" }, "reset"],
		["of a triple fault", { end: "triple-fault" }, {}, "triple-fault"],
		["of --max-guest-time", { end: "never" }, { "max-guest-time": "30ms" }, "guest-time-limit"],
		["of --timeout", { end: "never" }, { timeout: "1500ms" }, "timeout"],
	] as const)("when the run ends because %s", async (_, more, options, kind) => {
		const settings = { ...SETTINGS, ...more };
		prepare(settings);
		const { outcome } = await runMachine({ ...OPTIONS, ...options });
		expect(outcome.end.kind).toBe(kind);
		expect(place(settings)?.changes).toBe(CHANGES);
	});

	test("when --max-instructions ends the run in the middle", async () => {
		prepare(SETTINGS);
		const { outcome } = await runMachine({ ...OPTIONS, "max-instructions": "5000" });
		expect(outcome.end.kind).toBe("instruction-limit");
		const [{ programmedBytes, erasedBlocks } = expect.fail()] = outcome.flash;
		expect(programmedBytes).toBeGreaterThan(100);
		expect(place(SETTINGS)?.changes).toBe(programmedBytes + erasedBlocks);
	});

	test("when the guest resets and goes on", async () => {
		const settings: WriterSettings = { ...SETTINGS, end: "reset" };
		prepare(settings);
		const seen: Buffer[] = [];
		const look = (byte: number): void => {
			// "s": it has started.
			if (byte === 0x73) seen.push(readFileSync(flash));
		};
		await new Machine(machineConfig({ ...OPTIONS, "max-guest-time": "60ms" }), {
			serial: [{ output: nullSink }],
			debugcon: { write: look },
			log: silentLogger,
			romWrites: { record: () => {} },
		}).run();
		expect(seen.length).toBeGreaterThan(1);
		expect(seen[1]!.equals(finalImage(settings))).toBe(true);
	});

	test("when tsvmm itself fails", async () => {
		prepare(SETTINGS);
		const debugcon = {
			write: (byte: number): void => {
				// ".": all is done, and the last block waits for somebody to flush it.
				if (byte === 0x2e) throw new Error("a fault of ours");
			},
		};
		const machine = new Machine(machineConfig(OPTIONS), {
			serial: [{ output: nullSink }],
			debugcon,
			log: silentLogger,
			romWrites: { record: () => {} },
		});
		await expect(machine.run()).rejects.toThrow("a fault of ours");
		expect(place(SETTINGS)?.changes).toBe(CHANGES);
	});
});

describeWith(["tsvmm"], "what the guest has changed is in the file, by the command,", () => {
	const command = fileURLToPath(new URL("../../bin/tsvmm", import.meta.url));
	const result = join(folder, "result.json");

	test.each([
		["SIGINT", 130],
		["SIGTERM", 143],
		["SIGHUP", 129],
	] as const)("after %s", async (signal, status) => {
		const settings: WriterSettings = { ...SETTINGS, passes: 100_000, end: "never" };
		prepare(settings);
		const words = ["--bios", rom, "--flash", flash, "--memory", "1M", "--serial", "null", "--result", result];
		const child = spawn(command, ["run", ...words, "--debugcon", "stdio"], { stdio: ["ignore", "pipe", "ignore"] });
		await once(child.stdout, "data");
		child.stdout.resume();
		child.kill(signal);
		expect(await once(child, "exit")).toEqual([status, null]);
		const { flash: units } = JSON.parse(readFileSync(result, "utf8")) as {
			flash: { programmedBytes: number; erasedBlocks: number }[];
		};
		const [{ programmedBytes, erasedBlocks } = expect.fail()] = units;
		expect(programmedBytes).toBeGreaterThan(0);
		expect(place(settings)?.changes).toBe(programmedBytes + erasedBlocks);
	});
});
