import { assert } from "../base/errors.ts";
import type { VectorOp } from "./vector.ts";

const ALL = (1n << 128n) - 1n;

/** Lanes of `bits` bits, lowest first. */
export function lanesOf(value: bigint, bits: number): bigint[] {
	return Array.from({ length: 128 / bits }, (_, n) => BigInt.asUintN(bits, value >> BigInt(n * bits)));
}

/** Lanes put together; each is cut to `bits` bits. */
export function fromLanes(values: readonly bigint[], bits: number): bigint {
	return values.reduceRight((all, value) => (all << BigInt(bits)) | BigInt.asUintN(bits, value), 0n);
}

function bitsOf(shape: string): number {
	return { i8x16: 8, i16x8: 16, i32x4: 32, i64x2: 64 }[shape] ?? 0;
}

function clamp(value: bigint, low: bigint, high: bigint): bigint {
	return value < low ? low : value > high ? high : value;
}

/** Cut to what `bits` bits hold, signed or unsigned. */
export function saturate(value: bigint, bits: number, signed: boolean): bigint {
	const top = 1n << BigInt(signed ? bits - 1 : bits);
	return clamp(value, signed ? -top : 0n, top - 1n);
}

/** Lane operations by name: two operands as their sign asks, bits of the lane. */
const LANEWISE: Readonly<Record<string, (a: bigint, b: bigint, bits: number, signed: boolean) => bigint>> = {
	add: (a, b) => a + b,
	sub: (a, b) => a - b,
	mul: (a, b) => a * b,
	add_sat: (a, b, bits, signed) => saturate(a + b, bits, signed),
	sub_sat: (a, b, bits, signed) => saturate(a - b, bits, signed),
	q15mulr_sat: (a, b, bits) => saturate((a * b + 0x4000n) >> 15n, bits, true),
	avgr: (a, b) => (a + b + 1n) >> 1n,
	min: (a, b) => (a - b < 0n ? a : b),
	max: (a, b) => (a - b > 0n ? a : b),
	eq: (a, b) => (a === b ? -1n : 0n),
	gt: (a, b) => (a > b ? -1n : 0n),
};

/** What a vector operation gives for unsigned values (WebAssembly core specification, 4.3.1 and after); test engines by it. */
export function vectorValue(op: VectorOp, args: readonly bigint[], immediates: readonly number[]): bigint {
	const [a = 0n, b = 0n, c = 0n] = args;
	switch (op) {
		case "v128.bitselect":
			return (a & c) | (b & ~c & ALL);
		case "v128.andnot":
			return a & ~b & ALL;
		case "v128.any_true":
			return a ? 1n : 0n;
		case "i8x16.shuffle": {
			const bytes = [...lanesOf(a, 8), ...lanesOf(b, 8)];
			return fromLanes(
				immediates.map((n) => bytes[n] ?? 0n),
				8,
			);
		}
		case "i8x16.swizzle": {
			const bytes = lanesOf(a, 8);
			return fromLanes(
				lanesOf(b, 8).map((n) => bytes[Number(n)] ?? 0n),
				8,
			);
		}
		case "i8x16.popcnt":
			return fromLanes(
				lanesOf(a, 8).map((x) => BigInt(x.toString(2).replaceAll("0", "").length)),
				8,
			);
	}
	const [shape = "", name = ""] = op.split(".");
	const bits = bitsOf(shape);
	const signed = name.endsWith("_s");
	const base = name.replace(/_[su]$/, "");
	const read = (value: bigint, width: number): bigint[] =>
		lanesOf(value, width).map((x) => (signed ? BigInt.asIntN(width, x) : x));
	const lane = BigInt(immediates[0] ?? 0) * BigInt(bits);
	switch (base) {
		case "splat":
			return fromLanes(new Array<bigint>(128 / bits).fill(a), bits);
		case "extract_lane":
			return BigInt.asUintN(bits, a >> lane);
		case "replace_lane":
			return (a & ~(((1n << BigInt(bits)) - 1n) << lane) & ALL) | (BigInt.asUintN(bits, b) << lane);
		case "bitmask":
			return lanesOf(a, bits).reduce((all, x, n) => all | ((x >> BigInt(bits - 1)) << BigInt(n)), 0n);
		case "all_true":
			return lanesOf(a, bits).every((x) => x !== 0n) ? 1n : 0n;
		case "abs":
		case "neg":
			return fromLanes(
				lanesOf(a, bits).map((x) => (base === "neg" || BigInt.asIntN(bits, x) < 0n ? -x : x)),
				bits,
			);
		case "shl":
		case "shr": {
			const count = b % BigInt(bits);
			return fromLanes(
				read(a, bits).map((x) => (base === "shl" ? x << count : x >> count)),
				bits,
			);
		}
		case "dot_i16x8": {
			const products = read(a, 16).map((x, n) => x * (read(b, 16)[n] ?? 0n));
			return fromLanes(
				[0, 2, 4, 6].map((n) => (products[n] ?? 0n) + (products[n + 1] ?? 0n)),
				32,
			);
		}
	}
	const [, verb = base, half, from] =
		/^(extend|extmul|narrow|extadd)(?:_(low|high|pairwise))?_(i\d+x\d+)$/.exec(base) ?? [];
	const source = bitsOf(from ?? "");
	if (verb === "narrow") {
		const all = [a, b].flatMap((value) => lanesOf(value, source).map((x) => BigInt.asIntN(source, x)));
		return fromLanes(
			all.map((x) => saturate(x, bits, signed)),
			bits,
		);
	}
	if (verb === "extadd") {
		const parts = read(a, source);
		return fromLanes(
			parts.filter((_, n) => n % 2 === 0).map((x, n) => x + (parts[n * 2 + 1] ?? 0n)),
			bits,
		);
	}
	if (verb === "extend" || verb === "extmul") {
		const count = 128 / bits;
		const pick = (value: bigint): bigint[] =>
			read(value, source)
				.slice(half === "high" ? count : 0)
				.slice(0, count);
		const other = pick(b);
		return fromLanes(
			pick(a).map((x, n) => (verb === "extend" ? x : x * (other[n] ?? 0n))),
			bits,
		);
	}
	const rule = LANEWISE[base];
	assert(rule, `vector operation ${op}`);
	// Equal bits are equal whatever their sign; the others say it in their names.
	const [x, y] = [read(a, bits), read(b, bits)];
	return fromLanes(
		x.map((value, n) => rule(value, y[n] ?? 0n, bits, signed)),
		bits,
	);
}
