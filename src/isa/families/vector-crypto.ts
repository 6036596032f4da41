import { constant, type Expr } from "../expr.ts";
import { family } from "../family.ts";
import { immediateOf, type VectorForms, vectorFamily } from "../packed.ts";
import type { Semantics } from "../semantics.ts";
import { lane, lanes, pure, shuffle, splat, vector, withLane } from "../vector.ts";

const ZERO = constant(128, 0);

// AES (FIPS 197): a block is 128 bits, its first byte the lowest.

/** Byte `4 * column + row` comes from the column that `from` says for its row. */
function shiftRows(a: Expr, inverse: boolean): Expr {
	const bytes = Array.from({ length: 16 }, (_, n) => {
		const [column, row] = [n >> 2, n & 3];
		return ((column + (inverse ? 4 - row : row)) & 3) * 4 + row;
	});
	return shuffle(a, a, bytes);
}

/** Every byte times x in GF(2^8). */
function timesX(a: Expr): Expr {
	const reduced = vector("i8x16.gt_s", ZERO, a).and(splat(8, constant(8, 0x1b)));
	return vector("i8x16.add", a, a).xor(reduced);
}

/** Every column turned by `count` rows. */
function turn(a: Expr, count: number): Expr {
	const bytes = Array.from({ length: 16 }, (_, n) => (n & 12) | ((n + count) & 3));
	return shuffle(a, a, bytes);
}

function mixColumns(a: Expr): Expr {
	const next = turn(a, 1);
	return timesX(a.xor(next)).xor(next).xor(turn(a, 2)).xor(turn(a, 3));
}

/** The inverse is the same behind a product with 4 (x^2 + 1) + 1, since their product is 1. */
function inverseMixColumns(a: Expr): Expr {
	return mixColumns(a.xor(timesX(timesX(a.xor(turn(a, 2))))));
}

const aes = (opcode: string): VectorForms => ({
	opcode: `0F ${opcode}`,
	sse: "aes",
	avx: ["aes", "avx"],
	avx2: ["vaes", "avx2"],
});

function aesRound(name: string, title: string, opcode: string, round: (block: Expr) => Expr) {
	return vectorFamily(name, title, {
		forms: [aes(`38 ${opcode} /r`)],
		meaning: (x) => x.packed((block, key) => round(block).xor(key)),
	});
}

const encrypted = (block: Expr): Expr => pure("aesSubBytes", shiftRows(block, false));
const decrypted = (block: Expr): Expr => pure("aesInverseSubBytes", shiftRows(block, true));

export const AESENC = aesRound("AESENC", "One AES round", "DC", (block) => mixColumns(encrypted(block)));
export const AESENCLAST = aesRound("AESENCLAST", "Last AES round", "DD", encrypted);
export const AESDEC = aesRound("AESDEC", "One inverse AES round", "DE", (block) => inverseMixColumns(decrypted(block)));
export const AESDECLAST = aesRound("AESDECLAST", "Last inverse AES round", "DF", decrypted);

export const AESIMC = vectorFamily("AESIMC", "Inverse of AES MixColumns", {
	forms: [{ ...aes("38 DB /r"), avx2: "none", operands: "Vdq, Wdq" }],
	meaning: (x) => x.packedUnary(inverseMixColumns),
});

export const AESKEYGENASSIST = vectorFamily("AESKEYGENASSIST", "Part of an AES round key", {
	forms: [{ ...aes("3A DF /r ib"), avx2: "none", operands: "Vdq, Wdq, Ib" }],
	meaning: (x) =>
		x.packedUnary((a) => {
			const words = pure("aesSubBytes", a);
			const turned = shuffle(words, words, [4, 5, 6, 7, 5, 6, 7, 4, 12, 13, 14, 15, 13, 14, 15, 12]);
			return turned.xor(splat(32, immediateOf(x)).and(lanes(32, [0, -1, 0, -1])));
		}),
});

/** Carry-less product of a quadword of each source, chosen by immediate bits 0 and 4. */
export const PCLMULQDQ = vectorFamily("PCLMULQDQ", "Carry-less multiplication of quadwords", {
	forms: [
		{
			opcode: "0F 3A 44 /r ib",
			sse: "pclmulqdq",
			avx: ["pclmulqdq", "avx"],
			avx2: ["vpclmulqdq", "avx2"],
			operands: "Vx, Hx, Wx, Ib",
		},
	],
	meaning: (x) => {
		const immediate = immediateOf(x);
		const pick = (a: Expr, bit: number): Expr => immediate.bit(bit).select(lane(a, 64, 1), lane(a, 64, 0));
		x.packed((a, b) => pure("clmul", pick(a, 0), pick(b, 4)));
	},
});

// SHA (FIPS 180-4). Words are held with the first one in the highest doubleword.

function words(a: Expr): Expr[] {
	return [0, 1, 2, 3].map((n) => lane(a, 32, n));
}

function fromWords(values: readonly Expr[]): Expr {
	return values.reduce((all, value, n) => withLane(all, 32, n, value), ZERO);
}

function sha(name: string, title: string, opcode: string, operands: string, meaning: (x: Semantics) => void) {
	return family(name, title, { forms: [[`NP 0F ${opcode}`, operands]], feature: "sha-ni", meaning });
}

const shaSum = (name: string, title: string, opcode: string, sum: (a: readonly Expr[], b: readonly Expr[]) => Expr[]) =>
	sha(name, title, `38 ${opcode} /r`, "Vdq, Wdq", (x) => x.packed((a, b) => fromWords(sum(words(a), words(b)))));

/** Indexing with what is there for sure. */
function at(values: readonly Expr[], n: number): Expr {
	return values[n] ?? constant(32, 0);
}

const ROUND_CONSTANTS = [0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6] as const;

/** Four rounds; the immediate says which function and constant. */
export const SHA1RNDS4 = sha("SHA1RNDS4", "Four rounds of SHA-1", "3A CC /r ib", "Vdq, Wdq, Ib", (x) => {
	const kind = immediateOf(x).and(3);
	const [state, message] = [words(x.read(0)), words(x.read(1))];
	let [a, b, c, d] = [at(state, 3), at(state, 2), at(state, 1), at(state, 0)];
	let e = constant(32, 0);
	const k = [1, 2, 3].reduce<Expr>(
		(value, n) => kind.eq(n).select(constant(32, ROUND_CONSTANTS[n] ?? 0), value),
		constant(32, ROUND_CONSTANTS[0]),
	);
	for (let round = 0; round < 4; round++) {
		const parity = b.xor(c).xor(d);
		const choice = b.and(c).xor(b.not().and(d));
		const majority = b.and(c).xor(b.and(d)).xor(c.and(d));
		const f = kind.eq(0).select(choice, kind.eq(2).select(majority, parity));
		// The first word has E added already (SHA1NEXTE).
		const next = f
			.add(a.rotl(5))
			.add(at(message, 3 - round))
			.add(e)
			.add(k);
		[a, b, c, d, e] = [next, a, b.rotl(30), c, d];
	}
	x.writeVector(0, fromWords([d, c, b, a]));
});

export const SHA1NEXTE = shaSum("SHA1NEXTE", "SHA-1 state variable E", "C8", (a, b) => [
	at(b, 0),
	at(b, 1),
	at(b, 2),
	at(b, 3).add(at(a, 3).rotl(30)),
]);
export const SHA1MSG1 = shaSum("SHA1MSG1", "First part of SHA-1 message words", "C9", (a, b) => [
	at(b, 2).xor(at(a, 0)),
	at(b, 3).xor(at(a, 1)),
	at(a, 0).xor(at(a, 2)),
	at(a, 1).xor(at(a, 3)),
]);
export const SHA1MSG2 = shaSum("SHA1MSG2", "Last part of SHA-1 message words", "CA", (a, b) => {
	const first = at(a, 3).xor(at(b, 2)).rotl(1);
	return [at(a, 0).xor(first).rotl(1), at(a, 1).xor(at(b, 0)).rotl(1), at(a, 2).xor(at(b, 1)).rotl(1), first];
});

const sigma = (a: Expr, first: number, second: number, third: number, shift: boolean): Expr =>
	a
		.rotr(first)
		.xor(a.rotr(second))
		.xor(shift ? a.shrU(third) : a.rotr(third));

export const SHA256RNDS2 = sha("SHA256RNDS2", "Two rounds of SHA-256", "38 CB /r", "Vdq, Wdq, XMM0", (x) => {
	const [upper, lower, sums] = [words(x.read(0)), words(x.read(1)), words(x.read(2))];
	let [a, b, e, f] = [at(lower, 3), at(lower, 2), at(lower, 1), at(lower, 0)];
	let [c, d, g, h] = [at(upper, 3), at(upper, 2), at(upper, 1), at(upper, 0)];
	for (let round = 0; round < 2; round++) {
		const choice = e.and(f).xor(e.not().and(g));
		const majority = a.and(b).xor(a.and(c)).xor(b.and(c));
		const first = h
			.add(sigma(e, 6, 11, 25, false))
			.add(choice)
			.add(at(sums, round));
		const next = first.add(sigma(a, 2, 13, 22, false)).add(majority);
		[a, b, c, d, e, f, g, h] = [next, a, b, c, d.add(first), e, f, g];
	}
	x.writeVector(0, fromWords([f, e, b, a]));
});

export const SHA256MSG1 = shaSum("SHA256MSG1", "First part of SHA-256 message words", "CC", (a, b) =>
	[0, 1, 2, 3].map((n) => at(a, n).add(sigma(n === 3 ? at(b, 0) : at(a, n + 1), 7, 18, 3, true))),
);
export const SHA256MSG2 = shaSum("SHA256MSG2", "Last part of SHA-256 message words", "CD", (a, b) => {
	const result = [at(a, 0).add(sigma(at(b, 2), 17, 19, 10, true)), at(a, 1).add(sigma(at(b, 3), 17, 19, 10, true))];
	for (const n of [2, 3]) result.push(at(a, n).add(sigma(at(result, n - 2), 17, 19, 10, true)));
	return result;
});
