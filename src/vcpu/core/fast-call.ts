import { RCX, RDX, RSP, SEGMENT, VECTOR } from "../../isa/registers.ts";
import { type Ex, i64 } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import { ATTR, F, GPRS, STATUS } from "../layout.ts";
import { MSR, msrField } from "../msr.ts";
import { CR0, EFLAGS } from "./control-bits.ts";
import type { Core } from "./core.ts";

const FLAT = ATTR.s | ATTR.present | ATTR.big | ATTR.granular | ATTR.accessed | ATTR.writable;
const CODE = FLAT | ATTR.code;
const USER = 3 << ATTR.dplShift;

/** SYSENTER and SYSEXIT: flat 4 GiB segments without a look at the descriptor table (SDM 2B). */
export function defineFastCall(core: Core): void {
	core.define("helper_sysenter", ["i32", "i32"], ["i32"], (f) => {
		const st = f.param(0);
		const selector = f.let(checkedSelector(core, f, st));
		F.eflags.set(f, st, F.eflags.of(st).and(~(EFLAGS.vm | EFLAGS.if | EFLAGS.rf)));
		enter(core, f, st, selector, selector.add(8), 0, {
			ip: msrField(MSR.sysenterEip).of(st).and(0xffffffffn),
			sp: msrField(MSR.sysenterEsp).of(st).and(0xffffffffn),
		});
	});

	core.define("helper_sysexit", ["i32", "i32"], ["i32"], (f) => {
		const st = f.param(0);
		const selector = f.let(checkedSelector(core, f, st));
		enter(core, f, st, selector.add(16).or(3), selector.add(24).or(3), 3, {
			ip: f.let(st.load("i64_32u", GPRS + RDX * 8)),
			sp: f.let(st.load("i64_32u", GPRS + RCX * 8)),
		});
	});
}

/** The selector of IA32_SYSENTER_CS; #GP(0) in real mode or where it is null. */
function checkedSelector(core: Core, f: FunctionBuilder, st: Ex): Ex {
	const selector = f.let(msrField(MSR.sysenterCs).of(st).wrap().and(0xfffc));
	f.if(F.cr0.of(st).wrap().and(CR0.pe).eqz().or(selector.eqz()), () => {
		f.return(call(core.fn("raise"), st, VECTOR.GP, 0));
	});
	return selector;
}

function enter(
	core: Core,
	f: FunctionBuilder,
	st: Ex,
	cs: Ex,
	ss: Ex,
	cpl: 0 | 3,
	{ ip, sp }: { readonly ip: Ex; readonly sp: Ex },
): void {
	const rights = cpl === 3 ? USER : 0;
	const limit = i64(0xffffffffn);
	F.cpl.set(f, st, cpl);
	f.call(core.fn("setSegment"), st, SEGMENT.cs, cs.and(0xffff), 0, limit, CODE | rights);
	f.call(core.fn("setSegment"), st, SEGMENT.ss, ss.and(0xffff), 0, limit, FLAT | rights);
	f.store("i64", st, sp, GPRS + RSP * 8);
	F.rip.set(f, st, ip);
	// The other segments may have been those of virtual-8086 mode.
	f.call(core.fn("updateSegments"), st);
	f.call(core.fn("updateMode"), st);
	f.return(STATUS.branch);
}
