import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { RomWriteReport } from "../../../src/debug/rom-writes/report.ts";
import { buildFirmware, FIRMWARE_TOOLS } from "../../support/explained-firmware.ts";
import { MACHINE_ENGINES } from "../../support/run-machine.ts";
import { testWith, workFolder } from "../symbols/toolchain.ts";

const folder = workFolder();
const bin = fileURLToPath(new URL("../../../src/cli/bin.ts", import.meta.url));
const demo = fileURLToPath(new URL("../../../firmware/demo.bin", import.meta.url));

function tsvmm(...words: readonly string[]): { status: number | null; stdout: string; stderr: string } {
	const env = { ...process.env, NO_COLOR: "1" };
	return spawnSync(process.execPath, ["--import", import.meta.resolve("tsx"), bin, ...words], {
		encoding: "utf8",
		env,
	});
}

/** What firmware that stores to its own ROM is told, with the command as users have it. */
describe.each(MACHINE_ENGINES)("on the engine %s", (engine) => {
	testWith(...FIRMWARE_TOOLS)("a mistake in C is explained to the line, with its callers and values", () => {
		const { bios, symbols } = buildFirmware(folder);
		const result = join(folder, `${engine}.json`);
		const run = tsvmm("run", "--bios", bios, "--symbols", symbols, "--engine", engine, "--result", result);
		expect(run.status).toBe(0);
		expect(run.stderr.split("\n").slice(0, 8)).toEqual([
			"ROM writes: 33 stores from 2 instructions; the ROM is unchanged",
			expect.stringMatching(/^ {2}0x000f\w+ \(bios\) <- 0x0000002a, 4 bytes; it holds 0x00000029$/),
			expect.stringMatching(
				/^ {4}by 0008:000f\w+ \(linear 0xf\w+\) mov \[e.x\+4\], e.x, in 32-bit protected mode, CPL 0$/,
			),
			expect.stringMatching(/^ {4}in settings!store_boots\+0x\w+ \(settings\.c:18\)$/),
			expect.stringMatching(/^ {4}called from settings!count_boot\+0x\w+ \(settings\.c:25\)$/),
			expect.stringMatching(/^ {4}called from settings!main\+0x\w+ \(settings\.c:38\)$/),
			expect.stringMatching(/^ {4}called from settings!protected\+0x\w+ \(start\.S:21\)$/),
			expect.stringMatching(/^ {4}after \d+ instructions, \d+ ns$/),
		]);
		const { romWrites } = JSON.parse(readFileSync(result, "utf8")) as { romWrites: RomWriteReport };
		const [boots, name] = romWrites.rows;
		expect([romWrites.stores, romWrites.rows.length]).toEqual([33, 2]);
		expect(boots).toMatchObject({
			...{ count: 1, bytes: 4, region: "bios", by: "instruction", mode: "prot32", cpl: 0 },
			place: { module: "settings", symbol: "store_boots", file: "settings.c", line: 18 },
			samples: [{ value: "2a 00 00 00", old: "29 00 00 00", size: 4 }],
		});
		const frames = boots!.stacks[0]!.frames.map(
			({ place }) => `${place?.symbol} ${basename(place?.file ?? "")}:${place?.line}`,
		);
		expect(frames.slice(0, 4)).toEqual([
			"store_boots settings.c:18",
			"count_boot settings.c:25",
			"main settings.c:38",
			"protected start.S:21",
		]);
		// The name of 32 bytes, "factory" and zeros, is cleared in a loop: one row.
		expect(name).toMatchObject({ count: 32, bytes: 32, place: { symbol: "clear_name", line: 33 } });
		expect(name!.ranges).toHaveLength(1);
		expect(name!.samples.map(({ old }) => Number(`0x${old}`))).toEqual([...Buffer.from("factory\0")]);
	});

	test("the demo ROM's store is told with what it did not replace", () => {
		const result = join(folder, `demo-${engine}.json`);
		tsvmm("run", "--bios", demo, "--engine", engine, "--memory", "4M", "--serial", "null", "--result", result);
		const { romWrites } = JSON.parse(readFileSync(result, "utf8")) as { romWrites: RomWriteReport };
		expect(romWrites.rows).toMatchObject([
			{
				...{ count: 1, instruction: "mov dword [0xf0000], 0x21444142", mode: "prot32" },
				samples: [{ gpa: "0xf0000", value: "42 41 44 21", old: "52 4f 4d 21" }],
			},
		]);
	});
});
