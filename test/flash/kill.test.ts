import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { FlashFile } from "../../src/host/flash-file.ts";
import { readIntent } from "../../src/host/flash-intent.ts";
import { describeWith } from "../support/guest-files.ts";
import { randomFrom } from "../support/random.ts";
import { initialImage, placeOf, type WriterSettings, writerRom } from "./writer.ts";

const folder = mkdtempSync(join(tmpdir(), "tsvmm-kill-"));
afterAll(() => rmSync(folder, { recursive: true }));
const tsvmm = fileURLToPath(new URL("../../bin/tsvmm", import.meta.url));

/** What the guest says before anything else. */
const START = 0x73;
/** Runs of each kind, and how many at a time. */
const RUNS = 52;
const AT_A_TIME = 3;
/** Milliseconds for all runs of a kind, on a host that is busy with other things. */
const PATIENCE = 600_000;

/** What guests do, and for how many milliseconds at most after their start. */
const KINDS: Readonly<Record<string, { readonly settings: WriterSettings; readonly most: number }>> = {
	"bursts as UEFI firmware makes them": {
		settings: { size: 0x1_0000, block: 0x1000, stride: 1, burst: 60, passes: 1000, end: "never" },
		most: 60,
	},
	"no return to the array: only time flushes": {
		settings: { size: 0x1_0000, block: 0x1_0000, stride: 1, burst: 0, passes: 1000, end: "never" },
		most: 250,
	},
	"blocks of 64 KiB": {
		settings: { size: 0x4_0000, block: 0x1_0000, stride: 0x800, burst: 5, passes: 1000, end: "never" },
		most: 60,
	},
	"blocks of 128 KiB": {
		settings: { size: 0x4_0000, block: 0x2_0000, stride: 0x2000, burst: 12, passes: 1000, end: "never" },
		most: 60,
	},
};

interface Killed {
	/** What the file's image was when the guest was killed, and what the next run finds. */
	readonly raw: Uint8Array;
	readonly seen: Uint8Array;
	/** What the guest had reported. */
	readonly reports: number;
	/** The intent file told of a change. */
	readonly inIntent: boolean;
}

/** Starts the guest, and kills it so many milliseconds after its start. */
async function killed(name: string, { settings, ms }: { settings: WriterSettings; ms: number }): Promise<Killed> {
	const [rom, flash] = [join(folder, `${name}.rom`), join(folder, `${name}.fd`)];
	writeFileSync(rom, writerRom(settings));
	writeFileSync(flash, initialImage(settings.size));
	const { ino } = statSync(flash);
	const words = ["--bios", rom, "--flash", `${flash},blocks=${settings.block}`, "--memory", "1M", "--serial", "null"];
	const child = spawn(tsvmm, ["run", ...words, "--debugcon", "stdio"], { stdio: ["ignore", "pipe", "pipe"] });
	let [reports, problem] = [0, ""];
	child.stderr.on("data", (data: Buffer) => (problem += data.toString()));
	const first = new Promise<void>((resolve) => {
		child.stdout.on("data", (data: Buffer) => {
			reports += [...data].filter((byte) => byte !== START).length;
			resolve();
		});
	});
	const ended = once(child, "close");
	await Promise.race([first, ended]);
	await delay(ms);
	child.kill("SIGKILL");
	await ended;
	expect(problem).toBe("");
	expect(statSync(flash).ino).toBe(ino);
	const raw = readFileSync(flash);
	const intent = `${flash}.intent`;
	const inIntent = existsSync(intent) && readIntent(readFileSync(intent)) !== undefined;
	const seen = opened(flash, true);
	// Looking has changed nothing; the next run puts right what there is to be put right, and takes the lock over.
	expect(raw.equals(readFileSync(flash))).toBe(true);
	expect(Buffer.from(opened(flash, false)).equals(seen)).toBe(true);
	expect(readFileSync(flash).equals(seen)).toBe(true);
	expect([intent, `${flash}.lock`].filter(existsSync)).toEqual([]);
	for (const path of [rom, flash]) rmSync(path);
	return { raw, seen, reports, inIntent };
}

function opened(path: string, readonly: boolean): Uint8Array {
	const failed = (problem: string): never => expect.fail(problem);
	const file = new FlashFile(path, { what: "--flash", readonly, sectorSize: 4096, limit: 0x80_0000, failed });
	const memory = new Uint8Array(file.size);
	file.load(memory);
	file.close();
	return memory;
}

describeWith(["tsvmm"], "a flash file after kill -9", () => {
	let kills = 0;
	const met = { erased: 0, programming: 0, inIntent: 0, torn: 0, unreported: 0 };

	test.each(Object.entries(KINDS))(
		`${RUNS} times in %s: all that was reported is in it, and nothing is half done`,
		async (kind, { settings, most }) => {
			const random = randomFrom(Object.keys(KINDS).indexOf(kind));
			const waits = Array.from({ length: RUNS }, () => random() * most);
			const one = async (worker: number): Promise<void> => {
				for (let ms = waits.pop(); ms !== undefined; ms = waits.pop()) {
					const { raw, seen, reports, inIntent } = await killed(`${worker}`, { settings, ms });
					const place = placeOf(seen, settings, reports);
					if (place === undefined) {
						expect.fail(`killed after ${ms} ms and ${reports} reports: the flash never looked like that from then on`);
					}
					kills++;
					if (place.erased) met.erased++;
					else if (place.changes > 0) met.programming++;
					if (inIntent) met.inIntent++;
					if (place.reports > reports) met.unreported++;
					if (Buffer.compare(raw, seen) !== 0) met.torn++;
				}
			};
			await Promise.all(Array.from({ length: AT_A_TIME }, (_, worker) => one(worker)));
		},
		PATIENCE,
	);

	test("those kills have hit erases, programming and intents", () => {
		expect(kills).toBeGreaterThanOrEqual(200);
		expect(met.erased).toBeGreaterThan(0);
		expect(met.programming).toBeGreaterThan(20);
		expect(met.inIntent).toBeGreaterThan(0);
		expect(met.unreported).toBeGreaterThan(20);
	});
});
