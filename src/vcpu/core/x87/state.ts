import { VECTOR } from "../../../isa/registers.ts";
import { call } from "../../../wasm/function.ts";
import { F, PENDING, STATUS } from "../../layout.ts";
import { CR0, FSW } from "../control-bits.ts";
import type { Core } from "../core.ts";

/** CR0 bits with which an x87 instruction is #NM (SDM 3A 2.5). */
export const FPU_ABSENT = CR0.em | CR0.ts;

/** What comes before an x87 or MMX instruction: whether there is an FPU, and errors that wait. */
export function defineX87State(core: Core): void {
	/**
	 * `fpuError(state)` → 0, or stopHere where an unmasked exception waits: with #MF, or, where CR0.NE is 0 and nobody asserts
	 * IGNNE#, with FERR# asserted and the processor waiting for an interrupt before this instruction (SDM 3A 6.15, #MF).
	 */
	core.define("fpuError", ["i32"], ["i32"], (f) => {
		const st = f.param(0);
		f.returnIf(F.fsw.of(st).and(FSW.summary).eqz(), 0);
		const native = F.cr0.of(st).wrap().and(CR0.ne).ne(0);
		f.if(native.or(F.ferrHost.of(st).eqz()), () => f.return(call(core.fn("raise"), st, VECTOR.MF, 0)));
		f.returnIf(F.fpuIgnore.of(st).ne(0), 0);
		f.call(core.imports.ferr, st);
		F.halted.set(f, st, 1);
		F.pending.set(f, st, F.pending.of(st).or(PENDING.request));
		f.return(STATUS.stopHere);
	});

	/** `fpuWait(state)` → status: #NM, then {@link defineX87State}'s `fpuError`. */
	core.define("fpuWait", ["i32"], ["i32"], (f) => {
		const st = f.param(0);
		f.if(F.cr0.of(st).wrap().and(FPU_ABSENT).ne(0), () => f.return(call(core.fn("raise"), st, VECTOR.NM, 0)));
		f.return(call(core.fn("fpuError"), st));
	});

	/** `checkMmx(state)` → status: #UD for CR0.EM, #NM for CR0.TS, an x87 error that waits. */
	core.define("checkMmx", ["i32"], ["i32"], (f) => {
		const st = f.param(0);
		const cr0 = f.let(F.cr0.of(st).wrap());
		f.if(cr0.and(CR0.em).ne(0), () => f.return(call(core.fn("raise"), st, VECTOR.UD, 0)));
		f.if(cr0.and(CR0.ts).ne(0), () => f.return(call(core.fn("raise"), st, VECTOR.NM, 0)));
		f.return(call(core.fn("fpuError"), st));
	});

	/** `enterMmx(state)` → status: `checkMmx`, then TOP 0 and all registers valid (SDM 1 9.5.1), as each MMX instruction but EMMS does. */
	core.define("enterMmx", ["i32"], ["i32"], (f) => {
		const st = f.param(0);
		f.check(call(core.fn("checkMmx"), st));
		F.ftop.set(f, st, 0);
		F.ftags.set(f, st, 0xff);
		f.return(0);
	});

	core.define("helper_fpuWaitHere", ["i32", "i32"], ["i32"], (f) => {
		const st = f.param(0);
		const absent = CR0.mp | CR0.ts;
		f.if(F.cr0.of(st).wrap().and(absent).eq(absent), () => f.return(call(core.fn("raise"), st, VECTOR.NM, 0)));
		f.return(call(core.fn("fpuError"), st));
	});

	core.define("helper_emms", ["i32", "i32"], ["i32"], (f) => {
		const st = f.param(0);
		f.check(call(core.fn("checkMmx"), st));
		F.ftop.set(f, st, 0);
		F.ftags.set(f, st, 0);
		f.return(STATUS.next);
	});
}
