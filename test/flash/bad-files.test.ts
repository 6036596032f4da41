import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
	linkSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	rmSync,
	symlinkSync,
	truncateSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { describeWith } from "../support/guest-files.ts";
import { initialImage, placeOf, type WriterSettings, writerRom } from "./writer.ts";

const tsvmm = fileURLToPath(new URL("../../bin/tsvmm", import.meta.url));
/** A mount namespace of our own: as root, or where everybody may have one. */
const NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-euc"] as const;
const hasNamespaces = spawnSync(NAMESPACE[0], [...NAMESPACE.slice(1), "mount -t tmpfs none /mnt"]).status === 0;

const SETTINGS: WriterSettings = { size: 0x8_0000, block: 0x1000, stride: 0x100, burst: 8, passes: 1, end: "exit" };

let folder: string;
let rom: string;
let flash: string;

beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "tsvmm-bad-"));
	rom = join(folder, "rom");
	flash = join(folder, "vars.fd");
	writeFileSync(rom, writerRom(SETTINGS));
	writeFileSync(flash, initialImage(SETTINGS.size));
});
afterEach(() => rmSync(folder, { recursive: true }));

interface Ran {
	readonly status: number | null;
	readonly stdout: string;
	readonly stderr: string;
}

const words = (...units: readonly string[]): string[] => {
	const flashes = units.flatMap((unit) => ["--flash", unit]);
	const other = ["--memory", "1M", "--serial", "null", "--debugcon", "stdio", "--log", "error"];
	return ["run", "--bios", rom, ...flashes, ...other];
};

const run = (...units: readonly string[]): Ran =>
	spawnSync(tsvmm, words(...units), { encoding: "utf8", input: "", timeout: 60_000 });

describeWith(["tsvmm"], "a flash file that will not do:", () => {
	/** The run ends with status 2 and one message, and the image is as it was. */
	const refused = (message: string | RegExp, ...units: readonly string[]): void => {
		const before = readFileSync(flash);
		const { status, stdout, stderr } = run(...units);
		expect([status, stdout]).toEqual([2, ""]);
		if (typeof message === "string") expect(stderr).toBe(`tsvmm: --flash: ${message}\n`);
		else expect(stderr).toMatch(message);
		expect(readFileSync(flash).equals(before)).toBe(true);
	};

	test("its length is no multiple of 4096 bytes", () => {
		truncateSync(flash, 5000);
		refused(`${flash} is 5000 bytes long; a flash image is a multiple of 4096 bytes`, flash);
	});

	test("it is larger than all flash", () => {
		truncateSync(flash, 9 << 20);
		refused(`${flash} is ${9 << 20} bytes long; at most ${8 << 20} are possible`, flash);
	});

	test("both units are the same file, by its name, a symbolic link or a hard link", () => {
		const [soft, hard] = [join(folder, "soft.fd"), join(folder, "hard.fd")];
		symlinkSync(flash, soft);
		refused(`both flash units would write to ${flash}; give each its own file`, flash, flash);
		refused(`${soft} is in use by this process already (its lock is ${flash}.lock)`, flash, soft);
		linkSync(flash, hard);
		refused(`${hard} is in use by this process already`, flash, hard);
	});

	test("another run writes it, under any name; that it reads it is no harm", async () => {
		const hard = join(folder, "hard.fd");
		linkSync(flash, hard);
		writeFileSync(rom, writerRom({ ...SETTINGS, end: "never" }));
		const child = spawn(tsvmm, words(flash), { stdio: ["ignore", "pipe", "ignore"] });
		try {
			for (let text = ""; !text.includes("."); ) text += String((await once(child.stdout, "data"))[0]);
			refused(`${flash} is in use by process ${child.pid} (its lock is ${flash}.lock)`, flash);
			refused(new RegExp(`^tsvmm: --flash: ${hard} is in use by process ${child.pid} \\(`), hard);
			writeFileSync(rom, writerRom(SETTINGS));
			const before = readFileSync(flash);
			for (const key of ["readonly", "snapshot"]) expect(run(`${flash},${key}`).status).toBe(0);
			expect(readFileSync(flash).equals(before)).toBe(true);
		} finally {
			child.kill("SIGTERM");
			await once(child, "exit");
		}
		expect(run(hard).status).toBe(0);
	});
});

const describeMounted =
	hasNamespaces || process.env["CI"] === "true" ? describeWith.bind(undefined, ["tsvmm"]) : describe.skip;
describeMounted(`on a file system of its own (needs root, or user namespaces)`, () => {
	/** Runs tsvmm in a folder that the commands of `setup` have made; what is there in the end is copied to `out`. */
	const runThere = (setup: string, unit: string): Ran & { readonly image: Buffer; readonly files: string[] } => {
		const [there, out] = [join(folder, "there"), join(folder, "out")];
		mkdirSync(there);
		mkdirSync(out);
		const quoted = [tsvmm, ...words(unit)].map((word) => `'${word}'`).join(" ");
		const script = `${setup}
status=0; ${quoted} || status=$?
ls '${there}' > '${out}/files'
cp '${there}/vars.fd' '${out}'
exit $status`;
		const env = { ...process.env, there, flash, size: String(SETTINGS.size) };
		const [program, ...rest] = NAMESPACE;
		const ran = spawnSync(program, [...rest, script], { encoding: "utf8", input: "", env, timeout: 60_000 });
		const files = readFileSync(join(out, "files"), "utf8").trim().split("\n");
		return { ...ran, image: readFileSync(join(out, "vars.fd")), files };
	};
	const there = () => join(folder, "there", "vars.fd");

	test("that is read-only: the message says what to do, and a snapshot runs", () => {
		const setup = `cp "$flash" "$there"; mount --bind "$there" "$there"; mount -o remount,ro,bind "$there"`;
		const { status, stdout, stderr } = runThere(setup, there());
		const problem = "cannot be written (read-only file system); add ,readonly or ,snapshot to leave it unchanged";
		expect([status, stdout, stderr]).toEqual([2, "", `tsvmm: --flash: ${there()} ${problem}\n`]);
		for (const name of ["there", "out"]) rmSync(join(folder, name), { recursive: true });
		const snapshot = runThere(setup, `${there()},snapshot`);
		expect([snapshot.status, snapshot.stderr]).toEqual([0, ""]);
		expect(snapshot.image.equals(readFileSync(flash))).toBe(true);
	});

	test("that fills up while the guest programs: one message, and the file has a beginning of what the guest did", () => {
		const setup = `mount -t tmpfs -o size=1m none "$there"
truncate -s "$size" "$there/vars.fd"
cat /dev/zero > "$there/filler" 2>&- || true
truncate -s -64k "$there/filler"`;
		const { status, stdout, stderr, image, files } = runThere(setup, there());
		const problem = `tsvmm: --flash: ${there()} cannot be written (no space left); the last changes are not in it; `;
		expect([status, stderr]).toEqual([2, expect.stringContaining(problem)]);
		expect(files).toEqual(["filler", "vars.fd"]);
		// "s", and what the guest has reported before the first change that did not get there.
		const place = placeOf(image, SETTINGS, 1, new Uint8Array(SETTINGS.size));
		expect(place?.reports).toBeGreaterThan(10);
		expect(stdout.length).toBeGreaterThanOrEqual(place?.reports ?? Number.NaN);
	});
});
