import { constant, type Expr, FALSE, FLAG_BITS, type Flag, type Width } from "./expr.ts";

/**
 * How the arithmetic flags follow from at most two values. An engine keeps the kind and the two values and works out
 * a flag only when somebody asks.
 *
 * | kind | a | b |
 * |---|---|---|
 * | add | first operand | second operand |
 * | sub | first operand | second operand |
 * | carry | result | carry out of every bit: for ADC and SBB |
 * | logic | result | – |
 * | inc, dec | result | carry flag, kept from before |
 * | result | result, for ZF, SF, PF | CF, AF, OF at their EFLAGS positions |
 * | explicit | all six at their EFLAGS positions | – |
 *
 * Values have the width of the operation, but for CF of `inc` and `dec` and for EFLAGS positions, which are 32 wide.
 */
export const FLAG_KINDS = ["explicit", "add", "sub", "carry", "logic", "inc", "dec", "result"] as const;
export type FlagKind = (typeof FLAG_KINDS)[number];

export type FlagValues = Record<Flag, Expr>;

/** Even number of ones in the low byte (SDM 1 3.4.3.1). */
function parity(value: Expr): Expr {
	const low = value.width === 8 ? value.zext(32) : value.cast(32).and(0xff);
	return low.popcnt().and(1).eq(0);
}

function resultFlags(result: Expr): Pick<FlagValues, "zf" | "sf" | "pf"> {
	return { zf: result.eq(0), sf: result.sign(), pf: parity(result) };
}

/** The flags that `kind` gives for values `a` and `b` of width `width`. */
export function flagRule(kind: FlagKind, width: Width, a: Expr, b: Expr): FlagValues {
	const top = width - 1;
	switch (kind) {
		case "add": {
			const result = a.add(b);
			return {
				cf: result.ltU(a),
				af: a.xor(b).xor(result).bit(4),
				of: a.xor(result).and(b.xor(result)).sign(),
				...resultFlags(result),
			};
		}
		case "sub": {
			const result = a.sub(b);
			return {
				...resultFlags(result),
				cf: a.ltU(b),
				zf: a.eq(b),
				af: a.xor(b).xor(result).bit(4),
				of: a.xor(b).and(a.xor(result)).sign(),
			};
		}
		case "carry":
			return { cf: b.bit(top), af: b.bit(3), of: b.xor(b.shl(1)).bit(top), ...resultFlags(a) };
		case "logic":
			return { cf: FALSE, af: FALSE, of: FALSE, ...resultFlags(a) };
		case "inc":
			return { cf: b.bit(0), af: a.and(15).eq(0), of: a.eq(1n << BigInt(top)), ...resultFlags(a) };
		case "dec":
			return { cf: b.bit(0), af: a.and(15).eq(15), of: a.eq((1n << BigInt(top)) - 1n), ...resultFlags(a) };
		case "result":
			return { ...bitsAt(b, ["cf", "af", "of"]), ...resultFlags(a) } as FlagValues;
		case "explicit":
			return bitsAt(a, ["cf", "pf", "af", "zf", "sf", "of"]) as FlagValues;
	}
}

function bitsAt(bits: Expr, flags: readonly Flag[]): Partial<FlagValues> {
	// Of an 8-bit value, OF lies beyond: such values are stored 32 bits wide.
	return Object.fromEntries(flags.map((flag) => [flag, bits.cast(32).bit(FLAG_BITS[flag])]));
}

/** Whether condition `code` (SDM 2 B.1.4.7: 0 O, 1 NO, 2 B, … 15 G) holds for `flags`. */
export function conditionRule(code: number, flags: FlagValues): Expr {
	const { cf, zf, sf, of, pf } = flags;
	const base = [of, cf, zf, cf.or(zf), sf, pf, sf.xor(of), zf.or(sf.xor(of))][code >> 1] ?? FALSE;
	return code & 1 ? base.xor(1) : base;
}

/** The six flags at their EFLAGS positions, 32 bits wide. */
export function packFlags(flags: Partial<FlagValues>): Expr {
	let bits: Expr = constant(32, 0);
	for (const flag of Object.keys(flags) as Flag[]) {
		const value = flags[flag];
		if (value) bits = bits.or(value.zext(32).shl(FLAG_BITS[flag]));
	}
	return bits;
}

/** {@link conditionRule} on the flags of a kind, with the comparisons that the kind allows spelled directly. */
export function conditionFor(kind: FlagKind, width: Width, a: Expr, b: Expr, code: number): Expr {
	const direct = directCondition(kind, a, b, code >> 1);
	if (direct) return code & 1 ? direct.xor(1) : direct;
	return conditionRule(code, flagRule(kind, width, a, b));
}

function directCondition(kind: FlagKind, a: Expr, b: Expr, pair: number): Expr | undefined {
	if (kind === "sub") return [undefined, a.ltU(b), a.eq(b), a.leU(b), undefined, undefined, a.ltS(b), a.leS(b)][pair];
	if (kind === "logic") return [FALSE, FALSE, a.eq(0), a.eq(0), a.ltS(0), undefined, a.ltS(0), a.leS(0)][pair];
	return undefined;
}
