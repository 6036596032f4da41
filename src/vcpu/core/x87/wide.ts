import { type Ex, i32, i64, type Local } from "../../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../../wasm/function.ts";
import { F, Field } from "../../layout.ts";
import type { Core } from "../core.ts";
import { BIAS, INTEGER_BIT, normalize, partsOf } from "./format.ts";
import type { WideConstant } from "./wide-constants.ts";

/**
 * A number of 128 bits in the making: high:low times 2^(exponent - 127), the top bit of `high` set; zero has neither. Results are
 * cut, not rounded: some 120 bits of them are right.
 */
export const NUMBER = {
	low: new Field(0, 8),
	high: new Field(8, 8),
	exponent: new Field(16, 4),
	sign: new Field(20, 4),
} as const;
const NUMBER_BYTES = 32;

/** Address of scratch number `n`, 0 to 15. */
export function wideSlot(st: Ex, n: number): Ex {
	return st.add(F.wide.offset + n * NUMBER_BYTES);
}

export function setWide(f: FunctionBuilder, to: Ex, { high, low, exponent }: WideConstant): void {
	NUMBER.high.set(f, to, high);
	NUMBER.low.set(f, to, low);
	NUMBER.exponent.set(f, to, exponent);
	NUMBER.sign.set(f, to, 0);
}

/** A register operand that is neither zero, infinite nor NaN. */
export function loadWide(f: FunctionBuilder, to: Ex, address: Ex): void {
	const a = partsOf(f, address);
	normalize(f, a);
	NUMBER.high.set(f, to, a.significand);
	NUMBER.low.set(f, to, 0);
	NUMBER.exponent.set(f, to, a.exponent.sub(BIAS));
	NUMBER.sign.set(f, to, a.sign);
}

interface Wide {
	readonly high: Local;
	readonly low: Local;
	readonly exponent: Local;
	readonly sign: Local;
}
function read(f: FunctionBuilder, at: Ex): Wide {
	return {
		high: f.let(NUMBER.high.of(at)),
		low: f.let(NUMBER.low.of(at)),
		exponent: f.let(NUMBER.exponent.of(at)),
		sign: f.let(NUMBER.sign.of(at)),
	};
}

function store(f: FunctionBuilder, to: Ex, { high, low, exponent, sign }: Wide): void {
	NUMBER.high.set(f, to, high);
	NUMBER.low.set(f, to, low);
	NUMBER.exponent.set(f, to, exponent);
	NUMBER.sign.set(f, to, sign);
}

/** Brings the top bit of high:low up. */
function normalizeWide(f: FunctionBuilder, { high, low, exponent }: Wide): void {
	f.if(high.eqz(), () => {
		f.set(high, low);
		f.set(low, 0n);
		f.set(exponent, exponent.sub(64));
	});
	const shift = f.let(high.clz());
	f.if(shift.ne(0n), () => {
		f.set(high, high.shl(shift).or(low.shrU(i64(64).sub(shift))));
		f.set(low, low.shl(shift));
		f.set(exponent, exponent.sub(shift.wrap()));
	});
	f.release(shift);
}

/** Shifts high:low right by `count`, 0 to 127. */
function shiftRight(f: FunctionBuilder, high: Local, low: Local, count: Local): void {
	f.if(count.geU(64), () => {
		f.set(low, high);
		f.set(high, 0n);
		f.set(count, count.sub(64));
	});
	f.if(count.ne(0), () => {
		const n = f.let(count.extU());
		f.set(low, low.shrU(n).or(high.shl(i64(64).sub(n))));
		f.set(high, high.shrU(n));
		f.release(n);
	});
}

/** Whether a:b is below c:d, unsigned. */
function below(a: Ex, b: Ex, c: Ex, d: Ex): Ex {
	return a.ltU(c).or(a.eq(c).and(b.ltU(d)));
}

/** Arithmetic of numbers with 128 bits, for transcendental functions. */
export function defineWideNumbers(core: Core): void {
	/** `wideProduct(to, aHigh, aLow, bHigh, bLow)`: stores the upper 128 bits of the product, low half first. */
	core.define("wideProduct", ["i32", "i64", "i64", "i64", "i64"], [], (f) => {
		const [to, aHigh, aLow, bHigh, bLow] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		const high = f.let(call(core.fn("mulHigh"), aHigh, bHigh));
		const low = f.let(aHigh.mul(bHigh));
		for (const [a, b] of [
			[aHigh, bLow],
			[aLow, bHigh],
		] as const) {
			const part = f.let(call(core.fn("mulHigh"), a, b));
			f.set(low, low.add(part));
			f.set(high, high.add(low.ltU(part).extU()));
		}
		f.store("i64", to, low, NUMBER.low.offset);
		f.store("i64", to, high, NUMBER.high.offset);
	});

	core.define("wideMultiply", ["i32", "i32", "i32"], [], (f) => {
		const to = f.param(0);
		const [a, b] = [read(f, f.param(1)), read(f, f.param(2))];
		f.call(core.fn("wideProduct"), to, a.high, a.low, b.high, b.low);
		const result = { ...read(f, to), exponent: a.exponent, sign: a.sign };
		f.set(a.exponent, a.exponent.add(b.exponent).add(1));
		f.set(a.sign, a.sign.xor(b.sign));
		f.if(result.high.ne(0n), () => normalizeWide(f, result));
		store(f, to, result);
	});

	core.define("wideAdd", ["i32", "i32", "i32"], [], (f) => {
		const [to, first, second] = [f.param(0), f.param(1), f.param(2)];
		const swap = f.local("i32");
		{
			const [a, b] = [read(f, first), read(f, second)];
			const smaller = a.exponent.ltS(b.exponent);
			const same = a.exponent.eq(b.exponent).and(below(a.high, a.low, b.high, b.low));
			f.set(swap, b.high.ne(0n).and(a.high.eqz().or(smaller).or(same)));
		}
		const a = read(f, second.when(swap, first));
		const b = read(f, first.when(swap, second));
		const distance = f.let(a.exponent.sub(b.exponent));
		f.if(b.high.eqz().or(distance.geU(128)), () => {
			store(f, to, a);
			f.return();
		});
		shiftRight(f, b.high, b.low, distance);
		f.if(
			a.sign.eq(b.sign),
			() => {
				f.set(a.low, a.low.add(b.low));
				const carry = f.let(a.low.ltU(b.low).extU());
				const high = f.let(a.high.add(b.high));
				const sum = f.let(high.add(carry));
				const over = f.let(high.ltU(a.high).or(sum.ltU(high)));
				f.set(a.high, sum);
				f.if(over, () => {
					f.set(a.low, a.low.shrU(1).or(a.high.shl(63)));
					f.set(a.high, a.high.shrU(1).or(INTEGER_BIT));
					f.set(a.exponent, a.exponent.add(1));
				});
			},
			() => {
				f.set(a.high, a.high.sub(b.high).sub(a.low.ltU(b.low).extU()));
				f.set(a.low, a.low.sub(b.low));
				f.if(a.high.or(a.low).ne(0n), () => normalizeWide(f, a));
			},
		);
		store(f, to, a);
	});

	/** `wideDivide(to, a, b)`: bit by bit. */
	core.define("wideDivide", ["i32", "i32", "i32"], [], (f) => {
		const to = f.param(0);
		const [a, b] = [read(f, f.param(1)), read(f, f.param(2))];
		const [high, low] = [f.local("i64", 0n), f.local("i64", 0n)];
		const more = f.local("i32", 0);
		const n = f.local("i32", 128);
		f.while(n.ne(0), () => {
			f.set(n, n.sub(1));
			f.set(high, high.shl(1).or(low.shrU(63)));
			f.set(low, low.shl(1));
			f.if(more.or(below(a.high, a.low, b.high, b.low).eqz()), () => {
				f.set(a.high, a.high.sub(b.high).sub(a.low.ltU(b.low).extU()));
				f.set(a.low, a.low.sub(b.low));
				f.set(low, low.or(1n));
			});
			f.set(more, a.high.ltS(0n));
			f.set(a.high, a.high.shl(1).or(a.low.shrU(63)));
			f.set(a.low, a.low.shl(1));
		});
		const result = { high, low, exponent: f.let(a.exponent.sub(b.exponent)), sign: f.let(a.sign.xor(b.sign)) };
		f.if(high.or(low).ne(0n), () => normalizeWide(f, result));
		store(f, to, result);
	});

	/** `wideFraction(to, a)`: a number below 1 in magnitude as 128 bits behind the point. */
	core.define("wideFraction", ["i32", "i32"], [], (f) => {
		const to = f.param(0);
		const a = read(f, f.param(1));
		const count = f.let(i32(-1).sub(a.exponent));
		f.if(count.geU(128), () => {
			f.set(a.high, 0n);
			f.set(a.low, 0n);
			f.set(count, 0);
		});
		shiftRight(f, a.high, a.low, count);
		store(f, to, a);
	});

	/** `wideStep(sum, z, high, low, negative)`: sum = constant ± sum * z, with 127 bits behind the point (z: 128). */
	core.define("wideStep", ["i32", "i32", "i64", "i64", "i32"], [], (f) => {
		const [sum, z, high, low, negative] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		const [a, b] = [read(f, sum), read(f, z)];
		f.call(core.fn("wideProduct"), sum, a.high, a.low, b.high, b.low);
		const part = read(f, sum);
		f.if(
			negative,
			() => {
				f.set(part.high, high.sub(part.high).sub(low.ltU(part.low).extU()));
				f.set(part.low, low.sub(part.low));
			},
			() => {
				f.set(part.low, part.low.add(low));
				f.set(part.high, part.high.add(high).add(part.low.ltU(low).extU()));
			},
		);
		NUMBER.high.set(f, sum, part.high);
		NUMBER.low.set(f, sum, part.low);
	});
	core.define("wideNormalize", ["i32"], [], (f) => {
		const to = f.param(0);
		const sum = read(f, to);
		f.set(sum.exponent, 0);
		f.set(sum.sign, 0);
		normalizeWide(f, sum);
		store(f, to, sum);
	});
}

/** Sums a power series of positive coefficients at ±z into number `sum`; the value is between 1/2 and 2. */
export function sumSeries(
	core: Core,
	f: FunctionBuilder,
	sum: Ex,
	z: Ex,
	coefficients: readonly { readonly high: bigint; readonly low: bigint }[],
	negative: Ex | number,
): void {
	NUMBER.high.set(f, sum, 0);
	NUMBER.low.set(f, sum, 0);
	for (const { high, low } of [...coefficients].reverse()) f.call(core.fn("wideStep"), sum, z, high, low, negative);
	f.call(core.fn("wideNormalize"), sum);
}
