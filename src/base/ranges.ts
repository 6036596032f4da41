import { assert } from "./errors.ts";
import { type Gpa, gpa, hex } from "./gpa.ts";

/** Guest-physical addresses `first` to `last`, both included: never empty, and the end of the space needs no 65th bit. */
export interface GpaRange {
	readonly first: Gpa;
	readonly last: Gpa;
}

/** The range of `size` bytes from `first` on; size 1 .. 2^64 - first. */
export function rangeOf(first: bigint | number, size: bigint | number): GpaRange {
	assert(BigInt(size) > 0n, "a range has at least one byte");
	return { first: gpa(first), last: gpa(BigInt(first) + BigInt(size) - 1n) };
}

export function rangesOverlap(a: GpaRange, b: GpaRange): boolean {
	return a.first <= b.last && b.first <= a.last;
}

/** `0xfffc0000..0xffffffff` */
export function formatRange(range: { readonly first: bigint; readonly last: bigint }): string {
	return `${hex(range.first)}..${hex(range.last)}`;
}

/** The range that holds `address`, in a sorted, disjoint list; undefined where none does. */
export function findRange<T extends { readonly first: bigint; readonly last: bigint }>(
	ranges: readonly T[],
	address: bigint,
): T | undefined {
	let low = 0;
	let high = ranges.length - 1;
	while (low <= high) {
		const middle = (low + high) >> 1;
		const range = ranges[middle]!;
		if (address < range.first) high = middle - 1;
		else if (address > range.last) low = middle + 1;
		else return range;
	}
	return undefined;
}
