import { SEGMENT } from "../../../isa/registers.ts";
import { type Ex, i32 } from "../../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../../wasm/function.ts";
import { F, REC, SEG, segmentOffset } from "../../layout.ts";
import { FSW } from "../control-bits.ts";
import type { Core } from "../core.ts";
import { segmentAddress } from "../mode.ts";
import { BEFORE, copyNumber, EXCEPTIONS, invalid, raiseFlags, stackRegister } from "./format.ts";

/** The register stack, and what an instruction does when its result is known. */
export function defineStack(core: Core): void {
	/** `fpuNote(state, rec)`: which instruction this is (SDM 1 8.1.8). */
	core.define("fpuNote", ["i32", "i32"], [], (f) => {
		const [st, rec] = [f.param(0), f.param(1)];
		F.fop.set(f, st, rec.load("i32", REC.immediate));
		F.fip.set(f, st, call(core.fn("instructionIp"), st, rec));
		F.fcs.set(f, st, SEG.selector.of(st, segmentOffset(SEGMENT.cs)));
	});

	/** `fpuNoteMemory(state, rec, offset)`: the same with a memory operand at `offset` of its segment. */
	core.define("fpuNoteMemory", ["i32", "i32", "i64"], [], (f) => {
		const [st, rec] = [f.param(0), f.param(1)];
		f.call(core.fn("fpuNote"), st, rec);
		F.fdp.set(f, st, f.param(2));
		F.fds.set(f, st, SEG.selector.of(segmentAddress(st, rec.load("i32_8u", REC.segment))));
	});

	/**
	 * `fpuFlag(state)` → not 0 where operands must stay as they are: puts what was raised into the status word. Then nothing was
	 * rounded either, and C1 tells of the stack alone.
	 */
	core.define("fpuFlag", ["i32"], ["i32"], (f) => {
		const st = f.param(0);
		const raised = f.let(F.fpuRaised.of(st));
		const word = f.let(F.fsw.of(st).and(~FSW.c1));
		f.if(raised.eqz(), () => {
			F.fsw.set(f, st, word);
			f.return(0);
		});
		const open = f.let(raised.and(F.fcw.of(st).not()).and(EXCEPTIONS));
		f.if(open.and(BEFORE), () => {
			f.set(raised, raised.and(BEFORE | FSW.stack));
			f.if(raised.and(FSW.stack).eqz(), () => F.fpuUp.set(f, st, 0));
		});
		f.set(word, word.or(raised).or(F.fpuUp.of(st).shl(9)));
		f.if(open, () => f.set(word, word.or(FSW.summary | FSW.busy)));
		F.fsw.set(f, st, word);
		f.return(open.and(BEFORE));
	});

	/** `fpuSet(state, n)`: the result to ST(n). */
	core.define("fpuSet", ["i32", "i32"], [], (f) => {
		const [st, n] = [f.param(0), f.param(1)];
		copyNumber(f, stackRegister(st, n), st, 0, F.fpuResult.offset);
		F.ftags.set(f, st, F.ftags.of(st).or(i32(1).shl(F.ftop.of(st).add(n).and(7))));
	});

	/** `fpuCommit(state, n)` → not 0 where it is blocked, else 0 and the result is in ST(n). */
	core.define("fpuCommit", ["i32", "i32"], ["i32"], (f) => {
		const [st, n] = [f.param(0), f.param(1)];
		f.check(call(core.fn("fpuFlag"), st));
		f.call(core.fn("fpuSet"), st, n);
		f.return(0);
	});

	/** `fpuPush(state)` → not 0 where it is blocked: pushes the result, or shows that the stack is full. */
	core.define("fpuPush", ["i32"], ["i32"], (f) => {
		const st = f.param(0);
		const top = f.let(F.ftop.of(st).sub(1).and(7));
		const missing = F.fpuRaised.of(st).and(FSW.stack);
		f.if(F.ftags.of(st).shrU(top).and(1).and(missing.eqz()), () => stackFault(f, st, 1));
		f.check(call(core.fn("fpuFlag"), st));
		F.ftop.set(f, st, top);
		f.call(core.fn("fpuSet"), st, 0);
		f.return(0);
	});

	/** `fpuCommitTwo(state)`: F.fpuB to ST(0), then pushes the result; the indefinite to both where a register is missing. */
	core.define("fpuCommitTwo", ["i32"], [], (f) => {
		const st = f.param(0);
		const top = f.let(F.ftop.of(st).sub(1).and(7));
		const missing = F.fpuRaised.of(st).and(FSW.stack).ne(0);
		f.if(F.ftags.of(st).shrU(top).and(1).and(missing.eqz()), () => stackFault(f, st, 1));
		f.if(missing, () => copyNumber(f, st, st, F.fpuB.offset, F.fpuResult.offset));
		f.if(call(core.fn("fpuFlag"), st), () => f.return());
		copyNumber(f, stackRegister(st, 0), st, 0, F.fpuB.offset);
		F.ftags.set(f, st, F.ftags.of(st).or(i32(1).shl(F.ftop.of(st))));
		F.ftop.set(f, st, top);
		f.call(core.fn("fpuSet"), st, 0);
	});

	core.define("fpuPop", ["i32"], [], (f) => {
		const st = f.param(0);
		const top = f.let(F.ftop.of(st));
		F.ftags.set(f, st, F.ftags.of(st).and(i32(1).shl(top).not()));
		F.ftop.set(f, st, top.add(1).and(7));
	});

	/** `fpuSummary(state)`: ES and B, after the control or status word was set. Where no error is left, IGNNE# has done its service. */
	core.define("fpuSummary", ["i32"], [], (f) => {
		const st = f.param(0);
		const open = F.fsw.of(st).and(F.fcw.of(st).not()).and(EXCEPTIONS);
		f.if(
			open,
			() => F.fsw.set(f, st, F.fsw.of(st).or(FSW.summary | FSW.busy)),
			() => {
				F.fsw.set(f, st, F.fsw.of(st).and(~(FSW.summary | FSW.busy)));
				F.fpuIgnore.set(f, st, 0);
			},
		);
	});
}

/** The result of an operation with an empty register, or one that finds no room. */
export function stackFault(f: FunctionBuilder, st: Ex, overflow: 0 | 1): void {
	invalid(f, st);
	raiseFlags(f, st, FSW.stack);
	F.fpuUp.set(f, st, overflow);
}

/** Nothing is raised yet. */
export function clearRaised(f: FunctionBuilder, st: Ex): void {
	F.fpuRaised.set(f, st, 0);
	F.fpuUp.set(f, st, 0);
}
