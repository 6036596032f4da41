import type { Decoded } from "../../src/isa/decoder.ts";
import { FLAG_BITS, type Width } from "../../src/isa/expr.ts";
import { undefinedFlags } from "../../src/isa/family.ts";

/** EFLAGS bits that a decoded instruction leaves undefined; `cl` is what CL holds before it. */
export function undefinedMask({ instance, immediate, immediate2 }: Decoded, cl: number): number {
	if (!instance) return 0;
	const { operands, form } = instance;
	const last = operands.at(-1);
	const immediates = operands.filter(({ immediateBytes }) => immediateBytes > 0).length;
	const count = last?.kind === "one" ? 1 : last?.kind === "immediate" ? (immediates > 1 ? immediate2 : immediate) : cl;
	const width = (operands[0]?.width || instance.size) as Width;
	return undefinedFlags(form.family, width, count).reduce((mask, flag) => mask | (1 << FLAG_BITS[flag]), 0);
}
