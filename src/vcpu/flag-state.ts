import { assert } from "../base/errors.ts";
import type { Width } from "../isa/expr.ts";
import { FLAG_KINDS, type FlagKind } from "../isa/flags.ts";

/** The number that {@link F.flagKind} holds for a rule at a width: kind * 4 + log2(bytes). */
export function flagNumber(kind: FlagKind, width: Width): number {
	const log2 = [8, 16, 32, 64].indexOf(width);
	assert(log2 >= 0, "flag width");
	return FLAG_KINDS.indexOf(kind) * 4 + log2;
}

/** All numbers that occur, with what they mean. */
export function* flagNumbers(): Generator<{ number: number; kind: FlagKind; width: Width }> {
	for (const kind of FLAG_KINDS)
		for (const width of [8, 16, 32, 64] as const)
			if (kind !== "explicit" || width === 32) yield { number: flagNumber(kind, width), kind, width };
}

/** Arithmetic flags in EFLAGS: CF PF AF ZF SF OF. */
export const ARITHMETIC_FLAGS = 0x8d5;

/** Width in which value b of a kind is kept. */
export function widthOfB(kind: FlagKind, width: Width): Width {
	return kind === "inc" || kind === "dec" || kind === "result" || kind === "explicit" ? 32 : width;
}

/** Width in which value a of a kind is kept. */
export function widthOfA(kind: FlagKind, width: Width): Width {
	return kind === "explicit" ? 32 : width;
}

/** The number of flags that are spelled out. */
export const EXPLICIT_FLAGS = flagNumber("explicit", 32);
