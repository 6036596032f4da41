import { describe, expect, test } from "vitest";
import { ENGINES, type EngineName } from "../support/engine.ts";
import { type Encoding, encodings, hash, instances, STATES, state, WORDS } from "./cases.ts";
import { OracleMachine } from "./machine.ts";
import { condense, readRecording } from "./recording.ts";

const recording = readRecording();
const all = instances();
const mnemonics = [...new Set([...all.keys()].map((name) => name.split(" ")[0]!))];

/** Hashes of the outcomes of all cases of a form. */
function outcomes(machine: OracleMachine, list: readonly Encoding[]): Uint32Array {
	const hashes: number[] = [];
	const words = new Uint32Array(WORDS);
	for (const encoding of list) {
		machine.place(encoding);
		for (let n = 0; n < STATES; n++) {
			state(encoding, n, words);
			const data = machine.run(encoding, words);
			hashes.push(hash(data, hash(words)));
		}
	}
	return Uint32Array.from(hashes);
}

/** What differs, in words: nothing where all is well. */
async function check(engine: EngineName, mnemonic: string): Promise<string[]> {
	const machine = await OracleMachine.create(engine);
	const wrong: string[] = [];
	for (const [name, instance] of all) {
		if (!name.startsWith(`${mnemonic} `)) continue;
		const expected = recording.forms.get(name);
		if (!expected) {
			wrong.push(`${name}: not recorded`);
			continue;
		}
		const found = condense(outcomes(machine, encodings(name, instance)));
		if (found.word === expected.word && found.bytes.length === expected.bytes.length) continue;
		const cases = [...found.bytes.keys()].filter((n) => found.bytes[n] !== expected.bytes[n]);
		wrong.push(
			`${name}: cases ${cases.slice(0, 8).join(", ")}${cases.length > 8 ? " …" : ""} of ${found.bytes.length}`,
		);
	}
	return wrong;
}

describe("the recording of a processor", () => {
	test("has an answer to every case of every form, and nothing else", () => {
		expect([...recording.forms.keys()].sort()).toEqual([...all.keys()].sort());
		const unencoded = [...all].filter(([name, instance]) => encodings(name, instance).length === 0);
		expect(unencoded.map(([name]) => name)).toEqual([]);
	});
});

describe.each(ENGINES)("64-bit code on the %s", (engine) => {
	test.each(mnemonics)("%s leaves what a processor left", async (mnemonic) => {
		expect(await check(engine, mnemonic)).toEqual([]);
	});
});
