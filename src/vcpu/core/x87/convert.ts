import { type Ex, i32, i64 } from "../../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../../wasm/function.ts";
import { F } from "../../layout.ts";
import { FSW } from "../control-bits.ts";
import type { Core } from "../core.ts";
import {
	BIAS,
	EXPONENT_MAX,
	INTEGER_BIT,
	invalid,
	isNan,
	isSignalling,
	isUnsupported,
	isZero,
	normalize,
	partsOf,
	ROUND,
	raiseFlags,
	roundingMode,
	signBit,
	storeNumber,
} from "./format.ts";

interface FloatFormat {
	readonly bits: 32 | 64;
	/** Bits of the fraction, without the integer bit, which is not stored. */
	readonly fraction: number;
	readonly bias: number;
}
const FLOAT32: FloatFormat = { bits: 32, fraction: 23, bias: 127 };
const FLOAT64: FloatFormat = { bits: 64, fraction: 52, bias: 1023 };

/** Conversions between register format and the others. Those from others are exact. */
export function defineConversions(core: Core): void {
	/** `fpuFromMagnitude(to, sign, magnitude)`: an integer of 64 bits. */
	core.define("fpuFromMagnitude", ["i32", "i32", "i64"], [], (f) => {
		const [to, sign, value] = [f.param(0), f.param(1), f.param(2)];
		f.if(value.eqz(), () => {
			storeNumber(f, to, 0n, signBit(sign));
			f.return();
		});
		const shift = f.let(value.clz());
		storeNumber(f, to, value.shl(shift), signBit(sign).or(i32(BIAS + 63).sub(shift.wrap())));
	});

	defineFromFloat(core, FLOAT32);
	defineFromFloat(core, FLOAT64);
	defineToFloat(core, FLOAT32);
	defineToFloat(core, FLOAT64);

	/** `fpuFromInteger(to, value)`: a signed integer. */
	core.define("fpuFromInteger", ["i32", "i64"], [], (f) => {
		const [to, value] = [f.param(0), f.param(1)];
		const sign = f.let(value.ltS(0n));
		f.if(sign, () => f.set(value, value.neg()));
		f.call(core.fn("fpuFromMagnitude"), to, sign, value);
	});

	/** `fpuConvert(state, to, kind, value)`: a memory operand, by the KIND of isa/families/x87.ts; raises what a denormal one does. */
	core.define("fpuConvert", ["i32", "i32", "i32", "i64"], [], (f) => {
		const [st, to, kind, value] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		f.switch(kind, [
			() => f.call(core.fn("fpuFromFloat32"), st, to, value),
			() => f.call(core.fn("fpuFromFloat64"), st, to, value),
			() => f.call(core.fn("fpuFromInteger"), to, value.wrap().sext16().extS()),
			() => f.call(core.fn("fpuFromInteger"), to, value.sext32()),
			() => f.call(core.fn("fpuFromInteger"), to, value),
		]);
	});

	/**
	 * `fpuInteger(state, sign, exponent, significand, truncate)` → the magnitude as an integer, for exponents below that of 2^64:
	 * rounded as the control word says, or towards zero. Raises precision.
	 */
	core.define("fpuInteger", ["i32", "i32", "i32", "i64", "i32"], ["i64"], (f) => {
		const [st, sign, exponent, value, truncate] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		const shift = f.let(i32(BIAS + 63).sub(exponent));
		f.returnIf(shift.eqz(), value);
		const rest = f.let(call(core.fn("shiftSticky"), value, 0n, shift));
		const whole = f.local("i64", 0n);
		f.if(shift.ltU(64), () => f.set(whole, value.shrU(shift.extU())));
		f.returnIf(rest.eqz(), whole);
		raiseFlags(f, st, FSW.precision);
		f.returnIf(truncate, whole);
		const up = f.let(call(core.fn("fpuRoundsUp"), st, sign, whole.wrap().and(1), rest));
		F.fpuUp.set(f, st, up);
		f.return(whole.add(up.extU()));
	});

	/**
	 * `fpuToInteger(state, from, bits, truncate)` → a signed integer of 16, 32 or 64 bits; the integer indefinite with an invalid
	 * operation where there is none (SDM 1 table 8-10).
	 */
	core.define("fpuToInteger", ["i32", "i32", "i32", "i32"], ["i64"], (f) => {
		const [st, from, bits, truncate] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const a = partsOf(f, from);
		const indefinite = f.let(i64(-1).shl(bits.sub(1).extU()));
		f.if(isUnsupported(a).or(a.exponent.geU(BIAS + 64)), () => {
			invalid(f, st);
			f.return(indefinite);
		});
		const whole = f.let(call(core.fn("fpuInteger"), st, a.sign, a.exponent, a.significand, truncate));
		// 2^(bits-1) has a place below zero only.
		const limit = f.let(i64(1).shl(bits.sub(1).extU()));
		f.if(whole.gtU(limit.sub(a.sign.eqz().extU())), () => {
			invalid(f, st);
			f.return(indefinite);
		});
		f.return(whole.neg().when(a.sign, whole));
	});

	defineDecimal(core);
}

function defineFromFloat(core: Core, { bits, fraction, bias }: FloatFormat): void {
	/** `fpuFromFloat32/64(state, to, value)`: signalling NaNs stay so; raises that it is denormal. */
	core.define(`fpuFromFloat${bits}`, ["i32", "i32", "i64"], [], (f) => {
		const [st, to, value] = [f.param(0), f.param(1), f.param(2)];
		const sign = f.let(
			signBit(
				value
					.shrU(bits - 1)
					.wrap()
					.and(1),
			),
		);
		const last = (1 << (bits - 1 - fraction)) - 1;
		const exponent = f.let(value.shrU(fraction).wrap().and(last));
		const significand = f.let(value.shl(63 - fraction).and(~INTEGER_BIT));
		f.if(exponent.eqz(), () => {
			f.if(significand.eqz(), () => {
				storeNumber(f, to, 0n, sign);
				f.return();
			});
			raiseFlags(f, st, FSW.denormal);
			const shift = f.let(significand.clz());
			storeNumber(f, to, significand.shl(shift), sign.or(i32(BIAS - bias + 1).sub(shift.wrap())));
			f.return();
		});
		const wide = i32(EXPONENT_MAX).when(exponent.eq(last), exponent.add(BIAS - bias));
		storeNumber(f, to, significand.or(INTEGER_BIT), sign.or(wide));
	});
}

function defineToFloat(core: Core, { bits, fraction, bias }: FloatFormat): void {
	/**
	 * `fpuToFloat32/64(state, from)` → its bits, rounded as the control word says; raises what an FST raises. With unmasked overflow
	 * or underflow the bits mean nothing: none are stored (SDM 1 8.5.4).
	 */
	core.define(`fpuToFloat${bits}`, ["i32", "i32"], ["i64"], (f) => {
		const [st, from] = [f.param(0), f.param(1)];
		const a = partsOf(f, from);
		const sign = f.let(a.sign.extU().shl(bits - 1));
		const last = (1n << BigInt(bits - 1 - fraction)) - 1n;
		const infinity = last << BigInt(fraction);
		const drop = 63 - fraction;
		f.if(isUnsupported(a), () => {
			invalid(f, st);
			f.return(((1n << BigInt(bits - 1)) | infinity) + (1n << BigInt(fraction - 1)));
		});
		f.if(isNan(a), () => {
			F.fpuRaised.set(f, st, isSignalling(a));
			const payload = a.significand.shl(1).shrU(drop + 1);
			f.return(sign.or(infinity | (1n << BigInt(fraction - 1))).or(payload));
		});
		f.returnIf(a.exponent.eq(EXPONENT_MAX), sign.or(infinity));
		f.returnIf(isZero(a), sign);
		normalize(f, a);
		const exponent = f.let(a.exponent.sub(BIAS - bias));
		const [whole, rest, up] = [f.local("i64"), f.local("i64"), f.local("i32")];
		f.set(whole, a.significand.shrU(drop));
		f.set(rest, a.significand.shl(64 - drop));
		const round = (): void => {
			f.set(up, call(core.fn("fpuRoundsUp"), st, a.sign, whole.wrap().and(1), rest));
			f.set(whole, whole.add(up.extU()));
		};
		round();
		const carried = f.let(whole.shrU(fraction + 1).wrap());
		f.if(exponent.add(carried).geS(Number(last)), () => {
			raiseFlags(f, st, FSW.overflow);
			f.returnIf(F.fcw.of(st).and(FSW.overflow).eqz(), 0);
			const mode = f.let(roundingMode(st));
			const infinite = f.let(mode.eqz().or(mode.eq(i32(ROUND.down).when(a.sign, ROUND.up))));
			raiseFlags(f, st, FSW.precision);
			F.fpuUp.set(f, st, infinite);
			f.return(sign.or(i64(infinity).sub(infinite.eqz().extU())));
		});
		f.if(exponent.leS(0), () => {
			const tiny = f.let(exponent.add(carried).leS(0));
			f.if(tiny.and(F.fcw.of(st).and(FSW.underflow).eqz()), () => {
				raiseFlags(f, st, FSW.underflow);
				f.return(0);
			});
			const shift = f.let(i32(drop + 1).sub(exponent));
			f.set(rest, call(core.fn("shiftSticky"), a.significand, 0n, shift));
			f.set(whole, 0n);
			f.if(shift.ltU(64), () => f.set(whole, a.significand.shrU(shift.extU())));
			round();
			inexact(f, st, rest, up, i32(FSW.underflow).when(tiny, 0));
			// The first bit that is not stored is the lowest one of the exponent: a carry into it is right.
			f.return(sign.or(whole));
		});
		inexact(f, st, rest, up, i32(0));
		f.return(sign.or(exponent.sub(1).extU().shl(fraction).add(whole)));
	});
}

function inexact(f: FunctionBuilder, st: Ex, rest: Ex, up: Ex, also: Ex): void {
	f.if(rest.ne(0n), () => {
		raiseFlags(f, st, also.or(FSW.precision));
		F.fpuUp.set(f, st, up);
	});
}

/** Packed decimal: 18 digits in nine bytes, lowest first, then a byte with the sign in its top bit (SDM 1 4.7). */
function defineDecimal(core: Core): void {
	/** `fpuFromDecimal(state, to)`: the ten bytes in F.data. Digits above 9 count as what they are. */
	core.define("fpuFromDecimal", ["i32", "i32"], [], (f) => {
		const [st, to] = [f.param(0), f.param(1)];
		const n = f.local("i32", 9);
		const value = f.local("i64", 0n);
		f.while(n.ne(0), () => {
			f.set(n, n.sub(1));
			const byte = f.let(st.add(n).load("i64_8u", F.data.offset));
			f.set(value, value.mul(100n).add(byte.shrU(4).mul(10n)).add(byte.and(15n)));
		});
		f.call(core.fn("fpuFromMagnitude"), to, st.load("i32_8u", F.data.offset + 9).shrU(7), value);
	});

	/** `fpuToDecimal(state, from)`: to the ten bytes in F.data; the packed decimal indefinite with an invalid operation. */
	core.define("fpuToDecimal", ["i32", "i32"], [], (f) => {
		const [st, from] = [f.param(0), f.param(1)];
		const a = partsOf(f, from);
		const indefinite = (): void => {
			invalid(f, st);
			f.store("i64", st, i64(0xc000000000000000n), F.data.offset);
			f.store("i32_16", st, 0xffff, F.data.offset + 8);
			f.return();
		};
		f.if(isUnsupported(a).or(a.exponent.geU(BIAS + 64)), indefinite);
		const value = f.let(call(core.fn("fpuInteger"), st, a.sign, a.exponent, a.significand, 0));
		f.if(value.geU(10n ** 18n), indefinite);
		const n = f.local("i32", 0);
		f.while(n.ltU(9), () => {
			const rest = f.let(value.divU(100n));
			const pair = f.let(value.sub(rest.mul(100n)));
			const tens = f.let(pair.divU(10n));
			f.store("i64_8", st.add(n), pair.add(tens.mul(6n)), F.data.offset);
			f.set(value, rest);
			f.set(n, n.add(1));
		});
		f.store("i32_8", st, a.sign.shl(7), F.data.offset + 9);
	});
}
