import { spawn } from "node:child_process";
import { once } from "node:events";
import {
	chmodSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { UserError } from "../../src/base/errors.ts";
import { FlashFile } from "../../src/host/flash-file.ts";

const OPTIONS = { what: "--flash", readonly: false, sectorSize: 4096, limit: 0x80_0000, failed: () => {} };

let folder: string;
let path: string;
let opened: FlashFile[];

beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "tsvmm-flash-"));
	path = join(folder, "vars.fd");
	writeFileSync(
		path,
		Uint8Array.from({ length: 8192 }, (_, i) => i),
	);
	opened = [];
});

afterEach(() => {
	for (const file of opened) file.close();
	rmSync(folder, { recursive: true });
});

function open(file = path, options: Partial<typeof OPTIONS> = {}): FlashFile {
	const flash = new FlashFile(file, { ...OPTIONS, ...options });
	opened.push(flash);
	return flash;
}

function loaded(options: Partial<typeof OPTIONS> = {}) {
	const file = open(path, options);
	const memory = new Uint8Array(file.size);
	file.load(memory);
	const change = (offset: number, ...bytes: number[]): void => {
		memory.set(bytes, offset);
		file.write(offset, bytes.length);
	};
	return { file, memory, change };
}

/** As a user whom permissions bind, also where the tests run as root. */
function unprivileged<T>(action: () => T): T {
	if (process.geteuid?.() !== 0) return action();
	process.seteuid?.(65534);
	try {
		return action();
	} finally {
		process.seteuid?.(0);
	}
}

const message = (action: () => unknown): string => {
	try {
		action();
	} catch (error) {
		if (error instanceof UserError) return error.message;
		throw error;
	}
	return "no error";
};

describe("flash file contents", () => {
	test("load gives the file's bytes", () => {
		expect(loaded().memory).toEqual(Uint8Array.from(readFileSync(path)));
	});

	test("flush writes what changed, in place, and only that", () => {
		const { file, memory, change } = loaded();
		const { ino } = statSync(path);
		change(0x10, 0xaa, 0xbb);
		change(0x12, 0xcc);
		change(0x1fff, 0xdd);
		memory[0x100] = 0xee;
		file.flush();
		const expected = memory.slice();
		expected[0x100] = 0x00;
		expect(Uint8Array.from(readFileSync(path))).toEqual(expected);
		expect(statSync(path).ino).toBe(ino);
	});

	test("many scattered changes all arrive", () => {
		const { file, memory, change } = loaded();
		for (let i = 0; i < 200; i++) change((i * 37) % 8192, 0x5a);
		file.flush();
		expect(Uint8Array.from(readFileSync(path))).toEqual(memory);
	});

	test("a change that nobody flushes arrives by itself", async () => {
		const { change } = loaded();
		change(0x20, 0x99);
		expect(readFileSync(path)[0x20]).toBe(0x20);
		await delay(250);
		expect(readFileSync(path)[0x20]).toBe(0x99);
	});

	test("close flushes", () => {
		const { file, change } = loaded();
		change(0x30, 0x77);
		file.close();
		expect(readFileSync(path)[0x30]).toBe(0x77);
	});

	test("read-only: changes stay in memory, and there is no lock", () => {
		const { file, change } = loaded({ readonly: true });
		change(0x30, 0x77);
		file.flush();
		expect([readFileSync(path)[0x30], existsSync(`${path}.lock`)]).toEqual([0x30, false]);
		open(path, { readonly: true });
		open(path);
	});
});

describe("flash file mistakes", () => {
	test.each([
		["missing.fd", undefined, "does not exist"],
		["empty.fd", 0, "is empty"],
		["odd.fd", 4097, "is 4097 bytes long; a flash image is a multiple of 4096 bytes"],
		["long.fd", 12288, "is 12288 bytes long; at most 8192 are possible"],
	])("%s: one message", (name, size, problem) => {
		const file = join(folder, name);
		if (size !== undefined) writeFileSync(file, new Uint8Array(size));
		expect(message(() => open(file, { limit: 8192 }))).toBe(`--flash: ${file} ${problem}`);
		expect(existsSync(`${file}.lock`)).toBe(false);
	});

	test("a folder is not a flash", () => {
		const file = join(folder, "folder");
		mkdirSync(file);
		expect(message(() => open(file))).toBe(`--flash: ${file} is a folder, not a file`);
		expect(message(() => open(file, { readonly: true }))).toBe(`--flash: ${file} is not a regular file`);
	});

	test("a file that may not be written: the hint is readonly", () => {
		chmodSync(folder, 0o777);
		chmodSync(path, 0o444);
		expect(message(() => unprivileged(open))).toBe(
			`--flash: ${path} is not accessible (permission denied); add ,readonly or ,snapshot to leave it unchanged`,
		);
	});
});

test("a folder in which no lock can be made: the message names the lock", () => {
	chmodSync(path, 0o666);
	chmodSync(folder, 0o555);
	expect(message(() => unprivileged(open))).toBe(
		`--flash: the lock ${path}.lock is not accessible (permission denied); add ,readonly or ,snapshot to leave it unchanged`,
	);
});

describe("flash file lock", () => {
	const lock = () => `${path}.lock`;
	/** The pid of a process that has ended. */
	const endedProcess = async (): Promise<number> => {
		const child = spawn(process.execPath, ["-e", ""]);
		await once(child, "exit");
		return child.pid!;
	};

	test("a second writer is refused and told by whom, also through another name", () => {
		open();
		const other = join(folder, "link.fd");
		symlinkSync(path, other);
		expect(message(() => open())).toBe(`--flash: ${path} is in use by this process already (its lock is ${lock()})`);
		expect(message(() => open(other))).toBe(
			`--flash: ${other} is in use by this process already (its lock is ${lock()})`,
		);
	});

	test("closing gives it back", () => {
		open().close();
		expect(existsSync(lock())).toBe(false);
		open();
	});

	test("left by a process that is gone: taken over", async () => {
		writeFileSync(lock(), `${await endedProcess()}\n1\n${hostname()}\n`);
		open();
		expect(readFileSync(lock(), "utf8").split("\n")[0]).toBe(String(process.pid));
	});

	test.skipIf(process.platform !== "linux")("left by an earlier process of the same number: taken over", () => {
		writeFileSync(lock(), `${process.pid}\n1\n${hostname()}\n`);
		open();
	});

	test("of another host, or unreadable: refused", () => {
		writeFileSync(lock(), "1\n1\nelsewhere\n");
		expect(message(() => open())).toBe(`--flash: ${path} is in use by process 1 on elsewhere (its lock is ${lock()})`);
		writeFileSync(lock(), "");
		expect(message(() => open())).toBe(`--flash: ${path} is in use (its lock is ${lock()})`);
	});
});

test("killed at once after a flush, the file has all that was flushed, and its lock is stale", async () => {
	const writer = fileURLToPath(new URL("./flash-writer.ts", import.meta.url));
	const child = spawn(process.execPath, ["--import", "tsx", writer, path], { stdio: ["ignore", "pipe", "inherit"] });
	await once(child.stdout, "data");
	child.kill("SIGKILL");
	await once(child, "exit");
	const bytes = readFileSync(path);
	expect([bytes[0x10], bytes[0x1000], bytes[0x1fff], bytes[0x11]]).toEqual([0xaa, 0xff, 0xff, 0x11]);
	expect(existsSync(`${path}.lock`)).toBe(true);
	open();
}, 20_000);

test.each(["exit", "throw", "reject"])(
	"a process that ends by %s without closing it: all is in the file, unlocked",
	async (end) => {
		const writer = fileURLToPath(new URL("./flash-writer.ts", import.meta.url));
		const child = spawn(process.execPath, ["--import", "tsx", writer, path, end], { stdio: "ignore" });
		expect(await once(child, "exit")).toEqual([end === "exit" ? 0 : 1, null]);
		const bytes = readFileSync(path);
		expect([bytes[0x10], bytes[0x1000], bytes[0x20]]).toEqual([0xaa, 0xff, 0xbb]);
		expect(existsSync(`${path}.lock`)).toBe(false);
	},
	20_000,
);
