import { VECTOR } from "../../isa/registers.ts";
import { type Ex, i32 } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import { F, GPRS, STATUS } from "../layout.ts";
import { CR4, DR6, DR7 } from "./control-bits.ts";
import type { Core } from "./core.ts";

/** DR6: bits 0–3 and 13–15 exist; bits 4–11 and 16–31 read as 1 (SDM 3B 17.2.3). */
const DR6_WRITABLE = 0xf | DR6.bd | DR6.bs | DR6.bt;
const DR6_FIXED = 0xffff0ff0;
/** DR7: all but bits 10 (1), 11, 12, 14 and 15 (0). */
const DR7_WRITABLE = 0xffff03ff | DR7.gd;

/** MOV to and from the debug registers. */
export function defineDebugRegisters(core: Core): void {
	core.define("helper_readDebug", ["i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, register] = [f.param(0), f.param(3)];
		const number = f.let(checkedNumber(core, f, st, f.param(2)));
		f.store("i64", st.add(register.shl(3)), st.add(number.shl(3)).load("i64", F.dr.offset), GPRS);
		f.return(STATUS.next);
	});

	core.define("helper_writeDebug", ["i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, register] = [f.param(0), f.param(3)];
		const number = f.let(checkedNumber(core, f, st, f.param(2)));
		const value = f.let(st.add(register.shl(3)).load("i64", GPRS).and(F.linearMask.of(st)));
		f.if(number.geU(6), () => {
			f.if(value.shrU(32).ne(0n), () => f.return(call(core.fn("raise"), st, VECTOR.GP, 0)));
			const status = value.wrap().and(DR6_WRITABLE).or(DR6_FIXED);
			const control = value.wrap().and(DR7_WRITABLE).or(DR7.fixed);
			f.set(value, status.when(number.eq(6), control).extU());
		});
		f.store("i64", st.add(number.shl(3)), value, F.dr.offset);
		f.if(number.eq(7), () => {
			// With breakpoints enabled no access may pass by the check through a TLB.
			f.call(core.fn("updateMode"), st);
			f.call(core.fn("flushTlb"), st, 0);
		});
		f.return(STATUS.stopNext);
	});
}

/**
 * The register's number, 6 and 7 for their aliases 4 and 5. With CR4.DE those are #UD; with DR7.GD every access is a
 * #DB with DR6.BD (SDM 3B 17.2.2 and 17.2.4).
 */
function checkedNumber(core: Core, f: FunctionBuilder, st: Ex, number: Ex): Ex {
	const alias = number.eq(4).or(number.eq(5));
	f.if(alias.and(F.cr4.of(st).wrap().and(CR4.de).ne(0)), () => {
		f.return(call(core.fn("raise"), st, VECTOR.UD, 0));
	});
	f.if(
		F.dr
			.of(st, 7 * 8)
			.wrap()
			.and(DR7.gd)
			.ne(0),
		() => {
			F.faultDr6.set(f, st, F.faultDr6.of(st).or(DR6.bd));
			f.return(call(core.fn("raise"), st, VECTOR.DB, 0));
		},
	);
	return number.add(i32(2).mul(alias));
}
