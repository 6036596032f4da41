import { expect, test } from "vitest";
import { Machine, machineConfig, nullSink, RomWriteJournal, silentLogger } from "../../src/index.ts";
import { exit, storeWord, temporaryFiles, tinyRom } from "../support/tiny-rom.ts";

const file = temporaryFiles();

/** Stores to two pages, waits for some 25 ms of guest time, stores to a third. */
const code = [
	...[...storeWord(0x600, 1), ...storeWord(0x2000, 1)],
	// mov cx, 200; outer: push cx; mov cx, 65000; loop $; pop cx; loop outer
	...[0xb9, 200, 0, 0xbb, 0xe8, 0xfd, 0x4b, 0x75, 0xfd, 0xe2, 0xf8],
	...storeWord(0x5000, 1),
	...exit(0),
];

async function run(engine: string): Promise<string[]> {
	const lines: string[] = [];
	const bios = file("rom", tinyRom(code));
	const config = machineConfig({ bios, memory: "1M", timeout: "60s", engine, "dirty-log": "unused" });
	const machine = new Machine(config, {
		serial: [{ output: nullSink }],
		debugcon: nullSink,
		log: silentLogger,
		romWrites: new RomWriteJournal(),
		dirtyLog: (line) => lines.push(line),
	});
	expect((await machine.run()).end).toEqual({ kind: "debug-exit", value: 0 });
	return lines;
}

test("each interval of guest time has the pages that were stored to in it, the same on every engine", async () => {
	const lines = await run("interpreter");
	const parsed = lines.map((line) => JSON.parse(line) as { guestTimeNs: number; pages: number; ranges: string[][] });
	expect(parsed.map(({ ranges }) => ranges)).toEqual([
		[
			["0x0", "0xfff"],
			["0x2000", "0x2fff"],
		],
		[["0x5000", "0x5fff"]],
	]);
	expect(parsed.map(({ pages }) => pages)).toEqual([2, 1]);
	expect(parsed[0]?.guestTimeNs).toBe(10_000_000);
	expect(await run("compiled")).toEqual(lines);
});
