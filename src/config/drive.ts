import { isAbsolute, join } from "node:path";
import type { Kind } from "./kinds.ts";
import { nearest } from "./nearest.ts";
import { ValueError } from "./option.ts";

/** A drive as the user describes it. */
export interface DriveImage {
	readonly path: string;
	readonly media: "disk" | "cdrom";
	/** Place on the IDE channels: 0 and 1 primary, 2 and 3 secondary; absent: the first free one. */
	readonly index?: number;
	/** The guest cannot write. */
	readonly readonly: boolean;
	/** What the guest writes is forgotten at the end. */
	readonly snapshot: boolean;
}

/** Places for drives: two on each of two channels. */
export const DRIVE_PLACES = 4;

const FIELDS = ["file", "if", "index", "media", "readonly", "snapshot", "format"] as const;
type Field = (typeof FIELDS)[number];
const SWITCHES: readonly Field[] = ["readonly", "snapshot"];

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

function fieldsOf(text: string): Map<Field, string> {
	const given = new Map<Field, string>();
	partsOf(text).forEach((part, n) => {
		const equals = part.indexOf("=");
		const word = equals < 0 ? part : part.slice(0, equals);
		const field = FIELDS.find((each) => each === word);
		if (field !== undefined && (equals >= 0 || SWITCHES.includes(field))) {
			if (given.has(field)) throw new ValueError(`${field} is given twice`);
			given.set(field, equals < 0 ? "on" : part.slice(equals + 1));
		} else if (n === 0 && equals < 0) given.set("file", part);
		else
			throw new ValueError(
				`"${word}" is nothing that a drive has; it has ${FIELDS.join(", ")}${nearest(word, FIELDS)}`,
			);
	});
	return given;
}

function oneOf<const T extends string>(field: Field, value: string, words: readonly T[]): T {
	const found = words.find((word) => word === value);
	if (found === undefined) {
		throw new ValueError(`${field}=${value} is not possible; write ${words.join(" or ")}${nearest(value, words)}`);
	}
	return found;
}

function parse(text: string): DriveImage {
	const given = fieldsOf(text);
	const get = (field: Field, otherwise: string): string => given.get(field) ?? otherwise;
	const path = get("file", "");
	if (path === "") throw new ValueError("a drive needs file=FILE");
	if (path.includes("\0")) throw new ValueError("a file name cannot contain a NUL character");
	oneOf("if", get("if", "ide"), ["ide"]);
	oneOf("format", get("format", "raw"), ["raw"]);
	const media = oneOf("media", get("media", "disk"), ["disk", "cdrom"]);
	const index = given.get("index");
	if (index !== undefined && !/^[0-3]$/.test(index))
		throw new ValueError(`index=${index} is not possible; write 0 to 3`);
	return {
		path,
		media,
		...(index === undefined ? {} : { index: Number(index) }),
		readonly: media === "cdrom" || oneOf("readonly", get("readonly", "off"), ["on", "off"]) === "on",
		snapshot: oneOf("snapshot", get("snapshot", "off"), ["on", "off"]) === "on",
	};
}

/** `file=FILE` with what else a drive has, separated by commas; FILE alone is a hard disk. */
export const driveImage: Kind<DriveImage> = {
	placeholder: "FILE|file=FILE[,KEY=VALUE]...",
	fields: FIELDS,
	parse,
	schema: (z) =>
		z
			.union([
				z.string().min(1),
				z.strictObject({
					file: z.string().min(1),
					if: z.literal("ide").optional(),
					index: z
						.int()
						.min(0)
						.max(DRIVE_PLACES - 1)
						.optional(),
					media: z.enum(["disk", "cdrom"]).optional(),
					readonly: z.boolean().optional(),
					snapshot: z.boolean().optional(),
					format: z.literal("raw").optional(),
				}),
			])
			.meta({ description: "file: NAME with index, media, readonly and snapshot, or what --drive takes" }),
	fromFile(value) {
		if (typeof value !== "object" || value === null) return String(value);
		return Object.entries(value)
			.map(([field, each]) => `${field}=${wordOf(each).replaceAll(",", ",,")}`)
			.join(",");
	},
	rebase: (value, folder) => ({ ...value, path: isAbsolute(value.path) ? value.path : join(folder, value.path) }),
};

function wordOf(value: unknown): string {
	return typeof value === "boolean" ? (value ? "on" : "off") : String(value);
}
