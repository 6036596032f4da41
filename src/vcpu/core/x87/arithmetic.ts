import { type Ex, i32, i64, type Local } from "../../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../../wasm/function.ts";
import { F } from "../../layout.ts";
import { FSW } from "../control-bits.ts";
import type { Core } from "../core.ts";
import {
	BIAS,
	copyNumber,
	INTEGER_BIT,
	invalid,
	isDenormal,
	isInfinite,
	isNan,
	isNormal,
	isSignalling,
	isUnsupported,
	isZero,
	normalize,
	type Parts,
	partsOf,
	QUIET_BIT,
	ROUND,
	raiseFlags,
	resultInfinity,
	resultZero,
	roundingMode,
} from "./format.ts";

/** Sum, product, quotient and square root of register operands. They leave F.fpuResult and F.fpuRaised. */
export function defineArithmetic(core: Core): void {
	defineNan(core);
	defineWideIntegers(core);
	defineAdd(core);
	defineMultiply(core);
	defineDivide(core);
	defineRoot(core);
}

function defineNan(core: Core): void {
	/**
	 * `fpuNan(state, a, b)` → 1 where an operand is a NaN or unsupported, with the result and flags that follow (SDM 1 4.8.3.5,
	 * table 4-7); `a` and `b` may be the same.
	 */
	core.define("fpuNan", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, first, second] = [f.param(0), f.param(1), f.param(2)];
		const [a, b] = [partsOf(f, first), partsOf(f, second)];
		f.if(isUnsupported(a).or(isUnsupported(b)), () => {
			invalid(f, st);
			f.return(1);
		});
		const [aNan, bNan] = [f.let(isNan(a)), f.let(isNan(b))];
		f.returnIf(aNan.or(bNan).eqz(), 0);
		const [aSignals, bSignals] = [f.let(isSignalling(a)), f.let(isSignalling(b))];
		F.fpuRaised.set(f, st, aSignals.or(bSignals));
		const takeB = f.local("i32", aNan.eqz());
		f.if(aNan.and(bNan), () => {
			f.if(
				aSignals.ne(bSignals),
				// Of a signalling and a quiet one the quiet one.
				() => f.set(takeB, aSignals),
				() => {
					const larger = b.significand.gtU(a.significand);
					const positive = b.significand.eq(a.significand).and(a.sign.gtU(b.sign));
					f.set(takeB, larger.or(positive));
				},
			);
		});
		const from = f.let(second.when(takeB, first));
		copyNumber(f, st, from, F.fpuResult.offset);
		const at = F.fpuResult.offset;
		f.store("i64", st, st.load("i64", at).or(QUIET_BIT), at);
		f.return(1);
	});
}

function defineWideIntegers(core: Core): void {
	/** `divWide(high, low, divisor)` → the quotient of 128 by 64 bits; `high` < `divisor`, whose top bit is set. */
	core.define("divWide", ["i64", "i64", "i64"], ["i64"], (f) => {
		const [high, low, divisor] = [f.param(0), f.param(1), f.param(2)];
		const [d1, d0] = [f.let(divisor.shrU(32)), f.let(divisor.and(0xffffffffn))];
		/** One digit of 32 bits: what is left of `rest`:next, divided. */
		const digit = (rest: Local, next: Ex): Local => {
			const q = f.let(rest.divU(d1));
			const left = f.let(rest.sub(q.mul(d1)));
			const tail = f.let(next);
			f.loop((again) => {
				const tooBig = q
					.shrU(32)
					.ne(0n)
					.or(q.mul(d0).gtU(left.shl(32).or(tail)));
				f.if(tooBig, () => {
					f.set(q, q.sub(1n));
					f.set(left, left.add(d1));
					f.brIf(again, left.shrU(32).eqz());
				});
			});
			return q;
		};
		const top = digit(high, low.shrU(32));
		f.set(high, high.shl(32).or(low.shrU(32)).sub(top.mul(divisor)));
		const bottom = digit(high, low.and(0xffffffffn));
		f.return(top.shl(32).add(bottom));
	});
}

/** For operands that are not all normal: leaves with the result of a NaN, or goes on. */
function leaveWithNan(core: Core, f: FunctionBuilder, st: Ex, a: Ex, b: Ex): void {
	f.if(call(core.fn("fpuNan"), st, a, b), () => f.return());
}

function invalidResult(f: FunctionBuilder, st: Ex): void {
	invalid(f, st);
	f.return();
}

function raiseDenormal(f: FunctionBuilder, st: Ex, ...operands: Parts[]): void {
	const any = operands.map((each) => isDenormal(each)).reduce((one, other) => one.or(other));
	raiseFlags(f, st, any.shl(1));
}

function defineAdd(core: Core): void {
	/** `fpuAdd(state, a, b, negate)`: a + b, or a - b. */
	core.define("fpuAdd", ["i32", "i32", "i32", "i32"], [], (f) => {
		const [st, aAt, bAt, negate] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const [a, b] = [partsOf(f, aAt), partsOf(f, bAt)];
		f.if(isNormal(a).and(isNormal(b)).eqz(), () => {
			leaveWithNan(core, f, st, aAt, bAt);
			const bSign = f.let(b.sign.xor(negate));
			f.if(isInfinite(a).or(isInfinite(b)), () => {
				f.if(isInfinite(a).and(isInfinite(b)).and(a.sign.ne(bSign)), () => invalidResult(f, st));
				raiseDenormal(f, st, a, b);
				resultInfinity(f, st, a.sign.when(isInfinite(a), bSign));
				f.return();
			});
			raiseDenormal(f, st, a, b);
			f.if(isZero(a).and(isZero(b)), () => {
				resultZero(f, st, a.sign.when(a.sign.eq(bSign), roundingMode(st).eq(ROUND.down)));
				f.return();
			});
			// A zero takes the other's exponent: it may have no significand, but no exponent may be far off either.
			f.if(isZero(a), () => f.set(a.exponent, b.exponent));
			f.if(isZero(b), () => f.set(b.exponent, a.exponent));
			f.if(a.exponent.eqz(), () => f.set(a.exponent, 1));
			f.if(b.exponent.eqz(), () => f.set(b.exponent, 1));
		});
		f.set(b.sign, b.sign.xor(negate));
		const swap = f.let(b.exponent.gtU(a.exponent).or(b.exponent.eq(a.exponent).and(b.significand.gtU(a.significand))));
		const pick = (one: Local, other: Local): Local => f.let(other.when(swap, one));
		const [bigSign, exponent, big] = [
			pick(a.sign, b.sign),
			pick(a.exponent, b.exponent),
			pick(a.significand, b.significand),
		];
		const small = f.let(a.significand.when(swap, b.significand));
		const distance = f.let(exponent.sub(a.exponent.when(swap, b.exponent)));
		const low = f.local("i64", 0n);
		f.if(distance.ne(0), () => {
			f.set(low, call(core.fn("shiftSticky"), small, 0n, distance));
			f.if(
				distance.ltU(64),
				() => f.set(small, small.shrU(distance.extU())),
				() => f.set(small, 0n),
			);
		});
		f.if(
			a.sign.eq(b.sign),
			() => {
				f.set(small, big.add(small));
				f.if(small.ltU(big), () => {
					f.set(low, low.shrU(1).or(low.and(1n)).or(small.shl(63)));
					f.set(small, small.shrU(1).or(INTEGER_BIT));
					f.set(exponent, exponent.add(1));
				});
			},
			() => {
				f.set(small, big.sub(small).sub(low.ne(0n).extU()));
				f.set(low, low.neg());
				f.if(small.or(low).eqz(), () => {
					resultZero(f, st, roundingMode(st).eq(ROUND.down));
					f.return();
				});
			},
		);
		f.call(core.fn("fpuRoundAny"), st, bigSign, exponent, small, low);
	});
}

function defineMultiply(core: Core): void {
	core.define("fpuMultiply", ["i32", "i32", "i32"], [], (f) => {
		const [st, aAt, bAt] = [f.param(0), f.param(1), f.param(2)];
		const [a, b] = [partsOf(f, aAt), partsOf(f, bAt)];
		const sign = f.let(a.sign.xor(b.sign));
		f.if(isNormal(a).and(isNormal(b)).eqz(), () => {
			leaveWithNan(core, f, st, aAt, bAt);
			const infinite = f.let(isInfinite(a).or(isInfinite(b)));
			const zero = f.let(isZero(a).or(isZero(b)));
			f.if(infinite.and(zero), () => invalidResult(f, st));
			raiseDenormal(f, st, a, b);
			f.if(infinite, () => {
				resultInfinity(f, st, sign);
				f.return();
			});
			f.if(zero, () => {
				resultZero(f, st, sign);
				f.return();
			});
			normalize(f, a);
			normalize(f, b);
		});
		const high = f.let(call(core.fn("mulHigh"), a.significand, b.significand));
		const low = f.let(a.significand.mul(b.significand));
		const exponent = f.let(a.exponent.add(b.exponent).sub(BIAS - 1));
		f.if(high.geS(0n), () => {
			f.set(high, high.shl(1).or(low.shrU(63)));
			f.set(low, low.shl(1));
			f.set(exponent, exponent.sub(1));
		});
		f.call(core.fn("fpuRound"), st, sign, exponent, high, low);
	});
}

function defineDivide(core: Core): void {
	/** `fpuDivide(state, a, b)`: a / b. */
	core.define("fpuDivide", ["i32", "i32", "i32"], [], (f) => {
		const [st, aAt, bAt] = [f.param(0), f.param(1), f.param(2)];
		const [a, b] = [partsOf(f, aAt), partsOf(f, bAt)];
		const sign = f.let(a.sign.xor(b.sign));
		f.if(isNormal(a).and(isNormal(b)).eqz(), () => {
			leaveWithNan(core, f, st, aAt, bAt);
			const [aInfinite, bInfinite] = [f.let(isInfinite(a)), f.let(isInfinite(b))];
			const [aZero, bZero] = [f.let(isZero(a)), f.let(isZero(b))];
			f.if(aInfinite.and(bInfinite).or(aZero.and(bZero)), () => invalidResult(f, st));
			f.if(bZero, () => {
				f.if(aInfinite.eqz(), () => F.fpuRaised.set(f, st, FSW.zeroDivide));
				resultInfinity(f, st, sign);
				f.return();
			});
			raiseDenormal(f, st, a, b);
			f.if(aInfinite, () => {
				resultInfinity(f, st, sign);
				f.return();
			});
			f.if(aZero.or(bInfinite), () => {
				resultZero(f, st, sign);
				f.return();
			});
			normalize(f, a);
			normalize(f, b);
		});
		const exponent = f.let(a.exponent.sub(b.exponent).add(BIAS - 1));
		const high = f.let(a.significand);
		const low = f.local("i64", 0n);
		f.if(high.geU(b.significand), () => {
			f.set(low, high.shl(63));
			f.set(high, high.shrU(1));
			f.set(exponent, exponent.add(1));
		});
		const quotient = f.let(call(core.fn("divWide"), high, low, b.significand));
		const left = f.let(low.sub(quotient.mul(b.significand)));
		f.call(core.fn("fpuRound"), st, sign, exponent, quotient, restOfDivision(left, b.significand));
	});
}

/** What `left` of a divisor is as a part of 2^64, as far as rounding must know: 0, below a half, a half, above. */
export function restOfDivision(left: Ex, divisor: Ex): Ex {
	const twice = left.shl(1);
	const above = left.ltS(0n).or(twice.gtU(divisor));
	const part = i64(INTEGER_BIT | 1n).when(above, i64(INTEGER_BIT).when(twice.eq(divisor), 1n));
	return i64(0).when(left.eqz(), part);
}

function defineRoot(core: Core): void {
	/** `fpuRoot(state, a)`: the square root. */
	core.define("fpuRoot", ["i32", "i32"], [], (f) => {
		const [st, aAt] = [f.param(0), f.param(1)];
		const a = partsOf(f, aAt);
		f.if(isNormal(a).eqz(), () => {
			leaveWithNan(core, f, st, aAt, aAt);
			f.if(isZero(a), () => {
				resultZero(f, st, a.sign);
				f.return();
			});
		});
		f.if(a.sign, () => invalidResult(f, st));
		f.if(isInfinite(a), () => {
			resultInfinity(f, st, i32(0));
			f.return();
		});
		raiseDenormal(f, st, a);
		normalize(f, a);
		// An even power of two comes out; the significand's root is taken two bits of it at a time.
		const power = f.let(a.exponent.sub(BIAS));
		const odd = f.let(power.and(1));
		const high = f.let(a.significand.shrU(odd.eqz().extU()));
		const low = f.let(a.significand.shl(63).when(odd.eqz(), 0n));
		const [root, restHigh, rest] = [f.local("i64", 0n), f.local("i64", 0n), f.local("i64", 0n)];
		const [tryHigh, tryLow] = [f.local("i64"), f.local("i64")];
		const n = f.local("i32", 64);
		f.while(n.ne(0), () => {
			f.set(n, n.sub(1));
			f.set(restHigh, restHigh.shl(2).or(rest.shrU(62)));
			f.set(rest, rest.shl(2).or(high.shrU(62)));
			f.set(high, high.shl(2).or(low.shrU(62)));
			f.set(low, low.shl(2));
			f.set(tryHigh, root.shrU(62));
			f.set(tryLow, root.shl(2).or(1n));
			f.set(root, root.shl(1));
			f.if(restHigh.gtU(tryHigh).or(restHigh.eq(tryHigh).and(rest.geU(tryLow))), () => {
				f.set(restHigh, restHigh.sub(tryHigh).sub(rest.ltU(tryLow).extU()));
				f.set(rest, rest.sub(tryLow));
				f.set(root, root.or(1n));
			});
		});
		// Beyond root + 1/2 where the rest exceeds the root; it is never just that.
		const above = restHigh.ne(0n).or(rest.gtU(root));
		const tail = i64(0).when(restHigh.or(rest).eqz(), i64(INTEGER_BIT | 1n).when(above, 1n));
		f.call(core.fn("fpuRound"), st, 0, power.shrS(1).add(BIAS), root, tail);
	});
}
