import { readFileSync, writeFileSync } from "node:fs";
import { UserError } from "../../base/errors.ts";
import { fileProblem } from "../../base/file-problem.ts";
import { plural } from "../../base/plural.ts";
import { hex } from "../../uefi/bytes.ts";
import { ATTRIBUTE, parseAttributes, type Variable, variableLabel, variablesOf } from "../../uefi/variable-store.ts";
import { valueText } from "../../uefi/variable-values.ts";
import { exportVariables, importVariables } from "../../uefi/variables-json.ts";
import { type PlacedStore, readFirmware, storeOf, WHAT } from "./firmware-file.ts";
import { editStore } from "./store-file.ts";
import { outputStyle } from "./style.ts";
import { parseValue, parseVariableName } from "./value-words.ts";
import { variableJson, variableLines } from "./variable-lines.ts";

type VarsFormat = "text" | "json" | "hex" | "raw";

export interface VarsOptions {
	readonly format: VarsFormat;
	/** `NV BS RT` or a number; absent: as the variable had them, else those three. */
	readonly attributes?: string;
}

const DEFAULT_ATTRIBUTES = ATTRIBUTE.nonVolatile | ATTRIBUTE.bootService | ATTRIBUTE.runtime;

type Action = (file: string, words: readonly string[], options: VarsOptions) => Promise<string | Uint8Array>;

/** Actions, with the number of words that each takes at least and at most. */
const ACTIONS: Readonly<Record<string, readonly [least: number, most: number, action: Action]>> = {
	get: [0, 1, get],
	set: [2, 2, set],
	delete: [1, Number.POSITIVE_INFINITY, remove],
	export: [0, 1, exportTo],
	import: [1, 1, importFrom],
};

/** `tsvmm flash vars`. @returns what goes to standard output. @throws UserError for whatever is wrong. */
export function flashVars(
	file: string,
	action: string,
	words: readonly string[],
	options: VarsOptions,
): Promise<string | Uint8Array> {
	const [least, most, run] = ACTIONS[action] ?? [];
	if (least === undefined || most === undefined || run === undefined) {
		const names = Object.keys(ACTIONS).join(", ");
		throw new UserError(`${WHAT}: there is no action ${JSON.stringify(action)}: ${names}`);
	}
	if (words.length < least) throw new UserError(`${WHAT}: ${action} takes more words than that (--help says which)`);
	if (words.length > most) throw new UserError(`${WHAT}: ${action} takes no ${JSON.stringify(words[most])}`);
	return run(file, words, options);
}

async function get(file: string, [name]: readonly string[], { format }: VarsOptions): Promise<string | Uint8Array> {
	const place = storeOf(readFirmware(file), file);
	const variables = variablesOf(place.store.records);
	if (name === undefined) return list(variables, place, format);
	const variable = find(variables, name, file);
	const data = variable.current!.data;
	switch (format) {
		case "raw":
			return data;
		case "hex":
			return `${hex(data)}\n`;
		case "json":
			return `${JSON.stringify(variableJson(variable, place), null, "\t")}\n`;
		case "text":
			return `${valueText(variable.guid, variable.name, data)}\n`;
	}
}

async function list(variables: readonly Variable[], place: PlacedStore, format: VarsFormat): Promise<string> {
	if (format === "json") {
		return `${JSON.stringify(
			variables.map((variable) => variableJson(variable, place)),
			null,
			"\t",
		)}\n`;
	}
	if (format !== "text") throw new UserError(`${WHAT}: --format ${format} takes the name of a variable`);
	const style = await outputStyle();
	return variables
		.flatMap((variable) => variableLines(variable, place, style, false))
		.map((line) => `${line}\n`)
		.join("");
}

function find(variables: readonly Variable[], text: string, file: string): Variable {
	const { guid, name } = parseVariableName(text, variables);
	const variable = variables.find((one) => one.guid === guid && one.name === name);
	if (variable?.current === undefined)
		throw new UserError(`${WHAT}: ${file} has no variable ${variableLabel(guid, name)}`);
	return variable;
}

async function set(file: string, [text = "", value = ""]: readonly string[], options: VarsOptions): Promise<string> {
	return editStore(file, (writer, place) => {
		const variables = variablesOf(place.store.records);
		const variable = parseVariableName(text, variables);
		const old = variables.find(({ guid, name }) => guid === variable.guid && name === variable.name);
		const attributes = attributesFor(options, old);
		const change = writer.set({ ...variable, attributes, data: parseValue(value, variable) });
		return `${variableLabel(variable.guid, variable.name)}: ${change}\n`;
	});
}

/** @throws UserError for attributes that a variable in flash cannot have. */
function attributesFor({ attributes: text }: VarsOptions, old: Variable | undefined): number {
	if (text === undefined) return old?.current?.attributes ?? DEFAULT_ATTRIBUTES;
	const attributes = parseAttributes(text);
	if (attributes === undefined) {
		throw new UserError(
			`--attributes: ${JSON.stringify(text)} is neither a number nor a list of NV, BS, RT, HR, AW, AT`,
		);
	}
	checkAttributes(attributes, "--attributes");
	return attributes;
}

/** UEFI 2.10, 8.2: what flash keeps is non-volatile, and what has no access does not exist. */
function checkAttributes(attributes: number, where: string): void {
	const access = ATTRIBUTE.bootService | ATTRIBUTE.runtime;
	if ((attributes & ATTRIBUTE.nonVolatile) === 0)
		throw new UserError(`${where}: without NV a variable is not kept in flash`);
	if ((attributes & access) === 0) throw new UserError(`${where}: without BS and RT a variable does not exist`);
	if ((attributes & access) === ATTRIBUTE.runtime) throw new UserError(`${where}: RT goes with BS only`);
}

async function remove(file: string, words: readonly string[]): Promise<string> {
	return editStore(file, (writer, place) => {
		const variables = variablesOf(place.store.records);
		const wanted = words.map((word) => find(variables, word, file));
		for (const { guid, name } of wanted) writer.delete(guid, name);
		return wanted.map(({ guid, name }) => `${variableLabel(guid, name)}: deleted\n`).join("");
	});
}

async function exportTo(file: string, [target]: readonly string[]): Promise<string> {
	const variables = variablesOf(storeOf(readFirmware(file), file).store.records);
	const text = exportVariables(variables);
	if (target === undefined) return text;
	try {
		writeFileSync(target, text);
	} catch (error) {
		throw new UserError(`${WHAT}: ${target} ${fileProblem(error)}`);
	}
	const count = variables.filter(({ current }) => current !== undefined).length;
	return `${plural(count, "variable")} in ${target}\n`;
}

async function importFrom(file: string, [source = ""]: readonly string[]): Promise<string> {
	const what = `${WHAT}: ${source}`;
	const values = importVariables(readText(source), what);
	for (const [index, { attributes }] of values.entries())
		checkAttributes(attributes, `${what}: variables[${index}].attr`);
	return editStore(file, (writer) => {
		const counts = { added: 0, replaced: 0, unchanged: 0 };
		for (const value of values) counts[writer.set(value)]++;
		return `${counts.added} added, ${counts.replaced} replaced, ${counts.unchanged} unchanged\n`;
	});
}

function readText(path: string): string {
	try {
		return readFileSync(path === "-" ? 0 : path, "utf8");
	} catch (error) {
		throw new UserError(`${WHAT}: ${path} ${fileProblem(error)}`);
	}
}
