import { type Ex, i32 } from "../../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../../wasm/function.ts";
import { F, STATUS } from "../../layout.ts";
import { FSW } from "../control-bits.ts";
import type { Core } from "../core.ts";
import {
	BIAS,
	copyNumber,
	EXPONENT_MAX,
	INTEGER_BIT,
	invalid,
	isDenormal,
	isEmpty,
	isInfinite,
	isZero,
	normalize,
	type Parts,
	partsOf,
	raiseFlags,
	result,
	resultInfinity,
	resultZero,
	signBit,
	stackRegister,
	storeNumber,
	WRAP,
} from "./format.ts";
import { registerHelper } from "./instructions.ts";
import { stackFault } from "./stack.ts";

/** FRNDINT, FSCALE, FXTRACT, FPREM and FPREM1: exact but for underflow, whatever the precision control. */
export function defineSteps(core: Core): void {
	defineRoundInteger(core);
	defineScale(core);
	defineExtract(core);
	defineRemainder(core);
}

function leaveWithNan(core: Core, f: FunctionBuilder, st: Ex, a: Ex, b: Ex): void {
	f.if(call(core.fn("fpuNan"), st, a, b), () => f.return());
}

/** The result is the operand, but for the exponent of a pseudo-denormal; that it is denormal is no underflow. */
function unchanged(f: FunctionBuilder, st: Ex, { sign, exponent, significand }: Parts): void {
	const stored = exponent.or(exponent.eqz().and(significand.ltS(0n)));
	result(f, st, significand, signBit(sign).or(stored));
}

/** ST(0) becomes what `name` makes of it, or of it and ST(1). */
function operand(core: Core, helper: string, name: string, operands: 1 | 2): void {
	registerHelper(core, helper, [], (f, st) => {
		const empty = operands === 1 ? isEmpty(st, 0) : isEmpty(st, 0).or(isEmpty(st, 1));
		f.if(
			empty,
			() => stackFault(f, st, 0),
			() => f.call(core.fn(name), st, ...Array.from({ length: operands }, (_, n) => stackRegister(st, n))),
		);
		f.drop(call(core.fn("fpuCommit"), st, 0));
	});
}

function defineRoundInteger(core: Core): void {
	core.define("fpuRoundInteger", ["i32", "i32"], [], (f) => {
		const [st, at] = [f.param(0), f.param(1)];
		const a = partsOf(f, at);
		leaveWithNan(core, f, st, at, at);
		raiseFlags(f, st, isDenormal(a).shl(1));
		f.if(a.exponent.geU(BIAS + 63).or(isZero(a)), () => {
			copyNumber(f, st, at, F.fpuResult.offset);
			f.return();
		});
		const whole = f.let(call(core.fn("fpuInteger"), st, a.sign, a.exponent, a.significand, 0));
		f.call(core.fn("fpuFromMagnitude"), st.add(F.fpuResult.offset), a.sign, whole);
	});
	operand(core, "fpuRoundInteger", "fpuRoundInteger", 1);
}

function defineScale(core: Core): void {
	/** `fpuScale(state, a, b)`: a times 2 to the integer part of b. */
	core.define("fpuScale", ["i32", "i32", "i32"], [], (f) => {
		const [st, aAt, bAt] = [f.param(0), f.param(1), f.param(2)];
		const [a, b] = [partsOf(f, aAt), partsOf(f, bAt)];
		leaveWithNan(core, f, st, aAt, bAt);
		const [aZero, aInfinite] = [f.let(isZero(a)), f.let(isInfinite(a))];
		f.if(isInfinite(b), () => {
			f.if(aZero.and(b.sign.eqz()).or(aInfinite.and(b.sign)), () => {
				invalid(f, st);
				f.return();
			});
			raiseFlags(f, st, isDenormal(a).shl(1));
			f.if(
				b.sign,
				() => resultZero(f, st, a.sign),
				() => resultInfinity(f, st, a.sign),
			);
			f.return();
		});
		raiseFlags(f, st, isDenormal(a).or(isDenormal(b)).shl(1));
		f.if(aZero.or(aInfinite).or(isZero(b)), () => {
			unchanged(f, st, a);
			f.return();
		});
		normalize(f, a);
		// Beyond 2^16 one is as good as another.
		const n = f.local("i32", 0);
		f.if(b.exponent.geU(BIAS), () => {
			f.set(n, 0x10000);
			f.if(b.exponent.ltU(BIAS + 16), () =>
				f.set(
					n,
					b.significand
						.shrU(
							i32(BIAS + 63)
								.sub(b.exponent)
								.extU(),
						)
						.wrap(),
				),
			);
			f.if(b.sign, () => f.set(n, n.neg()));
		});
		const exponent = f.let(a.exponent.add(n));
		f.call(core.fn("fpuRoundTo"), st, a.sign, exponent, a.significand, 0n, 0n);
		// Not even the exponent that unmasked overflow or underflow leaves may be there (SDM 1 8.5.4, 8.5.5).
		const open = f.let(F.fcw.of(st).not());
		f.if(exponent.geS(EXPONENT_MAX + WRAP).and(open.and(FSW.overflow).ne(0)), () => {
			raiseFlags(f, st, FSW.precision);
			F.fpuUp.set(f, st, 1);
			resultInfinity(f, st, a.sign);
		});
		f.if(exponent.leS(-WRAP).and(open.and(FSW.underflow).ne(0)), () => {
			raiseFlags(f, st, FSW.precision);
			F.fpuUp.set(f, st, 0);
			resultZero(f, st, a.sign);
		});
	});
	operand(core, "fpuScale", "fpuScale", 2);
}

function defineExtract(core: Core): void {
	/** `fpuExtract(state, a)`: the exponent as a number in F.fpuB, the significand as the result. */
	core.define("fpuExtract", ["i32", "i32"], [], (f) => {
		const [st, at] = [f.param(0), f.param(1)];
		const a = partsOf(f, at);
		const exponentTo = st.add(F.fpuB.offset);
		f.if(call(core.fn("fpuNan"), st, at, at), () => {
			copyNumber(f, st, st, F.fpuB.offset, F.fpuResult.offset);
			f.return();
		});
		f.if(isInfinite(a), () => {
			storeNumber(f, exponentTo, INTEGER_BIT, EXPONENT_MAX);
			resultInfinity(f, st, a.sign);
			f.return();
		});
		f.if(isZero(a), () => {
			raiseFlags(f, st, FSW.zeroDivide);
			storeNumber(f, exponentTo, INTEGER_BIT, 0x8000 | EXPONENT_MAX);
			resultZero(f, st, a.sign);
			f.return();
		});
		raiseFlags(f, st, isDenormal(a).shl(1));
		normalize(f, a);
		f.call(core.fn("fpuFromInteger"), exponentTo, a.exponent.sub(BIAS).extS());
		result(f, st, a.significand, signBit(a.sign).or(BIAS));
	});

	// ST(0) becomes its exponent, and its significand is pushed.
	registerHelper(core, "fpuExtract", [], (f, st) => {
		f.if(
			isEmpty(st, 0),
			() => stackFault(f, st, 0),
			() => f.call(core.fn("fpuExtract"), st, stackRegister(st, 0)),
		);
		f.call(core.fn("fpuCommitTwo"), st);
	});
}

function defineRemainder(core: Core): void {
	/**
	 * `fpuRemainder(state, a, b, nearest)` → the condition code, -1 without a remainder: what is left of a when b is taken from it as often as it goes, or
	 * as often as is nearest. Where that is 2^64 times or more, C2 and a part of the way (SDM 2A FPREM).
	 */
	core.define("fpuRemainder", ["i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, aAt, bAt, nearest] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const [a, b] = [partsOf(f, aAt), partsOf(f, bAt)];
		f.returnIf(call(core.fn("fpuNan"), st, aAt, bAt), -1);
		f.if(isInfinite(a).or(isZero(b)), () => {
			invalid(f, st);
			f.return(-1);
		});
		raiseFlags(f, st, isDenormal(a).or(isDenormal(b)).shl(1));
		f.if(isZero(a).or(isInfinite(b)), () => {
			unchanged(f, st, a);
			f.return(0);
		});
		normalize(f, a);
		normalize(f, b);
		const distance = f.let(a.exponent.sub(b.exponent));
		const quotient = f.local("i32", 0);
		const rest = f.let(a.significand);
		const exponent = f.let(a.exponent);
		const partial = f.let(distance.geS(64));
		f.block((done) => {
			f.brIf(done, distance.ltS(-1));
			f.if(distance.eq(-1), () => {
				// Less than b; nearer to b than to 0 where it is more than half of it.
				f.brIf(done, nearest.eqz().or(a.significand.leU(b.significand)));
				f.set(rest, b.significand.shl(1).sub(rest));
				f.set(quotient, 1);
				f.set(a.sign, a.sign.xor(1));
				f.br(done);
			});
			const steps = f.let(distance.and(31).or(32).when(partial, distance));
			f.set(exponent, a.exponent.sub(steps));
			const more = f.local("i32", 0);
			f.loop((again) => {
				f.set(quotient, quotient.shl(1));
				f.if(more.or(rest.geU(b.significand)), () => {
					f.set(rest, rest.sub(b.significand));
					f.set(quotient, quotient.or(1));
				});
				f.if(steps.ne(0), () => {
					f.set(steps, steps.sub(1));
					f.set(more, rest.ltS(0n));
					f.set(rest, rest.shl(1));
					f.br(again);
				});
			});
			f.brIf(done, nearest.eqz().or(partial));
			const other = f.let(b.significand.sub(rest));
			f.if(rest.gtU(other).or(rest.eq(other).and(quotient.and(1))), () => {
				f.set(rest, other);
				f.set(quotient, quotient.add(1));
				f.set(a.sign, a.sign.xor(1));
			});
		});
		f.if(
			rest.eqz(),
			() => resultZero(f, st, a.sign),
			() => {
				const shift = f.let(rest.clz());
				const at = exponent.sub(shift.wrap());
				f.call(core.fn("fpuRoundTo"), st, a.sign, at, rest.shl(shift), 0n, 0n);
			},
		);
		f.returnIf(partial, FSW.c2);
		// The lowest three bits of the quotient, from the lowest: C1, C3, C0.
		const bit = (n: number, flag: number): Ex => quotient.shrU(n).and(1).mul(flag);
		f.return(bit(0, FSW.c1).or(bit(1, FSW.c3)).or(bit(2, FSW.c0)));
	});

	registerHelper(core, "fpuRemainder", ["i32"], (f, st, _rec, [nearest]) => {
		const code = f.local("i32", -1);
		f.if(
			isEmpty(st, 0).or(isEmpty(st, 1)),
			() => stackFault(f, st, 0),
			() => f.set(code, call(core.fn("fpuRemainder"), st, stackRegister(st, 0), stackRegister(st, 1), nearest!)),
		);
		F.fsw.set(f, st, F.fsw.of(st).and(~FSW.c2));
		f.returnIf(call(core.fn("fpuCommit"), st, 0), STATUS.next);
		const all = FSW.c0 | FSW.c1 | FSW.c2 | FSW.c3;
		f.if(code.geS(0), () => F.fsw.set(f, st, F.fsw.of(st).and(~all).or(code)));
	});
}
