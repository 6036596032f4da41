/**
 * Holds an engine against the processor of this machine, case by case, and prints where they differ:
 * `npx tsx test/oracle/compare.ts [--engine interpreter] [--only REGEX] [--limit N]`. Needs gcc, Linux and x86-64.
 */
import { parseArgs } from "node:util";
import type { EngineName } from "../support/engine.ts";
import { type Encoding, encodings, instances, PAGE, STATE, STATES, state, WORDS } from "./cases.ts";
import { askHost } from "./host.ts";
import { OracleMachine } from "./machine.ts";

const { values } = parseArgs({
	options: {
		engine: { type: "string", default: "interpreter" },
		only: { type: "string", default: "" },
		limit: { type: "string", default: "1" },
	},
});
const only = new RegExp(values.only, "i");
const machine = await OracleMachine.create(values.engine as EngineName);
let [cases, wrong, forms, wrongForms] = [0, 0, 0, 0];
for (const [name, instance] of instances()) {
	if (!only.test(name)) continue;
	forms++;
	const found = encodings(name, instance);
	if (found.length === 0) console.log(`${name}: cannot be encoded`);
	const answers = askHost(found, "states");
	let shown = 0;
	let different = 0;
	for (const [e, encoding] of found.entries()) {
		machine.place(encoding);
		for (let n = 0; n < STATES; n++) {
			const before = new Uint32Array(WORDS);
			state(encoding, n, before);
			const after = before.slice();
			const data = machine.run(encoding, after);
			const at = (e * STATES + n) * (WORDS * 4 + PAGE);
			const expected = new Uint32Array(answers.buffer, answers.byteOffset + at, WORDS);
			const expectedData = new Uint32Array(answers.buffer, answers.byteOffset + at + WORDS * 4, PAGE / 4);
			cases++;
			const lines = differences(expected, after, expectedData, data);
			if (lines.length === 0) continue;
			different++;
			if (shown++ < Number(values.limit)) console.log(describe(encoding, n, before, lines));
		}
	}
	wrong += different;
	if (different > 0) {
		wrongForms++;
		console.log(`${name}: ${different} of ${found.length * STATES} cases differ`);
	}
}
console.log(`${forms} forms, ${cases} cases; ${wrongForms} forms differ in ${wrong} cases`);

function differences(expected: Uint32Array, found: Uint32Array, data: Uint32Array, foundData: Uint32Array): string[] {
	const lines: string[] = [];
	const say = (what: string, a: number, b: number): void => {
		if (a !== b) lines.push(`  ${what}: processor ${(a >>> 0).toString(16)}, here ${(b >>> 0).toString(16)}`);
	};
	for (let n = 0; n < WORDS; n++) say(nameOf(n), expected[n]!, found[n]!);
	for (let n = 0; n < PAGE / 4; n++) say(`memory ${(0x10000 + n * 4).toString(16)}`, data[n]!, foundData[n]!);
	return lines.slice(0, 12);
}

function nameOf(n: number): string {
	if (n < 32) return `r${n >> 1}${n & 1 ? " high" : ""}`;
	if (n >= STATE.ymm && n < STATE.vector) return `ymm${(n - STATE.ymm) >> 3}[${(n - STATE.ymm) & 7}]`;
	if (n >= STATE.st && n < STATE.ymm) return `st${(n - STATE.st) >> 2}[${(n - STATE.st) & 3}]`;
	return Object.entries(STATE).find(([, at]) => at === n)?.[0] ?? `word ${n}`;
}

function describe({ name, bytes, instance }: Encoding, n: number, before: Uint32Array, lines: string[]): string {
	const hex = (value: number): string => (value >>> 0).toString(16).padStart(8, "0");
	const gprs = Array.from({ length: 16 }, (_, r) => `r${r}=${hex(before[r * 2 + 1]!)}${hex(before[r * 2]!)}`).join(" ");
	const status = `flags=${hex(before[STATE.flags]!)} mxcsr=${hex(before[STATE.mxcsr]!)} fcw=${hex(before[STATE.fcw]!)} fsw=${hex(before[STATE.fsw]!)} tags=${hex(before[STATE.tags]!)}`;
	const text = [
		`${name}, state ${n}: ${bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(" ")}`,
		`  ${gprs}`,
	];
	text.push(`  ${status}`);
	const used = (instance.form.encoding.map > 0 ? [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15] : []).filter(
		(r) => lines.some((line) => line.includes(`ymm${r}[`)),
	);
	for (const r of used)
		text.push(`  ymm${r}: ${Array.from({ length: 8 }, (_, k) => hex(before[STATE.ymm + r * 8 + k]!)).join(" ")}`);
	return [...text, ...lines].join("\n");
}
