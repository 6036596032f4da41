import { i64, type Local } from "../../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../../wasm/function.ts";
import type { Core } from "../core.ts";
import { FloatCode } from "./code.ts";
import { fastFused } from "./fast.ts";
import type { Format } from "./format.ts";

/** What {@link defineFused} does with the operands' signs: bits of the last parameter. */
export const FUSED = { negateProduct: 1, negateAddend: 2 } as const;

/** A 128-bit number. */
interface Wide {
	readonly high: Local;
	readonly low: Local;
}

/** Shifts right by `count`, an i64; the lowest bit is set where any bit was lost. */
function shiftWideSticky(f: FunctionBuilder, { high, low }: Wide, count: Local): void {
	f.if(count.geU(64), () => {
		f.set(low, high.or(low.ne(0).extU()));
		f.set(high, 0);
		f.set(count, count.sub(64));
		f.if(count.geU(64), () => {
			f.set(low, low.ne(0).extU());
			f.set(count, 0);
		});
	});
	f.if(count.ne(0), () => {
		const up = f.let(i64(64).sub(count));
		const lost = low.shl(up).ne(0).extU();
		f.set(low, low.shrU(count).or(high.shl(up)).or(lost));
		f.set(high, high.shrU(count));
	});
}

/**
 * `fNN_fma(state, a, b, c, signs)` → ±(a · b) ± c with one rounding (SDM 1 14.5.1), bits of {@link FUSED} as `signs`.
 * NaNs keep their sign; of several the first one counts.
 */
export function defineFused(core: Core, format: Format): void {
	const { name, int, bias } = format;
	core.define(`${name}_fma`, ["i32", int, int, int, "i32"], [int], (f) => {
		const [a, b, c, signs] = [f.param(1), f.param(2), f.param(3), f.param(4)];
		const code = new FloatCode(core, f, format);
		fastFused(code, a, b, c, code.signed(signs.and(1), 0n), code.signed(signs.shrU(1).and(1), 0n));
		code.flush(a, b, c);
		code.propagate(a, b, c);
		f.set(c, c.xor(code.signed(signs.shrU(1).and(1), 0n)));
		const sign = f.let(format.sign(a.xor(b)).xor(signs.and(1)));
		f.if(format.isInfinite(a).or(format.isInfinite(b)), () => {
			f.if(format.isZero(a).or(format.isZero(b)), () => code.invalid());
			f.if(format.isInfinite(c).and(format.sign(c).ne(sign)), () => code.invalid());
			code.noteDenormals(a, b, c);
			f.return(code.signed(sign, format.infinity));
		});
		f.if(format.isInfinite(c), () => {
			code.noteDenormals(a, b);
			f.return(c);
		});
		const x = code.unpack(a);
		const y = code.unpack(b);
		const z = code.unpack(c);
		f.if(x.significand.eqz().or(y.significand.eqz()), () => {
			f.if(z.significand.ne(0), () => code.round(z.sign, z.exponent, z.significand));
			f.if(sign.ne(z.sign), () => f.return(code.exactZero()));
			f.return(c);
		});
		const exponent = f.let(x.exponent.add(y.exponent).sub(bias));
		const product = {
			high: f.let(call(core.fn("mulHigh"), x.significand.shl(1), y.significand)),
			low: f.let(x.significand.shl(1).mul(y.significand)),
		};
		// The leading bit is 126, as the significands', or 125.
		f.if(
			product.high.shrU(62).ne(0),
			() => f.set(exponent, exponent.add(1)),
			() => {
				f.set(product.high, product.high.shl(1).or(product.low.shrU(63)));
				f.set(product.low, product.low.shl(1));
			},
		);
		const finish = (): void => code.round(sign, exponent, product.high.or(product.low.ne(0).extU()));
		f.if(z.significand.eqz(), finish);
		const addend = { high: z.significand, low: f.local("i64", 0) };
		const distance = f.let(exponent.sub(z.exponent).extS());
		f.if(
			distance.geS(0),
			() => shiftWideSticky(f, addend, distance),
			() => {
				f.set(distance, distance.neg());
				shiftWideSticky(f, product, distance);
				f.set(exponent, z.exponent);
			},
		);
		f.if(sign.eq(z.sign), () => {
			const low = f.let(product.low.add(addend.low));
			const carry = low.ltU(product.low).extU();
			f.set(product.high, product.high.add(addend.high).add(carry));
			f.set(product.low, low);
			f.if(product.high.ltS(0), () => {
				f.set(product.low, product.low.or(product.high.and(1)));
				f.set(product.high, product.high.shrU(1));
				f.set(exponent, exponent.add(1));
			});
			finish();
		});
		const borrow = f.let(product.low.ltU(addend.low).extU());
		f.set(product.low, product.low.sub(addend.low));
		f.set(product.high, product.high.sub(addend.high).sub(borrow));
		f.if(product.high.or(product.low).eqz(), () => f.return(code.exactZero()));
		f.if(product.high.ltS(0), () => {
			f.set(sign, z.sign);
			f.set(product.high, product.high.not().add(product.low.eqz().extU()));
			f.set(product.low, product.low.neg());
		});
		f.if(product.high.eqz(), () => {
			f.set(exponent, exponent.sub(64));
			f.set(product.high, product.low);
			f.set(product.low, 0);
		});
		f.if(
			product.high.ltS(0),
			() => {
				f.set(product.low, product.high.and(1));
				f.set(product.high, product.high.shrU(1));
				f.set(exponent, exponent.add(1));
			},
			() => {
				const shift = f.let(product.high.clz().sub(1));
				f.if(shift.ne(0), () => {
					f.set(product.high, product.high.shl(shift).or(product.low.shrU(i64(64).sub(shift))));
					f.set(product.low, product.low.shl(shift));
					f.set(exponent, exponent.sub(shift.wrap()));
				});
			},
		);
		finish();
		f.unreachable();
	});
	for (const [op, signs] of [
		["fmadd", 0],
		["fmsub", FUSED.negateAddend],
		["fnmadd", FUSED.negateProduct],
		["fnmsub", FUSED.negateProduct | FUSED.negateAddend],
	] as const)
		core.define(`${name}_${op}`, ["i32", int, int, int], [int], (f) => {
			f.return(call(core.fn(`${name}_fma`), f.param(0), f.param(1), f.param(2), f.param(3), signs));
		});
}
