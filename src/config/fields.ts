import { nearest } from "./nearest.ts";
import { ValueError } from "./option.ts";

/** A value written as `FILE[,KEY=VALUE]...`. */
export interface FieldSyntax<F extends string> {
	/** What has the fields, for messages: `a drive`. */
	readonly what: string;
	/** All of them; `file` may be written without its name where it comes first. */
	readonly fields: readonly ("file" | F)[];
	/** Those that stand for `on` without a value. */
	readonly switches: readonly F[];
}

/** Parts between commas; two commas stand for one in a value. */
function partsOf(text: string): string[] {
	const parts: string[] = [];
	let part = "";
	for (let n = 0; n < text.length; n++) {
		const separates = text[n] === "," && text[n + 1] !== ",";
		if (separates) {
			parts.push(part);
			part = "";
			continue;
		}
		part += text[n];
		if (text[n] === ",") n++;
	}
	return [...parts, part];
}

/** The fields of one value, as given. */
export class Fields<F extends string> {
	/** The file's path. */
	readonly file: string;
	private readonly given = new Map<"file" | F, string>();

	/** @throws ValueError for what is no field, for one given twice, and where there is no file. */
	constructor(text: string, { what, fields, switches }: FieldSyntax<F>) {
		const { given } = this;
		partsOf(text).forEach((part, n) => {
			const equals = part.indexOf("=");
			const word = equals < 0 ? part : part.slice(0, equals);
			const field = fields.find((each) => each === word);
			if (field !== undefined && (equals >= 0 || (switches as readonly string[]).includes(field))) {
				if (given.has(field)) throw new ValueError(`${field} is given twice`);
				given.set(field, equals < 0 ? "on" : part.slice(equals + 1));
			} else if (n === 0 && equals < 0) given.set("file", part);
			else
				throw new ValueError(
					`"${word}" is nothing that ${what} has; it has ${fields.join(", ")}${nearest(word, fields)}`,
				);
		});
		this.file = given.get("file") ?? "";
		if (this.file === "") throw new ValueError(`${what} needs file=FILE`);
		if (this.file.includes("\0")) throw new ValueError("a file name cannot contain a NUL character");
	}

	get(field: F): string | undefined {
		return this.given.get(field);
	}

	/** One of a few words; `otherwise` where nothing was given. @throws ValueError for any other. */
	oneOf<const T extends string>(field: F, words: readonly T[], otherwise: T): T {
		const value = this.given.get(field);
		if (value === undefined) return otherwise;
		const found = words.find((word) => word === value);
		if (found !== undefined) return found;
		throw new ValueError(`${field}=${value} is not possible; write ${words.join(" or ")}${nearest(value, words)}`);
	}

	/** Off where nothing was given. @throws ValueError for anything but `on` and `off`. */
	isOn(field: F): boolean {
		return this.oneOf(field, ["on", "off"], "off") === "on";
	}
}

/** The text of a value that a machine file has as text, or as an object with the fields. */
export function textOfFields(value: unknown): string {
	if (typeof value !== "object" || value === null) return String(value);
	return Object.entries(value)
		.map(([field, each]) => `${field}=${wordOf(each).replaceAll(",", ",,")}`)
		.join(",");
}

function wordOf(value: unknown): string {
	return typeof value === "boolean" ? (value ? "on" : "off") : String(value);
}
