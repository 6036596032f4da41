import { RCX, RDI, RSI } from "../../isa/registers.ts";
import { type Ex, i32, i64, type Local } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import { F, GPRS, PENDING, SEG, STATUS } from "../layout.ts";
import { EFLAGS } from "./control-bits.ts";
import type { Core } from "./core.ts";
import { segmentAddress } from "./mode.ts";

/** Parameters of a string function, and what one iteration moves. */
export interface StringLoop {
	readonly core: Core;
	readonly f: FunctionBuilder;
	readonly st: Local;
	readonly rec: Local;
	/** Bytes of an element, i32. */
	readonly width: Local;
	/** Segment number of the source, i32. */
	readonly segment: Local;
	/** All ones of the address size, i64. */
	readonly mask: Local;
	/** 0, 0xF2 or 0xF3. */
	readonly repeat: Local;
	/** Offsets of the element in hand, i64. */
	readonly si: Local;
	readonly di: Local;
	/** Iterations left, i64, and done by this call, i32. */
	readonly left: Local;
	readonly done: Local;
	/** How many this call may do, i32. */
	readonly allowed: Local;
	/** Set where a comparison ends the repetition, i32. */
	readonly ended: Local;
}

export const STRING_PARAMS = ["i32", "i32", "i32", "i32", "i64", "i32"] as const;

export function gpr(st: Ex, register: number): Ex {
	return st.load("i64", GPRS + register * 8);
}

/** Writes as much of an index or count register as the address size has. */
export function setIndex(f: FunctionBuilder, st: Ex, register: number, value: Ex, mask: Ex): void {
	// 32-bit writes clear the upper half; 16-bit ones keep everything above.
	const kept = gpr(st, register).and(i64(~0xffffn).when(mask.eq(0xffff), 0n));
	f.store("i64", st, kept.or(value.and(mask)), GPRS + register * 8);
}

/** The element size in the direction of DF, i64. */
export function stringStep(st: Ex, width: Ex): Ex {
	const down = F.eflags.of(st).and(EFLAGS.df).ne(0);
	return i32(0).sub(width).when(down, width).extS();
}

/**
 * Iterations that may run before something must be looked at: those that the budget covers (the one already charged
 * included), one while single-stepping or where an interrupt or user space waits for this instruction to end.
 */
export function iterationsAllowed(st: Ex): Ex {
	const enabled = F.eflags.of(st).and(EFLAGS.if);
	const waiting = F.pending.of(st).and(PENDING.interrupt).ne(0).and(F.nmiPending.of(st).or(enabled).ne(0));
	const asked = F.guestDebug
		.of(st)
		.ne(0)
		.or(F.windowRequest.of(st).ne(0).and(enabled.ne(0)));
	const one = F.eflags.of(st).and(EFLAGS.tf).ne(0).or(waiting).or(asked).or(F.budget.of(st).ltS(0));
	return i32(1).when(one, F.budget.of(st).add(1));
}

/**
 * Ends a call that did `done` > 0 iterations, after its registers are written. A complete instruction goes on; one
 * with work left is a jump to itself, with RF set: no code breakpoint fires again on it (SDM 3B 17.3.1.1).
 */
export function endIterations(
	{ core, f, st, rec }: Pick<StringLoop, "core" | "f" | "st" | "rec">,
	done: Ex,
	complete: Ex,
	mayEnd: Ex,
): void {
	const ends = f.let(mayEnd);
	// What it takes to run once more, only to find that the count is 0, is not counted.
	const again = f.let(complete);
	F.repOwed.set(f, st, again.and(ends.eqz()));
	F.budget.set(f, st, F.budget.of(st).sub(done).add(1).add(again.and(ends.eqz())));
	f.if(again.and(ends), () => f.return(call(core.fn("stopIfPending"), st)));
	F.rip.set(f, st, call(core.fn("instructionIp"), st, rec));
	F.midwayIp.set(f, st, F.rip.of(st));
	F.eflags.set(f, st, F.eflags.of(st).or(EFLAGS.rf));
	f.return(STATUS.branch);
}

/**
 * 0 where the last iteration of a repeated instruction made an exit: KVM shows RIP still at the instruction then, whose
 * count is 0, and it ends when it runs again.
 */
export function mayEnd(st: Ex, repeat: Ex): Ex {
	return repeat.eqz().or(F.pending.of(st).and(PENDING.exit).eqz());
}

/**
 * Defines `name(state, rec, width, segment, addressMask, repeat)` → status: the repetition around an element.
 *
 * `cutsIndexes`: a REP that has nothing to do still cuts the index registers to an address size of 32 bits, as processors were seen
 * to do with MOVS and STOS; RCX is cut always.
 *
 * `element` puts the status of one iteration into a local; stopHere means that it did not happen. `piece` does up to
 * `room` iterations at once on memory that the TLB knows and puts their number into `n`, 0 where it cannot.
 */
export function defineStringLoop(
	core: Core,
	name: string,
	uses: { readonly source: boolean; readonly destination: boolean; readonly cutsIndexes?: boolean },
	element: (loop: StringLoop, status: Local) => void,
	piece: (loop: StringLoop, room: Local, n: Local) => void,
): void {
	core.define(name, STRING_PARAMS, ["i32"], (f) => {
		const [st, rec, width, segment] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const [mask, repeat] = [f.param(4), f.param(5)];
		const si = f.local("i64", uses.source ? gpr(st, RSI).and(mask) : 0);
		const di = f.local("i64", uses.destination ? gpr(st, RDI).and(mask) : 0);
		const [left, allowed] = [f.local("i64", 1), f.local("i32", 1)];
		const [done, ended, status] = [f.local("i32", 0), f.local("i32", 0), f.local("i32", 0)];
		const [n, room] = [f.local("i32"), f.local("i32")];
		const step = f.let(stringStep(st, width));
		const loop = { core, f, st, rec, width, segment, mask, repeat, si, di, left, done, allowed, ended };
		f.if(repeat, () => {
			f.set(left, gpr(st, RCX).and(mask));
			f.if(left.eqz(), () => {
				setIndex(f, st, RCX, left, mask);
				if (uses.cutsIndexes && uses.source) setIndex(f, st, RSI, si, mask);
				if (uses.cutsIndexes) setIndex(f, st, RDI, di, mask);
				f.return(STATUS.next);
			});
			f.set(allowed, iterationsAllowed(st));
		});
		const before = f.let(F.pending.of(st));
		const advance = (count: Ex | number): void => {
			const far = typeof count === "number" ? step : step.mul(count.extU());
			if (uses.source) f.set(si, si.add(far).and(mask));
			if (uses.destination) f.set(di, di.add(far).and(mask));
			f.set(left, left.sub(typeof count === "number" ? 1 : count.extU()));
			f.set(done, done.add(count));
		};
		f.block((end) => {
			f.loop((again) => {
				f.if(F.fillable.of(st).and(repeat.ne(0)), () => {
					f.set(room, allowed.sub(done));
					f.if(left.ltU(room.extU()), () => f.set(room, left.wrap()));
					piece(loop, room, n);
					f.if(n.ne(0), () => {
						advance(n);
						f.brIf(end, left.eqz().or(ended).or(done.geU(allowed)));
						f.br(again);
					});
				});
				element(loop, status);
				f.brIf(end, status.eq(STATUS.stopHere));
				advance(1);
				f.brIf(end, left.eqz().or(ended).or(done.geU(allowed)));
				f.call(core.fn("forgetReads"), st);
				f.brIf(end, F.pending.of(st).and(before.not()).ne(0));
				f.br(again);
			});
		});
		f.returnIf(done.eqz(), status);
		if (uses.source) setIndex(f, st, RSI, si, mask);
		if (uses.destination) setIndex(f, st, RDI, di, mask);
		f.if(repeat, () => setIndex(f, st, RCX, left, mask));
		f.if(status.eq(STATUS.stopHere), () => {
			// The next iteration faults or waits for an answer: it is an instruction of its own.
			F.budget.set(f, st, F.budget.of(st).sub(done));
			F.eflags.set(f, st, F.eflags.of(st).or(EFLAGS.rf));
			F.midwayIp.set(f, st, call(core.fn("instructionIp"), st, rec));
			f.return(status);
		});
		f.call(core.fn("forgetReads"), st);
		endIterations(loop, done, left.eqz().or(ended), mayEnd(st, repeat));
	});
}

/**
 * `stringRoom(state, segment, offset, width, addressMask, write)` → elements from `offset` on, in the direction of DF,
 * that lie in one page, inside the segment and before the index wraps; 0 where the first one does not.
 */
export function defineStringRoom(core: Core): void {
	core.define("stringRoom", ["i32", "i32", "i64", "i32", "i64", "i32"], ["i32"], (f) => {
		const [st, offset, width, mask] = [f.param(0), f.param(2), f.param(3), f.param(4)];
		const at = f.let(segmentAddress(st, f.param(1)));
		const low = f.let(SEG.low.of(at));
		const high = f.local("i64", SEG.readHigh.of(at));
		f.if(f.param(5), () => f.set(high, SEG.writeHigh.of(at)));
		const last = f.let(offset.add(width.extU()).sub(1n));
		f.returnIf(low.gtS(offset).or(last.gtS(high)).or(last.gtU(mask)), 0);
		const inPage = f.let(SEG.start.of(at).add(offset).and(0xfff));
		f.returnIf(inPage.add(width.extU()).gtU(4096n), 0);
		// Bytes beyond the first element's first (up) or below it (down).
		const room = f.local("i64");
		const atMost = (limit: Ex): void => f.if(room.gtU(limit), () => f.set(room, limit));
		f.if(F.eflags.of(st).and(EFLAGS.df).eqz(), () => {
			f.set(room, i64(4095).sub(inPage));
			atMost(high.sub(offset));
			atMost(mask.sub(offset));
			f.return(room.wrap().add(1).shrU(width.ctz()));
		});
		f.set(room, inPage);
		atMost(offset.sub(low));
		f.return(room.wrap().shrU(width.ctz()).add(1));
	});
}

/** Linear address of an offset that {@link defineStringRoom} found inside the segment. */
export function linearOf(st: Ex, segment: Ex | number, offset: Ex): Ex {
	return SEG.start.of(segmentAddress(st, segment)).add(offset).and(F.linearMask.of(st));
}
