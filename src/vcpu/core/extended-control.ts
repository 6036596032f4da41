import { RAX, RCX, RDX, VECTOR } from "../../isa/registers.ts";
import { type Ex, i64 } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import { F, GPRS, STATUS } from "../layout.ts";
import { CR4, XCR0 } from "./control-bits.ts";
import type { Core } from "./core.ts";
import { hasFeature } from "./feature-bits.ts";
import { setPair } from "./time-stamp.ts";

/** XGETBV and XSETBV (SDM 2C). */
export function defineExtendedControl(core: Core): void {
	core.define("helper_xgetbv", ["i32", "i32"], ["i32"], (f) => {
		const st = f.param(0);
		undefinedUnlessOn(core, f, st);
		const number = f.let(st.load("i32", GPRS + RCX * 8));
		const known = number.eqz().or(number.eq(1).and(hasFeature(st, "xgetbv1")));
		f.returnIf(known.eqz(), call(core.fn("raise"), st, VECTOR.GP, 0));
		// Register 1 tells which of the components are in use.
		const used = call(core.fn("stateInUse"), st).extU();
		setPair(f, st, F.xcr0.of(st).and(i64(-1).when(number.eqz(), used)));
		f.return(STATUS.next);
	});

	core.define("helper_xsetbv", ["i32", "i32"], ["i32"], (f) => {
		const st = f.param(0);
		undefinedUnlessOn(core, f, st);
		const value = f.let(st.load("i64_32u", GPRS + RAX * 8).or(st.load("i64_32u", GPRS + RDX * 8).shl(32)));
		const low = f.let(value.wrap());
		const avxAlone = low.and(XCR0.avx | XCR0.sse).eq(XCR0.avx);
		const refused = F.cpl
			.of(st)
			.or(st.load("i32", GPRS + RCX * 8))
			.ne(0)
			.or(value.and(F.xcr0Bits.of(st).not()).ne(0n))
			.or(low.and(XCR0.x87).eqz())
			.or(avxAlone);
		f.returnIf(refused, call(core.fn("raise"), st, VECTOR.GP, 0));
		F.xcr0.set(f, st, value);
		// Decoded code depends on whether AVX is on.
		f.call(core.fn("updateMode"), st);
		f.return(STATUS.stopNext);
	});
}

function undefinedUnlessOn(core: Core, f: FunctionBuilder, st: Ex): void {
	f.returnIf(F.cr4.of(st).wrap().and(CR4.osxsave).eqz(), call(core.fn("raise"), st, VECTOR.UD, 0));
}
