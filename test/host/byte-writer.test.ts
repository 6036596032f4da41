import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, describe, expect, it } from "vitest";
import { UserError } from "../../src/base/errors.ts";
import { ByteWriter, FileWriter } from "../../src/host/byte-writer.ts";

const folder = mkdtempSync(join(tmpdir(), "tsvmm-writer-"));
afterAll(() => rmSync(folder, { recursive: true }));

function fail(error: unknown): never {
	throw error;
}

describe("a file writer", () => {
	it("creates or empties its file, collects bytes and brings them out on flush", () => {
		const file = join(folder, "flush");
		const writer = new FileWriter(file, "--serial", fail);
		writer.writeText("héllo");
		expect(readFileSync(file, "utf8")).toBe("");
		writer.flush();
		expect(readFileSync(file, "utf8")).toBe("héllo");
		writer.close();
	});

	it("brings bytes out by itself soon after they were written", async () => {
		const file = join(folder, "delay");
		const writer = new FileWriter(file, "--serial", fail);
		writer.writeText("prompt> ");
		await sleep(50);
		expect(readFileSync(file, "utf8")).toBe("prompt> ");
		writer.close();
	});

	it("keeps the order of more bytes than its buffer holds, and closes twice without harm", () => {
		const file = join(folder, "long");
		const writer = new FileWriter(file, "--serial", fail);
		const bytes = Uint8Array.from({ length: 100_000 }, (_, at) => (at * 7) & 0xff);
		for (const byte of bytes) writer.write(byte);
		writer.close();
		writer.close();
		expect(readFileSync(file).equals(bytes)).toBe(true);
	});

	it("a file that cannot be created is a mistake of the user's", () => {
		const path = join(folder, "none", "file");
		expect(() => new FileWriter(path, "--debugcon", fail)).toThrow(new UserError(`--debugcon: ${path} does not exist`));
	});
});

describe("a writer whose other side is gone", () => {
	it("says so once and drops the rest", () => {
		const descriptor = openSync("/dev/null", "r");
		const errors: unknown[] = [];
		const writer = new ByteWriter(descriptor, (error) => errors.push(error));
		for (let turn = 0; turn < 3; turn++) {
			writer.write(turn);
			writer.flush();
		}
		closeSync(descriptor);
		expect(errors).toHaveLength(1);
	});
});

describe("a writer to a pipe that is full and does not block", () => {
	it("waits for the reader and loses nothing", async () => {
		const module = JSON.stringify(new URL("../../src/host/byte-writer.ts", import.meta.url).href);
		const script = `
			import { ByteWriter } from ${module};
			process.stdout.on("error", () => {}); // touching the stream is what makes the descriptor not block
			const writer = new ByteWriter(1, (error) => { throw error; });
			for (let at = 0; at < 1_000_000; at++) writer.write(at & 0x7f);
			writer.close();
		`;
		const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], {
			stdio: ["ignore", "pipe", "inherit"],
		});
		const exited = new Promise((resolve) => child.once("exit", resolve));
		await sleep(500);
		let read = 0;
		for await (const chunk of child.stdout) read += (chunk as Buffer).length;
		expect([read, await exited]).toEqual([1_000_000, 0]);
	});
});
