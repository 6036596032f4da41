import { lanesOf } from "./vector-value.ts";

/**
 * IntRes2 of PCMPxSTRx (SDM 2 4.1): the comparison of two strings of `lengthA` and `lengthB` elements that the control
 * byte asks for, element by element of the second; the plainest way there is.
 */
export function compareStrings(a = 0n, b = 0n, lengthA = 0n, lengthB = 0n, control = 0n): bigint {
	const mode = Number(control);
	const bits = mode & 1 ? 16 : 8;
	const count = 128 / bits;
	const read = (value: bigint): bigint[] =>
		lanesOf(value, bits).map((element) => (mode & 2 ? BigInt.asIntN(bits, element) : element));
	const [first, second] = [read(a), read(b)];
	const inA = (n: number): boolean => n < Number(lengthA);
	const inB = (n: number): boolean => n < Number(lengthB);
	const equal = (n: number, m: number): boolean => first[n] === second[m];
	const within = (n: number, m: number): boolean =>
		(second[m] ?? 0n) >= (first[n] ?? 0n) && (second[m] ?? 0n) <= (first[n + 1] ?? 0n);
	const numbers = Array.from({ length: count }, (_, n) => n);
	const holds = (m: number): boolean => {
		switch ((mode >> 2) & 3) {
			case 0:
				return inB(m) && numbers.some((n) => inA(n) && equal(n, m));
			case 1:
				return inB(m) && numbers.some((n) => n % 2 === 0 && inA(n + 1) && within(n, m));
			case 2:
				return inA(m) && inB(m) ? equal(m, m) : !inA(m) && !inB(m);
			default:
				return numbers.every((n) => m + n >= count || !inA(n) || (inB(m + n) && equal(n, m + n)));
		}
	};
	const negated = (m: number): boolean => (mode & 0x10) !== 0 && ((mode & 0x20) === 0 || inB(m));
	return numbers.reduce((all, m) => (holds(m) !== negated(m) ? all | (1n << BigInt(m)) : all), 0n);
}
