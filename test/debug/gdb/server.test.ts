import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { type DebugAddress, GdbServer } from "../../../src/debug/gdb/server.ts";

const folder = mkdtempSync(join(tmpdir(), "tsvmm-server-"));
afterAll(() => rmSync(folder, { recursive: true }));

const topics = { romWrites: () => [], where: () => [] };
const listen = (address: DebugAddress): Promise<GdbServer> => GdbServer.listen({ address, waits: false, topics });

test("an address that is in use, or cannot be had, is the user's mistake, and named", async () => {
	const first = await listen({ host: "127.0.0.1", port: 0 });
	const port = Number(first.where.split(":")[1]);
	await expect(listen({ host: "127.0.0.1", port })).rejects.toThrow(`--gdb: 127.0.0.1:${port} is in use`);
	await expect(listen({ host: "203.0.113.1", port })).rejects.toThrow("is no address of this machine");
	first.close();
	await expect(listen({ path: join(folder, "missing", "gdb.sock") })).rejects.toThrow(/gdb\.sock .*folder/);
	const file = join(folder, "file");
	writeFileSync(file, "precious");
	await expect(listen({ path: file })).rejects.toThrow("is in use");
	expect(existsSync(file)).toBe(true);
});

test("a socket is gone with its server; one that was left behind is in nobody's way, one in use is", async () => {
	const path = join(folder, "gdb.sock");
	const first = await listen({ path });
	await expect(listen({ path })).rejects.toThrow("is in use");
	first.close();
	expect(existsSync(path)).toBe(false);
	const left = `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
	spawnSync(process.execPath, ["-e", left]);
	expect(existsSync(path)).toBe(true);
	(await listen({ path })).close();
});
