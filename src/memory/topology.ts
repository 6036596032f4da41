import { assert } from "../base/errors.ts";

/**
 * The regions that change together. Changes inside a transaction take effect as one, when the outermost one commits:
 * a write to a PAM register switches several regions, but nobody may see half of it.
 */
export class Topology {
	private depth = 0;
	private touched = false;
	private readonly listeners: (() => void)[] = [];

	/** Calls `listener` after every commit that changed a region. */
	onCommit(listener: () => void): void {
		this.listeners.push(listener);
	}

	begin(): void {
		this.depth++;
	}

	commit(): void {
		assert(this.depth > 0, "commit without begin");
		this.depth--;
		if (this.depth > 0 || !this.touched) return;
		this.touched = false;
		for (const listener of this.listeners) listener();
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

	/** A region changed: commits at once outside a transaction. */
	touch(): void {
		this.touched = true;
		this.begin();
		this.commit();
	}
}
