/**
 * Plays sessions and writes down what reads gave: on the machine of QEMU's that a session names, otherwise on the model, where
 * what comes out has to be held against datasheets.
 *
 * `npx tsx test/vectors/flash/record.ts test/vectors/flash/NAME.txt...`
 */
import { readFileSync, writeFileSync } from "node:fs";
import { type FlashPlayer, modelOf, parseFlashScript } from "../../support/flash-script.ts";
import { qemuPlayer } from "../../support/qemu-flash.ts";

for (const path of process.argv.slice(2)) {
	const text = readFileSync(path, "utf8");
	const script = parseFlashScript(text);
	const player: FlashPlayer & { close?: () => void } = script.qemu === undefined ? modelOf(script) : qemuPlayer(script);
	const values: string[] = [];
	for (const step of script.steps) {
		if (step.kind === "wait") await player.wait(step.ns);
		else if (step.kind === "write") player.write(step.offset, step.size, step.value);
		else values.push((await player.read(step.offset, step.size)).toString(16));
	}
	player.close?.();
	const lines = text.split("\n").map((line) => (/^[bwdc] /.test(line) ? line.replace(/=[0-9a-f]+/g, () => `=${values.shift()}`) : line));
	writeFileSync(path, lines.join("\n"));
}
