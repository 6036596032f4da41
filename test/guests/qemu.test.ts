import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { describeWith } from "../support/guest-files.ts";
import { rebuildImages } from "../support/rebuilt-images.ts";
import { guests, outputLines, trial } from "./guests.ts";

const folder = fileURLToPath(new URL(".", import.meta.url));

describeWith(["qemu"], "guests on QEMU", (qemu) => {
	test.each(guests)("$name prints what is expected but for the departures listed", (guest) => {
		const { stdout, status } = spawnSync(
			qemu,
			[
				...["-accel", "tcg", "-m", "64", "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"],
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
