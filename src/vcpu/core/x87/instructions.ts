import { type Ex, i32, i64, type Local } from "../../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../../wasm/function.ts";
import type { ValueType } from "../../../wasm/opcodes.ts";
import { EXPLICIT_FLAGS } from "../../flag-state.ts";
import { ACCESS, F, REC, STATUS } from "../../layout.ts";
import { FSW } from "../control-bits.ts";
import type { Core } from "../core.ts";
import { segmentLinear } from "../segment-access.ts";
import { ORDER } from "./compare.ts";
import {
	BEFORE,
	BIAS,
	copyNumber,
	EXPONENT_MAX,
	INDEFINITE,
	isEmpty,
	isNan,
	isUnsupported,
	partsOf,
	ROUND,
	result,
	roundingMode,
	signExponentOf,
	significandOf,
	stackRegister,
	storeNumber,
} from "./format.ts";
import { clearRaised, stackFault } from "./stack.ts";

/** Condition-code bits. */
const CONDITION = FSW.c0 | FSW.c2 | FSW.c3;

type Body = (f: FunctionBuilder, st: Local, rec: Local, args: Local[]) => void;

/** Defines the helper of an instruction whose operands are registers; `body` goes on to the next one where it does not return. */
export function registerHelper(core: Core, name: string, params: ValueType[], body: Body): void {
	core.define(`helper_${name}`, ["i32", "i32", ...params], ["i32"], (f) => {
		const [st, rec] = [f.param(0), f.param(1)];
		clearRaised(f, st);
		f.call(core.fn("fpuNote"), st, rec);
		body(
			f,
			st,
			rec,
			params.map((_, n) => f.param(n + 2)),
		);
		f.return(STATUS.next);
	});
}

/** The same for one with a memory operand, whose offset is the first argument. */
function memoryHelper(core: Core, name: string, params: ValueType[], body: Body): void {
	core.define(`helper_${name}`, ["i32", "i32", "i64", ...params], ["i32"], (f) => {
		const [st, rec] = [f.param(0), f.param(1)];
		clearRaised(f, st);
		f.call(core.fn("fpuNoteMemory"), st, rec, f.param(2));
		body(
			f,
			st,
			rec,
			params.map((_, n) => f.param(n + 3)),
		);
		f.return(STATUS.next);
	});
}

/** What each x87 instruction does with registers and memory. Helpers run behind the checks of `fpu`. */
export function defineInstructions(core: Core): void {
	defineArithmeticHelpers(core);
	defineCompareHelpers(core);
	defineMoveHelpers(core);
	defineLoadHelpers(core);
	defineStoreHelpers(core);
}

const operandB = (st: Ex): Ex => st.add(F.fpuB.offset);

/** Operations by the digit of D8: FADD 0, FMUL 1, FSUB 4, FSUBR 5, FDIV 6, FDIVR 7; 2 and 3 compare. */
function defineArithmeticHelpers(core: Core): void {
	/** `fpuOperate(state, operation, a, b)`: a operation b. */
	core.define("fpuOperate", ["i32", "i32", "i32", "i32"], [], (f) => {
		const [st, operation, a, b] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		f.switch(operation, [
			() => f.call(core.fn("fpuAdd"), st, a, b, 0),
			() => f.call(core.fn("fpuMultiply"), st, a, b),
			undefined,
			undefined,
			() => f.call(core.fn("fpuAdd"), st, a, b, 1),
			() => f.call(core.fn("fpuAdd"), st, b, a, 1),
			() => f.call(core.fn("fpuDivide"), st, a, b),
			() => f.call(core.fn("fpuDivide"), st, b, a),
		]);
	});

	// ST(0) operation memory.
	memoryHelper(core, "fpuOperateMemory", ["i32", "i32", "i64"], (f, st, _rec, [operation, kind, value]) => {
		f.if(
			isEmpty(st, 0),
			() => stackFault(f, st, 0),
			() => {
				f.call(core.fn("fpuConvert"), st, operandB(st), kind!, value!);
				f.call(core.fn("fpuOperate"), st, operation!, stackRegister(st, 0), operandB(st));
			},
		);
		f.drop(call(core.fn("fpuCommit"), st, 0));
	});

	// ST(0) operation ST(i), to ST(0), or to ST(i) with `to`; then a pop.
	registerHelper(core, "fpuOperate", ["i32", "i32", "i32", "i32"], (f, st, _rec, [operation, n, to, pop]) => {
		f.if(
			isEmpty(st, 0).or(isEmpty(st, n!)),
			() => stackFault(f, st, 0),
			() => f.call(core.fn("fpuOperate"), st, operation!, stackRegister(st, 0), stackRegister(st, n!)),
		);
		f.returnIf(call(core.fn("fpuCommit"), st, i32(0).when(to!.eqz(), n!)), STATUS.next);
		f.if(pop!, () => f.call(core.fn("fpuPop"), st));
	});

	registerHelper(core, "fpuRoot", [], (f, st) => {
		f.if(
			isEmpty(st, 0),
			() => stackFault(f, st, 0),
			() => f.call(core.fn("fpuRoot"), st, stackRegister(st, 0)),
		);
		f.drop(call(core.fn("fpuCommit"), st, 0));
	});
}

/** For an instruction that leaves C1 alone unless the stack is at fault; `body` does all of it. */
function keepC1(f: FunctionBuilder, st: Ex, body: () => void): void {
	const kept = f.let(F.fsw.of(st).and(FSW.c1));
	body();
	f.if(F.fpuRaised.of(st).and(FSW.stack).eqz(), () => F.fsw.set(f, st, F.fsw.of(st).or(kept)));
}

function setCondition(f: FunctionBuilder, st: Ex, code: Ex): void {
	F.fsw.set(f, st, F.fsw.of(st).and(~CONDITION).or(code));
}

function defineCompareHelpers(core: Core): void {
	const pops = (f: FunctionBuilder, st: Ex, count: Local): void => {
		f.while(count.ne(0), () => {
			f.call(core.fn("fpuPop"), st);
			f.set(count, count.sub(1));
		});
	};
	/** Leaves behind `set`, which gets the order, where an exception keeps the instruction from popping. */
	const compare = (
		f: FunctionBuilder,
		st: Ex,
		empty: Ex,
		b: Ex,
		quiet: Ex | number,
		set: (code: Local) => void,
		count?: Local,
	): void => {
		const code = f.local("i32", ORDER.unordered);
		f.if(
			empty,
			() => stackFault(f, st, 0),
			() => f.set(code, call(core.fn("fpuCompare"), st, stackRegister(st, 0), b, quiet)),
		);
		set(code);
		const blocked = f.let(call(core.fn("fpuFlag"), st));
		if (count) f.if(blocked.eqz(), () => pops(f, st, count));
	};

	memoryHelper(core, "fpuCompareMemory", ["i32", "i32", "i64"], (f, st, _rec, [count, kind, value]) => {
		f.if(isEmpty(st, 0).eqz(), () => f.call(core.fn("fpuConvert"), st, operandB(st), kind!, value!));
		compare(f, st, isEmpty(st, 0), operandB(st), 0, (code) => setCondition(f, st, code), count!);
	});

	registerHelper(core, "fpuCompare", ["i32", "i32", "i32"], (f, st, _rec, [n, quiet, count]) => {
		compare(
			f,
			st,
			isEmpty(st, 0).or(isEmpty(st, n!)),
			stackRegister(st, n!),
			quiet!,
			(code) => setCondition(f, st, code),
			count!,
		);
	});

	// FCOMI and the like: CF, PF and ZF are C0, C2 and C3; OF, SF and AF are cleared.
	registerHelper(core, "fpuCompareFlags", ["i32", "i32", "i32"], (f, st, _rec, [n, quiet, count]) => {
		const empty = isEmpty(st, 0).or(isEmpty(st, n!));
		const set = (code: Local): void => {
			f.store("i32", st, code.shrU(8).and(0x45), F.flagA.offset);
			F.flagKind.set(f, st, EXPLICIT_FLAGS);
		};
		keepC1(f, st, () => compare(f, st, empty, stackRegister(st, n!), quiet!, set, count!));
	});

	registerHelper(core, "fpuTest", [], (f, st) => {
		storeNumber(f, st, 0n, 0, F.fpuB.offset);
		compare(f, st, isEmpty(st, 0), operandB(st), 0, (code) => setCondition(f, st, code));
	});

	// FXAM: C1 is the sign, also of an empty register (SDM 1 table 8-7).
	registerHelper(core, "fpuExamine", [], (f, st) => {
		const a = partsOf(f, stackRegister(st, 0));
		const code = f.local("i32", FSW.c2);
		f.block((done) => {
			const is = (when: Ex, value: number): void => {
				f.if(when, () => {
					f.set(code, value);
					f.br(done);
				});
			};
			is(isEmpty(st, 0), FSW.c0 | FSW.c3);
			is(isUnsupported(a), 0);
			is(isNan(a), FSW.c0);
			is(a.exponent.eq(EXPONENT_MAX), FSW.c0 | FSW.c2);
			is(a.exponent.ne(0), FSW.c2);
			is(a.significand.eqz(), FSW.c3);
			f.set(code, FSW.c2 | FSW.c3);
		});
		F.fsw.set(
			f,
			st,
			F.fsw
				.of(st)
				.and(~(CONDITION | FSW.c1))
				.or(code)
				.or(a.sign.shl(9)),
		);
	});
}

function defineMoveHelpers(core: Core): void {
	/** ST(n) or the indefinite to the result. */
	const read = (f: FunctionBuilder, st: Ex, n: Ex | number): void =>
		f.if(
			isEmpty(st, n),
			() => stackFault(f, st, 0),
			() => copyNumber(f, st, stackRegister(st, n), F.fpuResult.offset),
		);

	registerHelper(core, "fpuLoadRegister", ["i32"], (f, st, _rec, [n]) => {
		read(f, st, n!);
		f.drop(call(core.fn("fpuPush"), st));
	});

	// FST and FSTP to ST(n); with `pop` 2 an empty register is only popped.
	registerHelper(core, "fpuStoreRegister", ["i32", "i32"], (f, st, _rec, [n, pop]) => {
		f.if(isEmpty(st, 0).and(pop!.eq(2)), () => {
			f.drop(call(core.fn("fpuFlag"), st));
			f.call(core.fn("fpuPop"), st);
			f.return(STATUS.next);
		});
		read(f, st, 0);
		f.returnIf(call(core.fn("fpuCommit"), st, n!), STATUS.next);
		f.if(pop!, () => f.call(core.fn("fpuPop"), st));
	});

	// An empty register takes part as the indefinite.
	registerHelper(core, "fpuExchange", ["i32"], (f, st, _rec, [n]) => {
		f.if(isEmpty(st, 0).or(isEmpty(st, n!)), () => {
			stackFault(f, st, 0);
			f.returnIf(call(core.fn("fpuFlag"), st), STATUS.next);
			for (const each of [i32(0), n!]) f.if(isEmpty(st, each), () => f.call(core.fn("fpuSet"), st, each));
			F.fpuRaised.set(f, st, 0);
		});
		const [top, other] = [f.let(stackRegister(st, 0)), f.let(stackRegister(st, n!))];
		const [significand, se] = [f.let(significandOf(top)), f.let(signExponentOf(top))];
		copyNumber(f, top, other);
		storeNumber(f, other, significand, se);
		f.drop(call(core.fn("fpuFlag"), st));
	});

	// FCHS and FABS: the sign becomes `sign and keep xor flip`. NaNs and unsupported numbers as any other.
	registerHelper(core, "fpuSign", ["i32", "i32"], (f, st, _rec, [keep, flip]) => {
		read(f, st, 0);
		f.if(F.fpuRaised.of(st).eqz(), () => {
			const at = F.fpuResult.offset;
			const se = f.let(signExponentOf(st, at));
			const sign = se.shrU(15).and(keep!).xor(flip!);
			result(f, st, significandOf(st, at), se.and(EXPONENT_MAX).or(sign.shl(15)));
		});
		f.drop(call(core.fn("fpuCommit"), st, 0));
	});

	registerHelper(core, "fpuMoveIf", ["i32", "i32"], (f, st, _rec, [condition, n]) => {
		f.if(
			isEmpty(st, 0).or(isEmpty(st, n!)),
			() => stackFault(f, st, 0),
			() => copyNumber(f, st, stackRegister(st, n!.mul(condition!)), F.fpuResult.offset),
		);
		keepC1(f, st, () => f.drop(call(core.fn("fpuCommit"), st, 0)));
	});

	// FNOP; FDECSTP and FINCSTP turn the stack by `turn`, without a look at the tags.
	registerHelper(core, "fpuTurn", ["i32"], (f, st, _rec, [turn]) => {
		F.ftop.set(f, st, F.ftop.of(st).add(turn!).and(7));
		f.if(turn!.ne(0), () => F.fsw.set(f, st, F.fsw.of(st).and(~FSW.c1)));
	});

	registerHelper(core, "fpuFree", ["i32", "i32"], (f, st, _rec, [n, pop]) => {
		f.drop(call(core.fn("fpuFlag"), st));
		F.ftags.set(f, st, F.ftags.of(st).and(i32(1).shl(F.ftop.of(st).add(n!).and(7)).not()));
		f.if(pop!, () => f.call(core.fn("fpuPop"), st));
	});
}

/**
 * FLD1, FLDL2T, FLDL2E, FLDPI, FLDLG2, FLDLN2, FLDZ: significand cut after 64 bits, exponent, and whether the next bits round to
 * nearest upwards (SDM 1 8.3.8). What is cut off is never 0 but for 1 and 0.
 */
const CONSTANTS: readonly { significand: bigint; exponent: number; up: boolean; exact?: boolean }[] = [
	{ significand: 0x8000000000000000n, exponent: BIAS, up: false, exact: true },
	{ significand: 0xd49a784bcd1b8afen, exponent: BIAS + 1, up: false },
	{ significand: 0xb8aa3b295c17f0bbn, exponent: BIAS, up: true },
	{ significand: 0xc90fdaa22168c234n, exponent: BIAS + 1, up: true },
	{ significand: 0x9a209a84fbcff798n, exponent: BIAS - 2, up: true },
	{ significand: 0xb17217f7d1cf79abn, exponent: BIAS - 1, up: true },
	{ significand: 0n, exponent: 0, up: false, exact: true },
];

function defineLoadHelpers(core: Core): void {
	// FLD and FILD of memory that was read already.
	memoryHelper(core, "fpuLoad", ["i32", "i64"], (f, st, _rec, [kind, value]) => {
		f.call(core.fn("fpuConvert"), st, st.add(F.fpuResult.offset), kind!, value!);
		const a = partsOf(f, st.add(F.fpuResult.offset));
		// That the operand was denormal does not keep it from being loaded.
		const denormal = f.let(F.fpuRaised.of(st));
		F.fpuRaised.set(f, st, 0);
		f.if(isNan(a), () => f.drop(call(core.fn("fpuNan"), st, st.add(F.fpuResult.offset), st.add(F.fpuResult.offset))));
		const blocked = call(core.fn("fpuPush"), st);
		f.returnIf(blocked.or(denormal.eqz()).or(F.fpuRaised.of(st).and(FSW.stack)), STATUS.next);
		F.fpuRaised.set(f, st, denormal);
		f.drop(call(core.fn("fpuFlag"), st));
	});

	const loadTen = (name: string, take: (f: FunctionBuilder, st: Local) => void): void => {
		core.define(`helper_${name}`, ["i32", "i32", "i64"], ["i32"], (f) => {
			const [st, rec, offset] = [f.param(0), f.param(1), f.param(2)];
			f.check(call(core.fn("loadAt"), st, rec, rec.load("i32_8u", REC.segment), offset, 10));
			clearRaised(f, st);
			f.call(core.fn("fpuNoteMemory"), st, rec, offset);
			take(f, st);
			f.drop(call(core.fn("fpuPush"), st));
			f.return(STATUS.next);
		});
	};
	loadTen("fpuLoadExtended", (f, st) => copyNumber(f, st, st, F.fpuResult.offset, F.data.offset));
	loadTen("fpuLoadDecimal", (f, st) => f.call(core.fn("fpuFromDecimal"), st, st.add(F.fpuResult.offset)));

	registerHelper(core, "fpuConstant", ["i32"], (f, st, _rec, [number]) => {
		const mode = f.let(roundingMode(st));
		const up = f.local("i32");
		f.switch(
			number!,
			CONSTANTS.map(({ significand, exponent, up: nearest, exact }) => () => {
				f.set(up, 0);
				if (!exact) f.set(up, nearest ? mode.eqz().or(mode.eq(ROUND.up)) : mode.eq(ROUND.up));
				result(f, st, i64(significand).add(up.extU()), i32(exponent));
			}),
		);
		f.drop(call(core.fn("fpuPush"), st));
	});
}

const FLOAT32_INDEFINITE = 0xffc00000n;
const FLOAT64_INDEFINITE = 0xfff8000000000000n;
/** Exceptions with which nothing is stored in memory (SDM 1 8.5.4). */
const NO_STORE = BEFORE | FSW.overflow | FSW.underflow;

function defineStoreHelpers(core: Core): void {
	/** Leaves, with what was raised put down, where that keeps the store from happening. */
	const leaveIfBlocked = (f: FunctionBuilder, st: Ex, rec: Ex, offset: Ex): void =>
		f.if(F.fpuRaised.of(st).and(F.fcw.of(st).not()).and(NO_STORE), () => {
			f.call(core.fn("fpuNoteMemory"), st, rec, offset);
			f.drop(call(core.fn("fpuFlag"), st));
			f.return(STATUS.next);
		});
	/** Behind the store: nothing has changed so far, so that it may be done again. */
	const finish = (f: FunctionBuilder, st: Ex, rec: Ex, offset: Ex, pop: Ex | number, stored: Ex): void => {
		const status = f.let(stored);
		f.returnIf(status.eq(STATUS.stopHere), STATUS.stopHere);
		f.call(core.fn("fpuNoteMemory"), st, rec, offset);
		f.drop(call(core.fn("fpuFlag"), st));
		f.if(typeof pop === "number" ? i32(pop) : pop, () => f.call(core.fn("fpuPop"), st));
		f.return(status);
	};

	// FST, FSTP, FIST, FISTP and FISTTP to memory.
	core.define("helper_fpuStore", ["i32", "i32", "i64", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, offset, kind, truncate, pop] = [0, 1, 2, 3, 4, 5].map((n) => f.param(n)) as [
			Local,
			Local,
			Local,
			Local,
			Local,
			Local,
		];
		clearRaised(f, st);
		const value = f.local("i64");
		const bytes = f.local("i32");
		const empty = f.let(isEmpty(st, 0));
		const from = f.let(stackRegister(st, 0));
		const float = (name: string, size: number, indefinite: bigint) => (): void => {
			f.set(bytes, size);
			f.set(value, indefinite);
			f.if(empty.eqz(), () => f.set(value, call(core.fn(name), st, from)));
		};
		const integer = (size: number) => (): void => {
			f.set(bytes, size);
			f.set(value, -(1n << BigInt(size * 8 - 1)));
			f.if(empty.eqz(), () => f.set(value, call(core.fn("fpuToInteger"), st, from, size * 8, truncate)));
		};
		f.switch(kind, [
			float("fpuToFloat32", 4, FLOAT32_INDEFINITE),
			float("fpuToFloat64", 8, FLOAT64_INDEFINITE),
			integer(2),
			integer(4),
			integer(8),
		]);
		f.if(empty, () => stackFault(f, st, 0));
		leaveIfBlocked(f, st, rec, offset);
		const segment = rec.load("i32_8u", REC.segment);
		finish(f, st, rec, offset, pop, call(core.fn("storeAt"), st, rec, segment, offset, bytes, value));
	});

	/** FSTP to 80 bits and FBSTP: `take` puts ten bytes into F.data. */
	const storeTen = (name: string, take: (f: FunctionBuilder, st: Local) => void): void => {
		core.define(`helper_${name}`, ["i32", "i32", "i64"], ["i32"], (f) => {
			const [st, rec, offset] = [f.param(0), f.param(1), f.param(2)];
			clearRaised(f, st);
			const empty = f.let(isEmpty(st, 0));
			f.if(empty, () => stackFault(f, st, 0));
			leaveIfBlocked(f, st, rec, offset);
			const linear = segmentLinear(core, f, st, rec.load("i32_8u", REC.segment), offset, 10, true);
			f.if(
				empty,
				() => {
					F.data.set(f, st, INDEFINITE.significand);
					f.store("i32_16", st, INDEFINITE.signExponent, F.data.offset + 8);
				},
				() => take(f, st),
			);
			leaveIfBlocked(f, st, rec, offset);
			finish(f, st, rec, offset, 1, call(core.fn("store"), st, rec, linear, 10, ACCESS.write));
		});
	};
	storeTen("fpuStoreExtended", (f, st) => copyNumber(f, st, stackRegister(st, 0), F.data.offset));
	storeTen("fpuStoreDecimal", (f, st) => f.call(core.fn("fpuToDecimal"), st, stackRegister(st, 0)));
}
