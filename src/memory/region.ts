import { assert, UserError } from "../base/errors.ts";
import { GPA_END } from "../base/gpa.ts";
import { formatRange } from "../base/ranges.ts";
import type { Topology } from "./topology.ts";

/** What a region is made of. `userspaceAddr` is the host address of its first byte, as in a KVM slot. */
export type RegionBody =
	/** Only its children; transparent where there are none. */
	| { readonly kind: "container" }
	/** Memory: reads and writes are direct. */
	| { readonly kind: "ram"; readonly userspaceAddr: bigint }
	/** Memory that only its owner changes: reads are direct, writes are dropped. */
	| { readonly kind: "rom"; readonly userspaceAddr: bigint }
	/** Memory with a device behind it: reads are direct or the device's, see {@link Region.direct}; writes are always the device's. */
	| { readonly kind: "romd"; readonly userspaceAddr: bigint }
	/** Registers of a device. */
	| { readonly kind: "mmio" }
	/** A window on another region, from its `offset` on. */
	| { readonly kind: "alias"; readonly target: Region; readonly offset: bigint; readonly readonly?: boolean }
	/** Nobody's: reads give all ones, writes are dropped, and what lies below is hidden. */
	| { readonly kind: "reserved" };

export interface Placement {
	/** Among the children of one region the highest wins where they overlap. Signed, default 0. */
	readonly priority?: number;
	/** Without it, sharing an address with a sibling of the same priority is an error; with it, the one added later wins. */
	readonly overlap?: boolean;
}

/**
 * A named piece of an address space. What its parent shows at an address is decided by {@link render}.
 * All changes go through the {@link Topology} and take effect when its transaction commits.
 */
export class Region {
	readonly name: string;
	/** Bytes, 1 .. 2^64. */
	readonly size: bigint;
	readonly body: RegionBody;
	private readonly topology: Topology;
	private container: Region | undefined;
	private at = 0n;
	private rank = 0;
	private mayOverlap = false;
	private shown = true;
	private directReads = true;
	/** Highest priority first; of equal ones the latest first. */
	private readonly inside: Region[] = [];

	constructor(topology: Topology, name: string, size: bigint | number, body: RegionBody) {
		this.topology = topology;
		this.name = name;
		this.size = BigInt(size);
		this.body = body;
		assert(this.size > 0n && this.size <= GPA_END, `${name}: size ${this.size} is out of range`);
	}

	/** In the order in which they are looked at. */
	get children(): readonly Region[] {
		return this.inside;
	}

	/** Where it lies in its parent, bytes. */
	get offset(): bigint {
		return this.at;
	}

	get priority(): number {
		return this.rank;
	}

	get enabled(): boolean {
		return this.shown;
	}

	/** romd: whether reads go straight to the memory (array mode) or to the device (command mode). */
	get direct(): boolean {
		return this.directReads;
	}

	/**
	 * Puts `child` into this region at `offset`. What reaches beyond this region's end is cut off.
	 * @throws UserError naming both, where it shares addresses with a sibling and neither may overlap.
	 */
	add(child: Region, offset: bigint | number, placement: Placement = {}): void {
		assert(this.body.kind !== "alias", `${this.name} is an alias and has no children`);
		assert(child.container === undefined, `${child.name} is already in ${child.container?.name}`);
		assert(!reaches(child, this), `${child.name} contains ${this.name}`);
		assert(child.topology === this.topology, `${child.name} belongs to another topology`);
		const { priority = 0, overlap = false } = placement;
		assert(Number.isSafeInteger(priority), `${child.name}: priority`);
		child.rank = priority;
		child.mayOverlap = overlap;
		this.settle(child, BigInt(offset));
		child.container = this;
		const position = this.inside.findIndex((other) => other.rank <= priority);
		this.inside.splice(position < 0 ? this.inside.length : position, 0, child);
		this.topology.touch();
	}

	remove(child: Region): void {
		const position = this.inside.indexOf(child);
		assert(position >= 0, `${child.name} is not in ${this.name}`);
		this.inside.splice(position, 1);
		child.container = undefined;
		this.topology.touch();
	}

	/** Moves it within its parent; throws as {@link add} does. */
	move(offset: bigint | number): void {
		assert(this.container !== undefined, `${this.name} is nowhere`);
		if (BigInt(offset) === this.at) return;
		this.container.settle(this, BigInt(offset));
		this.topology.touch();
	}

	/** A disabled region is as if it were not there, and so are its aliases. */
	setEnabled(enabled: boolean): void {
		if (enabled === this.shown) return;
		this.shown = enabled;
		this.topology.touch();
	}

	/** See {@link direct}. */
	setDirect(direct: boolean): void {
		assert(this.body.kind === "romd", `${this.name} has no command mode`);
		if (direct === this.directReads) return;
		this.directReads = direct;
		this.topology.touch(this);
	}

	private settle(child: Region, offset: bigint): void {
		assert(offset >= 0n && offset < GPA_END, `${child.name}: offset ${offset} is out of range`);
		const place = { first: offset, last: offset + child.size - 1n };
		for (const other of this.inside) {
			if (other === child || other.rank !== child.rank || other.mayOverlap || child.mayOverlap) continue;
			const taken = { first: other.at, last: other.at + other.size - 1n };
			if (place.first <= taken.last && taken.first <= place.last) {
				throw new UserError(
					`${child.name} at ${formatRange(place)} overlaps ${other.name} at ${formatRange(taken)}; they need different places`,
				);
			}
		}
		child.at = offset;
	}
}

/** Whether `goal` is shown by `from`, itself included. */
function reaches(from: Region, goal: Region): boolean {
	if (from === goal) return true;
	if (from.body.kind === "alias") return reaches(from.body.target, goal);
	return from.children.some((child) => reaches(child, goal));
}
