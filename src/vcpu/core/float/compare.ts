import { RELATION } from "../../../isa/float.ts";
import { i64 } from "../../../wasm/expression.ts";
import { type FloatName, float } from "../../../wasm/float.ts";
import { call } from "../../../wasm/function.ts";
import type { Core } from "../core.ts";
import { FloatCode } from "./code.ts";
import { type Format, MXCSR } from "./format.ts";

const { equal, less, greater, unordered } = RELATION;
const any = equal | less | greater | unordered;
/** Relations for which predicates 0 to 15 hold (SDM 2A CMPPD, table 3-1); 16 to 31 are the same. */
export const PREDICATES = [
	equal,
	less,
	less | equal,
	unordered,
	any - equal,
	any - less,
	any - less - equal,
	any - unordered,
	equal | unordered,
	less | unordered,
	less | equal | unordered,
	0,
	less | greater,
	greater | equal,
	greater,
	any,
];
/** Predicates 0 to 15 for which a QNaN is invalid; of 16 to 31 it is the other ones. */
const SIGNALING = 0b0110_0110_0110_0110;

/**
 * `fNN_relation(state, a, b, signaling)` → {@link RELATION}; a QNaN raises IE where `signaling` is 1, an SNaN always.
 * `fNN_cmp(state, a, b, predicate)` → all ones or 0. `fNN_min` and `fNN_max(state, a, b)`: the second operand where
 * both are zeros or one is a NaN (SDM 2B MINPD).
 */
export function defineCompare(core: Core, format: Format): void {
	const { name, int } = format;
	const native = (op: "lt" | "gt" | "eq", a: Parameters<Format["toFloat"]>[0], b: typeof a): typeof a =>
		float(`${name}.${op}` as FloatName, format.toFloat(a), format.toFloat(b));

	core.define(`${name}_relation`, ["i32", int, int, "i32"], ["i32"], (f) => {
		const [a, b, signaling] = [f.param(1), f.param(2), f.param(3)];
		const code = new FloatCode(core, f, format);
		code.flush(a, b);
		f.if(format.isNan(a).or(format.isNan(b)), () => {
			f.if(signaling.or(code.isSignaling(a)).or(code.isSignaling(b)), () => code.raise(MXCSR.ie));
			f.return(RELATION.unordered);
		});
		code.noteDenormals(a, b);
		f.return(
			native("eq", a, b)
				.or(native("lt", a, b).shl(1))
				.or(native("gt", a, b).shl(2)),
		);
	});

	core.define(`${name}_cmp`, ["i32", int, int, "i32"], [int], (f) => {
		const [st, a, b, predicate] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const base = f.let(predicate.and(15));
		const signaling = i64(SIGNALING).shrU(base.extU()).wrap().xor(predicate.shrU(4)).and(1);
		const table = PREDICATES.reduce((all, set, n) => all | (BigInt(set) << BigInt(n * 4)), 0n);
		const holds = i64(table).shrU(base.shl(2).extU()).wrap();
		const relation = f.let(call(core.fn(`${name}_relation`), st, a, b, signaling));
		f.return(format.bits(-1n).when(holds.and(relation).and(any), format.bits(0n)));
	});

	for (const [op, chosen] of [
		["min", "lt"],
		["max", "gt"],
	] as const) {
		core.define(`${name}_${op}`, ["i32", int, int], [int], (f) => {
			const [a, b] = [f.param(1), f.param(2)];
			const code = new FloatCode(core, f, format);
			code.flush(a, b);
			f.if(format.isNan(a).or(format.isNan(b)), () => {
				code.raise(MXCSR.ie);
				f.return(b);
			});
			code.noteDenormals(a, b);
			f.return(a.when(native(chosen, a, b), b));
		});
	}
}
