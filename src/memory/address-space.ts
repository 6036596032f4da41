import { FlatView, render } from "./flat-view.ts";
import type { Region } from "./region.ts";
import type { Topology } from "./topology.ts";

/** What one master sees of a region tree, kept up to date. */
export class AddressSpace {
	readonly root: Region;
	private current: FlatView;
	private readonly listeners: ((view: FlatView) => void)[] = [];

	constructor(topology: Topology, root: Region) {
		this.root = root;
		this.current = new FlatView(render(root));
		topology.onCommit((flipped) => {
			this.current = flipped === undefined ? new FlatView(render(root)) : this.current.flipped(flipped);
			for (const listener of this.listeners) listener(this.current);
		});
	}

	get view(): FlatView {
		return this.current;
	}

	/** Calls `listener` now, and with the new view after every change. */
	follow(listener: (view: FlatView) => void): void {
		this.listeners.push(listener);
		listener(this.current);
	}
}
