import { type AddressRange, rangeBelow } from "./address-range.ts";
import { choice, type Kind, scalarText } from "./kinds.ts";
import { ValueError } from "./option.ts";

/** What `--trace` can show, one line per event, and which address a range after it narrows; none: there is none. */
const CATEGORIES = {
	exits: undefined,
	instructions: "linear address of the instruction",
	exceptions: "linear address of the instruction",
	interrupts: undefined,
	tlb: "linear address that missed",
	mmio: "guest-physical address",
	ports: "port",
	slots: "guest-physical address",
	flash: "offset in the flash",
	"fw-cfg": "item's key",
	pci: "configuration address: bus, device, function, register as in port 0xcf8",
	resets: undefined,
} as const;
export type TraceCategory = keyof typeof CATEGORIES;
export const TRACE_CATEGORIES = Object.keys(CATEGORIES) as readonly TraceCategory[];

/** One category to trace; with a range, only events whose address lies in it. */
export interface TraceWish {
	readonly category: TraceCategory;
	readonly range?: AddressRange;
}

/** Which addresses ranges are of, for people. */
const ADDRESSES = Object.entries(CATEGORIES)
	.filter(([, address]) => address !== undefined)
	.map(([category, address]) => `${category} (${address})`)
	.join(", ");
const END = 1n << 64n;
const HINT = "write FIRST-LAST, FIRST+BYTES or one address";

/** Categories, separated by commas, each with a range of addresses behind a colon to narrow it. */
export const traceWishes: Kind<readonly TraceWish[]> = {
	placeholder: "LIST",
	parse(text) {
		const word = choice<TraceCategory | "all" | "none">("none", "all", ...TRACE_CATEGORIES);
		const wishes: TraceWish[] = [];
		for (const part of text.split(",")) {
			const [, name = "", rangeText] = /^([^:]*)(?::(.*))?$/s.exec(part.trim()) ?? [];
			const category = word.parse(name);
			if (rangeText === undefined) {
				if (category === "all") wishes.push(...TRACE_CATEGORIES.map((each) => ({ category: each })));
				else if (category !== "none") wishes.push({ category });
				continue;
			}
			if (category === "all" || category === "none" || CATEGORIES[category] === undefined)
				throw new ValueError(`"${category}" has no addresses, so no range can narrow it`);
			const range = rangeBelow(rangeText, END);
			if (range === undefined) throw new ValueError(`"${rangeText}" is not a range of addresses; ${HINT}`);
			wishes.push({ category, range });
		}
		// A category without a range has everything.
		const whole = new Set(wishes.filter(({ range }) => !range).map(({ category }) => category));
		return [...[...whole].map((category) => ({ category })), ...wishes.filter((wish) => !whole.has(wish.category))];
	},
	schema: (z) =>
		z.union([z.array(z.string()), z.string()]).meta({
			description: `a list of, or separated by commas: none, all, ${TRACE_CATEGORIES.join(", ")}; with a range of addresses after a colon to narrow it: ${ADDRESSES}`,
		}),
	fromFile: (value) => (Array.isArray(value) ? value.join(",") : scalarText(value)),
};
