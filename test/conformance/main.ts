import { readFileSync } from "node:fs";
import { Fields, FormatError, isObject, type Json, KEYS } from "./format.ts";
import { replay } from "./replay.ts";
import type { Engine } from "./vm-under-test.ts";

/**
 * Replays a file of measured KVM answers.
 *
 *     npm run conformance -- FILE [--engine interpreter|compiled] [--kinds A,B] [--features A,-B] [--ids A,B]
 *
 * `--kinds` keeps the records of these groups, `--ids` these records; `--features` keeps those that need one of the features named
 * and drops those that need one with a minus in front. Exit status 0: none failed; 1: some did; 2: the call is wrong.
 */
const USAGE =
	"usage: conformance FILE [--engine interpreter|compiled] [--kinds A,B] [--features A,-B] [--modes A,B] [--ids A,B]";

interface Options {
	readonly file: string;
	readonly engine: Engine;
	readonly kinds: readonly string[];
	readonly features: readonly string[];
	readonly modes: readonly string[];
	readonly ids: readonly string[];
}

class UsageError extends Error {}

function parse(words: readonly string[]): Options {
	const values = new Map<string, string>();
	const files: string[] = [];
	for (let n = 0; n < words.length; n++) {
		const [, name, inline] = /^--([a-z]+)(?:=(.*))?$/.exec(words[n]!) ?? [];
		if (name === undefined) files.push(words[n]!);
		else {
			if (!["engine", "kinds", "features", "modes", "ids"].includes(name))
				throw new UsageError(`unknown option --${name}`);
			const value = inline ?? words[++n];
			if (value === undefined) throw new UsageError(`--${name} wants a value`);
			values.set(name, value);
		}
	}
	const engine = values.get("engine") ?? "interpreter";
	if (engine !== "interpreter" && engine !== "compiled") throw new UsageError(`no engine ${engine}`);
	const [file] = files;
	if (file === undefined || files.length > 1) throw new UsageError("one file, please");
	const list = (name: string): string[] =>
		values
			.get(name)
			?.split(",")
			.filter((word) => word !== "") ?? [];
	return { file, engine, kinds: list("kinds"), features: list("features"), modes: list("modes"), ids: list("ids") };
}

function isWanted(record: Json, { kinds, features, modes, ids }: Options): boolean {
	if (!isObject(record)) return true;
	const among = (list: readonly string[], value: Json | undefined): boolean =>
		list.length === 0 || list.includes(String(value));
	const vcpu = record["vcpu"];
	const mode = isObject(vcpu) ? vcpu["mode"] : "none";
	if (!among(kinds, record["kind"]) || !among(ids, record["id"]) || !among(modes, mode)) return false;
	const needs = Array.isArray(record["features"]) ? record["features"].map(String) : [];
	const wanted = features.filter((feature) => !feature.startsWith("-"));
	if (wanted.length > 0 && !needs.some((feature) => wanted.includes(feature))) return false;
	return !needs.some((feature) => features.includes(`-${feature}`));
}

async function main(words: readonly string[]): Promise<number> {
	const options = parse(words);
	const file = new Fields(JSON.parse(readFileSync(options.file, "utf8")) as Json, "file", KEYS.file);
	const header = new Fields(file.json["header"], "header");
	if (header.text("format") !== "kvm-golden/2") throw new FormatError(`format ${header.text("format")}`);
	const skipped: string[] = [];
	let [passed, failed] = [0, 0];
	for (const record of file.list("records")) {
		if (!isWanted(record, options)) continue;
		const id = isObject(record) ? String(record["id"]) : "?";
		const verdict = await replay(record, header, options.engine);
		if (verdict.kind === "passed") passed++;
		else if (verdict.kind === "skipped") skipped.push(id);
		else {
			failed++;
			console.log(`FAILED ${id}: ${verdict.message}`);
			if (verdict.step) {
				console.log(`  step ${verdict.step.number}`);
				console.log(`  expected ${JSON.stringify(verdict.step.expected)}`);
				console.log(`  actual   ${JSON.stringify(verdict.step.actual)}`);
			}
		}
	}
	for (const id of skipped) console.log(`skipped ${id}: a quirk of the host without a decision`);
	console.log(`${passed} passed, ${failed} failed`);
	return failed === 0 ? 0 : 1;
}

try {
	process.exitCode = await main(process.argv.slice(2));
} catch (error) {
	const known = error instanceof UsageError || error instanceof FormatError || error instanceof SyntaxError;
	console.error(known || (error instanceof Error && "code" in error) ? `${(error as Error).message}\n${USAGE}` : error);
	process.exitCode = 2;
}
