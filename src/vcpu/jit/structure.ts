/** A node of the control-flow graph to structure. */
export interface FlowNode {
	readonly id: number;
	/** Nodes that it branches to directly. */
	readonly next: readonly number[];
	/** Reached from the head by its number. */
	readonly entry: boolean;
}

/** A piece of structured control flow: a node, or a loop around a sequence. */
export type Flow =
	| { readonly kind: "node"; readonly id: number }
	| {
			readonly kind: "loop";
			/** Nodes that branches from elsewhere, and back edges, go to. */
			readonly heads: readonly number[];
			/** Entries inside: the head dispatches to them by number. */
			readonly through: readonly number[];
			/** The loop starts with a dispatcher: it has several heads, or entries that are not its only head. */
			readonly dispatches: boolean;
			readonly body: readonly Flow[];
			/** Every node inside. */
			readonly members: ReadonlySet<number>;
	  };

/**
 * Orders the nodes so that every branch goes forward within a sequence or to the head of a loop around it. Where a loop
 * is entered in several places it starts with a dispatcher, which keeps irreducible graphs possible.
 */
export function structure(nodes: readonly FlowNode[]): Flow[] {
	const byId = new Map(nodes.map((node) => [node.id, node]));
	return sequence(new Set(byId.keys()), byId, new Set());
}

/** `cut`: heads of the loops around; edges to them are back edges. */
function sequence(
	members: ReadonlySet<number>,
	nodes: ReadonlyMap<number, FlowNode>,
	cut: ReadonlySet<number>,
): Flow[] {
	const edges = (id: number): number[] => nodes.get(id)!.next.filter((to) => members.has(to) && !cut.has(to));
	return components(members, edges).map((component) => {
		const [first] = component;
		if (component.length === 1 && !edges(first!).includes(first!)) return { kind: "node", id: first! };
		const inside = new Set(component);
		const heads = component.filter((id) =>
			[...nodes.values()].some((from) => !inside.has(from.id) && from.next.includes(id)),
		);
		const through = component.filter((id) => nodes.get(id)!.entry);
		if (heads.length === 0) heads.push(through[0] ?? first!);
		return {
			kind: "loop",
			heads,
			through,
			dispatches: heads.length > 1 || through.some((id) => id !== heads[0]),
			body: sequence(inside, nodes, new Set([...cut, ...heads])),
			members: inside,
		};
	});
}

/** Strongly connected components, in topological order (Tarjan 1972, without recursion). */
function components(members: ReadonlySet<number>, edges: (id: number) => number[]): number[][] {
	const index = new Map<number, number>();
	const low = new Map<number, number>();
	const onStack = new Set<number>();
	const stack: number[] = [];
	const result: number[][] = [];
	for (const root of members) {
		if (index.has(root)) continue;
		const frames: { id: number; next: number[]; at: number }[] = [];
		const open = (id: number): void => {
			index.set(id, index.size);
			low.set(id, index.get(id)!);
			stack.push(id);
			onStack.add(id);
			frames.push({ id, next: edges(id), at: 0 });
		};
		open(root);
		while (frames.length > 0) {
			const frame = frames.at(-1)!;
			const to = frame.next[frame.at++];
			if (to !== undefined) {
				if (!index.has(to)) open(to);
				else if (onStack.has(to)) low.set(frame.id, Math.min(low.get(frame.id)!, index.get(to)!));
				continue;
			}
			frames.pop();
			const parent = frames.at(-1);
			if (parent) low.set(parent.id, Math.min(low.get(parent.id)!, low.get(frame.id)!));
			if (low.get(frame.id) !== index.get(frame.id)) continue;
			const component: number[] = [];
			for (let id = stack.pop()!; ; id = stack.pop()!) {
				onStack.delete(id);
				component.push(id);
				if (id === frame.id) break;
			}
			result.push(component.reverse());
		}
	}
	return result.reverse();
}
