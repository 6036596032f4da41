import { type Ex, i32, i64 } from "../../../wasm/expression.ts";
import { call } from "../../../wasm/function.ts";
import { F } from "../../layout.ts";
import { FSW } from "../control-bits.ts";
import type { Core } from "../core.ts";
import { EXPONENT_MAX, FCW, INTEGER_BIT, ROUND, raiseFlags, result, roundingMode, signBit, WRAP } from "./format.ts";

/** Rounding of exact results, or of what is exact but for a bit below that says "more", to registers. */
export function defineRounding(core: Core): void {
	/** `fpuRoundsUp(state, sign, odd, rest)` → 1 where a magnitude with `rest` (of 2^64) behind its last bit goes up. */
	core.define("fpuRoundsUp", ["i32", "i32", "i32", "i64"], ["i32"], (f) => {
		const [st, sign, odd, rest] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		f.returnIf(rest.eqz(), 0);
		const mode = f.let(roundingMode(st));
		f.returnIf(mode.eqz(), rest.gtU(INTEGER_BIT).or(rest.eq(INTEGER_BIT).and(odd)));
		f.returnIf(mode.eq(ROUND.down), sign);
		f.returnIf(mode.eq(ROUND.up), sign.eqz());
		f.return(0);
	});

	/** `shiftSticky(high, low, count)` → the low half of high:low shifted right by 0 < count, with a 1 for bits that fall out. */
	core.define("shiftSticky", ["i64", "i64", "i32"], ["i64"], (f) => {
		const [high, low, count] = [f.param(0), f.param(1), f.param(2)];
		const n = f.let(count.extU());
		f.if(count.ltU(64), () => {
			const back = f.let(i64(64).sub(n));
			const out = low.shl(back).ne(0n).extU();
			f.return(low.shrU(n).or(high.shl(back)).or(out));
		});
		f.returnIf(count.eq(64), high.or(low.ne(0n).extU()));
		f.returnIf(count.gtU(127), high.or(low).ne(0n).extU());
		const rest = high.shl(i64(128).sub(n)).or(low).ne(0n).extU();
		f.return(high.shrU(n.sub(64n)).or(rest));
	});

	/**
	 * `fpuRoundTo(state, sign, exponent, high, low, drop)`: the result is high:low, its integer bit set, times
	 * 2^(exponent - 16383 - 127), rounded as the control word says to 64 bits less `drop`; `exponent` may be anything. Raises
	 * overflow, underflow and precision (SDM 1 8.5.4–8.5.6).
	 */
	core.define("fpuRoundTo", ["i32", "i32", "i32", "i64", "i64", "i64"], [], (f) => {
		const [st, sign, exponent, high, low] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		const drop = f.param(5);
		const up = f.local("i32");
		const rest = f.local("i64");
		const kept = f.local("i64");
		const round = (): void => {
			f.set(kept, high.shrU(drop));
			f.set(rest, low);
			f.if(drop.ne(0n), () => f.set(rest, high.shl(i64(64).sub(drop)).or(low.ne(0n).extU())));
			f.set(up, call(core.fn("fpuRoundsUp"), st, sign, kept.wrap().and(1), rest));
			f.set(kept, kept.add(up.extU()).shl(drop));
		};
		/** The integer bit went up and out. */
		const carried = (): Ex => up.and(kept.eqz());

		round();
		f.if(exponent.sub(1).geU(EXPONENT_MAX - 2), () => {
			const tooBig = f.let(exponent.add(carried()).geS(EXPONENT_MAX));
			f.if(tooBig, () => {
				raiseFlags(f, st, FSW.overflow);
				f.if(
					F.fcw.of(st).and(FSW.overflow).ne(0),
					() => {
						const mode = f.let(roundingMode(st));
						const infinite = f.let(mode.eqz().or(mode.eq(i32(ROUND.down).when(sign, ROUND.up))));
						raiseFlags(f, st, FSW.precision);
						F.fpuUp.set(f, st, infinite);
						const largest = i64(-1).shl(drop);
						result(
							f,
							st,
							i64(INTEGER_BIT).when(infinite, largest),
							signBit(sign).or(i32(EXPONENT_MAX).sub(infinite.eqz())),
						);
						f.return();
					},
					() => f.set(exponent, exponent.sub(WRAP)),
				);
			});
			f.if(exponent.leS(0), () => {
				const tiny = f.let(exponent.add(carried()).leS(0));
				f.block((bounded) => {
					f.brIf(bounded, tiny.and(F.fcw.of(st).and(FSW.underflow).eqz()));
					// Denormal: the exponent stays at its lowest and the significand moves.
					const count = f.let(i32(1).sub(exponent));
					const all = f.let(high);
					f.set(low, call(core.fn("shiftSticky"), all, low, count));
					f.set(high, 0n);
					f.if(count.ltU(64), () => f.set(high, all.shrU(count.extU())));
					round();
					f.if(rest.ne(0n), () => {
						raiseFlags(f, st, i32(FSW.underflow).when(tiny, 0).or(FSW.precision));
						F.fpuUp.set(f, st, up);
					});
					result(f, st, kept, signBit(sign).or(kept.ltS(0n)));
					f.return();
				});
				raiseFlags(f, st, FSW.underflow);
				f.set(exponent, exponent.add(WRAP));
			});
		});
		f.if(carried(), () => {
			f.set(kept, INTEGER_BIT);
			f.set(exponent, exponent.add(1));
		});
		f.if(rest.ne(0n), () => {
			raiseFlags(f, st, FSW.precision);
			F.fpuUp.set(f, st, up);
		});
		result(f, st, kept, signBit(sign).or(exponent));
	});

	/** `fpuRound`: to the precision that the control word gives to addition, multiplication, division and square root. */
	core.define("fpuRound", ["i32", "i32", "i32", "i64", "i64"], [], (f) => {
		const [st, sign, exponent, high, low] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		// 24, 53 or 64 bits.
		const control = f.let(F.fcw.of(st).shrU(FCW.precisionShift).and(3));
		const drop = i64(40).when(control.eqz(), i64(11).when(control.eq(2), 0n));
		f.call(core.fn("fpuRoundTo"), st, sign, exponent, high, low, drop);
	});

	/** `fpuRoundAny`: the same for any high:low but 0. */
	core.define("fpuRoundAny", ["i32", "i32", "i32", "i64", "i64"], [], (f) => {
		const [st, sign, exponent, high, low] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
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
		f.call(core.fn("fpuRound"), st, sign, exponent, high, low);
	});
}
