import type { Region } from "./region.ts";

/** A region as it is declared, for people and programs; addresses are those of the space that its root spans. */
export interface RegionNode {
	readonly name: string;
	/** ram, rom, romd, i/o (registers and containers), alias, reserved. */
	readonly kind: string;
	readonly first: bigint;
	readonly last: bigint;
	readonly priority: number;
	readonly enabled: boolean;
	/** What an alias shows: the region, and the bytes of it. */
	readonly target?: { readonly name: string; readonly first: bigint; readonly last: bigint };
	readonly children: readonly RegionNode[];
}

/** The tree below `root`, children by address, of equal ones the higher priority first. */
export function regionTree(root: Region, base = 0n): RegionNode {
	const { body } = root;
	const first = base + root.offset;
	const children = root.children
		.map((child) => regionTree(child, first))
		.sort((a, b) => (a.first === b.first ? b.priority - a.priority : a.first < b.first ? -1 : 1));
	const node = {
		name: root.name,
		kind: body.kind === "container" || body.kind === "mmio" ? "i/o" : body.kind,
		first,
		last: first + root.size - 1n,
		priority: root.priority,
		enabled: root.enabled,
		children,
	};
	if (body.kind !== "alias") return node;
	const { target, offset } = body;
	return { ...node, target: { name: target.name, first: offset, last: offset + root.size - 1n } };
}

/** The tree in the form of QEMU's `info mtree`. */
export function formatRegionTree(node: RegionNode, depth = 1): string {
	const range = (first: bigint, last: bigint): string =>
		[first, last].map((address) => address.toString(16).padStart(16, "0")).join("-");
	const { name, target, priority } = node;
	const kind = target ? "ram" : node.kind;
	const what = target ? `alias ${name} @${target.name} ${range(target.first, target.last)}` : name;
	const off = node.enabled ? "" : " [disabled]";
	const line = `${"  ".repeat(depth)}${range(node.first, node.last)} (prio ${priority}, ${kind}): ${what}${off}\n`;
	return line + node.children.map((child) => formatRegionTree(child, depth + 1)).join("");
}
