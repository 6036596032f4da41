import { children, type Expr, FLAG_BITS, type Flag } from "./expr.ts";
import { meaningValues } from "./meaning-values.ts";
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
	const { flags } = meaning;
	// INC and DEC hand CF on without looking at it.
	const keepsCarry = flags?.kind === "inc" || flags?.kind === "dec";
	for (const value of meaningValues(meaning)) if (!keepsCarry || value !== flags.b) visit(value);
	if (flags) {
		const { mask } = flags;
		for (const flag of ALL_FLAGS) if (mask & (1 << FLAG_BITS[flag])) writes.add(flag);
		if (keepsCarry) writes.delete("cf");
	}
	return { reads, writes };
}
