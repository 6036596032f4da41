import type { Expr } from "./expr.ts";
import type { Meaning } from "./semantics.ts";

/** Every expression that a meaning is made of; shared ones as often as they stand there. */
export function* meaningValues(meaning: Meaning): Generator<Expr> {
	const { loads, faults, stores, writes, registers, flags, jump, helper } = meaning;
	for (const load of loads) if (load.kind === "memory") yield load.offset;
	for (const { when } of faults) if (when) yield when;
	for (const store of stores) {
		if (store.kind === "memory") yield store.offset;
		if (store.kind === "operand" && store.when) yield store.when;
		yield store.value;
		if (store.kind === "operand" && store.high) yield store.high;
	}
	for (const { value, high, when } of writes) {
		if (when) yield when;
		yield value;
		if (high) yield high;
	}
	for (const { value } of registers) yield value;
	if (flags) {
		yield flags.a;
		if (flags.b) yield flags.b;
		if (flags.when) yield flags.when;
	}
	if (jump) {
		yield jump.target;
		if (jump.when) yield jump.when;
	}
	yield* helper?.args ?? [];
}
