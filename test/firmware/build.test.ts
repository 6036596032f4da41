import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { describeWith } from "../support/guest-files.ts";
import { rebuildImages } from "../support/rebuilt-images.ts";

const firmware = fileURLToPath(new URL("../../firmware/", import.meta.url));

describeWith(["nasm"], "firmware/build.sh", () => {
	test("gives the committed images, byte for byte", () => {
		const images = rebuildImages(`${firmware}build.sh`);
		expect([...images.keys()].sort()).toEqual(["demo-flash.bin", "demo.bin", "linuxboot.bin", "services.bin"]);
		for (const [name, bytes] of images) {
			expect(bytes.equals(readFileSync(firmware + name)), `${name} differs: run firmware/build.sh`).toBe(true);
		}
	});
});

test("the demo ROM is 64 KiB and starts with a far jump at the reset vector", () => {
	const rom = readFileSync(`${firmware}demo.bin`);
	expect(rom.length).toBe(64 << 10);
	expect(rom[0xfff0]).toBe(0xea);
	expect(rom.readUInt16LE(0xfff3)).toBe(0xf000);
});
