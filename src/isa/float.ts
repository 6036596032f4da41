import { assert } from "../base/errors.ts";
import { constant, Expr } from "./expr.ts";

type FloatWidth = 32 | 64 | 128;

/** Parameters and result of a function that rounds as MXCSR says and raises its flags, bits each. */
interface Float {
	readonly params: readonly FloatWidth[];
	readonly result: FloatWidth;
}

/** The bits of `relation_ss` and `relation_sd`. */
export const RELATION = { equal: 1, less: 2, greater: 4, unordered: 8 } as const;

const SUFFIXES = { ps: 128, pd: 128, ss: 32, sd: 64 } as const;
type Suffix = keyof typeof SUFFIXES;

/** `op_ps`, `op_pd`, `op_ss`, `op_sd` on `operands` numbers or vectors, then integers of 32 bits. */
function each<const N extends string, const S extends Suffix>(
	names: readonly N[],
	suffixes: readonly S[],
	operands: number,
	integers = 0,
): Record<`${N}_${S}`, Float> {
	const all = names.flatMap((name) =>
		suffixes.map((suffix): [string, Float] => {
			const width = SUFFIXES[suffix];
			const params = [...new Array<FloatWidth>(operands).fill(width), ...new Array<FloatWidth>(integers).fill(32)];
			return [`${name}_${suffix}`, { params, result: width }];
		}),
	);
	return Object.fromEntries(all) as Record<`${N}_${S}`, Float>;
}

const ALL = ["ps", "pd", "ss", "sd"] as const;
const PACKED = ["ps", "pd"] as const;

/**
 * The arithmetic of SSE and AVX: the core's function `float_NAME` computes it. `ss` and `sd` are single numbers, `ps` and
 * `pd` vectors of 128 bits. The last integer is a predicate (cmp), an immediate as in ROUNDPS and VCVTPS2PH, or 1 to
 * truncate (to integers) and to take QNaNs for invalid (relation, which gives {@link RELATION}).
 */
export const FLOAT_FUNCTIONS = {
	...each(["add", "sub", "mul", "div", "min", "max"], ALL, 2),
	...each(["addsub"], PACKED, 2),
	...each(["sqrt"], ALL, 1),
	...each(["rcp", "rsqrt"], ["ps", "ss"], 1),
	...each(["cmp"], ALL, 2, 1),
	...each(["round"], ALL, 1, 1),
	...each(["fmadd", "fmsub", "fnmadd", "fnmsub"], ALL, 3),
	...each(["fmaddsub", "fmsubadd"], PACKED, 3),
	/** The end of a step of an instruction that has several: its unmasked exceptions, which are to keep the next from happening. */
	endStep: { params: [], result: 32 },
	relation_ss: { params: [32, 32, 32], result: 32 },
	relation_sd: { params: [64, 64, 32], result: 32 },
	ps2dq: { params: [128, 32], result: 128 },
	pd2dq: { params: [128, 32], result: 64 },
	dq2ps: { params: [128], result: 128 },
	dq2pd: { params: [64], result: 128 },
	ps2pd: { params: [64], result: 128 },
	pd2ps: { params: [128], result: 64 },
	ss2sd: { params: [32], result: 64 },
	sd2ss: { params: [64], result: 32 },
	ss2si32: { params: [32, 32], result: 32 },
	ss2si64: { params: [32, 32], result: 64 },
	sd2si32: { params: [64, 32], result: 32 },
	sd2si64: { params: [64, 32], result: 64 },
	si2ss32: { params: [32], result: 32 },
	si2ss64: { params: [64], result: 32 },
	si2sd32: { params: [32], result: 64 },
	si2sd64: { params: [64], result: 64 },
	ph2ps: { params: [64], result: 128 },
	ps2ph: { params: [128, 32], result: 64 },
} as const satisfies Record<string, Float>;
export type FloatFunction = keyof typeof FLOAT_FUNCTIONS;

/** A floating-point operation as an expression; numbers among the arguments are integers of 32 bits. */
export function floatExpr(name: FloatFunction, ...args: readonly (Expr | number)[]): Expr {
	const { params, result }: Float = FLOAT_FUNCTIONS[name];
	const values = args.map((arg) => (typeof arg === "number" ? constant(32, arg) : arg));
	assert(
		values.length === params.length && values.every(({ width }, n) => width === params[n]),
		`${name} of (${values.map(({ width }) => width).join()})`,
	);
	return new Expr(result, { kind: "float", name, args: values });
}
