import { R11, RCX, RDX, RSP, SEGMENT, VECTOR } from "../../isa/registers.ts";
import { type Ex, i32, i64 } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import { ATTR, F, GPRS, PENDING, STATUS } from "../layout.ts";
import { MSR, msrField } from "../msr.ts";
import { CR0, DR6, EFER, EFLAGS } from "./control-bits.ts";
import type { Core } from "./core.ts";
import { is64Bit, isCanonical, isLongMode } from "./mode.ts";

const FLAT = ATTR.s | ATTR.present | ATTR.granular | ATTR.accessed | ATTR.writable;
const STACK = FLAT | ATTR.big;
const CODE32 = FLAT | ATTR.code | ATTR.big;
const CODE64 = FLAT | ATTR.code | ATTR.long;
const USER = 3 << ATTR.dplShift;
const RPL_USER = 3;

/** What SYSRET takes from R11 (SDM 2B SYSRET). */
const SYSRET_FLAGS = 0x3c7fd7;

/** SYSCALL, SYSRET, SYSENTER and SYSEXIT: flat segments without a look at the descriptor table (SDM 2B). */
export function defineFastCall(core: Core): void {
	defineEnter(core);
	defineSysenter(core);

	core.define("helper_syscall", ["i32", "i32"], ["i32"], (f) => {
		const [st, rec] = [f.param(0), f.param(1)];
		undefinedUnlessOn(core, f, st);
		const flags = f.let(call(core.fn("readFlags"), st).and(~EFLAGS.rf));
		f.store("i64", st, call(core.fn("nextIp"), st, rec), GPRS + RCX * 8);
		f.store("i64", st, flags.extU(), GPRS + R11 * 8);
		f.call(core.fn("writeFlags"), st, flags.and(msrField(MSR.syscallMask).of(st).wrap().not()));
		// A trap behind it is the new flags' business (SDM 3A 17.3.1.4 says nothing; processors keep a masked one away).
		F.trapOff.set(f, st, F.eflags.of(st).and(EFLAGS.tf).eqz());
		const selector = msrField(MSR.star).of(st).shrU(32).wrap().and(0xfffc);
		f.call(core.fn("enterFlat"), st, selector, CODE64, selector.add(8), 0, msrField(MSR.lstar).of(st));
		f.return(STATUS.branch);
	});

	core.define("helper_sysret", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, wide] = [f.param(0), f.param(2).eq(8)];
		undefinedUnlessOn(core, f, st);
		const gpr = (n: number): Ex => st.load("i64", GPRS + n * 8);
		const refused = F.cpl
			.of(st)
			.ne(0)
			.or(wide.and(isCanonical(st, gpr(RCX)).eqz()));
		f.returnIf(refused, call(core.fn("raise"), st, VECTOR.GP, 0));
		const flags = f.let(gpr(R11).wrap().and(SYSRET_FLAGS).or(EFLAGS.fixed));
		const stepped = f.let(F.eflags.of(st).and(EFLAGS.tf));
		f.call(core.fn("writeFlags"), st, flags);
		// The trap that its TF asks for comes behind it at once, as if behind the program's SYSCALL.
		F.trapOff.set(f, st, flags.and(EFLAGS.tf).eqz());
		f.if(flags.and(EFLAGS.tf).ne(0).and(stepped.eqz()), () => {
			F.faultDr6.set(f, st, F.faultDr6.of(st).or(DR6.bs));
			F.pending.set(f, st, F.pending.of(st).or(PENDING.debug));
		});
		const base = f.let(msrField(MSR.star).of(st).shrU(48).wrap());
		const code = base.add(wide.mul(16)).or(RPL_USER);
		const ip = gpr(RCX).when(wide, gpr(RCX).and(0xffffffffn));
		f.call(core.fn("enterFlat"), st, code, i32(CODE64).when(wide, CODE32), base.add(8).or(RPL_USER), 3, ip);
		f.return(STATUS.branch);
	});
}

/** #UD outside 64-bit mode and without EFER.SCE. */
function undefinedUnlessOn(core: Core, f: FunctionBuilder, st: Ex): void {
	const on = is64Bit(st).and(F.efer.of(st).wrap().and(EFER.sce).ne(0));
	f.returnIf(on.eqz(), call(core.fn("raise"), st, VECTOR.UD, 0));
}

function defineEnter(core: Core): void {
	/** `enterFlat(state, cs, code attributes, ss, cpl, ip)`: flat segments for code and stack at a privilege level. */
	core.define("enterFlat", ["i32", "i32", "i32", "i32", "i32", "i64"], [], (f) => {
		const [st, cs, code, ss, cpl] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		const rights = f.let(i32(USER).when(cpl, 0));
		const limit = i64(0xffffffffn);
		F.rip.set(f, st, f.param(5));
		F.cpl.set(f, st, cpl);
		f.call(core.fn("setSegment"), st, SEGMENT.cs, cs.and(0xffff), 0, limit, code.or(rights));
		f.call(core.fn("setSegment"), st, SEGMENT.ss, ss.and(0xffff), 0, limit, rights.or(STACK));
		f.call(core.fn("updateMode"), st);
	});
}

function defineSysenter(core: Core): void {
	core.define("helper_sysenter", ["i32", "i32"], ["i32"], (f) => {
		const st = f.param(0);
		const selector = f.let(checkedSelector(core, f, st));
		const long = f.let(isLongMode(st));
		const whole = f.let(i64(-1).when(long, 0xffffffffn));
		const virtual = f.let(F.eflags.of(st).and(EFLAGS.vm).ne(0));
		F.eflags.set(f, st, F.eflags.of(st).and(~(EFLAGS.vm | EFLAGS.if | EFLAGS.rf)));
		f.store("i64", st, msrField(MSR.sysenterEsp).of(st).and(whole), GPRS + RSP * 8);
		const ip = msrField(MSR.sysenterEip).of(st).and(whole);
		f.call(core.fn("enterFlat"), st, selector, i32(CODE64).when(long, CODE32), selector.add(8), 0, ip);
		// The other segments were those of virtual-8086 mode.
		f.if(virtual, () => {
			f.call(core.fn("updateSegments"), st);
			f.call(core.fn("updateMode"), st);
		});
		f.return(STATUS.branch);
	});

	core.define("helper_sysexit", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, wide] = [f.param(0), f.param(2).eq(8)];
		const selector = f.let(checkedSelector(core, f, st));
		const whole = i64(-1).when(wide, 0xffffffffn);
		const [ip, sp] = [f.let(gpr(st, RDX).and(whole)), f.let(gpr(st, RCX).and(whole))];
		const valid = isCanonical(st, ip).and(isCanonical(st, sp));
		f.returnIf(valid.eqz(), call(core.fn("raise"), st, VECTOR.GP, 0));
		f.store("i64", st, sp, GPRS + RSP * 8);
		const code = selector.add(i32(32).when(wide, 16)).or(RPL_USER);
		const stack = selector.add(i32(40).when(wide, 24)).or(RPL_USER);
		f.call(core.fn("enterFlat"), st, code, i32(CODE64).when(wide, CODE32), stack, 3, ip);
		f.return(STATUS.branch);
	});
}

function gpr(st: Ex, n: number): Ex {
	return st.load("i64", GPRS + n * 8);
}

/** The selector of IA32_SYSENTER_CS; #GP(0) in real mode or where it is null. */
function checkedSelector(core: Core, f: FunctionBuilder, st: Ex): Ex {
	const selector = f.let(msrField(MSR.sysenterCs).of(st).wrap().and(0xfffc));
	f.if(F.cr0.of(st).wrap().and(CR0.pe).eqz().or(selector.eqz()), () => {
		f.return(call(core.fn("raise"), st, VECTOR.GP, 0));
	});
	return selector;
}
