import type { Local } from "../../wasm/expression.ts";
import type { FunctionBuilder, Label } from "../../wasm/function.ts";
import type { Flow } from "./structure.ts";

/** Where a branch to a node goes. */
export interface FlowTarget {
	readonly label: Label;
	/** The block's number goes into `entry` first: a dispatcher is on the way. */
	readonly dispatch: boolean;
}

/** Prints structured control flow around nodes that somebody else prints. */
export class FlowPrinter {
	private readonly f: FunctionBuilder;
	/** The number of the node that dispatchers go to. */
	private readonly entry: Local;
	/** How many nodes there are. */
	private readonly count: number;
	/** Prints a node; falling out of it leads to `next`. */
	private readonly print: (id: number, next: Label | undefined) => void;
	private readonly targets = new Map<number, FlowTarget>();

	constructor(f: FunctionBuilder, entry: Local, count: number, print: (id: number, next: Label | undefined) => void) {
		this.f = f;
		this.entry = entry;
		this.count = count;
		this.print = print;
	}

	/** Where a branch to a node goes from here; undefined: it is not in reach. */
	target(id: number): FlowTarget | undefined {
		return this.targets.get(id);
	}

	/**
	 * Prints items so that a branch to an item goes to the end of a block that ends in front of it.
	 * @param dispatched numbers that a dispatcher in front of the first item sends on their way
	 * @param after label that is reached by falling out of the last item
	 * @param cut heads of enclosing loops: branches to them go back to the loops
	 */
	sequence(
		items: readonly Flow[],
		dispatched: ReadonlySet<number> | undefined,
		after: Label | undefined,
		cut: ReadonlySet<number>,
	): void {
		const { f } = this;
		const labels: Label[] = [];
		const lowest = dispatched ? 0 : 1;
		const saved = new Map<number, FlowTarget | undefined>();
		const sendTo = new Map<number, Label>();
		for (let n = items.length - 1; n >= lowest; n--) {
			const label = f.openBlock();
			labels[n] = label;
			const item = items[n]!;
			const members = item.kind === "node" ? [item.id] : item.members;
			for (const id of members) {
				sendTo.set(id, label);
				if (cut.has(id)) continue;
				saved.set(id, this.targets.get(id));
				this.targets.set(id, { label, dispatch: item.kind === "loop" && item.dispatches });
			}
		}
		if (dispatched) {
			const first = labels[0]!;
			const table = Array.from({ length: this.count }, (_, id) =>
				dispatched.has(id) ? (sendTo.get(id) ?? first) : first,
			);
			f.brTable(this.entry, table, first);
			f.close();
		}
		items.forEach((item, n) => {
			const next = n + 1 < items.length ? labels[n + 1] : after;
			if (item.kind === "node") this.print(item.id, next);
			else this.loop(item, next, cut);
			if (n + 1 < items.length) f.close();
		});
		for (const [id, target] of saved) {
			if (target) this.targets.set(id, target);
			else this.targets.delete(id);
		}
	}

	private loop(flow: Flow & { kind: "loop" }, after: Label | undefined, cut: ReadonlySet<number>): void {
		const label = this.f.openLoop();
		const saved = flow.heads.map((id) => this.targets.get(id));
		for (const id of flow.heads) this.targets.set(id, { label, dispatch: flow.dispatches });
		this.sequence(
			flow.body,
			flow.dispatches ? new Set([...flow.heads, ...flow.through]) : undefined,
			after,
			new Set([...cut, ...flow.heads]),
		);
		flow.heads.forEach((id, n) => {
			const target = saved[n];
			if (target) this.targets.set(id, target);
		});
		this.f.close();
	}
}
