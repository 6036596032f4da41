import { GPA_END, type Gpa, gpa } from "../base/gpa.ts";
import { findRange, type GpaRange } from "../base/ranges.ts";
import type { Region } from "./region.ts";

/** One piece of an address space as the processor sees it. */
export interface FlatRange extends GpaRange {
	/** Never a container or an alias. */
	readonly region: Region;
	/** Offset in the region of the byte at `first`. */
	readonly offset: bigint;
	/** Writes do not reach memory: the region is ROM, or is seen through a readonly alias. */
	readonly readonly: boolean;
	/** Reads go straight to memory: ram, rom, and romd in array mode. */
	readonly direct: boolean;
}

interface Window {
	readonly first: bigint;
	readonly last: bigint;
}

/**
 * What `root` shows: sorted, disjoint ranges, neighbours merged. Where children overlap the higher priority wins, whatever the
 * priorities further down; where the winner is a container with nothing at that address, the next one shows through.
 */
export function render(root: Region): FlatRange[] {
	const ranges: FlatRange[] = [];

	/** `base`: the address of the region's first byte; negative where an alias shows it from an offset. */
	function visit(region: Region, base: bigint, window: Window, readonlyAbove: boolean): void {
		const first = base > window.first ? base : window.first;
		const end = base + region.size - 1n;
		const last = end < window.last ? end : window.last;
		if (!region.enabled || first > last) return;
		const { body } = region;
		const readonly = readonlyAbove || body.kind === "rom";
		if (body.kind === "alias") {
			visit(body.target, base - body.offset, { first, last }, readonly || body.readonly === true);
			return;
		}
		for (const child of region.children) visit(child, base + child.offset, { first, last }, readonly);
		if (body.kind === "container") return;
		const direct = body.kind === "ram" || body.kind === "rom" || (body.kind === "romd" && region.direct);
		fill(ranges, gpa(first), gpa(last), { region, base, readonly, direct });
	}

	visit(root, 0n, { first: 0n, last: GPA_END - 1n }, false);
	return merge(ranges);
}

interface Leaf {
	readonly region: Region;
	readonly base: bigint;
	readonly readonly: boolean;
	readonly direct: boolean;
}

/** Gives the still free parts of first..last to `leaf`. */
function fill(ranges: FlatRange[], first: Gpa, last: Gpa, leaf: Leaf): void {
	const { base, ...rest } = leaf;
	const piece = (from: bigint, to: bigint): FlatRange => ({
		first: gpa(from),
		last: gpa(to),
		offset: from - base,
		...rest,
	});
	let free: bigint = first;
	let at = ranges.findIndex((range) => range.last >= first);
	if (at < 0) at = ranges.length;
	for (let taken = ranges[at]; taken !== undefined && taken.first <= last; taken = ranges[++at]) {
		if (taken.first > free) {
			ranges.splice(at, 0, piece(free, taken.first - 1n));
			at++;
		}
		free = taken.last + 1n;
	}
	if (free <= last) ranges.splice(at, 0, piece(free, last));
}

function merge(ranges: readonly FlatRange[]): FlatRange[] {
	const merged: FlatRange[] = [];
	for (const range of ranges) {
		const before = merged.at(-1);
		const joins =
			before !== undefined &&
			before.last + 1n === range.first &&
			before.region === range.region &&
			before.offset + (range.first - before.first) === range.offset &&
			before.readonly === range.readonly;
		if (joins) merged[merged.length - 1] = { ...before, last: range.last };
		else merged.push(range);
	}
	return merged;
}

/** A rendered address space. */
export class FlatView {
	readonly ranges: readonly FlatRange[];

	/** As {@link render} gives them. */
	constructor(ranges: readonly FlatRange[]) {
		this.ranges = ranges;
	}

	/** The same places, where some romd regions have changed between direct reads and their device's; all other ranges stay as they are. */
	flipped(regions: ReadonlySet<Region>): FlatView {
		return new FlatView(
			this.ranges.map((range) => (regions.has(range.region) ? { ...range, direct: range.region.direct } : range)),
		);
	}

	/** The range that holds `address`, or undefined where there is nothing. */
	find(address: Gpa): FlatRange | undefined {
		return findRange(this.ranges, address);
	}
}

/** The ranges as QEMU's monitor prints them for `info mtree -f`, one line each, without the heading of the view. */
export function formatFlatView(ranges: readonly FlatRange[]): string {
	if (ranges.length === 0) return "  No rendered FlatView\n";
	return ranges.map((range) => `  ${formatFlatRange(range)}\n`).join("");
}

function formatFlatRange({ first, last, region, offset, readonly }: FlatRange): string {
	const address = (value: bigint): string => value.toString(16).padStart(16, "0");
	const suffix = offset === 0n ? "" : ` @${address(offset)}`;
	const kind = readonly ? "rom" : qemuKind(region);
	return `${address(first)}-${address(last)} (prio ${region.priority}, ${kind}): ${region.name}${suffix}`;
}

function qemuKind(region: Region): string {
	if (region.body.kind === "romd") return region.direct ? "romd" : "i/o";
	return region.body.kind === "ram" ? "ram" : "i/o";
}
