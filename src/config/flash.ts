import { isAbsolute, join } from "node:path";
import { type FieldSyntax, Fields, textOfFields } from "./fields.ts";
import { type Kind, size, sizeText } from "./kinds.ts";
import { ValueError } from "./option.ts";

/** Erase blocks of one size, in a row. */
export interface FlashBlocks {
	/** Absent: as many as the rest of the image has. At most one run of a flash leaves it out. */
	readonly count?: number;
	/** Bytes: a power of two. */
	readonly size: number;
}

/** What kind of chips a flash is made of. */
export interface FlashChips {
	readonly commandSet: "intel" | "amd";
	/** The chips' own rules, instead of QEMU's. */
	readonly strict: boolean;
	/** Bits of the data bus. */
	readonly bankWidth: 8 | 16 | 32;
	/** Bits of one chip's data bus; absent: not said, which QEMU takes as one chip. */
	readonly deviceWidth?: 8 | 16 | 32;
	/** From the lowest address on. */
	readonly blocks: readonly FlashBlocks[];
	/** Programming and erasing take guest time, as a chip typically does. */
	readonly timing: boolean;
	/** Every block is locked at power-on, where the chips' own rules hold. */
	readonly locked: boolean;
}

/** A flash image: kept durably in its file unless readonly or a snapshot. */
export interface FlashImage {
	readonly path: string;
	/** The guest cannot program or erase it. */
	readonly readonly: boolean;
	/** What the guest programs and erases is forgotten at the end. */
	readonly snapshot: boolean;
	readonly chips: FlashChips;
	/** The option that it comes from, for messages; absent: `--flash`. */
	readonly option?: string;
}

const FIELDS = [
	"file",
	"if",
	"format",
	"readonly",
	"snapshot",
	"command-set",
	"strict",
	"bank-width",
	"device-width",
	"blocks",
	"timing",
	"locked",
] as const;

const SYNTAX: FieldSyntax<Exclude<(typeof FIELDS)[number], "file">> = {
	what: "a flash",
	fields: FIELDS,
	switches: ["readonly", "snapshot", "strict", "timing", "locked"],
};

const WIDTHS = ["8", "16", "32"] as const;
/** Regions that a query table of either command set has room for. */
const MOST_RUNS = 4;
/** Blocks of one size that a query table can count. */
const MOST_BLOCKS = 0x1_0000;
const blockSize = size({ min: 256, max: 8 * 2 ** 20, multiple: 256 });

function width(text: (typeof WIDTHS)[number]): 8 | 16 | 32 {
	return text === "8" ? 8 : text === "16" ? 16 : 32;
}

function blocksOf(text: string): FlashBlocks[] {
	const wrong = (why: string): ValueError =>
		new ValueError(`blocks=${text} is not possible; ${why}, such as 4K or 8x8K+127x64K`);
	const runs = text.split("+").map((run): FlashBlocks => {
		const [, count, bytes] = /^(?:([1-9][0-9]*)x)?(.+)$/.exec(run) ?? [];
		if (bytes === undefined) throw wrong("write a block size, or COUNTxSIZE joined by +");
		let each: number;
		try {
			each = blockSize.parse(bytes);
		} catch (error) {
			throw error instanceof ValueError ? new ValueError(`blocks: ${error.message}`) : error;
		}
		if ((each & (each - 1)) !== 0) throw wrong(`${sizeText(each)} is no power of two`);
		if (Number(count ?? 1) > MOST_BLOCKS) throw wrong(`there are at most ${MOST_BLOCKS} blocks of one size`);
		return count === undefined ? { size: each } : { count: Number(count), size: each };
	});
	if (runs.length > MOST_RUNS) throw wrong(`there are at most ${MOST_RUNS} sizes in a row`);
	if (runs.filter(({ count }) => count === undefined).length > 1) throw wrong("only one size can take the rest");
	return runs;
}

function parse(text: string): FlashImage {
	const given = new Fields(text, SYNTAX);
	given.oneOf("if", ["pflash"], "pflash");
	given.oneOf("format", ["raw"], "raw");
	const bankWidth = width(given.oneOf("bank-width", WIDTHS, "8"));
	const device = given.get("device-width");
	const deviceWidth = device === undefined ? undefined : width(given.oneOf("device-width", WIDTHS, "8"));
	if (deviceWidth !== undefined && deviceWidth > bankWidth) {
		throw new ValueError(`device-width=${deviceWidth} is not possible on a bus of bank-width=${bankWidth}`);
	}
	const commandSet = given.oneOf("command-set", ["intel", "amd"], "intel");
	const strict = given.isOn("strict");
	for (const field of ["timing", "locked"] as const) {
		if (given.isOn(field) && !strict) throw new ValueError(`${field}=on is a rule of real chips: it needs strict=on`);
	}
	if (commandSet === "amd" && !strict && deviceWidth !== undefined && deviceWidth !== bankWidth) {
		throw new ValueError(`device-width=${deviceWidth} needs strict=on: QEMU's AMD flash is a single chip`);
	}
	return {
		path: given.file,
		readonly: given.isOn("readonly"),
		snapshot: given.isOn("snapshot"),
		chips: {
			commandSet,
			strict,
			bankWidth,
			...(deviceWidth === undefined ? {} : { deviceWidth }),
			blocks: blocksOf(given.get("blocks") ?? "4K"),
			timing: given.isOn("timing"),
			locked: given.isOn("locked"),
		},
	};
}

/** An image on the chips of a PC, kept in its file unless `given` says otherwise; `option` is where it comes from. */
export function plainFlash(
	option: string,
	path: string,
	given: Partial<Pick<FlashImage, "readonly" | "snapshot">> = {},
): FlashImage {
	return { ...parse(`file=${path.replaceAll(",", ",,")}`), ...given, option };
}

/** `FILE` with what else a flash has, separated by commas. */
export const flashImage: Kind<FlashImage> = {
	placeholder: "FILE[,KEY=VALUE]...",
	fields: SYNTAX.fields,
	parse,
	schema: (z) => {
		const widths = z.union([z.literal([8, 16, 32]), z.enum(WIDTHS)]).optional();
		return z
			.union([
				z.string().min(1),
				z.strictObject({
					file: z.string().min(1),
					if: z.literal("pflash").optional(),
					format: z.literal("raw").optional(),
					readonly: z.boolean().optional(),
					snapshot: z.boolean().optional(),
					"command-set": z.enum(["intel", "amd"]).optional(),
					strict: z.boolean().optional(),
					"bank-width": widths,
					"device-width": widths,
					blocks: z.union([z.int().min(256), z.string().min(1)]).optional(),
					timing: z.boolean().optional(),
					locked: z.boolean().optional(),
				}),
			])
			.meta({ description: "a file name, or file: NAME with what else --flash takes, such as readonly: true" });
	},
	fromFile: textOfFields,
	rebase: (value, folder) => ({ ...value, path: isAbsolute(value.path) ? value.path : join(folder, value.path) }),
};
