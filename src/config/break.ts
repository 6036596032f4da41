import { rangeBelow } from "./address-range.ts";
import { type Kind, scalarText } from "./kinds.ts";
import { ValueError } from "./option.ts";

/** What `--break` waits for: a store to ROM that touches guest-physical addresses from `first` to `last`. */
export interface BreakWish {
	readonly on: "rom-write";
	readonly first: number;
	readonly last: number;
}

/** Physical addresses lie below. */
const END = 1n << 52n;
const HINT = "write rom-write, rom-write:0xf0000-0xfffff or rom-write:0xf0000+16";

/** A range of physical addresses: `FIRST-LAST`, `FIRST+BYTES` or one address. @returns undefined where the text is none of them. */
export function addressRange(text: string): { readonly first: number; readonly last: number } | undefined {
	const range = rangeBelow(text, END);
	return range && { first: Number(range.first), last: Number(range.last) };
}

/** `rom-write`, or `rom-write:RANGE` with a range of guest-physical addresses. */
export const breakWish: Kind<BreakWish> = {
	placeholder: "rom-write[:RANGE]",
	parse(given) {
		const [, kind, range] = /^([^:]*)(?::(.*))?$/s.exec(given) ?? [];
		if (kind !== "rom-write") throw new ValueError(`"${given}" is nothing that a run can break on; ${HINT}`);
		if (range === undefined) return { on: kind, first: 0, last: Number(END - 1n) };
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
