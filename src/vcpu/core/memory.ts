import { VECTOR } from "../../isa/registers.ts";
import { type Ex, i32, i64, type Local } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import {
	ACCESS,
	BREAK_DEBUGGER,
	EXIT,
	F,
	FRAGMENT,
	FRAGMENT_SIZE,
	FRAGMENT_WANTED,
	GUEST_DEBUG,
	IO,
	IO_SIZE,
	NOBODY,
	PENDING,
	STATUS,
	TLB,
	TLB_BYTES,
	TRACED,
	TX,
	TX_SIZE,
	WATCH_KIND,
} from "../layout.ts";
import { KVM_MEM_READONLY, SLOT_FLAGS } from "../slot-table.ts";
import { CR0, CR4, EFLAGS } from "./control-bits.ts";
import type { Core } from "./core.ts";
import { isCanonical } from "./mode.ts";
import { metaOf } from "./page-entry.ts";
import { defineRom } from "./rom.ts";
import { tableOf } from "./tlb.ts";

/** Kinds of {@link IO}: 1 is ROM, where reads are direct and writes go out. */
export const KIND_RAM = 0;
const KIND_NOTHING = 2;

/** What `watch` is told of a port access instead of 0 read, 1 write. */
export const WATCH_PORT = 2;

/** CR0.AM and EFLAGS.AC, with CPL 3, check alignment (SDM 3A 6.15, #AC). */

function bytesUntilPageEnd(linear: Ex): Ex {
	return i32(4096).sub(linear.wrap().and(0xfff));
}

/**
 * The three one-step translations, and what stands on them:
 * `gvaToTlb` (linear range → pages, or one fault before any byte moves), `tlbToIo` (pages → pieces of RAM, ROM or
 * nothing), `runIoList` (moves bytes, or makes the fragments of an MMIO exit).
 */
export function defineMemory(core: Core): void {
	defineRom(core);
	defineGvaToTlb(core);
	defineTlbToIo(core);
	defineRunIoList(core);
	defineAccess(core);
	defineFetch(core);
}

/** Tells of a page that was walked for the guest. */
function traceMiss(core: Core, f: FunctionBuilder, st: Ex, access: Ex, linear: Ex): void {
	const wanted = F.tracing
		.of(st)
		.and(TRACED.misses)
		.ne(0)
		.and(access.and(ACCESS.hypervisor | ACCESS.check).eqz());
	f.if(wanted, () => f.call(core.imports.traced, st, TRACED.misses, access, linear, F.walkGpa.of(st)));
}

/** `gvaToTlb(state, linear, length ≤ 65536, access)` → 0 with F.tx filled, or stopHere with the fault pending. */
function defineGvaToTlb(core: Core): void {
	core.define("gvaToTlb", ["i32", "i64", "i32", "i32"], ["i32"], (f) => {
		const [st, start, bytes, access] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const linear = f.local("i64", start);
		const left = f.local("i32", bytes);
		const count = f.local("i32", 0);
		const part = f.local("i32");
		const mask = f.let(F.systemMask.of(st).when(access.and(ACCESS.system), F.linearMask.of(st)));
		f.check(call(core.fn("checkCanonical"), st, linear, bytes, access));
		F.txCount.set(f, st, 0);
		f.while(left.ne(0), () => {
			f.set(part, bytesUntilPageEnd(linear));
			f.if(part.gtU(left), () => f.set(part, left));
			f.check(call(core.fn("walk"), st, linear, access));
			traceMiss(core, f, st, access, linear);
			const entry = f.let(st.add(count.mul(TX_SIZE)).add(F.tx.offset));
			TX.gpa.set(f, entry, F.walkGpa.of(st));
			TX.length.set(f, entry, part);
			TX.flags.set(f, entry, F.walkFlags.of(st));
			TX.linear.set(f, entry, linear);
			f.set(count, count.add(1));
			f.set(left, left.sub(part));
			f.set(linear, linear.add(part.extU()).and(mask));
		});
		F.txCount.set(f, st, count);
		f.return(0);
	});
}

/**
 * `tlbToIo(state, access)` → 0: turns F.tx into F.io. Pages of RAM and ROM become TLB entries on the way where the
 * access and the page's rights allow it. With ACCESS.hypervisor, stopHere and nothing pending where a byte is not in memory
 * that the access may touch.
 */
function defineTlbToIo(core: Core): void {
	core.define("tlbToIo", ["i32", "i32"], ["i32"], (f) => {
		const [st, access] = [f.param(0), f.param(1)];
		const [n, items, offset] = [f.local("i32", 0), f.local("i32", 0), f.local("i32", 0)];
		const writes = f.let(access.and(ACCESS.write | ACCESS.modify).ne(0));
		// Translations made for CPL 3 belong in the user tables, all others in the supervisor's.
		const hypervisor = f.let(access.and(ACCESS.hypervisor));
		const fillable = f.let(F.fillable.of(st).and(access.and(ACCESS.check | ACCESS.hypervisor).eqz()));
		const table = f.let(call(core.fn("tableOf"), st, access));
		f.while(n.ltU(F.txCount.of(st)), () => {
			const page = f.let(st.add(n.mul(TX_SIZE)).add(F.tx.offset));
			const gpa = f.let(TX.gpa.of(page));
			const left = f.let(TX.length.of(page));
			const slot = f.let(call(core.fn("slotFind"), st, gpa));
			const kind = f.local("i32", KIND_NOTHING);
			const host = f.local("i32", 0);
			f.if(slot.ne(0), () => {
				f.set(kind, slot.load("i32", SLOT_FLAGS).and(KVM_MEM_READONLY).ne(0));
				f.set(host, call(core.fn("slotHost"), slot, gpa));
				// A store to ROM needs no memory behind it.
				const needed = kind.eqz().or(access.and(ACCESS.write).eqz());
				const refused = writes.and(kind.eqz()).and(call(core.fn("slotWritable"), slot, gpa).eqz());
				f.if(needed.and(host.eqz()).or(refused), () => {
					f.if(hypervisor.eqz(), () => exitMemoryFault(f, st, gpa));
					f.return(STATUS.stopHere);
				});
				f.if(fillable.and(host.ne(0)), () => {
					const flags = f.let(TX.flags.of(page));
					const linear = f.let(TX.linear.of(page));
					const meta = f.let(metaOf(flags));
					const watched = f.let(call(core.fn("watchedPage"), st, linear));
					f.if(watched.and(WATCH_KIND.read).eqz(), () => f.call(core.fn("fill"), st, table, linear, host, meta));
					// The read half of an access to two pages leaves this one as it is: an exit may come before the store.
					const stores = access.and(ACCESS.write).ne(0).or(F.txCount.of(st).eq(1));
					f.if(
						writes
							.and(stores)
							.and(kind.eqz())
							.and(watched.eqz())
							.and(F.codePages.of(st).add(host.shrU(12)).load("i32_8u").eqz()),
						() => {
							f.call(core.fn("markDirty"), st, slot, gpa);
							f.call(core.fn("fill"), st, table.add(TLB_BYTES), linear, host, meta);
						},
					);
				});
			});
			f.if(hypervisor.ne(0).and(kind.eq(KIND_NOTHING).or(writes.and(kind.ne(KIND_RAM)))), () => {
				f.return(STATUS.stopHere);
			});
			const outside = f.let(kind.eq(KIND_NOTHING).or(writes.and(kind.ne(KIND_RAM))));
			const part = f.local("i32");
			f.while(left.ne(0), () => {
				f.set(part, left);
				// What nobody backs goes out in fragments of at most eight bytes.
				f.if(outside.and(part.gtU(8)), () => f.set(part, 8));
				const item = f.let(st.add(items.mul(IO_SIZE)).add(F.io.offset));
				IO.gpa.set(f, item, gpa);
				IO.kind.set(f, item, kind);
				IO.host.set(f, item, host);
				IO.length.set(f, item, part);
				IO.offset.set(f, item, offset);
				IO.slot.set(f, item, slot);
				IO.page.set(f, item, n);
				f.set(items, items.add(1));
				f.set(offset, offset.add(part));
				f.set(gpa, gpa.add(part.extU()));
				f.set(host, host.add(part));
				f.set(left, left.sub(part));
			});
			f.set(n, n.add(1));
		});
		F.ioCount.set(f, st, items);
		f.return(0);
	});
}

/** A slot whose backing is gone, or may not be written: EFAULT with KVM_EXIT_MEMORY_FAULT (Linux virt/kvm/api, 5). */
function exitMemoryFault(f: FunctionBuilder, st: Ex, gpa: Ex): void {
	F.exitReason.set(f, st, EXIT.memoryFault);
	F.exitAddress.set(f, st, gpa.and(-4096));
	F.pending.set(f, st, F.pending.of(st).or(PENDING.exit));
}

function defineRunIoList(core: Core): void {
	/** `forgetReads(state)`: the instruction (or iteration) that these answers belong to is complete. */
	core.define("forgetReads", ["i32"], [], (f) => {
		F.readCount.set(f, f.param(0), 0);
	});

	/**
	 * `answered(state, gpa, length)` → the fragment with user space's answer to this read, which is thereby taken, or 0.
	 * Answers are found by address: slots may have changed since the exit, and an instruction that runs again may see memory
	 * where it found none, or the reverse.
	 */
	core.define("answered", ["i32", "i64", "i32"], ["i32"], (f) => {
		const [st, gpa, length] = [f.param(0), f.param(1), f.param(2)];
		const n = f.local("i32", 0);
		f.while(n.ltU(F.readCount.of(st)), () => {
			const entry = f.let(st.add(n.mul(FRAGMENT_SIZE)).add(F.reads.offset));
			const fits = FRAGMENT.gpa.of(entry).eq(gpa).and(FRAGMENT.length.of(entry).eq(length));
			f.if(fits.and(FRAGMENT.used.of(entry).eqz()), () => {
				FRAGMENT.used.set(f, entry, 1);
				f.return(entry);
			});
			f.set(n, n.add(1));
		});
		f.return(0);
	});

	/** `claimReads(state, rec)`: answers are those of the instruction in hand from now on; others are forgotten. */
	core.define("claimReads", ["i32", "i32"], [], (f) => {
		const [st, rec] = [f.param(0), f.param(1)];
		// Answers belong to one execution of one instruction: the record, and how many instructions had retired.
		const retired = f.let(F.deadline.of(st).wrap().sub(F.budget.of(st)));
		f.if(F.readRecord.of(st).ne(rec).or(F.readRetired.of(st).ne(retired)), () => {
			f.if(F.readRecord.of(st).ne(0), () => f.call(core.fn("forgetReads"), st));
			F.readRecord.set(f, st, rec);
			F.readRetired.set(f, st, retired);
		});
	});

	/**
	 * `rememberRead(state, rec, gpa, length ≤ 8, source)`: bytes of memory that an access read whose other part user space
	 * answers. The instruction sees them as they are now when it runs again.
	 */
	core.define("rememberRead", ["i32", "i32", "i64", "i32", "i32"], [], (f) => {
		const [st, rec, gpa, length, source] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		f.call(core.fn("claimReads"), st, rec);
		const entry = f.let(st.add(F.readCount.of(st).mul(FRAGMENT_SIZE)).add(F.reads.offset));
		FRAGMENT.gpa.set(f, entry, gpa);
		FRAGMENT.length.set(f, entry, length);
		FRAGMENT.used.set(f, entry, 1);
		f.memoryCopy(entry.add(FRAGMENT.data.offset), source, length);
		F.readCount.set(f, st, F.readCount.of(st).add(1));
	});

	/**
	 * `readFragment(state, rec, gpa, length, destination)` → 0 when answered, else stopHere: user space is to be asked, and
	 * `askUser` says what. All fragments of an access are asked for one after the other before the instruction runs again, so
	 * that what they are does not change with the slots meanwhile.
	 */
	core.define("readFragment", ["i32", "i32", "i64", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, gpa, length, destination] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		f.call(core.fn("claimReads"), st, rec);
		const entry = f.let(call(core.fn("answered"), st, gpa, length));
		f.if(entry.eqz(), () => {
			f.set(entry, st.add(F.readCount.of(st).mul(FRAGMENT_SIZE)).add(F.reads.offset));
			FRAGMENT.gpa.set(f, entry, gpa);
			FRAGMENT.length.set(f, entry, length);
			FRAGMENT.used.set(f, entry, 1);
			// Where the in-kernel bus answers it is remembered too: a later restart does not read the device again.
			F.readCount.set(f, st, F.readCount.of(st).add(1));
			f.if(call(core.imports.bus, st, 0, entry).eqz(), () => {
				FRAGMENT.used.set(f, entry, FRAGMENT_WANTED);
				f.return(STATUS.stopHere);
			});
		});
		const data = f.let(FRAGMENT.data.of(entry));
		const n = f.local("i32", 0);
		f.while(n.ltU(length), () => {
			f.store("i32_8", destination.add(n), data.wrap());
			f.set(data, data.shrU(8));
			f.set(n, n.add(1));
		});
		f.return(0);
	});

	/** `askUser(state)` → stopHere: makes the exit for the first fragment that waits for an answer. */
	core.define("askUser", ["i32"], ["i32"], (f) => {
		const st = f.param(0);
		const entry = f.let(st.add(F.reads.offset));
		f.while(FRAGMENT.used.of(entry).ne(FRAGMENT_WANTED), () => f.set(entry, entry.add(FRAGMENT_SIZE)));
		F.exitReason.set(f, st, EXIT.mmio);
		F.exitAddress.set(f, st, FRAGMENT.gpa.of(entry));
		F.exitLength.set(f, st, FRAGMENT.length.of(entry));
		F.exitIsWrite.set(f, st, 0);
		F.pending.set(f, st, F.pending.of(st).or(PENDING.exit));
		f.return(STATUS.stopHere);
	});

	/** `runIoList(state, rec, write)` → status: moves F.data to or from the pieces of F.io. */
	core.define("runIoList", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, write] = [f.param(0), f.param(1), f.param(2)];
		const n = f.local("i32", 0);
		const each = (body: (item: Local, data: Local) => void): void => {
			f.set(n, 0);
			f.while(n.ltU(F.ioCount.of(st)), () => {
				const item = f.let(st.add(n.mul(IO_SIZE)).add(F.io.offset));
				const data = f.let(st.add(IO.offset.of(item)).add(F.data.offset));
				body(item, data);
				f.set(n, n.add(1));
			});
		};
		f.if(write.eqz(), () => {
			const [missing, mixed] = [f.local("i32", 0), f.local("i32", 0)];
			each((item) => f.set(mixed, mixed.or(IO.kind.of(item).eq(KIND_NOTHING))));
			each((item, data) => {
				const direct = f.let(IO.kind.of(item).ne(KIND_NOTHING));
				// Behind an answer the record is 0: the instruction that runs again is the next one that reads.
				const own = F.readRecord
					.of(st)
					.eq(rec)
					.or(F.readRecord.of(st).eqz().and(F.replaying.of(st)));
				f.if(direct.and(F.readCount.of(st).ne(0)).and(own), () => {
					const answer = f.let(call(core.fn("answered"), st, IO.gpa.of(item), IO.length.of(item)));
					f.if(answer.ne(0), () => {
						f.memoryCopy(data, answer.add(FRAGMENT.data.offset), IO.length.of(item));
						f.set(direct, 2);
					});
				});
				f.if(direct.eq(1), () => {
					f.memoryCopy(data, IO.host.of(item), IO.length.of(item));
					f.if(mixed.and(IO.length.of(item).leU(8)), () => {
						f.call(core.fn("rememberRead"), st, rec, IO.gpa.of(item), IO.length.of(item), data);
					});
				});
				f.if(direct.eqz(), () => {
					const status = call(core.fn("readFragment"), st, rec, IO.gpa.of(item), IO.length.of(item), data);
					f.set(missing, missing.or(status));
				});
			});
			f.if(missing, () => f.return(call(core.fn("askUser"), st)));
			f.return(0);
		});
		// Every byte of RAM is stored before the first exit is reported.
		each((item, data) => {
			f.if(IO.kind.of(item).eq(KIND_RAM), () => {
				f.memoryCopy(IO.host.of(item), data, IO.length.of(item));
				f.call(core.fn("markDirty"), st, IO.slot.of(item), IO.gpa.of(item));
				f.call(core.fn("checkCode"), st, IO.host.of(item), IO.length.of(item));
			});
		});
		each((item, data) => {
			f.if(IO.kind.of(item).ne(KIND_RAM), () => {
				const length = f.let(IO.length.of(item));
				const value = f.let(data.load("i64"));
				f.if(length.ltU(8), () => f.set(value, value.and(i64(1).shl(length.shl(3).extU()).sub(1n))));
				f.call(core.fn("queueWrite"), st, rec, item, value);
			});
		});
		f.return(call(core.fn("stopIfPending"), st));
	});

	/** `stored(state)`: the pieces of F.io, all of them RAM, were written from outside: their pages are dirty, code in them is gone. */
	core.define("stored", ["i32"], [], (f) => {
		const st = f.param(0);
		const n = f.local("i32", 0);
		f.while(n.ltU(F.ioCount.of(st)), () => {
			const item = f.let(st.add(n.mul(IO_SIZE)).add(F.io.offset));
			f.call(core.fn("markDirty"), st, IO.slot.of(item), IO.gpa.of(item));
			f.call(core.fn("checkCode"), st, IO.host.of(item), IO.length.of(item));
			f.set(n, n.add(1));
		});
	});
}

/** Access bits with the privilege of the access. */
function rights(st: Ex, access: Ex): Ex {
	return access.or(F.cpl.of(st).eq(3).and(access.and(ACCESS.system).eqz()).mul(ACCESS.user));
}

/** Prints `then` for the case that the whole access lies in a page that `table` holds; `host` is where. */
function ifHit(f: FunctionBuilder, linear: Ex, bytes: Ex, table: Ex, then: (host: Local) => void): void {
	const entry = f.let(table.add(linear.wrap().shrU(8).and(0xfff0)));
	f.if(TLB.tag.of(entry).eq(linear.add(bytes.sub(1).extU()).and(-4096)), () => {
		f.set(entry, TLB.addend.of(entry).add(linear.wrap()));
		then(entry);
	});
}

/** Loads and stores for handlers and helpers. */
function defineAccess(core: Core): void {
	// `fetch` is never asked of these: the tables are read and write, three apart for supervisor and user.
	core.define("accessRights", ["i32", "i32"], ["i32"], (f) => {
		const [st, access] = [f.param(0), f.param(1)];
		f.returnIf(access.and(ACCESS.system).ne(0), access);
		f.return(access.or(F.cpl.of(st).eq(3).shl(2)));
	});
	/** `hit(state, linear, bytes, table)` → VM memory offset where the whole access lies in a cached page, else 0. */
	core.define("hit", ["i32", "i64", "i32", "i32"], ["i32"], (f) => {
		const [linear, bytes, table] = [f.param(1), f.param(2), f.param(3)];
		const entry = f.let(table.add(linear.wrap().shrU(8).and(0xfff0)));
		f.returnIf(TLB.tag.of(entry).ne(linear.add(bytes.sub(1).extU()).and(-4096)), 0);
		f.return(TLB.addend.of(entry).add(linear.wrap()));
	});
	/** `load(state, rec, linear, bytes, access)` → status; the value is in F.data, zero-extended to 8 bytes. */
	core.define("load", ["i32", "i32", "i64", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, linear, bytes, given] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		const access = f.let(rights(st, given));
		f.if(F.fillable.of(st), () => {
			const table = tableOf(st, access).add(access.and(ACCESS.modify).mul(TLB_BYTES / ACCESS.modify));
			ifHit(f, linear, bytes, table, (host) => {
				f.if(
					bytes.eq(4),
					() => f.store("i64", st, host.load("i64_32u"), F.data.offset),
					() =>
						f.if(
							bytes.eq(8),
							() => f.store("i64", st, host.load("i64"), F.data.offset),
							() =>
								f.if(
									bytes.eq(2),
									() => f.store("i64", st, host.load("i64_16u"), F.data.offset),
									() =>
										f.if(
											bytes.eq(1),
											() => f.store("i64", st, host.load("i64_8u"), F.data.offset),
											() =>
												f.if(
													bytes.eq(16),
													() => {
														f.store("i64", st, host.load("i64"), F.data.offset);
														f.store("i64", st, host.load("i64", 8), F.data.offset + 8);
													},
													() => f.memoryCopy(st.add(F.data.offset), host, bytes),
												),
										),
								),
						),
				);
				f.return(0);
			});
		});
		F.walkRecord.set(f, st, rec);
		f.check(call(core.fn("checkAlignment"), st, linear, bytes, access));
		f.check(call(core.fn("gvaToTlb"), st, linear, bytes, access));
		f.check(call(core.fn("refuseStore"), st, access, 0));
		f.check(call(core.fn("tlbToIo"), st, access));
		f.if(F.breakControl.of(st).and(BREAK_DEBUGGER).ne(0), () => {
			f.check(call(core.fn("readsAlone"), st, rec, linear, bytes));
		});
		F.data.set(f, st, 0);
		f.check(call(core.fn("runIoList"), st, rec, 0));
		f.return(call(core.fn("watch"), st, linear, bytes, 0));
	});
	/** `store(state, rec, linear, bytes, access)` of F.data → 0, stopNext or stopHere. */
	core.define("store", ["i32", "i32", "i64", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, linear, bytes, given] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		const access = f.let(rights(st, given.or(ACCESS.write)));
		f.if(F.fillable.of(st), () => {
			ifHit(f, linear, bytes, tableOf(st, access).add(TLB_BYTES), (host) => {
				f.if(
					bytes.eq(4),
					() => f.store("i32", host, st.load("i32", F.data.offset)),
					() =>
						f.if(
							bytes.eq(8),
							() => f.store("i64", host, st.load("i64", F.data.offset)),
							() => f.memoryCopy(host, st.add(F.data.offset), bytes),
						),
				);
				f.return(0);
			});
		});
		F.storeAccess.set(f, st, access);
		F.walkRecord.set(f, st, rec);
		f.check(call(core.fn("checkAlignment"), st, linear, bytes, access));
		f.check(call(core.fn("gvaToTlb"), st, linear, bytes, access));
		f.check(call(core.fn("refuseStore"), st, access, bytes));
		f.check(call(core.fn("tlbToIo"), st, access));
		f.drop(call(core.fn("watch"), st, linear, bytes, 1));
		f.return(call(core.fn("runIoList"), st, rec, 1));
	});
	/** `probe(state, linear, bytes, access)`: translates without touching data; for checks before several stores. */
	core.define("probe", ["i32", "i64", "i32", "i32"], ["i32"], (f) => {
		const [st, linear, bytes, given] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const access = f.let(rights(st, given));
		f.if(access.and(ACCESS.write).ne(0).and(F.fillable.of(st)), () => {
			ifHit(f, linear, bytes, tableOf(st, access).add(TLB_BYTES), () => f.return(0));
		});
		F.walkRecord.set(f, st, NOBODY);
		f.check(call(core.fn("gvaToTlb"), st, linear, bytes, access));
		f.return(call(core.fn("refuseStore"), st, access, 0));
	});
	/**
	 * `touch(state, linear, bytes, access)` → 1 where the access would now hit the TLB. For compiled code: nothing else
	 * happens, and where it would fault or is no memory, the interpreter finds out when it runs the instruction.
	 */
	core.define("touch", ["i32", "i64", "i32", "i32"], ["i32"], (f) => {
		const [st, linear, bytes, given] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		f.returnIf(F.fillable.of(st).eqz(), 0);
		f.returnIf(linear.wrap().and(0xfff).add(bytes).gtU(4096), 0);
		const access = f.let(rights(st, given));
		F.walkRecord.set(f, st, NOBODY);
		F.walkLost.set(f, st, 0);
		f.if(call(core.fn("gvaToTlb"), st, linear, bytes, access), () => {
			F.faultPending.set(f, st, 0);
			f.return(0);
		});
		// The instruction itself says who lost a bit.
		f.returnIf(F.walkLost.of(st), 0);
		const pending = f.let(F.pending.of(st));
		f.if(call(core.fn("tlbToIo"), st, access), () => {
			F.exitReason.set(f, st, 0);
			F.pending.set(f, st, pending);
			f.return(0);
		});
		const write = f.let(access.and(ACCESS.write | ACCESS.modify).ne(0));
		ifHit(f, linear, bytes, tableOf(st, access).add(write.mul(TLB_BYTES)), () => f.return(1));
		f.return(0);
	});
	// Typed forms for helpers: the value is a parameter, or waits in F.data.
	core.define("storeValue", ["i32", "i32", "i64", "i32", "i32", "i64"], ["i32"], (f) => {
		const [st, rec, linear, bytes, access, value] = [0, 1, 2, 3, 4, 5].map((n) => f.param(n)) as [
			Local,
			Local,
			Local,
			Local,
			Local,
			Local,
		];
		F.data.set(f, st, value);
		f.return(call(core.fn("store"), st, rec, linear, bytes, access));
	});
}

/**
 * `checkCanonical`: #GP(0) or #SS(0) where the access touches an address that is not canonical. No TLB ever holds such a page,
 * so hits need no check. `checkAlignment`: #AC where alignment is checked. `watch`: data breakpoints of DR0–DR3. `stopIfPending` → stopNext
 * where something waits for the end of this instruction, else 0.
 */
export function defineChecks(core: Core): void {
	core.define("checkCanonical", ["i32", "i64", "i32", "i32"], ["i32"], (f) => {
		const [st, linear, bytes, access] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const last = f.let(linear.add(bytes.sub(1).extU()));
		f.returnIf(isCanonical(st, linear).and(isCanonical(st, last)), 0);
		f.return(call(core.fn("raise"), st, i32(VECTOR.SS).when(access.and(ACCESS.stack), VECTOR.GP), 0));
	});
	core.define("checkAlignment", ["i32", "i64", "i32", "i32"], ["i32"], (f) => {
		const [st, linear, bytes, access] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		f.returnIf(access.and(ACCESS.user).eqz(), 0);
		f.returnIf(F.cr0.of(st).wrap().and(CR0.am).eqz(), 0);
		f.returnIf(F.eflags.of(st).and(EFLAGS.ac).eqz(), 0);
		f.returnIf(access.and(ACCESS.aligned).ne(0), 0);
		// Vectors of 128 and 256 bits may lie anywhere as far as this goes: no processor was seen to raise #AC for them.
		f.returnIf(bytes.eq(16).or(bytes.eq(32)), 0);
		// Ten bytes of x87 are aligned as eight are (SDM 3A table 6-7).
		f.returnIf(
			linear
				.wrap()
				.and(i32(7).when(bytes.eq(10), bytes.sub(1)))
				.eqz(),
			0,
		);
		f.check(call(core.fn("checkCanonical"), st, linear, bytes, access));
		f.return(call(core.fn("raise"), st, VECTOR.AC, 0));
	});
	core.define("watch", ["i32", "i64", "i32", "i32"], ["i32"], (f) => {
		const [st, linear, bytes, write] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const dr7 = f.let(F.breakControl.of(st));
		f.returnIf(dr7.and(BREAK_DEBUGGER | 0xff).eqz(), 0);
		const isPort = f.let(write.eq(WATCH_PORT));
		f.if(dr7.and(BREAK_DEBUGGER).ne(0).and(isPort.eqz()), () => {
			f.call(core.fn("debuggerWatches"), st, linear, bytes, write);
		});
		f.returnIf(dr7.and(0xff).eqz(), 0);
		// Without CR4.DE there are no breakpoints on ports (SDM 3B 17.2.4).
		f.returnIf(isPort.and(F.cr4.of(st).wrap().and(CR4.de).eqz()), 0);
		const forUser = f.let(F.guestDebug.of(st).and(GUEST_DEBUG.hardware).ne(0));
		const addresses = f.let(st.add(i32(F.debugAddress.offset).when(forUser, F.dr.offset)));
		const n = f.local("i32", 0);
		const hits = f.local("i32", 0);
		f.while(n.ltU(4), (_exit, next) => {
			const control = f.let(dr7.shrU(n.shl(2).add(16)).and(15));
			const kind = f.let(control.and(3));
			const length = f.let(control.shrU(2));
			// 00 one byte, 01 two, 10 eight, 11 four (SDM 3B 17.2.4).
			const size = f.let(i32(8).when(length.eq(2), length.add(1)));
			const at = f.let(addresses.add(n.shl(3)).load("i64").and(size.sub(1).extU().not()));
			f.set(n, n.add(1));
			const matches = kind.eq(1).and(write).or(kind.eq(3)).when(isPort.eqz(), kind.eq(2).and(isPort));
			f.brIf(next, matches.eqz());
			f.brIf(next, at.geU(linear.add(bytes.extU())));
			f.brIf(next, linear.geU(at.add(size.extU())));
			// DR6 also shows breakpoints that are not enabled, but only enabled ones trap.
			f.set(hits, hits.or(i32(1).shl(n.sub(1))));
		});
		f.if(hits.ne(0), () => {
			const enabled = f.local("i32", 0);
			f.set(n, 0);
			f.while(n.ltU(4), () => {
				f.if(
					hits
						.shrU(n)
						.and(1)
						.ne(0)
						.and(dr7.shrU(n.shl(1)).and(3).ne(0)),
					() => f.set(enabled, 1),
				);
				f.set(n, n.add(1));
			});
			f.if(enabled, () => {
				f.if(forUser, () => {
					F.stepDr6.set(f, st, F.stepDr6.of(st).or(hits));
					F.pending.set(f, st, F.pending.of(st).or(PENDING.step));
					f.return(0);
				});
				F.faultDr6.set(f, st, F.faultDr6.of(st).or(hits));
				F.pending.set(f, st, F.pending.of(st).or(PENDING.debug));
			});
		});
		f.return(0);
	});
	core.define("stopIfPending", ["i32"], ["i32"], (f) => {
		f.return(F.pending.of(f.param(0)).ne(0).shl(1));
	});
}

/** `fetchHost(state, linear)` → VM memory offset of a code byte; 0 with a fault or exit pending. */
function defineFetch(core: Core): void {
	core.define("fetchHost", ["i32", "i64"], ["i32"], (f) => {
		const [st, linear] = [f.param(0), f.param(1)];
		const entry = f.let(F.tlbFetch.of(st).add(linear.wrap().shrU(8).and(0xfff0)));
		f.if(TLB.tag.of(entry).eq(linear.and(-4096)), () => f.return(TLB.addend.of(entry).add(linear.wrap())));
		f.if(isCanonical(st, linear).eqz(), () => {
			f.drop(call(core.fn("raise"), st, VECTOR.GP, 0));
			f.return(0);
		});
		const access = f.let(call(core.fn("accessRights"), st, ACCESS.fetch));
		F.walkRecord.set(f, st, 0);
		f.if(call(core.fn("walk"), st, linear, access), () => f.return(0));
		traceMiss(core, f, st, access, linear);
		const gpa = f.let(F.walkGpa.of(st));
		const slot = f.let(call(core.fn("slotFind"), st, gpa));
		const host = f.local("i32", 0);
		f.if(slot.ne(0), () => {
			f.set(host, call(core.fn("slotHost"), slot, gpa));
			f.if(host.eqz(), () => {
				exitMemoryFault(f, st, gpa);
				f.return(0);
			});
		});
		f.if(host.eqz(), () => {
			// No instruction can be fetched from a device: KVM_INTERNAL_ERROR_EMULATION.
			F.exitReason.set(f, st, EXIT.internalError);
			F.errorSub.set(f, st, 1);
			F.exitAddress.set(f, st, gpa);
			F.pending.set(f, st, F.pending.of(st).or(PENDING.exit));
			f.return(0);
		});
		f.call(core.fn("fill"), st, F.tlbFetch.of(st), linear, host, metaOf(F.walkFlags.of(st)));
		f.return(host);
	});
}
