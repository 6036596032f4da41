import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { describeWith } from "../support/guest-files.ts";
import { rebuildImages } from "../support/rebuilt-images.ts";
import { guests, outputLines, trial } from "./guests.ts";

/** For 64-bit code: a processor that has it, of the maker whose manuals we follow. */
const LONG = ["-cpu", "max,vendor=GenuineIntel"];
const folder = fileURLToPath(new URL(".", import.meta.url));

describeWith(["qemu", "qemu64"], "guests on QEMU", (qemu, qemu64) => {
	test.each(guests)("$name prints what is expected but for the departures listed", (guest) => {
		const { stdout, status } = spawnSync(
			guest.needs64 ? qemu64 : qemu,
			[
				...[
					"-accel",
					"tcg",
					...(guest.needs64 ? LONG : []),
					"-m",
					"64",
					"-nodefaults",
					"-display",
					"none",
					"-no-reboot",
					"-serial",
					"stdio",
				],
				...["-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-bios", guest.image],
			],
			{ encoding: "latin1", timeout: 20_000, stdio: ["ignore", "pipe", "ignore"] },
		);
		const usual = new Set(guest.expected);
		const unlisted = outputLines(stdout).filter(
			(line) => !usual.has(line) && guest.qemuDepartures.get(trial(line)) !== line,
		);
		expect(unlisted).toEqual([]);
		expect(outputLines(stdout).map(trial)).toEqual(guest.expected.map(trial));
		expect(status).toBe(1);
	});
});

describeWith(["nasm"], "test/guests/build.sh", () => {
	test("gives the committed images, byte for byte", () => {
		const images = rebuildImages(`${folder}build.sh`);
		expect([...images.keys()].sort()).toEqual(guests.map(({ name }) => `${name}.bin`));
		for (const [name, bytes] of images) {
			expect(bytes.equals(readFileSync(`${folder}images/${name}`)), `${name} differs: run build.sh`).toBe(true);
		}
	});
});
