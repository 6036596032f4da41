import { type Kind, scalarText } from "./kinds.ts";
import { ValueError } from "./option.ts";

/** What `--break` waits for: a store to ROM that touches guest-physical addresses from `first` to `last`. */
export interface BreakWish {
	readonly on: "rom-write";
	readonly first: number;
	readonly last: number;
}

/** Physical addresses lie below. */
const END = 2 ** 52;
const HINT = "write rom-write, rom-write:0xf0000-0xfffff or rom-write:0xf0000+16";

function addressOf(text: string): number | undefined {
	if (!/^(0x[0-9a-f]+|[0-9]+)$/i.test(text)) return undefined;
	const value = Number(text);
	return value < END ? value : undefined;
}

/** `FIRST-LAST`, `FIRST+BYTES` or one address. @returns undefined where the text is none of them. */
export function addressRange(text: string): { readonly first: number; readonly last: number } | undefined {
	const [, start = "", sign, end = ""] = /^([^-+]+)(?:([-+])(.+))?$/.exec(text.trim()) ?? [];
	const first = addressOf(start);
	if (first === undefined) return undefined;
	if (sign === undefined) return { first, last: first };
	const second = addressOf(end);
	if (second === undefined) return undefined;
	const last = sign === "-" ? second : first + second - 1;
	return last < first || last >= END ? undefined : { first, last };
}

/** `rom-write`, or `rom-write:RANGE` with a range of guest-physical addresses. */
export const breakWish: Kind<BreakWish> = {
	placeholder: "rom-write[:RANGE]",
	parse(given) {
		const [, kind, range] = /^([^:]*)(?::(.*))?$/s.exec(given) ?? [];
		if (kind !== "rom-write") throw new ValueError(`"${given}" is nothing that a run can break on; ${HINT}`);
		if (range === undefined) return { on: kind, first: 0, last: END - 1 };
		const found = addressRange(range);
		if (found === undefined) throw new ValueError(`"${range}" is not a range of addresses; ${HINT}`);
		return { on: kind, ...found };
	},
	schema: (z) =>
		z
			.string()
			.regex(/^rom-write(:.+)?$/)
			.meta({ description: "rom-write, with a range of guest-physical addresses after a colon to narrow it" }),
	fromFile: scalarText,
};
