/** Bits behind the point of the numbers here; results are good to some 190. */
const SCALE = 200n;
const ONE = 1n << SCALE;

function arctangent(numerator: bigint, denominator: bigint): bigint {
	let [power, sum] = [(ONE * numerator) / denominator, 0n];
	for (let n = 1n; power !== 0n; n += 2n) {
		sum += (n & 2n) === 0n ? power / n : -power / n;
		power = (power * numerator * numerator) / (denominator * denominator);
	}
	return sum;
}

const PI = 4n * (4n * arctangent(1n, 5n) - arctangent(1n, 239n));

function naturalLogOf2(): bigint {
	let sum = 0n;
	for (let n = 1n; n <= SCALE; n++) sum += (ONE >> n) / n;
	return sum;
}
const LN2 = naturalLogOf2();

/** A number of 128 bits: high:low times 2^(exponent - 127), the top bit of high set. */
export interface WideConstant {
	readonly high: bigint;
	readonly low: bigint;
	readonly exponent: number;
}

function wide(value: bigint): WideConstant {
	const bits = value.toString(2).length;
	const significand = bits > 128 ? value >> BigInt(bits - 128) : value << BigInt(128 - bits);
	return { ...halves(significand), exponent: bits - 1 - Number(SCALE) };
}

function halves(value: bigint): { high: bigint; low: bigint } {
	return { high: value >> 64n, low: value & 0xffff_ffff_ffff_ffffn };
}

/** Constants of transcendental functions. */
export const WIDE = {
	one: wide(ONE),
	two: wide(2n * ONE),
	pi: wide(PI),
	halfPi: wide(PI / 2n),
	quarterPi: wide(PI / 4n),
	threeQuartersPi: wide((3n * PI) / 4n),
	ln2: wide(LN2),
	/** 2 / ln 2. */
	twoLog2e: wide((2n * ONE * ONE) / LN2),
} as const;

/** Of k = 1 to 8: k/8 and its arctangent. */
export const ARCTANGENTS = [1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n].map((k) => ({
	at: wide((ONE * k) / 8n),
	// The series is slow at 1.
	value: wide(k === 8n ? PI / 4n : arctangent(k, 8n)),
}));

/** Coefficients of a series as fixed-point numbers with 127 bits behind the point, the first one first. */
function series(terms: number, divisor: (n: bigint) => bigint): { high: bigint; low: bigint }[] {
	return Array.from({ length: terms }, (_, n) => halves((1n << 127n) / divisor(BigInt(n))));
}

function factorial(n: bigint): bigint {
	return n < 2n ? 1n : n * factorial(n - 1n);
}

export const SERIES = {
	/** (e^x - 1) / x, up to ln 2. */
	exp: series(30, (n) => factorial(n + 1n)),
	/** artanh(x) / x by x², up to 0.03; with alternating signs arctan(x) / x, up to 2^-8. */
	artanh: series(26, (n) => 2n * n + 1n),
	arctan: series(17, (n) => 2n * n + 1n),
	/** sin(x) / x and cos(x) by x² with alternating signs, up to (pi/4)². */
	sin: series(16, (n) => factorial(2n * n + 1n)),
	cos: series(16, (n) => factorial(2n * n)),
} as const;
