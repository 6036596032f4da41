import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { UserError } from "../../src/base/errors.ts";
import { flashCommand } from "../../src/cli/flash-command.ts";
import { FlashFile } from "../../src/host/flash-file.ts";
import * as build from "../support/uefi-image.ts";

const folder = mkdtempSync(join(tmpdir(), "tsvmm-flash-"));
afterAll(() => rmSync(folder, { recursive: true }));

interface Ran {
	readonly status: number;
	readonly stdout: string;
	readonly stderr: string;
}

/** Runs `tsvmm flash`, in this process. Words that begin with `./` are files of this test. */
async function flash(...words: readonly string[]): Promise<Ran> {
	const ran = { status: 0, stdout: "", stderr: "" };
	const program = new Command().exitOverride();
	flashCommand(program, {
		write: (output) => {
			ran.stdout += typeof output === "string" ? output : Buffer.from(output).toString("latin1");
		},
		done: (status) => {
			ran.status = status;
		},
	});
	try {
		await program.parseAsync(["flash", ...words.map((word) => word.replace(/^(file:)?\.\//, `$1${folder}/`))], {
			from: "user",
		});
	} catch (error) {
		if (!(error instanceof UserError)) throw error;
		return { status: 2, stdout: "", stderr: error.message.replaceAll(`${folder}/`, "") };
	}
	return { ...ran, stdout: ran.stdout.replaceAll(`${folder}/`, "") };
}

const says = (...lines: readonly string[]): Ran => ({
	status: 0,
	stdout: lines.map((line) => `${line}\n`).join(""),
	stderr: "",
});
const complains = (line: string): Ran => ({
	status: 2,
	stdout: "",
	stderr: `flash: ${line}`,
});

beforeEach(() => writeFileSync(join(folder, "vars.fd"), build.variableFlash()));

describe("flash vars", () => {
	test("a variable is set plainly, read, changed and deleted, and info tells its history", async () => {
		expect(await flash("vars", "./vars.fd", "set", "BootOrder", "0001,0000")).toEqual(says("BootOrder: added"));
		expect(
			(await flash("vars", "./vars.fd", "set", "bootorder-8be4df61-93ca-11d2-aa0d-00e098032b8c", "u16:3")).status,
		).toBe(0);
		expect(await flash("vars", "./vars.fd", "set", "BootOrder", "hex:0200")).toEqual(says("BootOrder: replaced"));
		expect(await flash("vars", "./vars.fd", "get", "BootOrder")).toEqual(says("0002"));
		expect(await flash("vars", "./vars.fd", "get", "BootOrder", "--format", "hex")).toEqual(says("0200"));
		expect(await flash("vars", "./vars.fd", "delete", "bootorder")).toEqual(says("bootorder: deleted"));
		expect(await flash("info", "./vars.fd")).toEqual(
			says(
				"vars.fd: UEFI variables, 8,192 bytes (32 blocks of 256)",
				"0x000000      0x2000  volume NVRAM, blocks: 32 of 256 bytes",
				"0x000048       0xeb8    variables, authenticated: 1 in 3 records, 280 bytes used, 3,488 bytes free".replace(
					"280 bytes used, 3,488",
					"280 bytes used, 3,488",
				),
				"0x000f00       0x100    fault-tolerant writes: valid, no writes",
				"0x001000      0x1000    spare area of fault-tolerant writes",
				"",
				"1 variable:",
				"BootOrder  NV BS RT  0002",
				"    0x000064  deleted  0001, 0000",
				"bootorder  deleted",
				"    0x0000b8  deleted  0300",
			),
		);
	});

	test("what is exported goes into another image, and nothing is left to tell them apart", async () => {
		writeFileSync(join(folder, "other.fd"), build.variableFlash());
		await flash("vars", "./vars.fd", "set", "Shell:Greeting", "utf16:hello");
		await flash("vars", "./vars.fd", "set", "Timeout", "5", "--attributes", "NV,BS");
		expect(await flash("vars", "./vars.fd", "export", "./vars.json")).toEqual(says("2 variables in vars.json"));
		expect(await flash("vars", "./other.fd", "import", "./vars.json")).toEqual(
			says("2 added, 0 replaced, 0 unchanged"),
		);
		expect(await flash("vars", "./other.fd", "import", "./vars.json")).toEqual(
			says("0 added, 0 replaced, 2 unchanged"),
		);
		expect(await flash("diff", "./vars.fd", "./other.fd")).toEqual(says("no difference"));
		expect(JSON.parse((await flash("vars", "./other.fd", "get", "Timeout", "--format", "json")).stdout)).toMatchObject({
			attributes: 3,
			value: 5,
			vendor: "Global",
			history: [],
		});
	});

	test("a value comes from a file, and goes out as it is", async () => {
		writeFileSync(join(folder, "value"), Uint8Array.of(0, 255, 10));
		expect((await flash("vars", "./vars.fd", "set", "Mine", "file:./value")).status).toBe(0);
		expect((await flash("vars", "./vars.fd", "get", "Mine", "--format", "raw")).stdout).toHaveLength(3);
		expect(await flash("vars", "./vars.fd", "get", "Mine")).toEqual(says("00ff0a"));
	});

	test.each([
		[["get", "Nothing"], "vars.fd has no variable Nothing"],
		[["set", "Timeout", "soon"], 'Timeout cannot be "soon" there; write hex:00ff, text:abc,'],
		[["set", "Timeout", "hex:"], "Timeout would be empty, which is what UEFI calls deleted"],
		[["set", "Timeout"], "set takes more words than that (--help says which)"],
		[["set", "Timeout", "5", "6"], 'set takes no "6"'],
		[["set", "Big", "file:./big"], "vars.fd has no room for Big: it takes 5068 bytes"],
		[["import", "./missing.json"], "missing.json does not exist"],
		[["erase"], 'there is no action "erase": get, set, delete, export, import'],
		[["get", "--format", "raw"], "--format raw takes the name of a variable"],
	])("%j is a mistake that is named, and nothing is written", async (words, message) => {
		writeFileSync(join(folder, "big"), new Uint8Array(5000));
		const before = readFileSync(join(folder, "vars.fd"));
		const { status, stderr, stdout } = await flash("vars", "./vars.fd", ...words);
		expect({ status, stdout, begins: stderr.startsWith(`flash: ${message}`) || stderr }).toEqual({
			status: 2,
			stdout: "",
			begins: true,
		});
		expect(readFileSync(join(folder, "vars.fd"))).toEqual(before);
	});

	test("a file that somebody else writes to is left alone", async () => {
		const options = { what: "--flash", readonly: false, sectorSize: 1, limit: 2 ** 20, failed: () => {} };
		const holder = new FlashFile(join(folder, "vars.fd"), options);
		const { status, stderr } = await flash("vars", "./vars.fd", "set", "Timeout", "5");
		holder.close();
		expect({ status, stderr }).toEqual({
			status: 2,
			stderr: expect.stringContaining("vars.fd is in use by this process already"),
		});
	});
});

test("what the firmware will do at its next start is not forestalled", async () => {
	const bytes = build.variableFlash();
	// A write that is described and in the spare area, and not yet in its place.
	const queue = new Uint8Array(80);
	queue[0] = 0xfc;
	queue[24] = 1;
	queue[40] = 0xfd;
	bytes.set(queue, 0xf20);
	writeFileSync(join(folder, "vars.fd"), bytes);
	expect(await flash("vars", "./vars.fd", "set", "Timeout", "5")).toEqual(
		complains("vars.fd: the firmware was interrupted while it wrote its variables anew (0x000f00); start it once"),
	);
	expect((await flash("info", "./vars.fd")).stdout).toContain("valid, 1 write, the last one interrupted");
});

describe("flash diff", () => {
	test("blocks and variables that differ, and the status says that they do", async () => {
		writeFileSync(join(folder, "other.fd"), build.variableFlash());
		await flash("vars", "./vars.fd", "set", "Lang", "eng");
		await flash("vars", "./other.fd", "set", "Lang", "deu");
		await flash("vars", "./other.fd", "set", "Timeout", "3");
		expect(await flash("diff", "./vars.fd", "./other.fd")).toEqual({
			status: 1,
			stderr: "",
			stdout: [
				"1 of 32 blocks differ (256 bytes each):",
				"  block 0, from 0x000000: 81 bytes: variables",
				"variables:",
				'  - Lang  NV BS RT  "eng"',
				'  + Lang  NV BS RT  "deu"',
				"  + Timeout  NV BS RT  3 seconds",
				"",
			].join("\n"),
		});
	});

	test("files of a volume that were changed, added and removed", async () => {
		const file = (guid: string, name: string, ...bytes: number[]): Uint8Array =>
			build.file(guid, 7, build.sections(build.section(0x19, Uint8Array.from(bytes)), build.userInterface(name)));
		const [a, b, c] = ["0", "1", "2"].map((digit) => `${digit.repeat(8)}-0000-0000-0000-000000000000`) as [
			string,
			string,
			string,
		];
		writeFileSync(join(folder, "a.fd"), build.volume([file(a, "Same", 1), file(b, "Changed", 1)]));
		writeFileSync(join(folder, "b.fd"), build.volume([file(a, "Same", 1), file(b, "Changed", 2), file(c, "New", 3)]));
		const { status, stdout } = await flash("diff", "./a.fd", "./b.fd", "--format", "json");
		expect({ status, ...JSON.parse(stdout) }).toMatchObject({
			status: 1,
			same: false,
			files: [
				{ name: "Changed", change: "changed" },
				{ name: "New", change: "added" },
			],
		});
	});
});

describe("flash info and extract", () => {
	const image = build.volume([
		build.file(
			"00112233-4455-6677-8899-aabbccddeeff",
			7,
			build.sections(build.section(0x10, Uint8Array.of(1, 2)), build.userInterface("../../Driver")),
		),
	]);

	test("JSON has the whole tree", async () => {
		writeFileSync(join(folder, "code.fd"), image);
		expect(JSON.parse((await flash("info", "./code.fd", "--format", "json")).stdout)).toMatchObject({
			title: "UEFI firmware",
			size: 512,
			pieces: [
				{
					kind: "volume",
					children: [
						{ kind: "file", name: "../../Driver", offset: 72, children: [{ type: "PE32 image" }, {}] },
						{ kind: "free" },
					],
				},
			],
		});
	});

	test("parts go into a folder, and names from an image lead nowhere else", async () => {
		writeFileSync(join(folder, "code.fd"), image);
		expect(
			(await flash("extract", "./code.fd", "00112233-4455-6677-8899-AABBCCDDEEFF", "--into", "./out")).status,
		).toBe(0);
		expect(readdirSync(join(folder, "out"), { recursive: true }).sort()).toEqual([
			"000-Driver",
			"000-Driver/000-PE32-image.efi",
			"000-Driver/001-user-interface-name.ui",
			"000-Driver/whole.ffs",
		]);
		expect([...readFileSync(join(folder, "out/000-Driver/000-PE32-image.efi"))]).toEqual([1, 2]);
		expect(await flash("extract", "./code.fd", "Nobody", "--into", "./out2")).toEqual(
			complains('code.fd has nothing named "Nobody"'),
		);
		expect(existsSync(join(folder, "out2"))).toBe(false);
	});

	test("what is no firmware is called what it is", async () => {
		writeFileSync(join(folder, "elf"), "\x7fELF, or so it says");
		expect(await flash("vars", "./elf", "get")).toEqual(
			complains("elf has no UEFI variables (it is an ELF file, not a ROM)"),
		);
		expect(await flash("info", "./missing")).toEqual(complains("missing does not exist"));
	});
});
