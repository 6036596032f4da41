import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { isMap, isNode, isSeq, LineCounter, parseDocument } from "yaml";
import { UserError } from "../base/errors.ts";
import { fileProblem } from "../base/file-problem.ts";
import { nearest } from "./nearest.ts";
import type { Option } from "./option.ts";
import { OPTIONS } from "./options.ts";
import type { Given, GivenOptions } from "./resolve.ts";
import { z } from "./zod.ts";

/** A field that editors use to find the JSON Schema; it says nothing about the machine. */
const SCHEMA_FIELD = "$schema";

/**
 * Reads a machine file, YAML or JSON: a mapping from option names to values.
 * @throws UserError with line and column for a syntax error, an unknown field or a value of the wrong kind.
 */
export function readMachineFile(file: string): GivenOptions {
	let text: string;
	try {
		text = readFileSync(file, "utf8");
	} catch (error) {
		throw new UserError(`machine file ${file} ${fileProblem(error)}`);
	}
	if (text.includes("\0")) {
		throw new UserError(`${file} is not a machine file, which is text; for a ROM image, write --bios ${file}`);
	}
	return parseMachineFile(text, file);
}

/** The same for text in hand; `file` is used in messages and for relative paths. */
export function parseMachineFile(text: string, file: string): GivenOptions {
	const lines = new LineCounter();
	const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true });
	const at = (offset: number): string => {
		const { line, col } = lines.linePos(offset);
		return `${file}:${line}:${col}`;
	};
	const [broken] = document.errors;
	if (broken !== undefined) throw new UserError(`${at(broken.pos[0])}: ${lowerFirst(broken.message)}`);
	const given = new Map<string, readonly Given[]>();
	if (document.contents === null) return given;
	if (!isMap(document.contents)) {
		throw new UserError(
			`${at(document.contents.range[0])}: a machine file is a list of "option: value" lines, such as "memory: 128M"`,
		);
	}
	const place = (node: unknown): string => at(isNode(node) ? (node.range?.[0] ?? 0) : 0);
	const plain = (node: unknown): unknown => {
		try {
			return isNode(node) ? node.toJS(document) : node;
		} catch (error) {
			// An alias without its anchor, or aliases that expand beyond all measure.
			throw new UserError(`${place(node)}: ${lowerFirst(error instanceof Error ? error.message : String(error))}`);
		}
	};
	for (const { key, value } of document.contents.items) {
		const name = String(plain(key));
		if (name === SCHEMA_FIELD) continue;
		const option = (OPTIONS as readonly Option[]).find((each) => each.name === name);
		if (option === undefined) {
			const names = OPTIONS.map((each) => each.name);
			throw new UserError(`${place(key)}: unknown field "${name}"${nearest(name, names)}`);
		}
		const nodes = option.form === "list" && isSeq(value) ? value.items : [value];
		const items = nodes.map((node): Given => {
			const where = `${place(isNode(node) ? node : key)}: ${name}`;
			return { text: textOf(option, plain(node), where), where, folder: dirname(file) };
		});
		given.set(name, items);
	}
	return given;
}

/** The text that the option's kind parses. */
function textOf(option: Option, value: unknown, where: string): string {
	const schema = option.kind.schema(z);
	if (schema.safeParse(value).success) return option.kind.fromFile(value);
	if (typeof value === "object" && value !== null && !Array.isArray(value) && option.kind.fields !== undefined) {
		const fields = option.kind.fields;
		const unknown = Object.keys(value).find((field) => !fields.includes(field));
		if (unknown !== undefined) throw new UserError(`${where}: unknown field "${unknown}"${nearest(unknown, fields)}`);
	}
	if (typeof value === "string" || typeof value === "number") {
		// The kind's own complaint about a scalar says more than the schema's.
		try {
			option.kind.parse(option.kind.fromFile(value));
		} catch (error) {
			if (error instanceof UserError) throw new UserError(`${where}: ${error.message}`);
			throw error;
		}
	}
	const wanted = schema.meta()?.description ?? option.kind.placeholder;
	throw new UserError(`${where}: ${JSON.stringify(value)} does not fit; write ${wanted}`);
}

const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);
