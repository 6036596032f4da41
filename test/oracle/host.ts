import { spawnSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { assert } from "../../src/base/errors.ts";
import { type Encoding, PAGE, pattern, STATES, state, WORDS } from "./cases.ts";

const MOST_OUTPUT = 1 << 30;
let program: string | undefined;

/** Builds host.c. */
function build(): string {
	const output = join(mkdtempSync(join(tmpdir(), "tsvmm-oracle-")), "host");
	const source = fileURLToPath(new URL("host.c", import.meta.url));
	const { status, stderr } = spawnSync("gcc", ["-O2", "-o", output, source], { encoding: "utf8" });
	assert(status === 0, `gcc: ${stderr}`);
	return output;
}

/**
 * Runs every state of every encoding on the processor of this machine.
 * @returns for `hashes` 4 bytes for each, for `states` the words of the state and the data page.
 */
export function askHost(list: readonly Encoding[], answer: "hashes" | "states"): Buffer {
	program ??= build();
	const size = 28 + STATES * WORDS * 4;
	const input = Buffer.alloc(PAGE + list.length * size);
	Buffer.from(pattern().buffer).copy(input);
	list.forEach(({ bytes, offset }, n) => {
		const at = PAGE + n * size;
		[offset, bytes.length, STATES].forEach((value, k) => {
			input.writeUInt32LE(value, at + k * 4);
		});
		input.set(bytes, at + 12);
		const words = new Uint32Array(WORDS);
		for (let s = 0; s < STATES; s++) {
			state(list[n]!, s, words);
			Buffer.from(words.buffer).copy(input, at + 28 + s * WORDS * 4);
		}
	});
	const { status, stdout, stderr } = spawnSync(program, [answer], { input, maxBuffer: MOST_OUTPUT });
	assert(status === 0, `the oracle: ${stderr.toString()}`);
	return stdout;
}
