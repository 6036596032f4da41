import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { MACHINE_ENGINES, runMachine } from "../support/run-machine.ts";

const firmware = fileURLToPath(new URL("../../firmware/", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "tsvmm-demo-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe.each(MACHINE_ENGINES)("the demo ROM on the %s engine", (engine) => {
	test("goes through RAM, ROM and flash, and counts its boots in the flash", async () => {
		const flash = join(folder, `${engine}.bin`);
		copyFileSync(`${firmware}demo-flash.bin`, flash);
		const boot = () => runMachine({ bios: `${firmware}demo.bin`, flash: [flash], memory: "16M", engine });
		const first = await boot();
		expect(first.serial.replaceAll("\r", "").trimEnd().split("\n")).toEqual([
			"Hello from the reset vector: 64 KiB of ROM at 0xffff0000 and 0x000f0000",
			"RAM    16 MiB, says fw_cfg",
			"RAM    patterns and addresses tested: 15935 KiB, no errors",
			"ROM    storing 0x21444142 at 0x000f0000",
			"ROM    reads 0x214d4f52 as before: not changed",
			"Flash  CFI: 128 KiB at 0xfffd0000, 32 sectors of 4096 bytes",
			"Flash  sector 0 erased, programmed, read back: boot 1 with this flash",
			"Flash  6 switches between array and command mode (ROMD)",
			"Done.",
		]);
		expect(first.outcome.end).toEqual({ kind: "debug-exit", value: 0 });
		expect(first.outcome.flash).toEqual([{ romdSwitches: 6, erasedBlocks: 1, programmedBytes: 20 }]);
		expect(first.romWrites).toHaveLength(1);
		expect((await boot()).serial).toContain("boot 2 with this flash");
		expect(readFileSync(flash).toString("latin1", 0, 20)).toBe("tsvmm demo boots\x02\0\0\0");
	});
});

test("the demo ROM without a flash says so", async () => {
	const { serial, outcome } = await runMachine({ bios: `${firmware}demo.bin`, memory: "4M" });
	expect(serial).toContain("Flash  none answers the CFI query below the ROM\r\nDone.");
	expect(outcome.end).toEqual({ kind: "debug-exit", value: 0 });
});
