import { R11, RCX, RDX, RSP, SEGMENT, VECTOR } from "../../isa/registers.ts";
import { type Ex, i32, i64 } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import { ATTR, F, GPRS, PENDING, STATUS } from "../layout.ts";
import { MSR, msrField } from "../msr.ts";
import { CR0, DR6, EFER, EFLAGS } from "./control-bits.ts";
import type { Core } from "./core.ts";
import { hasFeature } from "./feature-bits.ts";
import { is64Bit, isCanonical, isLongMode } from "./mode.ts";

const FLAT = ATTR.s | ATTR.present | ATTR.granular | ATTR.accessed | ATTR.writable;
const STACK = FLAT | ATTR.big;
const CODE32 = FLAT | ATTR.code | ATTR.big;
const CODE64 = FLAT | ATTR.code | ATTR.long;
const USER = 3 << ATTR.dplShift;
const RPL_USER = 3;

/** What SYSRET takes from R11 (SDM 2B SYSRET). */
const SYSRET_FLAGS = 0x3c7fd7;

/**
 * SYSCALL, SYSRET, SYSENTER and SYSEXIT: flat segments without a look at the descriptor table (SDM 2B). Where the processor is
 * AMD's, the first two exist in all of protected mode, the others not in long mode (AMD's manual, volume 3).
 */
export function defineFastCall(core: Core): void {
	defineEnter(core);
	defineSysenter(core);

	core.define("helper_syscall", ["i32", "i32"], ["i32"], (f) => {
		const [st, rec] = [f.param(0), f.param(1)];
		undefinedUnlessOn(core, f, st);
		const star = msrField(MSR.star).of(st);
		const selector = f.let(star.shrU(32).wrap().and(0xfffc));
		const returnAddress = call(core.fn("nextIp"), st, rec);
		f.store("i64", st, returnAddress, GPRS + RCX * 8);
		f.if(isLongMode(st).eqz(), () => {
			// AMD's, outside long mode: STAR has the target, and the program's flags are not kept.
			clearFlags(f, st, EFLAGS.if | EFLAGS.rf);
			F.trapOff.set(f, st, F.eflags.of(st).and(EFLAGS.tf).eqz());
			f.call(core.fn("enterFlat"), st, selector, CODE32, selector.add(8), 0, star.and(0xffffffffn));
			f.return(STATUS.branch);
		});
		const flags = f.let(call(core.fn("readFlags"), st).and(~EFLAGS.rf));
		f.store("i64", st, flags.extU(), GPRS + R11 * 8);
		f.call(core.fn("writeFlags"), st, flags.and(msrField(MSR.syscallMask).of(st).wrap().not()));
		// A trap behind it is the new flags' business (SDM 3A 17.3.1.4 says nothing; processors keep a masked one away).
		F.trapOff.set(f, st, F.eflags.of(st).and(EFLAGS.tf).eqz());
		const target = msrField(MSR.lstar).of(st).when(is64Bit(st), msrField(MSR.cstar).of(st));
		f.call(core.fn("enterFlat"), st, selector, CODE64, selector.add(8), 0, target);
		f.return(STATUS.branch);
	});

	core.define("helper_sysret", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, wide] = [f.param(0), f.param(2).eq(8)];
		undefinedUnlessOn(core, f, st);
		// AMD's processors find an address that is not canonical at privilege level 3.
		const impossible = wide.and(isCanonical(st, gpr(st, RCX)).or(hasFeature(st, "amd")).eqz());
		f.returnIf(F.cpl.of(st).ne(0).or(impossible), call(core.fn("raise"), st, VECTOR.GP, 0));
		const stepped = f.let(F.eflags.of(st).and(EFLAGS.tf));
		f.if(
			isLongMode(st),
			() => {
				const flags = gpr(st, R11).wrap().and(SYSRET_FLAGS).or(EFLAGS.fixed);
				f.call(core.fn("writeFlags"), st, flags);
			},
			() => F.eflags.set(f, st, F.eflags.of(st).and(~EFLAGS.rf).or(EFLAGS.if)),
		);
		const traps = f.let(F.eflags.of(st).and(EFLAGS.tf));
		// The trap that its TF asks for comes behind it at once, as if behind the program's SYSCALL.
		F.trapOff.set(f, st, traps.eqz());
		f.if(traps.ne(0).and(stepped.eqz()), () => {
			F.faultDr6.set(f, st, F.faultDr6.of(st).or(DR6.bs));
			F.pending.set(f, st, F.pending.of(st).or(PENDING.debug));
		});
		const base = f.let(msrField(MSR.star).of(st).shrU(48).wrap());
		const code = base.add(wide.mul(16)).or(RPL_USER);
		const ip = gpr(st, RCX).when(wide, gpr(st, RCX).and(0xffffffffn));
		f.call(core.fn("enterFlat"), st, code, i32(CODE64).when(wide, CODE32), base.add(8).or(RPL_USER), 3, ip);
		f.return(STATUS.branch);
	});
}

/** #UD without EFER.SCE, outside 64-bit mode on Intel's processors, outside protected mode on AMD's. */
function undefinedUnlessOn(core: Core, f: FunctionBuilder, st: Ex): void {
	const protectedMode = F.cr0.of(st).wrap().and(CR0.pe).ne(0).and(F.eflags.of(st).and(EFLAGS.vm).eqz());
	const mode = is64Bit(st).or(hasFeature(st, "amd").and(protectedMode));
	const on = mode.and(F.efer.of(st).wrap().and(EFER.sce).ne(0));
	f.returnIf(on.eqz(), call(core.fn("raise"), st, VECTOR.UD, 0));
}

/** #UD in long mode on AMD's processors, for SYSENTER and SYSEXIT. */
function undefinedOnAmd(core: Core, f: FunctionBuilder, st: Ex): void {
	f.returnIf(hasFeature(st, "amd").and(isLongMode(st)), call(core.fn("raise"), st, VECTOR.UD, 0));
}

function clearFlags(f: FunctionBuilder, st: Ex, bits: number): void {
	F.eflags.set(f, st, F.eflags.of(st).and(~bits));
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
		undefinedOnAmd(core, f, st);
		const selector = f.let(checkedSelector(core, f, st));
		const long = f.let(isLongMode(st));
		const whole = f.let(i64(-1).when(long, 0xffffffffn));
		const virtual = f.let(F.eflags.of(st).and(EFLAGS.vm).ne(0));
		clearFlags(f, st, EFLAGS.vm | EFLAGS.if | EFLAGS.rf);
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
		undefinedOnAmd(core, f, st);
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
