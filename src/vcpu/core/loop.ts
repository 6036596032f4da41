import { assert } from "../../base/errors.ts";
import { SEGMENT, VECTOR } from "../../isa/registers.ts";
import { type Ex, i32, type Local } from "../../wasm/expression.ts";
import { call, type FunctionBuilder, type Label } from "../../wasm/function.ts";
import {
	BLOCK,
	BLOCK_HEADER,
	BLOCK_TABLE_ENTRIES,
	BREAK_DEBUGGER,
	EXIT,
	F,
	type Field,
	FRAGMENT,
	FRAGMENT_SIZE,
	GUEST_DEBUG,
	JUMP,
	JUMP_ENTRIES,
	JUMP_SIZE,
	KEY,
	PENDING,
	REC,
	REC_SIZE,
	SEG,
	STATUS,
	segmentOffset,
	TRACED,
} from "../layout.ts";
import { DR6, EFLAGS } from "./control-bits.ts";
import type { Core } from "./core.ts";

/** Results of a unit from here on up are for the compiler (jit/unit.ts). */
const UNIT_ATTENTION = 3;
const HANDLER = { params: ["i32", "i32"], results: ["i32"] } as const;

const CONTRIBUTORY = (1 << VECTOR.DE) | (1 << VECTOR.TS) | (1 << VECTOR.NP) | (1 << VECTOR.SS) | (1 << VECTOR.GP);

/** The run loop: between two blocks it looks at exits, faults, traps and interrupts, then runs the next block. */
export function defineLoop(core: Core): void {
	defineLookup(core);
	defineBoundary(core);
	defineInterpret(core);
	defineRun(core);
}

/** Two fields of 32 bits, one behind the other. */
function pair(st: Ex, first: Field): Ex {
	return st.load("i64", first.offset);
}

/** Not 0 where the next instruction runs by itself. */
function singleStepped(st: Ex, flags: Ex): Ex {
	return F.shadow
		.of(st)
		.or(F.replaying.of(st))
		.or(F.stepped.of(st).and(~BREAK_DEBUGGER))
		.or(flags.and(EFLAGS.tf | EFLAGS.rf));
}

/** Not 0 where something must be looked at before the next instruction: as little as possible, since every block asks. */
export function attentionWanted(st: Ex, flags: Ex): Ex {
	const fields = [F.pending, F.faultPending, F.shadow, F.replaying, F.windowRequest, F.stepped];
	assert(
		fields.every(({ offset }, n) => offset === F.pending.offset + 4 * n),
		"fields behind one another",
	);
	return pair(st, F.pending)
		.or(pair(st, F.shadow))
		.or(pair(st, F.windowRequest))
		.ne(0n)
		.or(flags.and(EFLAGS.tf | EFLAGS.rf));
}

/** Address of the jump cache's entry for a linear address. */
function jumpSlot(st: Ex, linear: Ex): Ex {
	return F.jumpCache.of(st).add(
		linear
			.wrap()
			.xor(linear.wrap().shrU(12))
			.and(JUMP_ENTRIES - 1)
			.mul(JUMP_SIZE),
	);
}

/** Puts the block that a jump-cache entry has for `linear` and `tag` (mode key, generation) into `block`; 0: none. */
function cachedBlock(f: FunctionBuilder, st: Ex, slot: Ex, linear: Ex, tag: Ex, block: Local): void {
	f.set(block, 0);
	f.if(JUMP.ip.of(slot).eq(linear).and(pair(slot, JUMP.key).eq(tag)), () => {
		const found = f.let(JUMP.block.of(slot));
		// It may have been dropped since, and must lie within the code segment.
		f.if(BLOCK.key.of(found).eq(tag.wrap()).and(insideSegment(st, found)), () => f.set(block, found));
	});
}

/** Whether a block at RIP ends within the limit of CS. */
function insideSegment(st: Ex, block: Ex): Ex {
	const high = st.load("i64", segmentOffset(SEGMENT.cs) + SEG.fetchHigh.offset);
	return F.rip.of(st).add(block.load("i64_32u", BLOCK.bytes.offset)).sub(1n).leS(high);
}

function defineLookup(core: Core): void {
	/** `lookup(state, linear, key)` → block, or 0 with a fault or exit pending. */
	core.define("lookup", ["i32", "i64", "i32"], ["i32"], (f) => {
		const [st, linear, key] = [f.param(0), f.param(1), f.param(2)];
		const slot = f.let(jumpSlot(st, linear));
		const block = f.local("i32");
		const tag = f.let(key.extU().or(F.generation.of(st).extU().shl(32n)));
		cachedBlock(f, st, slot, linear, tag, block);
		f.returnIf(block.ne(0), block);
		f.block((decode) => {
			const high = st.load("i64", segmentOffset(SEGMENT.cs) + SEG.fetchHigh.offset);
			f.brIf(decode, F.rip.of(st).gtS(high));
			const host = f.let(call(core.fn("fetchHost"), st, linear));
			f.returnIf(host.eqz(), 0);
			f.set(
				block,
				F.blockTable
					.of(st)
					.add(
						host
							.xor(host.shrU(16))
							.and(BLOCK_TABLE_ENTRIES - 1)
							.shl(2),
					)
					.load("i32"),
			);
			f.while(block.ne(0), (exit) => {
				f.if(BLOCK.host.of(block).eq(host).and(insideSegment(st, block)), () => {
					f.brIf(exit, BLOCK.key.of(block).eq(key));
					f.if(BLOCK.formerKey.of(block).eq(key), () => {
						f.brIf(exit, call(core.imports.mend, st, block));
						// It is gone.
						f.set(block, 0);
						f.br(decode);
					});
				});
				f.set(block, BLOCK.next.of(block));
			});
			f.brIf(decode, block.eqz());
			// A block over two pages is this one only while the second page is the same memory.
			const cross = f.let(BLOCK.cross.of(block));
			f.if(cross.ne(0), () => {
				const second = linear.and(-4096).add(4096).and(F.linearMask.of(st));
				const there = f.let(call(core.fn("fetchHost"), st, second));
				f.returnIf(there.eqz(), 0);
				f.if(there.ne(cross), () => f.set(block, 0));
			});
		});
		f.if(block.eqz(), () => {
			f.set(block, call(core.imports.translate, st, key));
			f.returnIf(block.eqz(), 0);
		});
		JUMP.ip.set(f, slot, linear);
		JUMP.key.set(f, slot, key);
		JUMP.generation.set(f, slot, F.generation.of(st));
		JUMP.block.set(f, slot, block);
		f.return(block);
	});
}

/** Behind the delivery of an interrupt or exception: a debugger that steps wants to see where it leads. */
function stopAtHandler(f: FunctionBuilder, st: Ex): void {
	const wanted = F.guestDebug.of(st).and(GUEST_DEBUG.stopAtHandler).ne(0).and(F.faultPending.of(st).eqz());
	f.if(wanted, () => F.pending.set(f, st, F.pending.of(st).or(PENDING.step)));
}

/** Everything that may happen between two instructions, in the order of SDM 3A table 6-2. */
function defineBoundary(core: Core): void {
	/**
	 * `resolveFault(state)` → exit reason or 0: delivers the pending exception; double and triple faults. A delivery
	 * counts as an instruction: a handler that faults at once, for ever, must not outlast the budget.
	 */
	core.define("resolveFault", ["i32"], ["i32"], (f) => {
		const st = f.param(0);
		f.while(F.faultPending.of(st).ne(0), () => {
			f.returnIf(F.budget.of(st).leS(0), EXIT.budget);
			const vector = f.local("i32", F.faultVector.of(st));
			const code = f.local("i32", F.faultCode.of(st));
			const before = f.let(F.delivering.of(st));
			const contributory = (n: Ex): Ex => i32(CONTRIBUTORY).shrU(n).and(1).and(n.ltU(32));
			f.if(before.geS(0), () => {
				f.if(before.eq(VECTOR.DF), () => {
					F.faultPending.set(f, st, 0);
					F.delivering.set(f, st, -1);
					f.return(EXIT.shutdown);
				});
				const first = f.let(contributory(before));
				const second = f.let(contributory(vector));
				f.if(first.and(second).or(before.eq(VECTOR.PF).and(second.or(vector.eq(VECTOR.PF)))), () => {
					f.set(vector, VECTOR.DF);
					f.set(code, 0);
				});
			});
			F.faultPending.set(f, st, 0);
			F.deliveringBefore.set(f, st, before);
			F.delivering.set(f, st, vector);
			const status = f.let(call(core.fn("deliver"), st, vector, code, 0));
			f.if(
				status.eq(STATUS.stopHere),
				() => {
					f.if(F.faultPending.of(st).eqz(), () => {
						// The delivery needs an answer from user space: it starts over then.
						F.faultPending.set(f, st, 1);
						F.faultVector.set(f, st, vector);
						F.faultCode.set(f, st, code);
						F.delivering.set(f, st, before);
						f.return(0);
					});
					// User space hears of each refused store before the next one.
					f.if(F.pending.of(st).and(PENDING.exit).ne(0), () => f.return(0));
				},
				() => {
					F.delivering.set(f, st, -1);
					F.replaying.set(f, st, 0);
					F.budget.set(f, st, F.budget.of(st).sub(1));
				},
			);
		});
		f.return(0);
	});

	/** `interrupt(state, vector)`: delivers it; where that needs an answer from user space, it waits in the queue. */
	core.define("interrupt", ["i32", "i32"], [], (f) => {
		const [st, vector] = [f.param(0), f.param(1)];
		const status = f.let(call(core.fn("deliver"), st, vector, 0, 1));
		f.if(status.eq(STATUS.stopHere).and(F.faultPending.of(st).eqz()), () => {
			f.if(
				vector.eq(VECTOR.NMI),
				() => {
					F.nmiPending.set(f, st, 1);
					F.nmiBlocked.set(f, st, 0);
				},
				() => F.interruptQueued.set(f, st, vector),
			);
			F.pending.set(f, st, F.pending.of(st).or(PENDING.interrupt));
			F.redelivering.set(f, st, 1);
			f.return();
		});
		F.redelivering.set(f, st, 0);
		F.replaying.set(f, st, 0);
	});

	/** `takeExit(state)` → exit reason, 0 where none is ready after all. */
	core.define("takeExit", ["i32"], ["i32"], (f) => {
		const st = f.param(0);
		const position = f.let(F.writePosition.of(st));
		f.if(position.ltU(F.writeCount.of(st)), () => {
			const fragment = f.let(st.add(position.mul(FRAGMENT_SIZE)).add(F.writes.offset));
			F.exitAddress.set(f, st, FRAGMENT.gpa.of(fragment));
			F.exitLength.set(f, st, FRAGMENT.length.of(fragment));
			F.exitData.set(f, st, FRAGMENT.data.of(fragment));
			F.exitIsWrite.set(f, st, 1);
			F.exitTarget.set(f, st, FRAGMENT.linear.of(fragment));
			F.exitPart.set(f, st, FRAGMENT.used.of(fragment));
			F.writePosition.set(f, st, position.add(1));
			f.if(position.add(1).eq(F.writeCount.of(st)), () => {
				F.writePosition.set(f, st, 0);
				F.writeCount.set(f, st, 0);
				f.if(F.exitReason.of(st).eqz(), () => F.pending.set(f, st, F.pending.of(st).and(~PENDING.exit)));
			});
			f.return(EXIT.mmio);
		});
		const reason = f.let(F.exitReason.of(st));
		F.exitReason.set(f, st, 0);
		F.pending.set(f, st, F.pending.of(st).and(~PENDING.exit));
		f.return(reason);
	});

	/** `boundary(state)` → exit reason, or 0 to go on. */
	core.define("boundary", ["i32"], ["i32"], (f) => {
		const st = f.param(0);
		const pending = (): Ex => F.pending.of(st);
		f.loop((again) => {
			f.if(pending().and(PENDING.exit).ne(0), () => {
				const reason = f.let(call(core.fn("takeExit"), st));
				f.returnIf(reason.ne(0), reason);
			});
			// What was left open is complete, unless the instruction has yet to run again with its answer.
			f.if(pending().and(PENDING.immediate).ne(0).and(F.replaying.of(st).eqz()), () => f.return(EXIT.intr));
			const midst = F.faultPending.of(st).or(F.replaying.of(st));
			f.if(pending().and(PENDING.step).ne(0).and(midst.eqz()), () => {
				F.pending.set(f, st, pending().and(~PENDING.step));
				f.return(EXIT.debug);
			});
			f.if(pending().and(PENDING.ring).ne(0).and(F.replaying.of(st).eqz()), () => f.return(EXIT.dirtyRingFull));
			f.if(F.faultPending.of(st).ne(0), () => {
				const reason = f.let(call(core.fn("resolveFault"), st));
				f.returnIf(reason.ne(0), reason);
				stopAtHandler(f, st);
				f.br(again);
			});
			F.pending.set(f, st, pending().and(~PENDING.code));
			f.if(pending().and(PENDING.request).ne(0), () => {
				F.pending.set(f, st, pending().and(~PENDING.request));
				f.if(F.halted.of(st).ne(0), () => {
					F.halted.set(f, st, 0);
					f.return(EXIT.hlt);
				});
			});
			const shadow = f.let(F.shadow.of(st));
			f.if(pending().and(PENDING.debug).ne(0).and(shadow.and(2).eqz()), () => {
				F.pending.set(f, st, pending().and(~PENDING.debug));
				f.drop(call(core.fn("raise"), st, VECTOR.DB, 0));
				f.br(again);
			});
			// An instruction whose read has been answered is not interrupted any more: the device would be read twice.
			const begun = F.replaying.of(st).ne(0).and(F.redelivering.of(st).eqz());
			const blocked = F.guestDebug.of(st).and(GUEST_DEBUG.blockIrq).ne(0).or(begun);
			f.if(shadow.eqz().and(pending().and(PENDING.interrupt).ne(0)).and(blocked.eqz()), () => {
				f.if(F.nmiPending.of(st).ne(0).and(F.nmiBlocked.of(st).eqz()), () => {
					F.nmiPending.set(f, st, 0);
					F.nmiBlocked.set(f, st, 1);
					f.call(core.fn("interrupt"), st, VECTOR.NMI);
					stopAtHandler(f, st);
					f.br(again);
				});
				f.if(F.eflags.of(st).and(EFLAGS.if).ne(0), () => {
					const queued = f.let(F.interruptQueued.of(st));
					f.if(queued.geS(0), () => {
						F.interruptQueued.set(f, st, -1);
						f.call(core.fn("interrupt"), st, queued);
						stopAtHandler(f, st);
						f.br(again);
					});
					f.if(F.interruptLine.of(st).ne(0), () => {
						const vector = f.let(call(core.imports.acknowledge, st));
						f.if(vector.geS(0), () => {
							f.call(core.fn("interrupt"), st, vector);
							stopAtHandler(f, st);
							f.br(again);
						});
					});
				});
				f.if(F.interruptLine.of(st).or(F.nmiPending.of(st)).eqz().and(F.interruptQueued.of(st).ltS(0)), () =>
					F.pending.set(f, st, pending().and(~PENDING.interrupt)),
				);
			});
			f.if(F.windowRequest.of(st).ne(0).and(shadow.eqz()).and(F.eflags.of(st).and(EFLAGS.if).ne(0)), () => {
				f.return(EXIT.irqWindowOpen);
			});
		});
		f.return(0);
	});

	/** `codeBreakpoint(state, linear)` → 1 with #DB pending where DR0–DR3 break on this instruction. */
	core.define("codeBreakpoint", ["i32", "i64"], ["i32"], (f) => {
		const [st, linear] = [f.param(0), f.param(1)];
		f.returnIf(F.eflags.of(st).and(EFLAGS.rf).ne(0), 0);
		const dr7 = f.let(F.breakControl.of(st));
		const forUser = f.let(F.guestDebug.of(st).and(GUEST_DEBUG.hardware).ne(0));
		const addresses = f.let(st.add(i32(F.debugAddress.offset).when(forUser, F.dr.offset)));
		const [n, hits, enabled] = [f.local("i32", 0), f.local("i32", 0), f.local("i32", 0)];
		f.while(n.ltU(4), () => {
			f.if(
				dr7
					.shrU(n.shl(2).add(16))
					.and(3)
					.eqz()
					.and(addresses.add(n.shl(3)).load("i64").eq(linear)),
				() => {
					const on = f.let(dr7.shrU(n.shl(1)).and(3).ne(0));
					f.set(enabled, enabled.or(on));
					f.set(hits, hits.or(i32(1).shl(n)));
				},
			);
			f.set(n, n.add(1));
		});
		f.returnIf(enabled.eqz(), 0);
		f.if(forUser, () => {
			F.stepDr6.set(f, st, F.stepDr6.of(st).or(hits));
			F.pending.set(f, st, F.pending.of(st).or(PENDING.step));
			f.return(1);
		});
		F.faultDr6.set(f, st, F.faultDr6.of(st).or(hits));
		f.drop(call(core.fn("raise"), st, VECTOR.DB, 0));
		f.return(1);
	});
}

/** Prints the running of a block's records; goes to `next` where all ran and where the last one branched. */
function interpretRecords(core: Core, f: FunctionBuilder, st: Ex, block: Local, status: Local, next: Label): void {
	const rec = f.let(block.add(BLOCK_HEADER));
	const count = f.let(BLOCK.count.of(block));
	const end = f.let(rec.add(count.mul(REC_SIZE)));
	F.blockFirst.set(f, st, rec);
	F.blockCount.set(f, st, count);
	f.block((left) => {
		f.loop((again) => {
			f.set(status, core.m.callIndirect(HANDLER, rec.load("i32_16u", REC.handler), st, rec));
			f.brIf(left, status.ne(STATUS.next));
			f.set(rec, rec.add(REC_SIZE));
			f.brIf(again, rec.ltU(end));
		});
		F.rip.set(f, st, F.blockIp.of(st).add(block.load("i64_32u", BLOCK.bytes.offset)));
		f.br(next);
	});
	f.set(rec, rec.add(REC_SIZE));
	f.brIf(next, status.eq(STATUS.branch).and(rec.eq(end)));
	// Take back what was charged for instructions that did not run.
	f.if(status.eq(STATUS.stopHere), () => f.set(rec, rec.sub(REC_SIZE)));
	F.budget.set(f, st, F.budget.of(st).add(end.sub(rec).shrU(Math.log2(REC_SIZE))));
	f.if(status.eq(STATUS.stopNext), () => F.rip.set(f, st, call(core.fn("nextIp"), st, rec.sub(REC_SIZE))));
	f.if(status.eq(STATUS.stopHere), () => F.rip.set(f, st, call(core.fn("instructionIp"), st, rec)));
}

function defineInterpret(core: Core): void {
	/** `interpret(state, block)` → STATUS of the last instruction; RIP and the budget are exact afterwards. */
	core.define("interpret", ["i32", "i32"], ["i32"], (f) => {
		const [st, block] = [f.param(0), f.param(1)];
		const status = f.local("i32");
		f.block((done) => interpretRecords(core, f, st, block, status, done));
		f.return(status);
	});
}

function defineRun(core: Core): void {
	/** `run(state)` → exit reason. */
	const run = core.define("run", ["i32"], ["i32"], (f) => {
		const st = f.param(0);
		const special = f.local("i32");
		const block = f.local("i32");
		const status = f.local("i32");
		const flags = f.local("i32");
		const unit = f.local("i32");
		const csBase = st.load("i64", segmentOffset(SEGMENT.cs) + SEG.start.offset);
		const dr7 = F.breakControl.of(st);
		const stepping = F.guestDebug.of(st).and(GUEST_DEBUG.singleStep);
		f.loop((next) => {
			f.set(flags, F.eflags.of(st));
			f.set(special, attentionWanted(st, flags));
			f.if(special.ne(0), () => {
				const reason = f.let(call(core.fn("boundary"), st));
				f.returnIf(reason.ne(0), reason);
				f.if(F.stepped.of(st).and(BREAK_DEBUGGER).ne(0), () => f.brIf(next, call(core.fn("debuggerStops"), st)));
				f.set(flags, F.eflags.of(st));
				f.set(special, singleStepped(st, flags));
			});
			f.returnIf(F.budget.of(st).leS(0), EXIT.budget);
			const linear = f.let(csBase.add(F.rip.of(st)).and(F.linearMask.of(st)));
			f.if(special.eqz(), () => {
				const tag = f.let(pair(st, F.modeKey));
				const slot = f.let(jumpSlot(st, linear));
				cachedBlock(f, st, slot, linear, tag, block);
				f.if(block.eqz(), () => {
					f.set(block, call(core.fn("lookup"), st, linear, tag.wrap()));
					f.brIf(next, block.eqz());
				});
				f.set(unit, BLOCK.unit.of(block));
				f.if(unit.ne(0), () => {
					// Units know the TLBs of the mode only, not the empty one that has alignment checked.
					f.if(F.skipUnit.of(st).eqz().and(F.fillable.of(st)), () => {
						// A unit that returns 1 wants the next instructions interpreted: it missed, or its budget ran low.
						f.set(unit, core.m.callIndirect(HANDLER, unit, st, BLOCK.entry.of(block)));
						F.skipUnit.set(f, st, unit);
						f.if(unit.geU(UNIT_ATTENTION), () => f.call(core.imports.verify, st, block));
						f.br(next);
					});
				});
				F.skipUnit.set(f, st, 0);
				f.if(BLOCK.count.of(block).gtU(F.budget.of(st)), () => {
					f.set(block, call(core.fn("lookup"), st, linear, tag.wrap().or(KEY.single)));
					f.brIf(next, block.eqz());
				});
				const heat = f.let(BLOCK.heat.of(block).sub(1));
				BLOCK.heat.set(f, block, heat);
				F.blockIp.set(f, st, F.rip.of(st));
				// Before it runs: afterwards it may be in another segment, mode or address space.
				f.if(heat.eqz(), () => f.call(core.imports.compile, st, block));
				F.budget.set(f, st, F.budget.of(st).sub(BLOCK.count.of(block)));
				interpretRecords(core, f, st, block, status, next);
				f.br(next);
			});
			// One instruction at a time.
			// Behind MOV SS and POP SS no breakpoint is seen (SDM 3A 6.8.3).
			f.if(dr7.and(0xff).ne(0).and(F.shadow.of(st).and(2).eqz()), () =>
				f.brIf(next, call(core.fn("codeBreakpoint"), st, linear)),
			);
			f.set(block, call(core.fn("lookup"), st, linear, F.modeKey.of(st).or(KEY.single)));
			f.brIf(next, block.eqz());
			const shadow = f.let(F.shadow.of(st));
			F.shadow.set(f, st, 0);
			F.eflags.set(f, st, flags.and(~EFLAGS.rf));
			F.trapOff.set(f, st, 0);
			F.blockIp.set(f, st, F.rip.of(st));
			F.budget.set(f, st, F.budget.of(st).sub(1));
			f.set(status, call(core.fn("interpret"), st, block));
			f.if(status.eq(STATUS.stopHere), () => {
				// Not done: it will run again, or fault, with what held before.
				f.if(F.faultPending.of(st).eqz(), () => {
					F.shadow.set(f, st, shadow);
					F.eflags.set(f, st, F.eflags.of(st).or(flags.and(EFLAGS.rf)));
				});
				f.br(next);
			});
			f.if(F.tracing.of(st).and(TRACED.instructions).ne(0), () => {
				const isWanted = linear.geU(F.tracedFirst.of(st)).and(linear.leU(F.tracedLast.of(st)));
				f.if(isWanted, () => f.call(core.imports.traced, st, TRACED.instructions, 0, linear, F.blockIp.of(st)));
			});
			F.replaying.set(f, st, 0);
			F.readRecord.set(f, st, 0);
			F.portAnswered.set(f, st, 0);
			f.call(core.fn("forgetReads"), st);
			f.if(stepping, () => {
				F.stepDr6.set(f, st, F.stepDr6.of(st).or(DR6.bs));
				F.pending.set(f, st, F.pending.of(st).or(PENDING.step));
			});
			// Behind MOV SS and POP SS there is no single step (SDM 3A 6.8.3).
			const stepAllowed = F.trapOff.of(st).or(F.shadow.of(st).and(2)).eqz();
			f.if(flags.and(EFLAGS.tf).ne(0).and(stepAllowed), () => {
				F.faultDr6.set(f, st, F.faultDr6.of(st).or(DR6.bs));
				F.pending.set(f, st, F.pending.of(st).or(PENDING.debug));
			});
			f.br(next);
		});
		f.return(0);
	});
	core.m.export(run);
}
