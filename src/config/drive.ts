import { isAbsolute, join } from "node:path";
import { type FieldSyntax, Fields, textOfFields } from "./fields.ts";
import type { Kind } from "./kinds.ts";
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

const SYNTAX: FieldSyntax<"if" | "index" | "media" | "readonly" | "snapshot" | "format"> = {
	what: "a drive",
	fields: ["file", "if", "index", "media", "readonly", "snapshot", "format"],
	switches: ["readonly", "snapshot"],
};

function parse(text: string): DriveImage {
	const given = new Fields(text, SYNTAX);
	given.oneOf("if", ["ide"], "ide");
	given.oneOf("format", ["raw"], "raw");
	const media = given.oneOf("media", ["disk", "cdrom"], "disk");
	const index = given.get("index");
	if (index !== undefined && !/^[0-3]$/.test(index))
		throw new ValueError(`index=${index} is not possible; write 0 to 3`);
	return {
		path: given.file,
		media,
		...(index === undefined ? {} : { index: Number(index) }),
		readonly: media === "cdrom" || given.isOn("readonly"),
		snapshot: given.isOn("snapshot"),
	};
}

/** `file=FILE` with what else a drive has, separated by commas; FILE alone is a hard disk. */
export const driveImage: Kind<DriveImage> = {
	placeholder: "FILE|file=FILE[,KEY=VALUE]...",
	fields: SYNTAX.fields,
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
	fromFile: textOfFields,
	rebase: (value, folder) => ({ ...value, path: isAbsolute(value.path) ? value.path : join(folder, value.path) }),
};
