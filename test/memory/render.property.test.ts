import fc from "fast-check";
import { expect, test } from "vitest";
import { AddressSpace } from "../../src/memory/address-space.ts";
import { type FlatRange, render } from "../../src/memory/flat-view.ts";
import { Region, type RegionBody } from "../../src/memory/region.ts";
import { Topology } from "../../src/memory/topology.ts";

/** Small enough that every address can be asked for. */
const SPACE = 64;

interface Node {
	readonly kind: "container" | "ram" | "rom" | "romd" | "mmio" | "reserved" | "alias";
	readonly size: number;
	readonly offset: number;
	readonly priority: number;
	readonly enabled: boolean;
	readonly flag: boolean;
	readonly aliasOffset: number;
	/** Which of the regions built so far an alias shows. */
	readonly target: number;
	readonly children: readonly Node[];
}

const { node } = fc.letrec<{ node: Node }>((tie) => ({
	node: fc.record({
		kind: fc.constantFrom("container", "ram", "rom", "romd", "mmio", "reserved", "alias"),
		size: fc.integer({ min: 1, max: SPACE }),
		offset: fc.integer({ min: 0, max: SPACE - 1 }),
		priority: fc.integer({ min: -2, max: 2 }),
		enabled: fc.integer({ min: 0, max: 4 }).map((n) => n > 0),
		flag: fc.boolean(),
		aliasOffset: fc.integer({ min: 0, max: SPACE - 1 }),
		target: fc.nat(),
		children: fc.oneof(
			{ depthSize: "small", withCrossShrink: true },
			fc.constant<Node[]>([]),
			fc.array(tie("node"), { maxLength: 4 }),
		),
	}),
}));

function build(topology: Topology, tree: Node, built: Region[], name: string): Region {
	const children = tree.kind === "alias" ? [] : tree.children;
	const inside = children.map((child, i) => build(topology, child, built, `${name}.${i}`));
	const target = built[tree.target % Math.max(built.length, 1)];
	const body: RegionBody =
		tree.kind !== "alias"
			? tree.kind === "ram" || tree.kind === "rom" || tree.kind === "romd"
				? { kind: tree.kind, userspaceAddr: 0n }
				: { kind: tree.kind }
			: target === undefined
				? { kind: "mmio" }
				: { kind: "alias", target, offset: BigInt(tree.aliasOffset), readonly: tree.flag };
	const region = new Region(topology, name, tree.size, body);
	region.setEnabled(tree.enabled);
	if (body.kind === "romd") region.setDirect(tree.flag);
	children.forEach((child, i) => {
		region.add(inside[i]!, child.offset, { priority: child.priority, overlap: true });
	});
	built.push(region);
	return region;
}

interface Answer {
	readonly name: string;
	readonly offset: bigint;
	readonly readonly: boolean;
}

/** The rule, asked for one byte at a time. */
function resolve(region: Region, offset: bigint, readonly: boolean): Answer | undefined {
	if (!region.enabled || offset < 0n || offset >= region.size) return undefined;
	const { body } = region;
	const locked = readonly || body.kind === "rom";
	if (body.kind === "alias") return resolve(body.target, offset + body.offset, locked || body.readonly === true);
	for (const child of region.children) {
		const answer = resolve(child, offset - child.offset, locked);
		if (answer !== undefined) return answer;
	}
	return body.kind === "container" ? undefined : { name: region.name, offset, readonly: locked };
}

function rendered(tree: Node): { root: Region; ranges: FlatRange[] } {
	const topology = new Topology();
	const root = new Region(topology, "root", SPACE, { kind: "container" });
	root.add(build(topology, tree, [], "r"), tree.offset, { priority: tree.priority });
	return { root, ranges: render(root) };
}

test("every byte of any tree is rendered as the rule resolves it", () => {
	fc.assert(
		fc.property(node, (tree) => {
			const { root, ranges } = rendered(tree);
			for (let at = 0n; at < SPACE; at++) {
				const range = ranges.find(({ first, last }) => first <= at && at <= last);
				const answer = range && {
					name: range.region.name,
					offset: range.offset + at - range.first,
					readonly: range.readonly,
				};
				expect(answer).toEqual(resolve(root, at, false));
			}
		}),
		{ numRuns: 500 },
	);
});

test("the ranges of any tree are sorted, disjoint, inside the root and merged", () => {
	fc.assert(
		fc.property(node, (tree) => {
			const { ranges } = rendered(tree);
			let end = -1n;
			for (const range of ranges) {
				expect(range.first > end).toBe(true);
				expect(range.last >= range.first && range.last < SPACE).toBe(true);
				end = range.last;
			}
			for (let i = 1; i < ranges.length; i++) {
				const [before, after] = [ranges[i - 1]!, ranges[i]!];
				const goesOn =
					before.last + 1n === after.first &&
					before.region === after.region &&
					before.readonly === after.readonly &&
					before.offset + (after.first - before.first) === after.offset;
				expect(goesOn).toBe(false);
			}
		}),
		{ numRuns: 500 },
	);
});

test("a space where only direct reads have changed is as if it were rendered anew, and keeps the other ranges", () => {
	fc.assert(
		fc.property(node, fc.array(fc.nat(), { minLength: 1, maxLength: 6 }), (tree, flips) => {
			const topology = new Topology();
			const built: Region[] = [];
			const root = build(topology, tree, built, "r");
			const space = new AddressSpace(topology, root);
			const flash = built.filter(({ body }) => body.kind === "romd");
			for (const flip of flips) {
				const region = flash[flip % flash.length];
				if (region === undefined) return;
				const before = space.view.ranges;
				region.setDirect(!region.direct);
				expect(space.view.ranges).toEqual(render(root));
				const others = before.filter((range) => range.region !== region);
				expect(
					space.view.ranges.filter((range) => range.region !== region).every((range, n) => range === others[n]),
				).toBe(true);
			}
		}),
	);
});
