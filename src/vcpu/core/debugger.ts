import { SEGMENT } from "../../isa/registers.ts";
import { call } from "../../wasm/function.ts";
import {
	F,
	GUEST_DEBUG,
	HIT,
	PENDING,
	REC_SIZE,
	SEG,
	STATUS,
	STOP_OFFSETS,
	segmentOffset,
	WATCH,
	WATCH_KIND,
	WATCH_SIZE,
} from "../layout.ts";
import { EFLAGS } from "./control-bits.ts";
import type { Core } from "./core.ts";

/**
 * A debugger's breakpoints and watchpoints: as many as it likes, by linear address, beside the guest's own debug registers. Decoded
 * blocks and units end before an instruction with a breakpoint (../breakpoints.ts), so that looking between two of them is enough;
 * pages with a watchpoint are in no TLB that would let an access pass.
 */
export function defineDebugger(core: Core): void {
	/** `debuggerStops(state)` → 1 with the stop pending where the debugger has a breakpoint on the instruction ahead. */
	core.define("debuggerStops", ["i32"], ["i32"], (f) => {
		const st = f.param(0);
		const cs = st.add(segmentOffset(SEGMENT.cs));
		const linear = f.let(SEG.start.of(cs).add(F.rip.of(st)).and(F.linearMask.of(st)));
		const [n, count] = [f.local("i32", 0), f.let(F.stopCount.of(st))];
		f.returnIf(count.eqz(), 0);
		const bits = f.let(F.stops.of(st));
		const offset = f.let(linear.wrap().and(0xfff));
		f.returnIf(bits.add(offset.shrU(3)).load("i32_8u").shrU(offset.and(7)).and(1).eqz(), 0);
		// An instruction that runs again with its answer has been asked for before; a single step goes over a breakpoint.
		f.returnIf(F.replaying.of(st).or(F.guestDebug.of(st).and(GUEST_DEBUG.singleStep)).ne(0), 0);
		// So has the rest of a repeated one.
		const begun = F.eflags
			.of(st)
			.and(EFLAGS.rf)
			.ne(0)
			.and(F.midwayIp.of(st).eq(F.rip.of(st)));
		f.returnIf(begun, 0);
		const addresses = f.let(bits.add(STOP_OFFSETS));
		f.while(n.ltU(count), () => {
			f.if(addresses.add(n.shl(3)).load("i64").eq(linear), () => {
				F.hitKind.set(f, st, HIT.breakpoint);
				F.hitAddress.set(f, st, linear);
				F.pending.set(f, st, F.pending.of(st).or(PENDING.step));
				f.return(1);
			});
			f.set(n, n.add(1));
		});
		f.return(0);
	});

	/** `watchedPage(state, linear)` → {@link WATCH_KIND} bits of the accesses that are watched in the page of an address. */
	core.define("watchedPage", ["i32", "i64"], ["i32"], (f) => {
		const [st, linear] = [f.param(0), f.param(1)];
		const [n, kinds, count] = [f.local("i32", 0), f.local("i32", 0), f.let(F.watchCount.of(st))];
		f.returnIf(count.eqz(), 0);
		const first = f.let(linear.and(-4096));
		const last = f.let(linear.or(0xfffn));
		f.while(n.ltU(count), () => {
			const entry = f.let(F.watches.of(st).add(n.mul(WATCH_SIZE)));
			f.if(WATCH.first.of(entry).leU(last).and(WATCH.last.of(entry).geU(first)), () => {
				f.set(kinds, kinds.or(WATCH.kinds.of(entry)));
			});
			f.set(n, n.add(1));
		});
		f.return(kinds);
	});

	/** `watchOf(state, linear, bytes, kind)` → the first watchpoint for accesses of that kind that has one of these bytes, or 0. */
	core.define("watchOf", ["i32", "i64", "i32", "i32"], ["i32"], (f) => {
		const [st, linear, bytes, kind] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const [n, count] = [f.local("i32", 0), f.let(F.watchCount.of(st))];
		const last = f.let(linear.add(bytes.sub(1).extU()));
		f.while(n.ltU(count), (_exit, next) => {
			const entry = f.let(F.watches.of(st).add(n.mul(WATCH_SIZE)));
			f.set(n, n.add(1));
			f.brIf(next, WATCH.kinds.of(entry).and(kind).eqz());
			f.brIf(next, WATCH.first.of(entry).gtU(last).or(WATCH.last.of(entry).ltU(linear)));
			f.return(entry);
		});
		f.return(0);
	});

	/**
	 * `readsAlone(state, rec, linear, bytes)` → 0, or stopHere: the instruction reads watched bytes, and others follow it in its block. A
	 * read cannot end a block, so it runs again by itself, as one does whose read has been answered.
	 */
	core.define("readsAlone", ["i32", "i32", "i64", "i32"], ["i32"], (f) => {
		const [st, rec, linear, bytes] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const end = F.blockFirst.of(st).add(F.blockCount.of(st).mul(REC_SIZE));
		f.returnIf(rec.eqz().or(rec.add(REC_SIZE).geU(end)), 0);
		f.returnIf(call(core.fn("watchOf"), st, linear, bytes, WATCH_KIND.read).eqz(), 0);
		F.readRecord.set(f, st, 0);
		F.replaying.set(f, st, 1);
		f.return(STATUS.stopHere);
	});

	/**
	 * `debuggerWatches(state, linear, bytes, write)`: the stop behind an instruction that reads or writes watched bytes. The first
	 * one that it touches is told, but a write rather than a read.
	 */
	core.define("debuggerWatches", ["i32", "i64", "i32", "i32"], [], (f) => {
		const [st, linear, bytes, write] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const entry = f.let(call(core.fn("watchOf"), st, linear, bytes, write.add(WATCH_KIND.read)));
		f.if(entry.eqz(), () => f.return());
		const known = F.hitKind.of(st);
		f.if(known.eq(HIT.none).or(known.eq(HIT.read).and(write)), () => {
			const at = f.let(WATCH.first.of(entry));
			f.if(at.ltU(linear), () => f.set(at, linear));
			F.hitKind.set(f, st, write.add(HIT.read));
			F.hitAddress.set(f, st, at);
		});
		F.pending.set(f, st, F.pending.of(st).or(PENDING.step));
	});
}
