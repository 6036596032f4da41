import type { Decoded } from "../../isa/decoder.ts";
import { children, constant, type Expr, FLAG_BITS, type Flag } from "../../isa/expr.ts";
import { flagUse } from "../../isa/flag-use.ts";
import { knownValue } from "../../isa/known-value.ts";
import { meaningValues } from "../../isa/meaning-values.ts";
import type { FlagUpdate } from "../../isa/semantics.ts";
import type { Instance } from "../../isa/table.ts";
import { ARITHMETIC_FLAGS, EXPLICIT_FLAGS, flagNumber } from "../flag-state.ts";
import type { UnitBlock } from "./discover.ts";

/** What is known of the lazy flags at a point of a unit: their kind, or the kinds that the local `fk` may say. */
export type FlagKnowledge =
	| { readonly kind: "static"; readonly number: number }
	/** `others`: it may be a kind beyond `known`. */
	| { readonly kind: "dynamic"; readonly known: readonly number[]; readonly others: boolean };

const flagReaders = new WeakMap<Instance, boolean>();

/** Whether an instruction needs the flags from before: as a value, or to keep some of them. */
export function readsFlags(instance: Instance): boolean {
	let reads = flagReaders.get(instance);
	if (reads === undefined) {
		const { flags } = instance.meaning;
		reads =
			(flags?.kind === "explicit" && flags.mask !== ARITHMETIC_FLAGS) ||
			[...meaningValues(instance.meaning)].some(mentionsFlags);
		flagReaders.set(instance, reads);
	}
	return reads;
}

function mentionsFlags(expr: Expr): boolean {
	return expr.node.kind === "flag" || expr.node.kind === "condition" || children(expr).some(mentionsFlags);
}

/** Whether an instruction changes the flags: a shift by an immediate tells; undefined where it depends on values. */
export function changesFlags(decoded: Decoded, { when }: FlagUpdate): boolean | undefined {
	if (!when) return true;
	const operands = decoded.instance?.operands ?? [];
	const first = operands.findIndex(({ immediateBytes }) => immediateBytes > 0);
	const known = knownValue(when, (operand) => BigInt(operand === first ? decoded.immediate : decoded.immediate2));
	return known === undefined ? undefined : known !== 0n;
}

const flagBits = (flags: Iterable<Flag>): number => [...flags].reduce((mask, flag) => mask | (1 << FLAG_BITS[flag]), 0);

/** Flags that an instruction reads and writes, as EFLAGS bits. */
const flagUses = new WeakMap<Instance, { readonly reads: number; readonly writes: number }>();

function flagUseBits(instance: Instance): { readonly reads: number; readonly writes: number } {
	let use = flagUses.get(instance);
	if (!use) {
		const { reads, writes } = flagUse(instance);
		use = { reads: flagBits(reads), writes: flagBits(writes) };
		flagUses.set(instance, use);
	}
	return use;
}

/** Whether a unit may be left in front of an instruction, or by it. */
function mayLeave({ meaning, form, operands, rm }: Instance): boolean {
	if (meaning.helper || meaning.jump || meaning.faults.length > 0 || meaning.stores.length > 0) return true;
	if (form.checks.length > 0 || meaning.loads.some(({ kind }) => kind !== "operand")) return true;
	return rm === "memory" || operands.some(({ kind }) => kind === "offset");
}

/** EFLAGS bits that somebody may still look at behind instruction `index` of a block. */
export function flagsWantedBehind(instructions: readonly { readonly decoded: Decoded }[], index: number): number {
	let live = ARITHMETIC_FLAGS;
	let wanted = 0;
	for (let n = index + 1; n < instructions.length && live !== 0; n++) {
		const { decoded } = instructions[n]!;
		const { instance } = decoded;
		if (!instance || mayLeave(instance)) break;
		const { reads, writes } = flagUseBits(instance);
		wanted |= live & reads;
		const update = instance.meaning.flags;
		if (update && changesFlags(decoded, update)) live &= ~writes;
	}
	return wanted | live;
}

/** Bits that a 32-bit value may have set, as far as its form tells. */
function possibleBits({ node, width }: Expr): number {
	if (width === 1) return 1;
	if (node.kind === "const") return Number(node.value & 0xffffffffn) | 0;
	if (node.kind === "zext") return node.a.width === 1 ? 1 : -1;
	if (node.kind === "binary" && node.op === "or") return possibleBits(node.a) | possibleBits(node.b);
	if (node.kind === "binary" && node.op === "shl" && node.b.node.kind === "const")
		return possibleBits(node.a) << Number(node.b.node.value);
	return -1;
}

/** A value without those of its parts that have none of the bits in `mask`. */
export function narrowed(value: Expr, mask: number): Expr {
	const { node } = value;
	if ((possibleBits(value) & mask) === 0) return constant(value.width, 0);
	if (node.kind !== "binary" || node.op !== "or") return value;
	return narrowed(node.a, mask).or(narrowed(node.b, mask));
}

/** Flags at the start of each block, by its number, and what to say where nothing is known but what is likely here. */
export interface FlagAnalysis {
	readonly knowledge: readonly FlagKnowledge[];
	readonly anything: FlagKnowledge;
}

/** Works out what is known of the flags at the start of each block. `successors`: numbers of those that it branches to directly. */
export function analyseFlags(
	blocks: readonly UnitBlock[],
	successors: (block: UnitBlock) => readonly number[],
): FlagAnalysis {
	const setters = new Set<number>();
	for (const block of blocks) {
		for (const { decoded } of block.instructions) {
			const flags = decoded.instance?.meaning.flags;
			if (flags) setters.add(flagNumber(flags.kind, flags.kind === "explicit" ? 32 : flags.width));
		}
	}
	// Handlers leave flags spelled out.
	if (blocks.some(({ terminator }) => terminator.kind === "handler")) setters.add(EXPLICIT_FLAGS);
	const anything: FlagKnowledge = { kind: "dynamic", known: likelyFirst(setters), others: true };
	const predecessors: number[][] = blocks.map(() => []);
	blocks.forEach((block, from) => {
		for (const to of successors(block)) predecessors[to]!.push(from);
	});
	const before: (FlagKnowledge | undefined)[] = blocks.map(() => undefined);
	const after: (FlagKnowledge | undefined)[] = blocks.map(() => undefined);
	for (let changed = true; changed; ) {
		changed = false;
		blocks.forEach((block, n) => {
			const ins = predecessors[n]!.map((p) => after[p]).filter((known) => known !== undefined);
			const known = block.entry ? anything : ins.length === 0 ? undefined : meet(ins, anything);
			if (known === undefined || (before[n] !== undefined && same(known, before[n]))) return;
			before[n] = known;
			const out = block.terminator.kind === "handler" ? anything : afterBlock(block, known);
			if (after[n] !== undefined && same(out, after[n])) return;
			after[n] = out;
			changed = true;
		});
	}
	return { knowledge: before.map((known) => known ?? anything), anything };
}

function same(a: FlagKnowledge, b: FlagKnowledge): boolean {
	if (a.kind === "static") return b.kind === "static" && a.number === b.number;
	if (b.kind === "static" || a.others !== b.others || a.known.length !== b.known.length) return false;
	return a.known.every((number, n) => number === b.known[n]);
}

/** Subtractions and logic first: those are what conditions mostly look at. */
function likelyFirst(numbers: ReadonlySet<number>): number[] {
	const rank = (n: number): number => [3, 4, 0, 5, 1, 6, 2, 7][n >> 2] ?? 8;
	return [...numbers].sort((a, b) => rank(a) - rank(b) || a - b);
}

/** What holds whichever way a block is reached. */
function meet(ins: readonly FlagKnowledge[], anything: FlagKnowledge): FlagKnowledge {
	const [first] = ins;
	if (first?.kind === "static" && ins.every((known) => known.kind === "static" && known.number === first.number))
		return first;
	const known = new Set<number>();
	let others = false;
	for (const each of ins) {
		if (each.kind === "static") known.add(each.number);
		else {
			for (const number of each.known) known.add(number);
			others ||= each.others;
		}
	}
	if (others) return anything;
	return { kind: "dynamic", known: likelyFirst(known), others };
}

/** What is known behind a block; must agree with what CompiledTarget does. */
function afterBlock(block: UnitBlock, before: FlagKnowledge): FlagKnowledge {
	let known = before;
	for (const { decoded } of block.instructions) {
		const flags = decoded.instance?.meaning.flags;
		const changes = flags && changesFlags(decoded, flags);
		if (!flags || changes === false) continue;
		const number = flagNumber(flags.kind, flags.kind === "explicit" ? 32 : flags.width);
		if (changes) known = { kind: "static", number };
		else {
			const earlier = known.kind === "static" ? [known.number] : known.known;
			known = {
				kind: "dynamic",
				known: [...new Set([number, ...earlier])],
				others: known.kind === "dynamic" && known.others,
			};
		}
	}
	return known;
}
