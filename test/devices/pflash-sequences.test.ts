import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { modelOf, playFlashScript, readFlashScript, reloadedModelOf } from "../support/flash-script.ts";
import { describeWith } from "../support/guest-files.ts";
import { FLASH_MACHINES, qemuPlayer } from "../support/qemu-flash.ts";

const folder = fileURLToPath(new URL("../vectors/flash/", import.meta.url));
const scripts = readdirSync(folder)
	.filter((name) => name.endsWith(".txt"))
	.map((name) => ({ name, script: readFlashScript(folder + name) }));

describe("recorded flash sessions", () => {
	test.each(scripts)("$name: the model gives what was recorded", async ({ script }) => {
		expect(await playFlashScript(script, modelOf(script))).toEqual([]);
	});

	test.each(scripts)("$name: so does one that is saved and loaded after each cycle", async ({ script }) => {
		expect(await playFlashScript(script, reloadedModelOf(script))).toEqual([]);
	});
});

for (const needed of ["qemu", "qemu-arm"] as const) {
	const recorded = scripts.filter(({ script: { qemu } }) => qemu !== undefined && FLASH_MACHINES[qemu].qemu === needed);
	describeWith([needed], `flash sessions recorded on QEMU's machines (${needed})`, () => {
		test.each(recorded)("$name: QEMU gives it again", async ({ script }) => {
			const player = qemuPlayer(script);
			try {
				expect(await playFlashScript(script, player)).toEqual([]);
			} finally {
				player.close();
			}
		});
	});
}
