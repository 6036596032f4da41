import { compareStrings } from "./string-compare.ts";

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

/** Product in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1 (FIPS 197 4.2). */
function product(a: number, b: number): number {
	let result = 0;
	for (let n = 7; n >= 0; n--) {
		result = (result << 1) ^ (result & 0x80 ? 0x11b : 0);
		if ((b >> n) & 1) result ^= a;
	}
	return result;
}

/** S-box of AES (FIPS 197 5.1.1): inverse in GF(2^8), then an affine map. */
export function aesSBox(): Uint8Array {
	const box = new Uint8Array(256);
	for (let value = 0; value < 256; value++) {
		let inverse = 0;
		for (let candidate = 1; candidate < 256 && inverse === 0; candidate++)
			if (product(value, candidate) === 1) inverse = candidate;
		const twice = inverse | (inverse << 8);
		box[value] = (inverse ^ (twice >> 4) ^ (twice >> 5) ^ (twice >> 6) ^ (twice >> 7) ^ 0x63) & 0xff;
	}
	return box;
}

/** Its inverse (FIPS 197 5.3.2). */
export function aesInverseSBox(): Uint8Array {
	const box = new Uint8Array(256);
	for (const [from, to] of aesSBox().entries()) box[to] = from;
	return box;
}

function substitute(box: () => Uint8Array): (block?: bigint) => bigint {
	let table: Uint8Array | undefined;
	return (block = 0n) => {
		table ??= box();
		let result = 0n;
		for (let n = 120n; n >= 0n; n -= 8n) result = (result << 8n) | BigInt(table[Number((block >> n) & 0xffn)] ?? 0);
		return result;
	};
}

/** What is too long for an expression but depends on nothing else: the core's function `pure_NAME` computes it. */
export const PURE = {
	clmul: { params: [64, 64], result: 128, value: carrylessProduct },
	/** SubBytes of AES on sixteen bytes, and its inverse. */
	aesSubBytes: { params: [128], result: 128, value: substitute(aesSBox) },
	aesInverseSubBytes: { params: [128], result: 128, value: substitute(aesInverseSBox) },
	/** First and second operand, their lengths in elements, control byte → IntRes2 (SDM 2 4.1.6). */
	compareStrings: { params: [128, 128, 32, 32, 32], result: 32, value: compareStrings },
} as const satisfies Record<string, Pure>;
export type PureName = keyof typeof PURE;
