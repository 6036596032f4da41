import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { describeWith } from "../support/guest-files.ts";
import { runMachine } from "../support/run-machine.ts";
import { finalImage, initialImage, type WriterSettings, writerRom } from "./writer.ts";

const folder = mkdtempSync(join(tmpdir(), "tsvmm-qemu-files-"));
afterAll(() => rmSync(folder, { recursive: true }));
const firmware = fileURLToPath(new URL("../../firmware/", import.meta.url));

describeWith(["qemu"], "flash files of QEMU's", (qemu) => {
	/** What the guest says on the console `name`, on QEMU with two flash units: `code`, readonly, and `vars`. */
	const onQemu = (name: "serial" | "debugcon", code: string, vars: string): string => {
		const others = ["-display", "none", "-monitor", "none", "-nodefaults", "-m", "16", "-no-reboot"];
		const units = [`${code},readonly=on`, vars].flatMap((unit) => ["-drive", `if=pflash,format=raw,file=${unit}`]);
		const exit = ["-device", "isa-debug-exit,iobase=0xf4,iosize=1"];
		const { stdout, status } = spawnSync(qemu, ["-accel", "tcg", ...others, ...units, ...exit, `-${name}`, "stdio"], {
			encoding: "latin1",
			timeout: 60_000,
			stdio: ["ignore", "pipe", "inherit"],
		});
		expect(status).toBe(1);
		return stdout;
	};
	const here = async (name: "serial" | "debugcon", code: string, vars: string): Promise<string> => {
		const run = await runMachine({
			flash: [`${code},readonly=on`, `file=${vars},if=pflash,format=raw`],
			memory: "16M",
		});
		expect(run.outcome.end).toEqual({ kind: "debug-exit", value: 0 });
		return run[name];
	};

	test("hold the same after the same guest, at the same addresses, in place", async () => {
		const settings: WriterSettings = { size: 0x2_1000, block: 0x1000, stride: 0x21, burst: 60, passes: 2, end: "exit" };
		const [code, vars, theirs] = ["code.fd", "vars.fd", "theirs.fd"].map((name) => join(folder, name)) as [
			string,
			string,
			string,
		];
		writeFileSync(code, writerRom(settings));
		for (const file of [vars, theirs]) writeFileSync(file, initialImage(settings.size));
		const { ino } = statSync(vars);
		const said = await here("debugcon", code, vars);
		expect(onQemu("debugcon", code, theirs)).toBe(said);
		expect(Buffer.compare(readFileSync(vars), finalImage(settings))).toBe(0);
		expect(readFileSync(theirs).equals(readFileSync(vars))).toBe(true);
		expect(statSync(vars).ino).toBe(ino);
	});

	test("are read and written in turns: the demo counts its boots through both", async () => {
		const [code, vars] = [`${firmware}demo.bin`, join(folder, "demo.fd")];
		copyFileSync(`${firmware}demo-flash.bin`, vars);
		const boots: string[] = [];
		for (const boot of [here, onQemu, here, onQemu]) {
			boots.push(/boot \d+ with this flash/.exec(await boot("serial", code, vars))?.[0] ?? "no count");
		}
		expect(boots).toEqual([1, 2, 3, 4].map((n) => `boot ${n} with this flash`));
	});
});
