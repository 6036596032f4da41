import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "tsvmm-input-"));
afterAll(() => rmSync(folder, { recursive: true }));

const command = [
	"--import",
	import.meta.resolve("tsx"),
	fileURLToPath(new URL("../../src/cli/bin.ts", import.meta.url)),
];

test.each(["a file", "/dev/null"])(
	"a guest that sleeps without having looked at its input, %s, sleeps for good",
	(input) => {
		const rom = Buffer.alloc(65536, 0xf4);
		rom.set([0xfb, 0xf4, 0xeb, 0xfd], 0xfff0); // sti; hlt; jmp to hlt
		writeFileSync(join(folder, "rom"), rom);
		writeFileSync(join(folder, "script"), "hello\n");
		const descriptor = openSync(input === "a file" ? join(folder, "script") : input, "r");
		try {
			const words = ["run", "--bios", join(folder, "rom"), "--timeout", "20s"];
			const { status, stderr } = spawnSync(process.execPath, [...command, ...words], {
				encoding: "utf8",
				stdio: [descriptor, "pipe", "pipe"],
			});
			expect({ status, stderr }).toEqual({
				status: 123,
				stderr: expect.stringContaining("halted for good: at f000:0000fff2"),
			});
		} finally {
			closeSync(descriptor);
		}
	},
);
