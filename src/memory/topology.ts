import { assert } from "../base/errors.ts";
import type { Region } from "./region.ts";

/**
 * What a commit changed: the regions whose reads became direct or ceased to be, where that is all; undefined where places changed as
 * well.
 */
export type Flipped = ReadonlySet<Region> | undefined;

/**
 * The regions that change together. Changes inside a transaction take effect as one, when the outermost one commits:
 * a write to a PAM register switches several regions, but nobody may see half of it.
 */
export class Topology {
	private depth = 0;
	private touched = false;
	private moved = false;
	private flipped = new Set<Region>();
	private readonly listeners: ((flipped: Flipped) => void)[] = [];

	/** Calls `listener` after every commit that changed a region. */
	onCommit(listener: (flipped: Flipped) => void): void {
		this.listeners.push(listener);
	}

	begin(): void {
		this.depth++;
	}

	commit(): void {
		assert(this.depth > 0, "commit without begin");
		this.depth--;
		if (this.depth > 0 || !this.touched) return;
		const flipped = this.moved ? undefined : this.flipped;
		this.touched = false;
		this.moved = false;
		this.flipped = new Set();
		for (const listener of this.listeners) listener(flipped);
	}

	/** Runs `change` inside a transaction. */
	transaction(change: () => void): void {
		this.begin();
		try {
			change();
		} finally {
			this.commit();
		}
	}

	/** A region changed, or only the directness of `flipped`: commits at once outside a transaction. */
	touch(flipped?: Region): void {
		this.touched = true;
		if (flipped === undefined) this.moved = true;
		else this.flipped.add(flipped);
		this.begin();
		this.commit();
	}
}
