import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "tsvmm-symbols-"));
afterAll(() => rmSync(folder, { recursive: true }));

const command = [
	"--import",
	import.meta.resolve("tsx"),
	fileURLToPath(new URL("../../src/cli/bin.ts", import.meta.url)),
];

/** cli; then call 0xf100, where a halt is. */
function rom(): string {
	const image = Buffer.alloc(0x10000, 0x90);
	image.set([0xfa, 0xbc, 0x00, 0x70, 0xe8, 0xf9, 0x00], 0xf000); // cli; mov sp, 0x7000; call 0xf100
	image.set([0xf4], 0xf100);
	image.set([0xea, 0x00, 0xf0, 0x00, 0xf0], 0xfff0); // jmp f000:f000
	writeFileSync(join(folder, "rom.bin"), image);
	return "rom.bin";
}

function tsvmm(...words: readonly string[]): { status: number | null; stderr: string } {
	const { status, stderr } = spawnSync(process.execPath, [...command, "run", "--bios", rom(), ...words], {
		...{ cwd: folder, encoding: "utf8", input: "", timeout: 60_000 },
		env: { ...process.env, NO_COLOR: "1" },
	});
	return { status, stderr: stderr.replace(/, [^,]* of host time/g, "") };
}

const HALTED = "tsvmm: halted for good: at f000:0000f101; 5 instructions, 5 ns of guest time\n";

describe("a run that ends somewhere", () => {
	test("says where, and who called, by the symbols given, on standard error and in the result", () => {
		writeFileSync(join(folder, "rom.map"), "00000000 T start\n00000100 T stop\n00000200 T end\n");
		const { status, stderr } = tsvmm("--symbols", "rom.map@0xff000", "--result", "result.json");
		expect({ status, stderr }).toEqual({
			status: 123,
			stderr: `${HALTED}  #0 0xff100 rom!stop\n  #1 ? 0xff007 rom!start+0x7\n`,
		});
		expect(JSON.parse(readFileSync(join(folder, "result.json"), "utf8"))).toMatchObject({
			stack: [
				{ address: "0xff100", module: "rom", symbol: "stop", offset: 0, how: "exact" },
				{ address: "0xff007", module: "rom", symbol: "start", offset: 7, how: "scan" },
			],
		});
	});

	test("says nothing more where the place is unknown", () => {
		const { status, stderr } = tsvmm("--result", "bare.json");
		expect({ status, stderr }).toEqual({ status: 123, stderr: HALTED });
		expect(JSON.parse(readFileSync(join(folder, "bare.json"), "utf8"))).not.toHaveProperty("stack");
	});

	test("names a file without symbols once, at the end, and a file that is not there before the start", () => {
		writeFileSync(join(folder, "junk"), "nothing\n");
		const junk = tsvmm("--symbols", "junk");
		expect(junk.status).toBe(123);
		expect(junk.stderr.match(/tsvmm: --symbols: junk is none of the files that have symbols/g)).toHaveLength(1);
		const { status, stderr } = tsvmm("--symbols", "absent.elf");
		expect({ status, stderr }).toEqual({ status: 2, stderr: "tsvmm: --symbols: absent.elf does not exist\n" });
	});
});
