import { RSP, SEGMENT, VECTOR } from "../../isa/registers.ts";
import { type Arg, type Ex, i32, i64, type Local } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import {
	ACCESS,
	ATTR,
	EVENT,
	EXIT,
	F,
	GPRS,
	GUEST_DEBUG,
	PENDING,
	SEG,
	STATUS,
	segmentOffset,
	TRACED,
} from "../layout.ts";
import { CR0, CR4, DR6, DR7, EFLAGS } from "./control-bits.ts";
import type { Core } from "./core.ts";
import {
	attributesOf,
	dplOf,
	gateBytes,
	gateOffset,
	gateSelector,
	isCode,
	isCode64,
	isConforming,
	isNull,
	limitOf,
	raise,
	SYSTEM_TYPE,
	selectorCode,
	systemType,
} from "./descriptors.ts";
import { csLimit, csSelector } from "./far.ts";
import { ERROR_CODE_VECTORS } from "./fault.ts";
import { isCanonical, isLongMode, segmentAddress } from "./mode.ts";
import {
	checkPushes,
	currentStack,
	innerStack,
	longStack,
	moveStackPointer,
	OUTSIDE,
	pushAll,
	putOnStack,
	type Stack,
} from "./stack-frames.ts";
import { NEW_TASK_FAULT, TASK_SOURCE } from "./tasks.ts";

/** Second argument of INT's helper, as isa/families/interrupt.ts numbers it: INT n, INT3, INTO, INT1. */
const HELPER_KINDS = [EVENT.software, EVENT.trap, EVENT.trap, EVENT.int1] as const;
const INT3 = 1;
const INTO = 2;

/** Error code: the index is one of the IDT (SDM 3A figure 6-7). */
const IDT = 2;

/** Bits of a 64-bit gate's second word: entry of the interrupt stack table, 0 none. */
const IST = 7;

/**
 * Exceptions that are no faults (or, #DB, tell by DR6): EFLAGS is pushed with the RF it has (SDM 3B 17.3.1.1). A double
 * fault has the RF of the fault that began it.
 */
const NO_FAULTS = (1 << VECTOR.DB) | (1 << VECTOR.BP) | (1 << VECTOR.OF) | (1 << VECTOR.MC);

/** DR6: which of DR0 to DR3 broke. */
const BREAKPOINTS = 0xfn;

/** Offset of the permission map's base in a 32-bit TSS; the redirection map is the 32 bytes before it (SDM 3A 20.3.3). */
const MAP_BASE = 102;
const REDIRECTION_BYTES = 32;

/** Delivery of exceptions and interrupts (SDM 3A 6, 20.3; 2A INT n). */
export function defineInterrupts(core: Core): void {
	defineRealFrame(core);
	defineReal(core);
	defineRedirected(core);
	defineTaskGate(core);
	defineLong(core);
	defineProtected(core);
	defineDeliver(core);

	core.define("helper_softInterrupt", ["i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, vector, kind] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		f.if(kind.eq(INTO), () => {
			f.returnIf(call(core.fn("readFlags"), st).and(EFLAGS.of).eqz(), STATUS.next);
		});
		f.if(kind.eq(INT3).and(F.guestDebug.of(st).and(GUEST_DEBUG.software).ne(0)), () => {
			// A breakpoint of user space's: the instruction stays ahead.
			F.exitReason.set(f, st, EXIT.debug);
			F.stepDr6.set(f, st, 0);
			F.pending.set(f, st, F.pending.of(st).or(PENDING.exit));
			f.return(STATUS.stopHere);
		});
		const event = HELPER_KINDS.reduce<Ex>((found, value, n) => i32(value).when(kind.eq(n), found), i32(0));
		const before = f.let(F.rip.of(st));
		F.rip.set(f, st, call(core.fn("nextIp"), st, rec));
		const status = f.let(call(core.fn("deliverEvent"), st, rec, vector, 0, event));
		f.if(status.eq(STATUS.stopHere), () => {
			F.rip.set(f, st, before);
			f.return(status);
		});
		F.trapOff.set(f, st, 1);
		f.return(STATUS.branch);
	});

	/**
	 * `deliver(state, vector, errorCode, kind)` → branch, or stopHere: another fault is pending, or an exit must be
	 * answered first and nothing has changed. The return address is F.rip. `kind` as {@link EVENT}.
	 */
	core.define("deliver", ["i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, vector, code, kind] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		F.event.set(f, st, vector.or(0x100));
		const status = f.let(call(core.fn("deliverEvent"), st, 0, vector, code, kind));
		F.event.set(f, st, 0);
		// No record tells these answers from those for the handler's first instruction.
		f.if(status.ne(STATUS.stopHere).or(F.faultPending.of(st)), () => f.call(core.fn("forgetReads"), st));
		f.return(i32(STATUS.stopHere).when(status.eq(NEW_TASK_FAULT), status));
	});
}

/** Room for a frame on the current stack, else #SS with `code`. */
function checkFrame(core: Core, f: FunctionBuilder, st: Ex, stack: Stack, total: Arg, bytes: Arg, code: Arg): void {
	const status = f.let(checkPushes(core, st, stack, total, bytes));
	f.returnIf(status.eq(OUTSIDE), raise(core, st, VECTOR.SS, code));
	f.check(status);
}

function clearFlags(f: FunctionBuilder, st: Ex, bits: Arg): void {
	const kept = typeof bits === "object" ? bits.not() : ~Number(bits);
	F.eflags.set(f, st, F.eflags.of(st).and(kept));
}

/** Real-mode frames, on the current stack and in 16-bit elements. */
function defineRealFrame(core: Core): void {
	/** `pushReal(state, record, flags)` → 0 or stopHere: pushes FLAGS, CS and IP. */
	core.define("pushReal", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, flags] = [f.param(0), f.param(1), f.param(2)];
		const stack = currentStack(f, st);
		checkFrame(core, f, st, stack, 6, 2, 0);
		const values = [flags.extU(), csSelector(st), F.rip.of(st)];
		moveStackPointer(f, st, stack, pushAll(core, f, { st, rec }, stack, i32(2), values));
		f.return(0);
	});

	/** `enterReal(state, target)` → branch: continues at a far pointer, selector above a 16-bit offset. */
	core.define("enterReal", ["i32", "i64"], ["i32"], (f) => {
		const [st, target] = [f.param(0), f.param(1)];
		f.call(core.fn("loadRealSegment"), st, SEGMENT.cs, target.shrU(16).wrap());
		F.rip.set(f, st, target.and(0xffff));
		f.call(core.fn("updateMode"), st);
		f.return(STATUS.branch);
	});
}

/** `deliverReal(state, record, vector)` → branch or stopHere: through the table of far pointers (SDM 3A 20.1.4). */
function defineReal(core: Core): void {
	core.define("deliverReal", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, vector] = [f.param(0), f.param(1), f.param(2)];
		const entry = f.let(vector.shl(2).extU());
		f.returnIf(entry.add(3n).gtU(F.idtLimit.of(st)), raise(core, st, VECTOR.GP, 0));
		const address = F.idtBase.of(st).add(entry).and(F.linearMask.of(st));
		f.check(call(core.fn("load"), st, rec, address, 4, ACCESS.system));
		const target = f.let(F.data.of(st));
		f.check(call(core.fn("pushReal"), st, rec, call(core.fn("readFlags"), st)));
		clearFlags(f, st, EFLAGS.if | EFLAGS.tf | EFLAGS.ac | EFLAGS.rf);
		f.return(call(core.fn("enterReal"), st, target));
	});
}

/** INT n in virtual-8086 mode that the 8086 program handles itself (SDM 3A 20.3.3, methods 5 and 6). */
function defineRedirected(core: Core): void {
	/** `deliverRedirected(state, record, vector)` → branch or stopHere. */
	core.define("deliverRedirected", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, vector] = [f.param(0), f.param(1), f.param(2)];
		f.check(call(core.fn("load"), st, rec, vector.shl(2).extU(), 4, ACCESS.system));
		const target = f.let(F.data.of(st));
		const flags = f.let(call(core.fn("readFlags"), st));
		const virtual = f.let(flags.and(EFLAGS.iopl).ne(EFLAGS.iopl));
		// The program sees its virtual flag in IF's place, and IOPL 3.
		const vif = flags.and(EFLAGS.vif).shrU(10);
		const seen = flags.and(~EFLAGS.if).or(vif).or(EFLAGS.iopl);
		f.set(flags, seen.when(virtual, flags));
		f.check(call(core.fn("pushReal"), st, rec, flags));
		clearFlags(f, st, i32(EFLAGS.tf | EFLAGS.rf).or(i32(EFLAGS.vif).when(virtual, EFLAGS.if)));
		f.return(call(core.fn("enterReal"), st, target));
	});

	/** `redirects(state, record, vector)` → status; F.data is 0 where the redirection map leaves INT n to the program. */
	core.define("redirects", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, vector] = [f.param(0), f.param(1), f.param(2)];
		const tss = f.let(segmentAddress(st, SEGMENT.tr));
		const limit = f.let(SEG.limit.of(tss));
		const refuse = raise(core, st, VECTOR.GP, 0);
		f.returnIf(
			SEG.attributes
				.of(tss)
				.and(SYSTEM_TYPE.size32)
				.eqz()
				.or(limit.ltU(MAP_BASE + 1)),
			refuse,
		);
		const linearMask = F.linearMask.of(st);
		f.check(call(core.fn("load"), st, rec, SEG.base.of(tss).add(MAP_BASE).and(linearMask), 2, ACCESS.system));
		const offset = f.let(F.data.of(st).sub(REDIRECTION_BYTES).add(vector.shrU(3).extU()));
		f.returnIf(offset.gtU(limit), refuse);
		f.check(call(core.fn("load"), st, rec, SEG.base.of(tss).add(offset).and(linearMask), 1, ACCESS.system));
		F.data.set(f, st, F.data.of(st).and(i64(1).shl(vector.and(7).extU())));
		f.return(0);
	});
}

/** `deliverTask(state, record, gate, code, hasCode, ext, flagBits)` → branch, stopHere or NEW_TASK_FAULT: through a task gate. */
function defineTaskGate(core: Core): void {
	core.define("deliverTask", ["i32", "i32", "i64", "i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, gate, code] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const [hasCode, ext, flagBits] = [f.param(4), f.param(5), f.param(6)];
		const selector = f.let(gateSelector(gate));
		f.check(call(core.fn("findTask"), st, rec, selector, VECTOR.GP, ext, 0));
		const raw = f.let(F.data.of(st));
		const ip = F.rip.of(st);
		f.check(call(core.fn("taskSwitch"), st, rec, selector, raw, TASK_SOURCE.call, ip, flagBits, ext));
		const fault = (vector: number): void => {
			f.drop(raise(core, st, vector, ext));
			f.return(NEW_TASK_FAULT);
		};
		f.if(hasCode, () => {
			const bytes = f.let(gateBytes(attributesOf(core, raw)));
			const stack = currentStack(f, st);
			const status = f.let(checkPushes(core, st, stack, bytes, bytes));
			f.if(status.eq(OUTSIDE), () => fault(VECTOR.SS));
			f.returnIf(status.ne(0), NEW_TASK_FAULT);
			moveStackPointer(f, st, stack, pushAll(core, f, { st, rec }, stack, bytes, [code.extU()]));
		});
		f.if(F.rip.of(st).gtU(csLimit(st)), () => fault(VECTOR.GP));
		f.return(STATUS.branch);
	});
}

/** Error code that names an entry of the IDT. */
function inTable(vector: Ex, ext: Arg): Ex {
	return vector.shl(3).or(IDT).or(ext);
}

/** The gate's own rights: INT n, INT3 and INTO ask for its privilege level, and it must be present. */
function checkGate(
	core: Core,
	f: FunctionBuilder,
	st: Ex,
	{ vector, kind, ext, gateAttributes }: { vector: Ex; kind: Ex; ext: Ex; gateAttributes: Ex },
): void {
	const software = kind.eq(EVENT.software).or(kind.eq(EVENT.trap));
	const below = dplOf(gateAttributes).ltU(F.cpl.of(st));
	f.returnIf(software.and(below), raise(core, st, VECTOR.GP, inTable(vector, 0)));
	f.returnIf(gateAttributes.and(ATTR.present).eqz(), raise(core, st, VECTOR.NP, inTable(vector, ext)));
}

/** The code segment that a gate leads to: read, and checked as INT does (SDM 2A INT n); `is` tells what will do. */
function gateTarget(
	core: Core,
	f: FunctionBuilder,
	{ st, rec }: { readonly st: Ex; readonly rec: Ex },
	gate: Ex,
	ext: Ex,
	is: (attributes: Ex) => Ex,
): Record<"selector" | "raw" | "level" | "dpl" | "inner", Local> & { readonly wrong: Ex } {
	const selector = f.let(gateSelector(gate));
	f.returnIf(isNull(selector), raise(core, st, VECTOR.GP, ext));
	f.check(call(core.fn("readDescriptor"), st, rec, selector, VECTOR.GP, ext));
	const raw = f.let(F.data.of(st));
	const attributes = f.let(attributesOf(core, raw));
	const [level, dpl] = [f.let(F.cpl.of(st)), f.let(dplOf(attributes))];
	const wrong = raise(core, st, VECTOR.GP, selectorCode(selector, ext));
	f.returnIf(is(attributes).eqz().or(dpl.gtU(level)), wrong);
	f.returnIf(attributes.and(ATTR.present).eqz(), raise(core, st, VECTOR.NP, selectorCode(selector, ext)));
	const inner = f.let(isConforming(attributes).eqz().and(dpl.ltU(level)));
	return { selector, raw, level, dpl, inner, wrong };
}

function defineLong(core: Core): void {
	/**
	 * `deliverLong(state, record, vector, code, kind, ext, hasCode, flagBits)` → branch or stopHere: through the 16-byte gates
	 * of long mode (SDM 3A 6.14; 2A INT n, IA-32e-MODE). The frame has 8-byte elements, always with SS and RSP, and begins
	 * at a multiple of 16.
	 */
	core.define("deliverLong", ["i32", "i32", "i32", "i32", "i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, vector, code] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const [kind, ext, hasCode, flagBits] = [f.param(4), f.param(5), f.param(6), f.param(7)];
		const entry = f.let(vector.shl(4).extU());
		f.returnIf(entry.or(15n).gtU(F.idtLimit.of(st)), raise(core, st, VECTOR.GP, inTable(vector, ext)));
		f.check(call(core.fn("load"), st, rec, F.idtBase.of(st).add(entry), 16, ACCESS.system));
		const gate = f.let(F.data.of(st));
		const upper = f.let(F.data.of(st, 8));
		const gateAttributes = f.let(attributesOf(core, gate));
		const type = f.let(systemType(gateAttributes));
		f.returnIf(type.and(~1).ne(SYSTEM_TYPE.interruptGate64), raise(core, st, VECTOR.GP, inTable(vector, ext)));
		checkGate(core, f, st, { vector, kind, ext, gateAttributes });

		const { selector, raw, level, dpl, inner } = gateTarget(core, f, { st, rec }, gate, ext, isCode64);

		const own = st.load("i64", GPRS + RSP * 8);
		const pointer = f.local("i64", own);
		const index = f.let(gate.shrU(32).wrap().and(IST));
		// Entry 1 of the interrupt stack table comes behind the three stacks of privilege levels and a gap.
		f.if(
			index.ne(0),
			() => f.set(index, index.add(3)),
			() => f.set(index, dpl.when(inner, -1)),
		);
		f.if(index.ne(-1), () => {
			f.check(call(core.fn("longPointer"), st, rec, index, ext));
			f.set(pointer, F.data.of(st));
		});
		// At privilege level 3 the frame is the program's own; elsewhere SMAP has no say, whatever EFLAGS.AC is.
		const stays = level.eq(3).and(inner.eqz());
		const access = f.let(i32(ACCESS.write | ACCESS.stack).or(stays.eqz().mul(ACCESS.system)));
		const stack = longStack(f, pointer.and(-16n), access);
		f.check(checkPushes(core, st, stack, hasCode.add(5).shl(3), 8));
		const ip = f.let(upper.shl(32).or(gateOffset(gate, gateAttributes)));
		f.returnIf(isCanonical(st, ip).eqz(), raise(core, st, VECTOR.GP, ext));
		f.check(call(core.fn("markAccessed"), st, rec, selector, raw));
		const flags = call(core.fn("readFlags"), st).or(flagBits).extU();
		const ss = SEG.selector.of(st, segmentOffset(SEGMENT.ss)).extU();
		const below = pushAll(core, f, { st, rec }, stack, i32(8), [ss, own, flags, csSelector(st), F.rip.of(st)]);
		f.if(hasCode, () => {
			f.set(below, below.add(8));
			f.check(putOnStack(core, { st, rec }, stack, below, i32(8), code.extU()));
		});
		// Trap gates leave IF alone: type bit 0.
		clearFlags(f, st, i32(EFLAGS.tf | EFLAGS.nt | EFLAGS.vm | EFLAGS.rf).or(type.and(1).eqz().mul(EFLAGS.if)));
		const to = f.let(dpl.when(inner, level));
		f.if(index.ne(-1), () => f.call(core.fn("nullStack"), st, to));
		moveStackPointer(f, st, stack, below);
		f.call(core.fn("enterCode"), st, selector, raw, to, ip);
		f.return(STATUS.branch);
	});
}

function defineProtected(core: Core): void {
	/**
	 * `deliverProtected(state, record, vector, code, kind, ext)` → branch, stopHere or NEW_TASK_FAULT: through the IDT's
	 * gates (SDM 2A INT n, PROTECTED-MODE).
	 */
	core.define("deliverProtected", ["i32", "i32", "i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, vector] = [f.param(0), f.param(1), f.param(2)];
		const [code, kind, ext] = [f.param(3), f.param(4), f.param(5)];
		const exception = f.let(kind.eq(EVENT.exception).and(vector.ltU(32)));
		const hasCode = f.let(exception.and(i32(ERROR_CODE_VECTORS).shrU(vector)).and(1));
		const general = F.faultDr6.of(st).and(DR6.bd).ne(0).and(vector.eq(VECTOR.DB));
		const isFault = i32(~NO_FAULTS).shrU(vector).and(1).or(general);
		const flagBits = f.let(i32(EFLAGS.rf).when(exception.and(isFault), 0));

		f.if(isLongMode(st), () => {
			f.return(call(core.fn("deliverLong"), st, rec, vector, code, kind, ext, hasCode, flagBits));
		});
		const entry = f.let(vector.shl(3).extU());
		f.returnIf(entry.or(7n).gtU(F.idtLimit.of(st)), raise(core, st, VECTOR.GP, inTable(vector, ext)));
		const address = F.idtBase.of(st).add(entry).and(F.linearMask.of(st));
		f.check(call(core.fn("load"), st, rec, address, 8, ACCESS.system));
		const gate = f.let(F.data.of(st));
		const gateAttributes = f.let(attributesOf(core, gate));
		const type = f.let(systemType(gateAttributes));
		const task = f.let(type.eq(SYSTEM_TYPE.taskGate));
		const trapOrInterrupt = type.and(~(SYSTEM_TYPE.size32 | 1)).eq(SYSTEM_TYPE.interruptGate16);
		f.returnIf(task.or(trapOrInterrupt).eqz(), raise(core, st, VECTOR.GP, inTable(vector, ext)));
		checkGate(core, f, st, { vector, kind, ext, gateAttributes });
		f.if(task, () => f.return(call(core.fn("deliverTask"), st, rec, gate, code, hasCode, ext, flagBits)));

		const { selector, raw, level, dpl, inner, wrong } = gateTarget(core, f, { st, rec }, gate, ext, isCode);
		const virtual = f.let(F.eflags.of(st).and(EFLAGS.vm).ne(0));
		// Virtual-8086 mode is left for privilege level 0 only.
		f.returnIf(virtual.and(inner.eqz().or(dpl.ne(0))), wrong);

		const bytes = f.let(gateBytes(gateAttributes));
		const ip = f.let(gateOffset(gate, gateAttributes));
		const flags = f.let(call(core.fn("readFlags"), st).or(flagBits));
		// Trap gates leave IF alone: type bit 0.
		const cleared = i32(EFLAGS.tf | EFLAGS.nt | EFLAGS.vm | EFLAGS.rf).or(type.and(1).eqz().mul(EFLAGS.if));
		const checkIp = (): void => f.returnIf(ip.gtU(limitOf(core, raw)), raise(core, st, VECTOR.GP, ext));
		const pushReturn = (stack: Stack, before: readonly Ex[]): Ex => {
			const values = [...before, flags.extU(), csSelector(st), F.rip.of(st)];
			const below = pushAll(core, f, { st, rec }, stack, bytes, values);
			f.if(hasCode, () => {
				f.set(below, below.add(bytes));
				f.check(putOnStack(core, { st, rec }, stack, below, bytes, code.extU()));
			});
			return below;
		};

		f.if(inner.eqz(), () => {
			const stack = currentStack(f, st);
			checkFrame(core, f, st, stack, hasCode.add(3).mul(bytes), bytes, ext);
			checkIp();
			f.check(call(core.fn("markAccessed"), st, rec, selector, raw));
			moveStackPointer(f, st, stack, pushReturn(stack, []));
			clearFlags(f, st, cleared);
			f.call(core.fn("enterCode"), st, selector, raw, level, ip);
			f.return(STATUS.branch);
		});

		const stack = innerStack(core, f, st, rec, dpl, ext);
		const words = virtual.shl(2).add(5).add(hasCode);
		checkFrame(core, f, st, stack, words.mul(bytes), bytes, selectorCode(stack.selector, ext));
		checkIp();
		f.check(call(core.fn("markAccessed"), st, rec, selector, raw));
		f.check(call(core.fn("markAccessed"), st, rec, stack.selector, stack.raw));
		const selectorOf = (number: number): Ex => SEG.selector.of(st, segmentOffset(number)).extU();
		const oldStack = [selectorOf(SEGMENT.ss), st.load("i64", GPRS + RSP * 8)];
		const data = [SEGMENT.gs, SEGMENT.fs, SEGMENT.ds, SEGMENT.es];
		const below = f.local("i32");
		f.if(
			virtual,
			() => f.set(below, pushReturn(stack, [...data.map(selectorOf), ...oldStack])),
			() => f.set(below, pushReturn(stack, oldStack)),
		);
		clearFlags(f, st, cleared);
		f.if(virtual, () => {
			for (const number of data) f.call(core.fn("clearSegment"), st, number, 0);
		});
		f.call(core.fn("installSegment"), st, SEGMENT.ss, stack.selector, stack.raw);
		moveStackPointer(f, st, stack, below);
		f.call(core.fn("enterCode"), st, selector, raw, dpl, ip);
		f.return(STATUS.branch);
	});
}

/** `deliverEvent(state, record, vector, code, kind)` → branch, stopHere or NEW_TASK_FAULT. */
function defineDeliver(core: Core): void {
	core.define("dispatchEvent", ["i32", "i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, vector, code, kind] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		f.if(F.cr0.of(st).wrap().and(CR0.pe).eqz(), () => f.return(call(core.fn("deliverReal"), st, rec, vector)));
		const flags = f.let(F.eflags.of(st));
		f.if(flags.and(EFLAGS.vm).ne(0).and(kind.eq(EVENT.software)), () => {
			f.if(F.cr4.of(st).wrap().and(CR4.vme).ne(0), () => {
				f.check(call(core.fn("redirects"), st, rec, vector));
				f.if(F.data.of(st).eqz(), () => f.return(call(core.fn("deliverRedirected"), st, rec, vector)));
			});
			f.returnIf(flags.and(EFLAGS.iopl).ne(EFLAGS.iopl), raise(core, st, VECTOR.GP, 0));
		});
		const ext = kind.eq(EVENT.software).or(kind.eq(EVENT.trap)).eqz();
		f.return(call(core.fn("deliverProtected"), st, rec, vector, code, kind, ext));
	});

	core.define("deliverEvent", ["i32", "i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, vector, code, kind] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		f.if(F.tracing.of(st).and(TRACED.events).ne(0), () =>
			f.call(core.imports.traced, st, TRACED.events, vector.or(kind.shl(8)), code.extU(), F.faultAddress.of(st)),
		);
		const debug = f.let(kind.eq(EVENT.int1).or(kind.eq(EVENT.exception).and(vector.eq(VECTOR.DB))));
		const told = f.let(F.faultDr6.of(st));
		f.if(kind.eq(EVENT.exception).and(vector.eq(VECTOR.PF)), () => F.cr2.set(f, st, F.faultAddress.of(st)));
		f.if(debug, () => {
			// The bits of breakpoints tell of this one, the others stay until software clears them (SDM 3B 17.2.3).
			F.dr.set(f, st, F.dr.of(st, 48).and(~BREAKPOINTS).or(told.extU()), 48);
			F.dr.set(f, st, F.dr.of(st, 56).and(~DR7.gd), 56);
		});
		const status = f.let(call(core.fn("dispatchEvent"), st, rec, vector, code, kind));
		// Kept for another try where an exit has to be answered first.
		f.if(debug.and(status.ne(STATUS.stopHere).or(F.faultPending.of(st))), () => {
			// A trap that waited behind MOV SS is told with this one; a task's T flag comes on the way, and is not.
			F.faultDr6.set(f, st, F.faultDr6.of(st).and(told.not()));
			f.if(F.faultDr6.of(st).eqz(), () => F.pending.set(f, st, F.pending.of(st).and(~PENDING.debug)));
		});
		f.return(status);
	});
}
