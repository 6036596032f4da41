import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { UserError } from "../../../src/base/errors.ts";
import { RESULT_FORMAT, resultJson } from "../../../src/cli/report.ts";
import { type RomWritesOptions, romWrites } from "../../../src/cli/rom-writes/rom-writes.ts";
import { RomWriteJournal } from "../../../src/debug/rom-write-journal.ts";
import type { RomWriteReport } from "../../../src/debug/rom-writes/report.ts";
import { ROM_WRITE as write } from "../../support/rom-write.ts";

const folder = mkdtempSync(join(tmpdir(), "tsvmm-rom-writes-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** A guest's own name, as hostile as it can be. */
const HOSTILE = "</script><img src=x onerror=alert(1)>";

function journal(): RomWriteJournal {
	const made = new RomWriteJournal({
		explainer: {
			place: (address) =>
				address === 0xf0100n
					? { module: "firmware", symbol: "save", offset: 0x10, file: "nvram/save.c", line: 7 }
					: { symbol: HOSTILE, offset: 0 },
			stack: ({ linear }) =>
				linear === 0xf0100n
					? [
							{ address: linear, how: "exact", place: { symbol: "save", offset: 0x10, file: "nvram/save.c", line: 7 } },
							{ address: 0xf0300n, how: "cfi", place: { symbol: "main", offset: 3, file: "main.c", line: 99 } },
						]
					: [],
		},
	});
	for (let n = 0; n < 100; n++) {
		made.record({ ...write, gpa: write.gpa + n, instructions: 1000 + n, timeNs: 10_000 * n });
	}
	made.record({
		...write,
		linear: 0xf0200n,
		rip: 0x200n,
		instructions: 2000,
		gpa: 0xffff0000,
		target: 0xffff0000n,
		timeNs: 2_000_000,
	});
	made.record({
		...write,
		instructions: 1500,
		command: "program",
		region: "flash 0",
		extent: { first: 0xffc00000, last: 0xffc0ffff },
		gpa: 0xffc00100,
	});
	return made;
}

let files = 0;

function file(text: string): string {
	const path = join(folder, `result${files++}.json`);
	writeFileSync(path, text);
	return path;
}

const text = resultJson({
	outcome: { end: { kind: "power-off" }, instructions: 5000, guestTimeNs: 3_000_000, flash: [] },
	...{ status: 0, missing: [], hostMs: 1, romWrites: journal(), stack: [], ramHash: "00" },
});
const result = file(text);

const show = (options: Partial<RomWritesOptions> = {}, path = result): Promise<string> =>
	romWrites(path, { by: "instruction", format: "text", ...options });

describe("as text", () => {
	it("by instruction: what was stored, by what, called from where", async () => {
		const lines = (await show()).split("\n");
		expect(lines.slice(0, 10)).toEqual([
			"101 stores to ROM and 1 flash command, from 3 places",
			"",
			"#1  100 stores to bios at 0xfffc0010..0xfffc0073",
			"    first 0x5a, 1 byte; it holds 0xff",
			"    in save+0x10 (nvram/save.c:7)",
			"    called from main+0x3 (main.c:99)",
			"    f000:0100 (linear 0xf0100) mov [bx], al",
			"    real mode, CPL 0, processor 0",
			"    after 1,000 instructions, 0 ns, to 1,099 instructions, 990 us",
			"",
		]);
		expect(lines).toContain("#3  1 × program of flash 0 at 0xffc00100");
	});

	it("by address: a map of each region that was hit, then what was hit", async () => {
		const lines = (await show({ by: "address", output: undefined })).split("\n");
		expect(lines).toContain("bios  0xfffc0000..0xffffffff, 256 KiB");
		expect(lines).toContain("flash 0  0xffc00000..0xffc0ffff, 64 KiB");
		expect(lines.find((line) => line.startsWith("0xfffc0000"))).toMatch(/^0xfffc0000 {2}█·+$/);
		expect(lines).toContain("    0xfffc0010..0xfffc0073    100 stores  #1 firmware!save+0x10 (save.c:7)");
	});

	it("by time: a chart, then places in the order in which they began", async () => {
		const lines = (await show({ by: "time" })).split("\n");
		expect(lines[2]).toMatch(/^[ ▁▂▃▄▅▆▇█]+$/);
		const places = lines.flatMap((line) => /^ {4}(.*?) {2,}(#\d .*?) at/.exec(line)?.slice(1, 3).join(", ") ?? []);
		expect(places).toEqual([
			"0 ns to 990 us, #1 100 stores to bios",
			"5.68 us, #3 1 × program of flash 0",
			"2 ms, #2 1 store to bios",
		]);
	});
});

describe("a selection", () => {
	it.each([
		[{ range: "0xfffc0020-0xfffc0030" }, [1]],
		[{ range: "0xffff0000" }, [2]],
		[{ range: "0x1000+16" }, []],
		[{ symbol: "MAIN" }, [1, 3]],
		[{ symbol: "nvram/save.c", range: "0xffc00100" }, [3]],
	])("%j", async (selection, numbers) => {
		const chosen = await show(selection);
		expect([...chosen.matchAll(/^#(\d+)/gm)].map(([, number]) => Number(number))).toEqual(numbers);
	});

	it("a range that is none is an error", async () => {
		await expect(show({ range: "bios" })).rejects.toThrow(UserError);
	});
});

describe("as JSON", () => {
	it("is the journal as the result file has it", async () => {
		const { romWrites } = JSON.parse(text) as { romWrites: RomWriteReport };
		const json = JSON.parse(await show({ format: "json" })) as RomWriteReport;
		expect(json).toEqual({ ...romWrites, rows: romWrites.rows.map((row, n) => ({ ...row, number: n + 1 })) });
	});
});

describe("as a page", () => {
	it("is self-contained, and what comes from the guest stays data", async () => {
		const path = join(folder, "page.html");
		expect(await show({ format: "html", output: path })).toBe("");
		const page = readFileSync(path, "utf8");
		expect(page).not.toContain("<img");
		expect(page.match(/<\/script>/g)).toHaveLength(2);
		const own = page.replace(/<script type="application\/json".*?<\/script>/s, "");
		expect(own).not.toMatch(/(src|href)=|url\(|@import|https?:(?!\/\/www\.w3\.org\/2000\/svg)/);
		const [, data] = /<script type="application\/json" id="data">(.*?)<\/script>/s.exec(page) ?? [];
		const { rows } = JSON.parse(data!) as { rows: { symbol: string }[] };
		expect(rows.map(({ symbol }) => symbol)).toEqual(["save", HOSTILE, "save"]);
	});

	it("has a script that is valid, and takes no text as HTML", async () => {
		const page = await show({ format: "html" });
		const [, script] = /<script>(.*?)<\/script>/s.exec(page) ?? [];
		expect(() => new Function(script!)).not.toThrow();
		expect(script).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(/);
	});
});

describe("a file that is no result", () => {
	it.each([
		["empty", "", "is empty"],
		["no JSON", "ROM writes: 3", "is not a result file; tsvmm run --result FILE writes one"],
		["other JSON", '{"a": 1}', "is not a result file; tsvmm run --result FILE writes one"],
		["a list", "[]", "is damaged: the whole is not an object; tsvmm run"],
		["a truncated result", text.slice(0, 900), "is truncated: it ends within the result; tsvmm run"],
		[
			"of a newer version",
			text.replace('"version": 1', '"version": 2'),
			"is of version 2, from a newer tsvmm; this one reads up to version 1",
		],
		["with something missing", text.replace('"slotNs"', '"slot"'), "is damaged: romWrites."],
		[
			"with a wrong value",
			text.replace('"mode": "real"', '"mode": "surreal"'),
			"is damaged: romWrites.rows[0].mode is not one of real,",
		],
	])("%s: one clear error", async (_what, contents, message) => {
		const path = file(contents);
		await expect(show({}, path)).rejects.toThrow(UserError);
		await expect(show({}, path)).rejects.toThrow(message);
	});

	it("that does not exist, or an output that cannot be written", async () => {
		await expect(show({}, join(folder, "none"))).rejects.toThrow(UserError);
		await expect(show({ output: join(folder, "none", "x") })).rejects.toThrow(UserError);
	});

	it("and of this version it begins with its format", () => {
		expect(JSON.parse(text)).toMatchObject(RESULT_FORMAT);
	});
});

it("an empty journal is said to be one", async () => {
	const empty = resultJson({
		outcome: { end: { kind: "power-off" }, instructions: 1, guestTimeNs: 1, flash: [] },
		...{ status: 0, missing: [], hostMs: 1, romWrites: new RomWriteJournal(), stack: [], ramHash: "00" },
	});
	for (const by of ["instruction", "address", "time"] as const) {
		expect(await show({ by }, file(empty))).toBe("0 stores to ROM\n");
	}
	expect(await show({ format: "html" }, file(empty))).toContain("<!doctype html>");
});
