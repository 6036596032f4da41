import { RAX, RDX, VECTOR } from "../../isa/registers.ts";
import { type Ex, i64, type Local } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import { GPRS, STATUS } from "../layout.ts";
import type { Core } from "./core.ts";

const HALF = 0xffffffffn;
const BASE = 1n << 32n;

/** DIV and IDIV of 128 bits by 64. */
export function defineDivide(core: Core): void {
	defineQuotient(core);

	/** `helper_divide(state, rec, divisor, signed)`: RDX:RAX by `divisor`; quotient in RAX, remainder in RDX (SDM 2A DIV, IDIV). */
	core.define("helper_divide", ["i32", "i32", "i64", "i32"], ["i32"], (f) => {
		const [st, divisor, signed] = [f.param(0), f.param(2), f.param(3)];
		const [low, high] = [f.let(st.load("i64", GPRS + RAX * 8)), f.let(st.load("i64", GPRS + RDX * 8))];
		const [negative, opposite] = [f.local("i32", 0), f.local("i32", 0)];
		f.if(signed, () => {
			f.set(negative, high.ltS(0n));
			f.set(opposite, high.xor(divisor).ltS(0n));
			f.if(negative, () => {
				f.set(high, i64(0).sub(high).sub(low.ne(0n).extU()));
				f.set(low, low.neg());
			});
			f.if(divisor.ltS(0n), () => f.set(divisor, divisor.neg()));
		});
		const error = (): void => f.return(call(core.fn("raise"), st, VECTOR.DE, 0));
		// An upper half not below the divisor means a quotient too large, and includes division by 0.
		f.if(divisor.leU(high), error);
		const quotient = f.local("i64");
		f.if(
			high.eqz(),
			() => f.set(quotient, low.divU(divisor)),
			() => f.set(quotient, call(core.fn("quotient"), low, high, divisor)),
		);
		const remainder = f.let(low.sub(quotient.mul(divisor)));
		f.if(signed, () => {
			// The largest magnitude: 2^63 of a negative quotient, one less of a positive one.
			f.if(quotient.gtU(i64((1n << 63n) - 1n).add(opposite.extU())), error);
			f.if(opposite, () => f.set(quotient, quotient.neg()));
			f.if(negative, () => f.set(remainder, remainder.neg()));
		});
		f.store("i64", st, quotient, GPRS + RAX * 8);
		f.store("i64", st, remainder, GPRS + RDX * 8);
		f.return(STATUS.next);
	});
}

/**
 * `quotient(low, high, divisor)` → i64, where high < divisor: long division by two digits of 32 bits, with the divisor
 * shifted so that its upper digit is at least half of the base and each guess is at most 2 too large (Knuth 4.3.1 D).
 */
function defineQuotient(core: Core): void {
	core.define("quotient", ["i64", "i64", "i64"], ["i64"], (f) => {
		const [low, high, divisor] = [f.param(0), f.param(1), f.param(2)];
		const shift = f.let(divisor.clz());
		f.set(divisor, divisor.shl(shift));
		// By 64 nothing must arrive: in two steps each count stays below the width.
		f.set(high, high.shl(shift).or(low.shrU(1).shrU(i64(63).sub(shift))));
		f.set(low, low.shl(shift));
		const upper = digit(f, high, low.shrU(32), divisor);
		const rest = f.let(high.shl(32).or(low.shrU(32)).sub(upper.mul(divisor)));
		const lower = digit(f, rest, low.and(HALF), divisor);
		f.return(upper.shl(32).add(lower));
	});
}

/** One digit of the quotient of `rest` and the `next` 32 bits, where rest < divisor. */
function digit(f: FunctionBuilder, rest: Local, next: Ex, divisor: Local): Local {
	const [d1, d0] = [f.let(divisor.shrU(32)), f.let(divisor.and(HALF))];
	const following = f.let(next);
	const guess = f.let(rest.divU(d1));
	const over = f.let(rest.sub(guess.mul(d1)));
	f.while(guess.geU(BASE).or(guess.mul(d0).gtU(over.shl(32).or(following))), (exit) => {
		f.set(guess, guess.sub(1n));
		f.set(over, over.add(d1));
		f.brIf(exit, over.geU(BASE));
	});
	return guess;
}
