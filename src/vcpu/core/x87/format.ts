import { type Ex, i32, i64, type Local } from "../../../wasm/expression.ts";
import type { FunctionBuilder } from "../../../wasm/function.ts";
import { F } from "../../layout.ts";
import { FSW } from "../control-bits.ts";

/** The six exceptions: mask bits of the control word, flags of the status word. */
export const EXCEPTIONS = 0x3f;
/** Exceptions that come before an operation: not masked, they leave its operands as they were (SDM 1 8.6). */
export const BEFORE = FSW.invalid | FSW.denormal | FSW.zeroDivide;

/** Control word (SDM 1 8.1.5): precision and rounding control; the bits that exist, and the one that always reads 1. */
export const FCW = { precisionShift: 8, roundingShift: 10, existing: 0x1f3f, fixed: 0x40, initial: 0x37f } as const;

export const ROUND = { nearest: 0, down: 1, up: 2, zero: 3 } as const;

/** Exponents as stored: bias, and the one of infinities and NaNs. */
export const BIAS = 16383;
export const EXPONENT_MAX = 0x7fff;
/** What is added to or taken from an exponent where overflow or underflow is not masked (SDM 1 8.5.4). */
export const WRAP = 24576;

/** The integer bit of a significand, and the bit that tells quiet NaNs. */
export const INTEGER_BIT = 1n << 63n;
export const QUIET_BIT = 1n << 62n;

/** The real indefinite, a quiet NaN (SDM 1 table 4-3): what invalid operations give. */
export const INDEFINITE = { significand: 3n << 62n, signExponent: 0xffff } as const;

/** Numbers in memory are as registers are stored: the significand, then sign and exponent as 16 bits. */
export function significandOf(address: Ex, offset = 0): Ex {
	return address.load("i64", offset);
}
export function signExponentOf(address: Ex, offset = 0): Ex {
	return address.load("i32_16u", offset + 8);
}
export function storeNumber(
	f: FunctionBuilder,
	address: Ex,
	significand: Ex | bigint,
	se: Ex | number,
	offset = 0,
): void {
	f.store("i64", address, significand, offset);
	f.store("i32", address, se, offset + 8);
}
export function copyNumber(f: FunctionBuilder, to: Ex, from: Ex, toOffset = 0, fromOffset = 0): void {
	storeNumber(f, to, significandOf(from, fromOffset), signExponentOf(from, fromOffset), toOffset);
}

/** A number taken apart; `exponent` as stored. */
export interface Parts {
	readonly sign: Local;
	readonly exponent: Local;
	readonly significand: Local;
}
export function partsOf(f: FunctionBuilder, address: Ex): Parts {
	const se = f.let(signExponentOf(address));
	return {
		sign: f.let(se.shrU(15)),
		exponent: f.let(se.and(EXPONENT_MAX)),
		significand: f.let(significandOf(address)),
	};
}

/** Neither zero, denormal, infinite, NaN nor unsupported. */
export function isNormal({ exponent, significand }: Parts): Ex {
	return exponent
		.sub(1)
		.ltU(EXPONENT_MAX - 1)
		.and(significand.ltS(0n));
}
export function isZero({ exponent, significand }: Parts): Ex {
	return exponent.extU().or(significand).eqz();
}
/** Denormals and pseudo-denormals. */
export function isDenormal({ exponent, significand }: Parts): Ex {
	return exponent.eqz().and(significand.ne(0n));
}
/** Where it is known to be no NaN. */
export function isInfinite({ exponent }: Parts): Ex {
	return exponent.eq(EXPONENT_MAX);
}
/** Pseudo-NaNs, pseudo-infinities and unnormals (SDM 1 8.2.2). */
export function isUnsupported({ exponent, significand }: Parts): Ex {
	return exponent.ne(0).and(significand.geS(0n));
}
/** Where it is known to be supported. */
export function isNan({ exponent, significand }: Parts): Ex {
	return exponent.eq(EXPONENT_MAX).and(significand.shl(1).ne(0n));
}
export function isSignalling(parts: Parts): Ex {
	return isNan(parts).and(parts.significand.and(QUIET_BIT).eqz());
}

/** Makes a number that is not zero have its integer bit; the exponent of a denormal goes below 1. */
export function normalize(f: FunctionBuilder, { exponent, significand }: Parts): void {
	f.if(exponent.eqz(), () => f.set(exponent, 1));
	f.if(significand.geS(0n), () => {
		const shift = f.let(significand.clz());
		f.set(significand, significand.shl(shift));
		f.set(exponent, exponent.sub(shift.wrap()));
		f.release(shift);
	});
}

/** Address of ST(n), less {@link F.fpr}'s offset. */
export function stackRegister(st: Ex, n: Ex | number): Ex {
	const top = F.ftop.of(st);
	return st.add((typeof n === "number" && n === 0 ? top : top.add(n).and(7)).shl(4)).add(F.fpr.offset);
}

/** 1 where ST(n) is empty. */
export function isEmpty(st: Ex, n: Ex | number): Ex {
	return F.ftags.of(st).shrU(F.ftop.of(st).add(n).and(7)).and(1).eqz();
}

export function roundingMode(st: Ex): Ex {
	return F.fcw.of(st).shrU(FCW.roundingShift).and(3);
}

/** Adds to what the operation in hand raises. */
export function raiseFlags(f: FunctionBuilder, st: Ex, flags: Ex | number): void {
	F.fpuRaised.set(f, st, F.fpuRaised.of(st).or(flags));
}

export function signBit(sign: Ex): Ex {
	return sign.shl(15);
}

/** Sets the result to the real indefinite, with an invalid operation. Nothing else is raised with it. */
export function invalid(f: FunctionBuilder, st: Ex): void {
	F.fpuRaised.set(f, st, FSW.invalid);
	F.fpuUp.set(f, st, 0);
	result(f, st, i64(INDEFINITE.significand), i32(INDEFINITE.signExponent));
}

export function result(f: FunctionBuilder, st: Ex, significand: Ex, se: Ex): void {
	storeNumber(f, st, significand, se, F.fpuResult.offset);
}
export function resultZero(f: FunctionBuilder, st: Ex, sign: Ex): void {
	result(f, st, i64(0), signBit(sign));
}
export function resultInfinity(f: FunctionBuilder, st: Ex, sign: Ex): void {
	result(f, st, i64(INTEGER_BIT), signBit(sign).or(EXPONENT_MAX));
}
