import { SEGMENT, VECTOR } from "../../isa/registers.ts";
import { type Ex, i32 } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import {
	ACCESS,
	EXIT,
	F,
	FRAGMENT,
	FRAGMENT_SIZE,
	IO,
	IO_SIZE,
	PENDING,
	SEG,
	STORE,
	segmentOffset,
	TX,
	TX_SIZE,
} from "../layout.ts";
import { KVM_MEM_READONLY, SLOT_FLAGS } from "../slot-table.ts";
import { EFLAGS } from "./control-bits.ts";
import type { Core } from "./core.ts";
import { wantsWrite } from "./page-entry.ts";

/** Stores that memory does not take: who made them, and faults instead of them. */
export function defineRom(core: Core): void {
	defineQueueWrite(core);
	defineRefuseStore(core);
}

function defineQueueWrite(core: Core): void {
	/** `queueWrite(state, rec, item, data)`: a piece of a store, as a fragment for user space. */
	core.define("queueWrite", ["i32", "i32", "i32", "i64"], [], (f) => {
		const [st, rec, item, data] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const count = f.let(F.writeCount.of(st));
		const entry = f.let(st.add(count.mul(FRAGMENT_SIZE)).add(F.writes.offset));
		const gpa = IO.gpa.of(item);
		FRAGMENT.gpa.set(f, entry, gpa);
		FRAGMENT.length.set(f, entry, IO.length.of(item));
		FRAGMENT.data.set(f, entry, data);
		f.if(call(core.imports.bus, st, 1, entry), () => f.return());
		const page = f.let(st.add(IO.page.of(item).mul(TX_SIZE)).add(F.tx.offset));
		FRAGMENT.linear.set(f, entry, TX.linear.of(page).add(gpa.sub(TX.gpa.of(page))));
		FRAGMENT.used.set(f, entry, IO.offset.of(item).or(storeBytes(f, st).shl(16)));
		// Without a record it is an interrupt or exception that stores: behind the instruction that it came upon.
		const ip = f.local("i64", F.rip.of(st));
		f.if(rec.ne(0), () => f.set(ip, call(core.fn("instructionIp"), st, rec)));
		const cs = st.add(segmentOffset(SEGMENT.cs));
		F.exitIp.set(f, st, ip);
		F.exitLinear.set(f, st, SEG.start.of(cs).add(ip).and(F.linearMask.of(st)));
		F.exitCs.set(f, st, SEG.selector.of(cs));
		F.exitMode.set(f, st, storeMode(st));
		F.writeCount.set(f, st, count.add(1));
		F.pending.set(f, st, F.pending.of(st).or(PENDING.exit));
	});
}

/** Bytes of the access in hand. */
function storeBytes(f: FunctionBuilder, st: Ex): Ex {
	const last = f.let(st.add(F.ioCount.of(st).sub(1).mul(IO_SIZE)).add(F.io.offset));
	return IO.offset.of(last).add(IO.length.of(last));
}

/** What {@link F.exitMode} says of the store in hand. */
function storeMode(st: Ex): Ex {
	return F.modeKey
		.of(st)
		.or(F.eflags.of(st).and(EFLAGS.vm))
		.or(F.cpl.of(st).shl(STORE.cplShift))
		.or(F.event.of(st).ne(0).mul(STORE.delivery))
		.or(F.event.of(st).shl(STORE.vectorShift))
		.or(i32(STORE.descriptor).when(F.storeAccess.of(st).and(ACCESS.bit), 0));
}

function defineRefuseStore(core: Core): void {
	/**
	 * `refuseStore(state, access, bytes)` → 0, or stopHere: the access wants to write, a page of F.tx is in a readonly slot, and the
	 * host wants a fault. It is #GP(0), in every mode; the exit before its delivery tells user space. `bytes`: F.data holds as many to
	 * be stored; 0: what would be stored is not known yet.
	 */
	core.define("refuseStore", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, access, bytes] = [f.param(0), f.param(1), f.param(2)];
		f.returnIf(F.refuses.of(st).eqz().or(wantsWrite(access).eqz()).or(access.and(ACCESS.bit).ne(0)), 0);
		const [n, offset] = [f.local("i32", 0), f.local("i32", 0)];
		f.while(n.ltU(F.txCount.of(st)), () => {
			const page = f.let(st.add(n.mul(TX_SIZE)).add(F.tx.offset));
			const slot = f.let(call(core.fn("slotFind"), st, TX.gpa.of(page)));
			f.if(slot.ne(0), () => {
				f.if(slot.load("i32", SLOT_FLAGS).and(KVM_MEM_READONLY).ne(0), () => {
					f.if(call(core.imports.refuses, st, page), () => {
						F.exitReason.set(f, st, EXIT.storeRefused);
						F.exitAddress.set(f, st, TX.gpa.of(page));
						F.exitLength.set(f, st, TX.length.of(page));
						F.exitTarget.set(f, st, TX.linear.of(page));
						F.exitPart.set(f, st, offset.or(bytes.shl(16)));
						F.storeAccess.set(f, st, access);
						F.exitMode.set(f, st, storeMode(st));
						F.pending.set(f, st, F.pending.of(st).or(PENDING.exit));
						f.return(call(core.fn("raise"), st, VECTOR.GP, 0));
					});
				});
			});
			f.set(offset, offset.add(TX.length.of(page)));
			f.set(n, n.add(1));
		});
		f.return(0);
	});
}
