import { type Ex, i32, i64 } from "../../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../../wasm/function.ts";
import { F, STATUS } from "../../layout.ts";
import { FSW } from "../control-bits.ts";
import type { Core } from "../core.ts";
import {
	BIAS,
	copyNumber,
	INTEGER_BIT,
	invalid,
	isDenormal,
	isEmpty,
	isInfinite,
	isZero,
	type Parts,
	partsOf,
	raiseFlags,
	result,
	resultInfinity,
	resultZero,
	stackRegister,
} from "./format.ts";
import { registerHelper } from "./instructions.ts";
import { stackFault } from "./stack.ts";
import { defineWideNumbers, loadWide, NUMBER, setWide, sumSeries, wideSlot } from "./wide.ts";
import { ARCTANGENTS, SERIES, WIDE, type WideConstant } from "./wide-constants.ts";

/** Scratch numbers by what they are for. */
const SLOT = { x: 0, y: 1, a: 2, b: 3, z: 4, sum: 5, t: 6 } as const;

/** F2XM1, FYL2X, FYL2XP1 and FPATAN (SDM 1 8.3.8–8.3.10). All are rounded once, from 120 bits. */
export function defineFunctions(core: Core): void {
	defineWideNumbers(core);
	/** `fpuRoundWide(state, number)`: the result from a number that stands for an inexact one. */
	core.define("fpuRoundWide", ["i32", "i32"], [], (f) => {
		const [st, at] = [f.param(0), f.param(1)];
		const exponent = NUMBER.exponent.of(at).add(BIAS);
		const low = NUMBER.low.of(at).or(1n);
		f.call(core.fn("fpuRoundTo"), st, NUMBER.sign.of(at), exponent, NUMBER.high.of(at), low, 0n);
	});
	defineExp(core);
	defineLogarithm(core);
	defineArctangent(core);

	registerHelper(core, "fpuExp", [], (f, st) => {
		f.if(
			isEmpty(st, 0),
			() => stackFault(f, st, 0),
			() => f.call(core.fn("fpuExp"), st, stackRegister(st, 0)),
		);
		f.drop(call(core.fn("fpuCommit"), st, 0));
	});
	for (const name of ["fpuLog", "fpuLogPlusOne", "fpuAtan"]) {
		// Of ST(0) and ST(1), to ST(1), with a pop.
		registerHelper(core, name, [], (f, st) => {
			f.if(
				isEmpty(st, 0).or(isEmpty(st, 1)),
				() => stackFault(f, st, 0),
				() => f.call(core.fn(name), st, stackRegister(st, 0), stackRegister(st, 1)),
			);
			f.returnIf(call(core.fn("fpuCommit"), st, 1), STATUS.next);
			f.call(core.fn("fpuPop"), st);
		});
	}
}

function leaveWithNan(core: Core, f: FunctionBuilder, st: Ex, a: Ex, b: Ex): void {
	f.if(call(core.fn("fpuNan"), st, a, b), () => f.return());
}
function leaveInvalid(f: FunctionBuilder, st: Ex, when: Ex): void {
	f.if(when, () => {
		invalid(f, st);
		f.return();
	});
}
function raiseDenormal(f: FunctionBuilder, st: Ex, ...operands: Parts[]): void {
	raiseFlags(
		f,
		st,
		operands
			.map((each) => isDenormal(each))
			.reduce((one, other) => one.or(other))
			.shl(1),
	);
}

function defineExp(core: Core): void {
	/** `fpuExp(state, a)`: 2^a - 1. For |a| > 1 the manual promises nothing: a as it is, inexact. */
	core.define("fpuExp", ["i32", "i32"], [], (f) => {
		const [st, at] = [f.param(0), f.param(1)];
		const a = partsOf(f, at);
		leaveWithNan(core, f, st, at, at);
		f.if(isInfinite(a).and(a.sign), () => {
			result(f, st, i64(INTEGER_BIT), i32(0x8000 | BIAS));
			f.return();
		});
		raiseDenormal(f, st, a);
		const one = a.exponent.eq(BIAS).and(a.significand.eq(INTEGER_BIT));
		f.if(isZero(a).or(a.exponent.geU(BIAS)), () => {
			copyNumber(f, st, at, F.fpuResult.offset);
			f.if(isZero(a).or(isInfinite(a)).eqz(), () => raiseFlags(f, st, FSW.precision));
			// 2^-1 - 1.
			f.if(one.and(a.sign), () => result(f, st, i64(INTEGER_BIT), i32(0x8000 | (BIAS - 1))));
			f.return();
		});
		const [x, y, z, sum] = [SLOT.x, SLOT.y, SLOT.z, SLOT.sum].map((n) => wideSlot(st, n)) as [Ex, Ex, Ex, Ex];
		loadWide(f, x, at);
		setWide(f, y, WIDE.ln2);
		f.call(core.fn("wideMultiply"), x, x, y);
		f.call(core.fn("wideFraction"), z, x);
		sumSeries(core, f, sum, z, SERIES.exp, a.sign);
		f.call(core.fn("wideMultiply"), x, x, sum);
		f.call(core.fn("fpuRoundWide"), st, x);
	});
}

function defineLogarithm(core: Core): void {
	/** `wideArtanh(state)`: number x becomes 2 log2(e) artanh(x), |x| < 0.18. */
	core.define("wideArtanh", ["i32"], [], (f) => {
		const st = f.param(0);
		const [x, a, z, sum] = [SLOT.x, SLOT.a, SLOT.z, SLOT.sum].map((n) => wideSlot(st, n)) as [Ex, Ex, Ex, Ex];
		f.call(core.fn("wideMultiply"), z, x, x);
		f.call(core.fn("wideFraction"), z, z);
		sumSeries(core, f, sum, z, SERIES.artanh, 0);
		f.call(core.fn("wideMultiply"), x, x, sum);
		setWide(f, a, WIDE.twoLog2e);
		f.call(core.fn("wideMultiply"), x, x, a);
	});

	/** `wideLog2(state)`: number x, positive, becomes its logarithm to base 2. */
	core.define("wideLog2", ["i32"], [], (f) => {
		const st = f.param(0);
		const [x, a, b, t] = [SLOT.x, SLOT.a, SLOT.b, SLOT.t].map((n) => wideSlot(st, n)) as [Ex, Ex, Ex, Ex];
		// x = 2^power m, with m between the roots of 1/2 and 2; log2 m = 2 log2(e) artanh((m - 1) / (m + 1)).
		const high = NUMBER.high.of(x).gtU(0xb504f333f9de6484n);
		const up = f.let(high);
		const power = f.let(NUMBER.exponent.of(x).add(up));
		NUMBER.exponent.set(f, x, i32(0).sub(up));
		setWide(f, a, WIDE.one);
		f.call(core.fn("wideAdd"), b, x, a);
		NUMBER.sign.set(f, a, 1);
		f.call(core.fn("wideAdd"), x, x, a);
		f.call(core.fn("wideDivide"), x, x, b);
		f.if(NUMBER.high.of(x).ne(0n), () => f.call(core.fn("wideArtanh"), st));
		f.if(power.ne(0), () => {
			const sign = f.let(power.ltS(0));
			f.if(sign, () => f.set(power, power.neg()));
			const shift = f.let(power.clz());
			NUMBER.high.set(f, t, power.shl(shift).extU().shl(32));
			NUMBER.low.set(f, t, 0);
			NUMBER.exponent.set(f, t, i32(31).sub(shift));
			NUMBER.sign.set(f, t, sign);
			f.call(core.fn("wideAdd"), x, x, t);
		});
	});

	/** Number x times the operand at `y`, as an inexact result even where it is an integer. */
	const finish = (f: FunctionBuilder, st: Ex, yAt: Ex): void => {
		const [x, y] = [wideSlot(st, SLOT.x), wideSlot(st, SLOT.y)];
		loadWide(f, y, yAt);
		f.call(core.fn("wideMultiply"), x, x, y);
		f.call(core.fn("fpuRoundWide"), st, x);
	};

	/** `fpuLog(state, x, y)`: y log2 x. */
	core.define("fpuLog", ["i32", "i32", "i32"], [], (f) => {
		const [st, xAt, yAt] = [f.param(0), f.param(1), f.param(2)];
		const [x, y] = [partsOf(f, xAt), partsOf(f, yAt)];
		leaveWithNan(core, f, st, xAt, yAt);
		const [xZero, yZero] = [f.let(isZero(x)), f.let(isZero(y))];
		leaveInvalid(f, st, x.sign.and(xZero.eqz()));
		f.if(xZero, () => {
			leaveInvalid(f, st, yZero);
			f.if(isInfinite(y).eqz(), () => F.fpuRaised.set(f, st, FSW.zeroDivide));
			resultInfinity(f, st, y.sign.xor(1));
			f.return();
		});
		const one = f.let(x.exponent.eq(BIAS).and(x.significand.eq(INTEGER_BIT)));
		leaveInvalid(
			f,
			st,
			isInfinite(x)
				.and(yZero)
				.or(one.and(isInfinite(y))),
		);
		raiseDenormal(f, st, x, y);
		/** The sign of the logarithm, then of the result. */
		const sign = f.let(x.exponent.ltU(BIAS).xor(y.sign));
		f.if(isInfinite(x).or(isInfinite(y)), () => {
			resultInfinity(f, st, sign);
			f.return();
		});
		f.if(yZero.or(one), () => {
			resultZero(f, st, sign);
			f.return();
		});
		const number = wideSlot(st, SLOT.x);
		loadWide(f, number, xAt);
		f.call(core.fn("wideLog2"), st);
		finish(f, st, yAt);
	});

	/** `fpuLogPlusOne(state, x, y)`: y log2(x + 1); what the manual leaves open beyond |x| < 1 - √½ is the same. */
	core.define("fpuLogPlusOne", ["i32", "i32", "i32"], [], (f) => {
		const [st, xAt, yAt] = [f.param(0), f.param(1), f.param(2)];
		const [x, y] = [partsOf(f, xAt), partsOf(f, yAt)];
		leaveWithNan(core, f, st, xAt, yAt);
		const [xZero, yZero] = [f.let(isZero(x)), f.let(isZero(y))];
		leaveInvalid(
			f,
			st,
			isInfinite(x)
				.and(yZero.or(x.sign))
				.or(xZero.and(isInfinite(y))),
		);
		raiseDenormal(f, st, x, y);
		const sign = f.let(x.sign.xor(y.sign));
		f.if(isInfinite(x).or(isInfinite(y)), () => {
			resultInfinity(f, st, sign);
			f.return();
		});
		f.if(xZero.or(yZero), () => {
			resultZero(f, st, sign);
			f.return();
		});
		// No logarithm: x as it is, as processors do it.
		f.if(x.sign.and(x.exponent.geU(BIAS)), () => {
			copyNumber(f, st, xAt, F.fpuResult.offset);
			raiseFlags(f, st, FSW.precision);
			f.return();
		});
		const [number, a, b] = [SLOT.x, SLOT.a, SLOT.b].map((n) => wideSlot(st, n)) as [Ex, Ex, Ex];
		loadWide(f, number, xAt);
		f.if(
			x.exponent.ltU(BIAS - 2),
			() => {
				// |x| < 1/4: artanh(x / (2 + x)) keeps all of a small x.
				setWide(f, a, WIDE.two);
				f.call(core.fn("wideAdd"), b, number, a);
				f.call(core.fn("wideDivide"), number, number, b);
				f.call(core.fn("wideArtanh"), st);
			},
			() => {
				setWide(f, a, WIDE.one);
				f.call(core.fn("wideAdd"), number, number, a);
				f.call(core.fn("wideLog2"), st);
			},
		);
		finish(f, st, yAt);
	});
}

function defineArctangent(core: Core): void {
	/** `wideArctangent(state)`: number t, 0 < t <= 1, becomes its arctangent. */
	core.define("wideArctangent", ["i32"], [], (f) => {
		const st = f.param(0);
		const [x, a, b, z, sum, t] = [SLOT.x, SLOT.a, SLOT.b, SLOT.z, SLOT.sum, SLOT.t].map((n) => wideSlot(st, n)) as [
			Ex,
			Ex,
			Ex,
			Ex,
			Ex,
			Ex,
		];
		// Eighths next to t: arctan t = arctan k/8 + arctan((t - k/8) / (1 + t k/8)).
		const exponent = f.let(NUMBER.exponent.of(t));
		const k = f.local("i32", 0);
		f.if(exponent.gtS(-5), () => {
			const sixteenths = NUMBER.high.of(t).shrU(i32(59).sub(exponent).extU()).wrap();
			f.set(k, sixteenths.add(1).shrU(1));
		});
		f.if(k.ne(0), () => {
			const pick = (choose: (entry: (typeof ARCTANGENTS)[number]) => WideConstant, to: Ex): void =>
				f.switch(
					k.sub(1),
					ARCTANGENTS.map((entry) => () => setWide(f, to, choose(entry))),
				);
			pick(({ at }) => at, a);
			f.call(core.fn("wideMultiply"), b, t, a);
			setWide(f, x, WIDE.one);
			f.call(core.fn("wideAdd"), b, b, x);
			NUMBER.sign.set(f, a, 1);
			f.call(core.fn("wideAdd"), t, t, a);
			f.call(core.fn("wideDivide"), t, t, b);
			pick(({ value }) => value, a);
		});
		f.if(NUMBER.high.of(t).ne(0n), () => {
			f.call(core.fn("wideMultiply"), z, t, t);
			f.call(core.fn("wideFraction"), z, z);
			sumSeries(core, f, sum, z, SERIES.arctan, 1);
			f.call(core.fn("wideMultiply"), t, t, sum);
		});
		f.if(k.ne(0), () => f.call(core.fn("wideAdd"), t, t, a));
	});

	/** `fpuAtan(state, x, y)`: the angle of the point (x, y). */
	core.define("fpuAtan", ["i32", "i32", "i32"], [], (f) => {
		const [st, xAt, yAt] = [f.param(0), f.param(1), f.param(2)];
		const [x, y] = [partsOf(f, xAt), partsOf(f, yAt)];
		leaveWithNan(core, f, st, xAt, yAt);
		raiseDenormal(f, st, x, y);
		const [t, a, b] = [SLOT.t, SLOT.a, SLOT.b].map((n) => wideSlot(st, n)) as [Ex, Ex, Ex];
		const angle = (value: WideConstant): void => {
			setWide(f, t, value);
			NUMBER.sign.set(f, t, y.sign);
			f.call(core.fn("fpuRoundWide"), st, t);
			f.return();
		};
		const [xInfinite, yInfinite] = [f.let(isInfinite(x)), f.let(isInfinite(y))];
		f.if(yInfinite, () => {
			f.if(xInfinite.eqz(), () => angle(WIDE.halfPi));
			f.if(x.sign, () => angle(WIDE.threeQuartersPi));
			angle(WIDE.quarterPi);
		});
		f.if(isZero(y).or(xInfinite), () => {
			f.if(x.sign, () => angle(WIDE.pi));
			resultZero(f, st, y.sign);
			f.return();
		});
		f.if(isZero(x), () => angle(WIDE.halfPi));
		loadWide(f, a, xAt);
		loadWide(f, b, yAt);
		NUMBER.sign.set(f, a, 0);
		NUMBER.sign.set(f, b, 0);
		const [ae, be] = [NUMBER.exponent.of(a), NUMBER.exponent.of(b)];
		const steep = f.let(be.gtS(ae).or(be.eq(ae).and(NUMBER.high.of(b).gtU(NUMBER.high.of(a)))));
		f.if(
			steep,
			() => f.call(core.fn("wideDivide"), t, a, b),
			() => f.call(core.fn("wideDivide"), t, b, a),
		);
		f.call(core.fn("wideArctangent"), st);
		/** Turns the angle round: `value` less it. */
		const from = (value: WideConstant): void => {
			NUMBER.sign.set(f, t, 1);
			setWide(f, a, value);
			f.call(core.fn("wideAdd"), t, t, a);
		};
		f.if(steep, () => from(WIDE.halfPi));
		f.if(x.sign, () => from(WIDE.pi));
		NUMBER.sign.set(f, t, y.sign);
		f.call(core.fn("fpuRoundWide"), st, t);
	});
}
