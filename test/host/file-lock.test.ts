import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
	closeSync,
	existsSync,
	linkSync,
	mkdirSync,
	mkdtempSync,
	openSync,
	readFileSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { lockFile } from "../../src/host/file-lock.ts";
import { usersOf } from "../../src/host/file-users.ts";
import { forbidsWriting, lockRanges } from "../../src/host/range-locks.ts";
import { describeWith } from "../support/guest-files.ts";

let folder: string;
let path: string;
let undo: (() => void)[];

beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "tsvmm-lock-"));
	path = join(folder, "vars.fd");
	writeFileSync(path, Buffer.alloc(0x2_0000));
	undo = [];
});
afterEach(() => {
	for (const action of undo.reverse()) action();
	rmSync(folder, { recursive: true });
});

function opened(file = path, mode = "r+"): number {
	const descriptor = openSync(file, mode);
	undo.push(() => closeSync(descriptor));
	return descriptor;
}

function lock(file = path): void {
	const descriptor = openSync(file, "r+");
	try {
		undo.push(lockFile(file, descriptor, "--flash"));
		undo.push(() => closeSync(descriptor));
	} catch (error) {
		closeSync(descriptor);
		throw error;
	}
}

/** No program but this one, or none at all, can be called from now on. */
function onlyWith(program: string): void {
	const before = process.env["PATH"];
	const bin = join(folder, "bin");
	mkdirSync(bin);
	if (program !== NONE) symlinkSync(real.get(program)!, join(bin, program));
	process.env["PATH"] = bin;
	undo.push(() => {
		process.env["PATH"] = before;
	});
}

/** Another process that has a file open, as tsvmm or only so. */
async function holder(file: string): Promise<ChildProcess> {
	const script = fileURLToPath(new URL("./flash-writer.ts", import.meta.url));
	const child = spawn(process.execPath, ["--import", "tsx", script, file], { stdio: ["ignore", "pipe", "inherit"] });
	undo.push(() => child.kill("SIGKILL"));
	await once(child.stdout!, "data");
	return child;
}

const NONE = "no helper";

const linux = describe.skipIf(process.platform !== "linux");
const said = (program: string, ...words: readonly string[]): string =>
	spawnSync(program, words, { encoding: "utf8" }).stdout ?? "";
/** Where that is which can take locks for us: what is first in PATH may be a script that looks for it. */
const real = new Map(
	[
		["perl", said("perl", "-e", "print $^X")],
		["python3", said("python3", "-c", "import sys; sys.stdout.write(sys.executable)")],
	].filter((entry): entry is [string, string] => entry[1] !== ""),
);
const helpers = [...real.keys()];

linux("a file that another name leads to as well", () => {
	const other = () => join(folder, "elsewhere", "hard.fd");
	beforeEach(() => {
		mkdirSync(join(folder, "elsewhere"));
		linkSync(path, other());
	});

	test.each([...helpers, NONE])("is locked under each of them, with %s", (program) => {
		onlyWith(program);
		expect(lockRanges(opened())).toBe(program !== NONE ? "taken" : "unavailable");
		// That lock goes with its descriptor.
		undo.pop()?.();
		lock();
		expect(() => lock(other())).toThrow(`--flash: ${other()} is in use by this process already`);
		expect(existsSync(`${other()}.lock`)).toBe(false);
	});

	test.each([...helpers, NONE])("is locked by another process, with %s", async (program) => {
		const { pid } = await holder(path);
		onlyWith(program);
		expect(() => lock(other())).toThrow(`--flash: ${other()} is in use by process ${pid} (`);
	});

	test("may be read by others, and locked again after them", async () => {
		const child = await holder(other());
		child.kill("SIGKILL");
		await once(child, "exit");
		opened(path, "r");
		lock();
		expect(readFileSync(`${path}.lock`, "utf8")).toMatch(new RegExp(`^${process.pid}\n`));
	});
});

linux("users of a file", () => {
	test("are told with name and whether they write", async () => {
		const mine = opened(path, "r");
		const { pid } = await holder(path);
		opened(path, "r");
		const users = usersOf(mine).sort((a, b) => Number(a.pid === pid) - Number(b.pid === pid));
		expect(users.map(({ pid, writes }) => [pid, writes])).toEqual([
			[process.pid, false],
			[pid, true],
		]);
		expect(users[1]!.name).not.toBe("");
	});
});

describe("locks in /proc/locks", () => {
	const table = (line: string): string => `1: POSIX  ADVISORY  WRITE 77 00:1c:9 0 EOF\n${line}\n`;
	test.each([
		["QEMU's writer of a flash", "2: OFDLCK ADVISORY  READ -1 fe:00:4587864 100 101", true],
		["QEMU's reader of a flash", "2: OFDLCK ADVISORY  READ -1 fe:00:4587864 100 100", false],
		["QEMU's reader of a disk", "2: OFDLCK ADVISORY  READ -1 fe:00:4587864 201 201", true],
		["a lock on all of it", "2: POSIX  ADVISORY  WRITE 123 fe:00:4587864 0 EOF", true],
		["one that somebody waits for", "2: -> POSIX  ADVISORY  WRITE 123 fe:00:4587864 0 EOF", true],
		["flock's, which is no business of ours", "2: FLOCK  ADVISORY  WRITE 123 fe:00:4587864 0 EOF", false],
		["a lock on another file", "2: OFDLCK ADVISORY  READ -1 fe:00:458786 100 101", false],
		["a lock on another device", "2: OFDLCK ADVISORY  READ -1 fe:01:4587864 100 101", false],
	])("%s", (_, line, forbids) => {
		expect(forbidsWriting(table(line), 0xfe00n, 4587864n)).toBe(forbids);
	});

	test("large device numbers are put together as stat has them", () => {
		// Major 0x103, minor 0x12345.
		expect(forbidsWriting(table("2: OFDLCK ADVISORY READ -1 103:12345:5 100 101"), 0x1231_0345n, 5n)).toBe(true);
	});
});

describeWith(["qemu"], "beside QEMU", (qemu) => {
	const words = (file: string, keys = "") => [
		...["-S", "-display", "none", "-monitor", "stdio", "-serial", "none", "-nodefaults"],
		...["-drive", `if=pflash,format=raw,file=${file}${keys}`],
	];
	const hold = async (keys = ""): Promise<ChildProcess> => {
		const child = spawn(qemu, words(path, keys), { stdio: ["pipe", "pipe", "ignore"] });
		undo.push(() => child.kill("SIGKILL"));
		await once(child.stdout, "data");
		// It may greet before it has taken its locks.
		const isLocked = (): boolean => readFileSync("/proc/locks", "utf8").includes(`:${statSync(path).ino} `);
		await expect.poll(isLocked, { timeout: 10_000 }).toBe(true);
		return child;
	};

	test.each([...helpers, NONE])(
		"a flash that QEMU writes is refused, and one that it reads is not, with %s",
		async (program) => {
			const writer = await hold();
			onlyWith(program);
			expect(() => lock()).toThrow(`--flash: ${path} is in use by process ${writer.pid} (qemu-system-`);
			writer.kill("SIGKILL");
			await once(writer, "exit");
			await hold(",readonly=on");
			lock();
		},
	);

	test.skipIf(helpers.length === 0 && process.env["CI"] !== "true")(
		"QEMU does not write a flash that is locked, but reads it",
		async () => {
			lock();
			const { status, stderr } = spawnSync(qemu, words(path), { encoding: "utf8", timeout: 10_000 });
			expect([status, stderr]).toEqual([1, expect.stringContaining('Failed to get "write" lock')]);
			await hold(",readonly=on");
		},
	);
});
