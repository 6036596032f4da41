import { children, type Expr, FLAG_BITS, type Flag } from "./expr.ts";
import type { Meaning } from "./semantics.ts";
import type { Instance } from "./table.ts";

export interface FlagUse {
	readonly reads: ReadonlySet<Flag>;
	/** Flags that may change, undefined ones included. */
	readonly writes: ReadonlySet<Flag>;
}

export const ALL_FLAGS = Object.keys(FLAG_BITS) as readonly Flag[];

/** Flags that a pair of conditions looks at, by code >> 1 (SDM 2 B.1.4.7). */
const CONDITION_READS: readonly (readonly Flag[])[] = [
	["of"],
	["cf"],
	["zf"],
	["cf", "zf"],
	["sf"],
	["pf"],
	["sf", "of"],
	["zf", "sf", "of"],
];

/** Flags that an instruction reads and writes: derived from its meaning, and declared for what a helper does. */
export function flagUse({ meaning, form }: Instance): FlagUse {
	const reads = new Set<Flag>(form.family.helperFlags?.reads);
	const writes = new Set<Flag>(form.family.helperFlags?.writes);
	const seen = new Set<Expr>();
	const visit = (expr: Expr): void => {
		if (seen.has(expr)) return;
		seen.add(expr);
		const { node } = expr;
		if (node.kind === "flag") reads.add(node.flag);
		else if (node.kind === "condition") for (const flag of CONDITION_READS[node.code >> 1] ?? []) reads.add(flag);
		for (const child of children(expr)) visit(child);
	};
	for (const root of roots(meaning)) visit(root);
	if (meaning.flags) {
		const { kind, mask } = meaning.flags;
		for (const flag of ALL_FLAGS) if (mask & (1 << FLAG_BITS[flag])) writes.add(flag);
		// INC and DEC hand CF on.
		if (kind === "inc" || kind === "dec") writes.delete("cf");
	}
	return { reads, writes };
}

/** Every expression of a meaning, but for flags that are only handed on. */
function* roots(meaning: Meaning): Generator<Expr> {
	for (const load of meaning.loads) if (load.kind === "memory") yield load.offset;
	for (const { when } of meaning.faults) if (when) yield when;
	for (const store of meaning.stores) {
		if (store.kind === "memory") yield store.offset;
		yield store.value;
	}
	for (const { value } of meaning.writes) yield value;
	for (const { value } of meaning.registers) yield value;
	if (meaning.flags) {
		const { kind, a, b, when } = meaning.flags;
		yield a;
		if (b && kind !== "inc" && kind !== "dec") yield b;
		if (when) yield when;
	}
	if (meaning.jump) {
		yield meaning.jump.target;
		if (meaning.jump.when) yield meaning.jump.when;
	}
	yield* meaning.helper?.args ?? [];
}
