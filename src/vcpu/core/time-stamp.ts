import { RAX, RCX, RDX, VECTOR } from "../../isa/registers.ts";
import type { Ex } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import { F, GPRS, REC_SIZE, STATUS } from "../layout.ts";
import { MSR, msrField } from "../msr.ts";
import { CR4 } from "./control-bits.ts";
import type { Core } from "./core.ts";

/** Writes EDX:EAX; the upper halves of both registers become 0. */
export function setPair(f: FunctionBuilder, st: Ex, value: Ex): void {
	f.store("i64", st, value.and(0xffffffffn), GPRS + RAX * 8);
	f.store("i64", st, value.shrU(32), GPRS + RDX * 8);
}

/** The time-stamp counter, which counts retired instructions, and the performance counters. */
export function defineTimeStamp(core: Core): void {
	/** `retired(state, rec)` → i64: instructions retired before the one of record `rec`. */
	core.define("retired", ["i32", "i32"], ["i64"], (f) => {
		const [st, rec] = [f.param(0), f.param(1)];
		// The whole block is charged before its first instruction runs.
		const index = rec.sub(F.blockFirst.of(st)).divU(REC_SIZE);
		const notRun = F.blockCount.of(st).sub(index);
		f.return(F.deadline.of(st).sub(F.budget.of(st).add(notRun).extS()));
	});

	core.define("helper_rdtsc", ["i32", "i32"], ["i32"], (f) => {
		const [st, rec] = [f.param(0), f.param(1)];
		privileged(core, f, st, F.cr4.of(st).wrap().and(CR4.tsd).ne(0));
		setPair(f, st, f.let(call(core.fn("retired"), st, rec).add(F.tscOffset.of(st))));
		f.return(STATUS.next);
	});

	core.define("helper_rdtscp", ["i32", "i32"], ["i32"], (f) => {
		const [st, rec] = [f.param(0), f.param(1)];
		f.check(call(core.fn("helper_rdtsc"), st, rec));
		f.store("i64", st, msrField(MSR.tscAux).of(st), GPRS + RCX * 8);
		f.return(STATUS.next);
	});

	core.define("helper_rdpid", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, register] = [f.param(0), f.param(2)];
		f.store("i64", st.add(register.shl(3)), msrField(MSR.tscAux).of(st), GPRS);
		f.return(STATUS.next);
	});

	core.define("helper_rdpmc", ["i32", "i32"], ["i32"], (f) => {
		const st = f.param(0);
		privileged(core, f, st, F.cr4.of(st).wrap().and(CR4.pce).eqz());
		const counter = f.let(st.load("i32", GPRS + RCX * 8));
		f.if(counter.gtU(1), () => f.return(call(core.fn("raise"), st, VECTOR.GP, 0)));
		const value = msrField(MSR.perfCounter1).of(st).when(counter, msrField(MSR.perfCounter0).of(st));
		setPair(f, st, f.let(value.and(0xffffffffffn)));
		f.return(STATUS.next);
	});
}

/** #GP(0) above CPL 0 where `restricted`. */
function privileged(core: Core, f: FunctionBuilder, st: Ex, restricted: Ex): void {
	f.if(restricted.and(F.cpl.of(st).ne(0)), () => f.return(call(core.fn("raise"), st, VECTOR.GP, 0)));
}
