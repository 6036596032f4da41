import { VECTOR } from "../../../isa/registers.ts";
import { type Ex, i32 } from "../../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../../wasm/function.ts";
import { F } from "../../layout.ts";
import { CR4 } from "../control-bits.ts";
import type { Core } from "../core.ts";
import { MXCSR } from "./format.ts";

/** Those of the flags raised by the instruction in hand that MXCSR does not mask. */
export function floatUnmasked(st: Ex): Ex {
	return F.floatRaised.of(st).and(F.mxcsr.of(st).shrU(MXCSR.maskShift).not());
}

/** The flags that were raised go to MXCSR. */
export function commitFloatFlags(f: FunctionBuilder, st: Ex): void {
	F.mxcsr.set(f, st, F.mxcsr.of(st).or(F.floatRaised.of(st)));
}

/**
 * `floatFault(state)` → stopHere: an unmasked exception. Its flags are set, without those of rounding where an operand was
 * at fault (SDM 1 11.5.2, 11.5.3.3); it is #XM, or #UD for systems that do not know that one (SDM 3A 2.5).
 * `float_endStep(state)` → {@link floatUnmasked}; where that is 0, the flags of the step are part of MXCSR from now on.
 */
export function defineFloatExceptions(core: Core): void {
	core.define("float_endStep", ["i32"], ["i32"], (f) => {
		const st = f.param(0);
		const unmasked = f.let(floatUnmasked(st));
		f.returnIf(unmasked, unmasked);
		commitFloatFlags(f, st);
		F.floatRaised.set(f, st, 0);
		f.return(0);
	});
	core.define("floatFault", ["i32"], ["i32"], (f) => {
		const st = f.param(0);
		const early = MXCSR.ie | MXCSR.de | MXCSR.ze;
		const raised = f.let(F.floatRaised.of(st));
		f.if(floatUnmasked(st).and(early), () => f.set(raised, raised.and(early)));
		F.mxcsr.set(f, st, F.mxcsr.of(st).or(raised));
		const known = F.cr4.of(st).wrap().and(CR4.osxmmexcpt);
		f.return(call(core.fn("raise"), st, i32(VECTOR.XM).when(known, VECTOR.UD), 0));
	});
}
