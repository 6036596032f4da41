/** Parameters and result of a function of values alone, bits each. */
interface Pure {
	readonly params: readonly (32 | 64 | 128)[];
	readonly result: 32 | 64 | 128;
	/** The plainest way to say it, on unsigned values; the core has its own. */
	readonly value: (...args: readonly bigint[]) => bigint;
}

/** Product of polynomials over GF(2), 64 bits each. */
function carrylessProduct(a = 0n, b = 0n): bigint {
	let product = 0n;
	for (let n = 0n; n < 64n; n++) if ((b >> n) & 1n) product ^= a << n;
	return product;
}

/** What is too long for an expression but depends on nothing else: the core's function `pure_NAME` computes it. */
export const PURE = {
	clmul: { params: [64, 64], result: 128, value: carrylessProduct },
} as const satisfies Record<string, Pure>;
export type PureName = keyof typeof PURE;
