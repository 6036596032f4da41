import { RAX, RCX, RDI, RDX, SEGMENT } from "../../isa/registers.ts";
import { type Ex, i32, i64 } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import { ACCESS, EXIT, F, IO, PENDING, STATUS } from "../layout.ts";
import { EFLAGS } from "./control-bits.ts";
import type { Core } from "./core.ts";
import { KIND_RAM, WATCH_PORT } from "./memory.ts";
import { segmentLinear } from "./segment-access.ts";
import {
	defineStringLoop,
	endIterations,
	gpr,
	iterationsAllowed,
	linearOf,
	mayEnd,
	STRING_PARAMS,
	setIndex,
	stringStep,
} from "./string-loop.ts";

const IN = 0;
const OUT = 1;

/** Bytes of {@link F.portBuffer}. */
const BATCH_BYTES = 4096;
/** Elements of a batch whose destination is not plain RAM: every one of them may become a fragment. */
const BATCH_FRAGMENTS = 64;

/**
 * Port accesses. Each is an exit as KVM makes it (EXIT.io with direction, size, port and count): an OUT is over when
 * the exit is seen, an IN waits for F.portAnswered and is run again. One value travels in F.portData, the answers of a
 * REP INS batch in F.portBuffer.
 */
export function definePorts(core: Core): void {
	definePortCall(core);
	core.define("helper_in", ["i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, port, bytes] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		f.check(call(core.fn("ioAllowed"), st, rec, port, bytes));
		f.if(F.portHost.of(st).ne(0), () => {
			f.call(core.fn("setGpr"), st, RAX, bytes, call(core.fn("portRead"), st, port, bytes).extU());
			watchPort(core, f, st, port, bytes);
			f.return(STATUS.next);
		});
		f.if(F.portAnswered.of(st).eqz(), () => {
			portExit(core, f, st, rec, IN, port, bytes, i32(1));
			f.return(STATUS.stopHere);
		});
		F.portAnswered.set(f, st, 0);
		f.call(core.fn("setGpr"), st, RAX, bytes, F.portData.of(st));
		watchPort(core, f, st, port, bytes);
		f.return(STATUS.next);
	});

	core.define("helper_out", ["i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, port, bytes] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		f.check(call(core.fn("ioAllowed"), st, rec, port, bytes));
		const value = f.let(gpr(st, RAX).and(elementMask(bytes)));
		watchPort(core, f, st, port, bytes);
		f.if(F.portHost.of(st).ne(0), () => {
			f.call(core.fn("portWrite"), st, port, bytes, value.wrap());
			f.return(STATUS.next);
		});
		F.portData.set(f, st, value);
		portExit(core, f, st, rec, OUT, port, bytes, i32(1));
		f.return(STATUS.stopNext);
	});

	defineOuts(core);
	defineStoreBatch(core);
	defineIns(core);
}

/** Port accesses that the host takes at once. Their time is taken off the budget, so that no alarm comes late. */
function definePortCall(core: Core): void {
	const passTime = (f: FunctionBuilder, st: Ex): void => {
		const time = f.let(F.portTime.of(st).extU());
		const budget = f.let(F.budget.of(st));
		const taken = f.let(i32(0).when(budget.ltS(0), budget));
		f.if(time.ltU(taken.extU()), () => f.set(taken, time.wrap()));
		F.passed.set(f, st, F.passed.of(st).add(time));
		F.tscOffset.set(f, st, F.tscOffset.of(st).add(time));
		F.budget.set(f, st, budget.sub(taken));
		F.deadline.set(f, st, F.deadline.of(st).sub(taken.extU()));
	};

	/** `portRead(state, port, bytes)` → value. The host sees the instruction as not yet retired, as at an exit. */
	core.define("portRead", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, port, bytes] = [f.param(0), f.param(1), f.param(2)];
		F.budget.set(f, st, F.budget.of(st).add(1));
		const value = f.let(call(core.imports.port, st, 0, port, bytes, 0));
		F.budget.set(f, st, F.budget.of(st).sub(1));
		passTime(f, st);
		f.return(value);
	});

	/** `portWrite(state, port, bytes, value)`. */
	core.define("portWrite", ["i32", "i32", "i32", "i32"], [], (f) => {
		const [st, port, bytes, value] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		f.drop(call(core.imports.port, st, 1, port, bytes, value));
		passTime(f, st);
	});
}

function elementMask(bytes: Ex): Ex {
	return i64(-1).shrU(i64(64).sub(bytes.shl(3).extU()));
}

/** Breakpoints on ports trap behind the access. */
function watchPort(core: Core, f: FunctionBuilder, st: Ex, port: Ex, bytes: Ex): void {
	f.drop(call(core.fn("watch"), st, port.extU(), bytes, WATCH_PORT));
}

function portNumber(st: Ex): Ex {
	return gpr(st, RDX).wrap().and(0xffff);
}

function portExit(
	core: Core,
	f: FunctionBuilder,
	st: Ex,
	rec: Ex,
	direction: number,
	port: Ex,
	bytes: Ex,
	count: Ex,
): void {
	F.exitReason.set(f, st, EXIT.io);
	F.exitIp.set(f, st, call(core.fn("instructionIp"), st, rec));
	F.ioDirection.set(f, st, direction);
	F.ioPort.set(f, st, port);
	F.ioSize.set(f, st, bytes);
	F.ioTotal.set(f, st, count);
	F.pending.set(f, st, F.pending.of(st).or(PENDING.exit));
}

/** One exit per element, each with its own: KVM's rule for REP OUTS. Where the host takes port accesses at once, there is none. */
function defineOuts(core: Core): void {
	defineStringLoop(
		core,
		"string_outs_allowed",
		{ source: true, destination: false },
		({ f, st, rec, segment, width, si, done, allowed, repeat }, status) => {
			f.set(status, call(core.fn("loadAt"), st, rec, segment, si, width));
			f.if(status.eqz(), () => {
				const value = f.let(F.data.of(st).and(elementMask(width)));
				watchPort(core, f, st, portNumber(st), width);
				f.if(
					F.portHost.of(st).ne(0),
					() => {
						// The host sees the elements before this one as retired, and may shorten the budget.
						F.budget.set(f, st, F.budget.of(st).sub(done));
						f.call(core.fn("portWrite"), st, portNumber(st), width, value.wrap());
						F.budget.set(f, st, F.budget.of(st).add(done));
						f.if(repeat, () => f.set(allowed, iterationsAllowed(st)));
					},
					() => {
						F.portData.set(f, st, value);
						portExit(core, f, st, rec, OUT, portNumber(st), width, i32(1));
					},
				);
			});
		},
		({ f }, _room, n) => f.set(n, 0),
	);
	core.define("string_outs", STRING_PARAMS, ["i32"], (f) => {
		const [st, rec, width] = [f.param(0), f.param(1), f.param(2)];
		// Permission comes before the count: a REP OUTS of nothing faults too where the port is forbidden.
		f.check(call(core.fn("ioAllowed"), st, rec, portNumber(st), width));
		f.return(call(core.fn("string_outs_allowed"), st, rec, width, f.param(3), f.param(4), f.param(5)));
	});
}

/**
 * `storeBatch(state, rec, offset, width, count)` → 0, stopNext or stopHere: stores the answers of F.portBuffer at ES:offset
 * and in the direction of DF. Upwards, what does not go to plain RAM goes in pieces of eight bytes, as KVM's batches do.
 * On stopHere, F.ioTotal is the number of elements stored.
 */
function defineStoreBatch(core: Core): void {
	core.define("storeBatch", ["i32", "i32", "i64", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, offset, width, count] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		const linear = f.let(linearOf(st, SEGMENT.es, offset));
		const buffer = f.let(st.add(F.portBuffer.offset));
		const total = f.let(count.mul(width));
		const piece = f.local("i32", width);
		const step = f.let(stringStep(st, width));
		f.if(F.eflags.of(st).and(EFLAGS.df).eqz(), () => {
			const host = f.let(call(core.fn("hit"), st, linear, total, F.tlbWrite.of(st)));
			f.if(host.ne(0), () => {
				f.memoryCopy(host, buffer, total);
				f.return(0);
			});
			// Where alignment is checked, elements stay what they are.
			f.if(F.fillable.of(st).and(count.gtU(1)), () => {
				f.set(piece, 8);
				f.set(step, 8);
			});
		});
		const done = f.local("i32", 0);
		f.while(done.ltU(total), () => {
			f.if(piece.gtU(total.sub(done)), () => f.set(piece, total.sub(done)));
			F.data.set(f, st, buffer.add(done).load("i64"));
			f.if(call(core.fn("store"), st, rec, linear, piece, ACCESS.write).eq(STATUS.stopHere), () => {
				F.ioTotal.set(f, st, done.divU(width));
				f.return(STATUS.stopHere);
			});
			f.set(linear, linear.add(step).and(F.linearMask.of(st)));
			f.set(done, done.add(piece));
		});
		f.return(call(core.fn("stopIfPending"), st));
	});
}

/** The destination is checked before the device is asked, so that no answer is lost to a fault. */
function defineIns(core: Core): void {
	core.define("string_ins", STRING_PARAMS, ["i32"], (f) => {
		const [st, rec, width, mask, repeat] = [f.param(0), f.param(1), f.param(2), f.param(4), f.param(5)];
		f.check(call(core.fn("ioAllowed"), st, rec, portNumber(st), width));
		const left = f.local("i64", 1);
		f.if(repeat, () => {
			f.set(left, gpr(st, RCX).and(mask));
			f.returnIf(left.eqz(), STATUS.next);
		});
		const di = f.let(gpr(st, RDI).and(mask));
		const count = f.local("i32", 1);
		f.if(F.portAnswered.of(st).eqz(), () => {
			const linear = segmentLinear(core, f, st, SEGMENT.es, di, width, true);
			const access = f.let(call(core.fn("accessRights"), st, ACCESS.write));
			f.check(call(core.fn("checkAlignment"), st, linear, width, access));
			// Nothing is dirty before there is something to store.
			const checked = access.or(ACCESS.check);
			f.check(call(core.fn("gvaToTlb"), st, linear, width, checked));
			f.check(call(core.fn("refuseStore"), st, access, 0));
			f.check(call(core.fn("tlbToIo"), st, checked));
			f.if(repeat, () => {
				const atMost = (limit: Ex): void => f.if(count.gtU(limit), () => f.set(count, limit));
				f.set(count, call(core.fn("stringRoom"), st, SEGMENT.es, di, width, mask, 1));
				f.if(count.eqz(), () => f.set(count, 1));
				f.if(left.ltU(count.extU()), () => f.set(count, left.wrap()));
				atMost(f.let(iterationsAllowed(st)));
				atMost(i32(BATCH_BYTES).divU(width));
				f.if(IO.kind.of(st, F.io.offset).ne(KIND_RAM), () => atMost(i32(BATCH_FRAGMENTS)));
			});
			portExit(core, f, st, rec, IN, portNumber(st), width, count);
			f.return(STATUS.stopHere);
		});

		F.portAnswered.set(f, st, 0);
		f.set(count, F.ioTotal.of(st));
		// User space may have shortened the repetition meanwhile.
		f.if(left.ltU(count.extU()), () => f.set(count, left.wrap()));
		f.if(count.eq(1), () => f.store("i64", st, F.portData.of(st), F.portBuffer.offset));
		const status = f.let(call(core.fn("storeBatch"), st, rec, di, width, count));
		const moved = f.let(count);
		f.if(status.eq(STATUS.stopHere), () => {
			// Only a guest that takes the page away in between gets here: what is stored is stored.
			f.set(moved, F.ioTotal.of(st));
			f.returnIf(moved.eqz(), status);
		});
		setIndex(f, st, RDI, di.add(stringStep(st, width).mul(moved.extU())), mask);
		f.if(repeat, () => setIndex(f, st, RCX, left.sub(moved.extU()), mask));
		f.if(status.eq(STATUS.stopHere), () => {
			F.budget.set(f, st, F.budget.of(st).sub(moved));
			f.return(status);
		});
		f.call(core.fn("forgetReads"), st);
		watchPort(core, f, st, portNumber(st), width);
		endIterations({ core, f, st, rec }, moved, left.eq(moved.extU()), mayEnd(st, repeat));
	});
}
