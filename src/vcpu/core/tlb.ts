import { type Ex, i32, i64 } from "../../wasm/expression.ts";
import { ACCESS, F, PENDING, TLB, TLB_BYTES, TLB_LIST_CAPACITY, TLB_TABLE, TLB_TABLES } from "../layout.ts";
import type { Core } from "./core.ts";

/** Code lies in granules of 32 bytes: 16 bytes of bitmap per page. */
export const GRANULE_SHIFT = 5;

/** Bit set of the tables that writes use. */
const WRITE_TABLES = (2 << TLB_TABLE.supervisor) | (2 << TLB_TABLE.user) | (2 << TLB_TABLE.opened);

/**
 * The read TLB for an access's privilege; write and fetch TLBs follow it. What a processor does implicitly (ACCESS.system) has
 * the supervisor's, even while user pages are open to what it does explicitly.
 */
export function tableOf(st: Ex, access: Ex): Ex {
	const area = F.tlbArea.of(st);
	const supervisor = area.when(access.and(ACCESS.system), F.tlbExplicit.of(st));
	return area.add(TLB_TABLE.user * TLB_BYTES).when(access.and(ACCESS.user), supervisor);
}

/** Bits of a TLB entry's meta field. */
const META = { global: 1, large: 2, huge: 4 } as const;

/** The byte of {@link F.largePages} (its offset aside) for an address, and the bits in it for the 4 MiB around the address. */
function largeByte(st: Ex, linear: Ex): Ex {
	return st.add(linear.shrU(24n).wrap().and(0x1ff));
}
function largeBits(linear: Ex): Ex {
	return i32(3).shl(linear.shrU(21n).wrap().and(6));
}
function hugeBit(linear: Ex): Ex {
	return i64(1).shl(linear.shrU(30n));
}

/** The software TLB: fill, flush; and the bitmap that says where decoded code lies. */
export function defineTlb(core: Core): void {
	/** `checkCode(state, host, length)`: tells the host when a store hit decoded code. */
	core.define("checkCode", ["i32", "i32", "i32"], [], (f) => {
		const [st, host, length] = [f.param(0), f.param(1), f.param(2)];
		const page = f.let(host.shrU(12));
		f.if(F.codePages.of(st).add(page).load("i32_8u").ne(0), () => {
			F.codeStores.set(f, st, F.codeStores.of(st).add(1));
			const first = f.let(host.shrU(GRANULE_SHIFT));
			const last = f.let(host.add(length).sub(1).shrU(GRANULE_SHIFT));
			f.while(first.leU(last), () => {
				f.if(F.codeBits.of(st).add(first.shrU(3)).load("i32_8u").shrU(first.and(7)).and(1).ne(0), () => {
					F.pending.set(f, st, F.pending.of(st).or(PENDING.code));
					f.call(core.imports.codeWritten, st, host, length);
					f.return();
				});
				f.set(first, first.add(1));
			});
		});
	});

	/** `fill(state, table, linear, host, meta)`: enters a page. */
	core.define("fill", ["i32", "i32", "i64", "i32", "i32"], [], (f) => {
		const [st, table, linear, host, meta] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		const entry = f.let(table.add(linear.wrap().shrU(8).and(0xfff0)));
		f.if(entry.load("i64", TLB.tag.offset).eq(-1), () => {
			const count = f.let(F.tlbListCount.of(st));
			f.if(count.ltU(TLB_LIST_CAPACITY), () => f.store("i32", F.tlbList.of(st).add(count.shl(2)), entry));
			F.tlbListCount.set(f, st, count.add(1));
		});
		TLB.tag.set(f, entry, linear.and(-4096));
		TLB.addend.set(f, entry, host.sub(linear.wrap()));
		TLB.meta.set(f, entry, meta);
		f.if(meta.and(META.large).ne(0), () => {
			const byte = f.let(largeByte(st, linear));
			f.store("i32_8", byte, byte.load("i32_8u", F.largePages.offset).or(largeBits(linear)), F.largePages.offset);
		});
		f.if(meta.and(META.huge).ne(0), () => F.hugePages.set(f, st, F.hugePages.of(st).or(hugeBit(linear))));
		F.fills.set(f, st, F.fills.of(st).add(1));
	});

	/** `flushTlb(state, keepGlobal)`: forgets translations; linear code addresses must be looked up again. */
	core.define("flushTlb", ["i32", "i32"], [], (f) => {
		const [st, keepGlobal] = [f.param(0), f.param(1)];
		const count = f.let(F.tlbListCount.of(st));
		F.generation.set(f, st, F.generation.of(st).add(1));
		F.pending.set(f, st, F.pending.of(st).or(PENDING.code));
		const area = f.let(F.tlbArea.of(st));
		f.if(keepGlobal.eqz(), () => {
			f.memoryFill(st.add(F.largePages.offset), 0, i32(512));
			F.hugePages.set(f, st, 0);
		});
		f.if(count.gtU(TLB_LIST_CAPACITY), () => {
			f.memoryFill(area, 0xff, i32(TLB_TABLES * TLB_BYTES));
			F.tlbListCount.set(f, st, 0);
			f.return();
		});
		const list = f.let(F.tlbList.of(st));
		const kept = f.local("i32", 0);
		const n = f.local("i32", 0);
		f.while(n.ltU(count), () => {
			const entry = f.let(list.add(n.shl(2)).load("i32"));
			f.if(
				keepGlobal.ne(0).and(TLB.meta.of(entry).and(META.global).ne(0)),
				() => {
					f.store("i32", list.add(kept.shl(2)), entry);
					f.set(kept, kept.add(1));
				},
				() => TLB.tag.set(f, entry, -1),
			);
			f.set(n, n.add(1));
		});
		F.tlbListCount.set(f, st, kept);
	});

	/** `flushPage(state, linear)`: forgets one page in all tables (INVLPG, and after a fault). */
	core.define("flushPage", ["i32", "i64"], [], (f) => {
		const [st, linear] = [f.param(0), f.param(1)];
		F.generation.set(f, st, F.generation.of(st).add(1));
		F.pending.set(f, st, F.pending.of(st).or(PENDING.code));
		const entry = f.local("i32", F.tlbArea.of(st).add(linear.wrap().shrU(8).and(0xfff0)));
		const n = f.local("i32", TLB_TABLES);
		f.while(n.ne(0), () => {
			// The slot stays on the list: a later flush finds it empty, which is harmless, but it must not be listed twice.
			f.if(TLB.tag.of(entry).eq(linear.and(-4096)), () => TLB.tag.set(f, entry, -2));
			f.set(entry, entry.add(TLB_BYTES));
			f.set(n, n.sub(1));
		});
	});

	/** `flushRegion(state, linear, bits)`: forgets the 2^bits bytes around an address. */
	core.define("flushRegion", ["i32", "i64", "i64"], [], (f) => {
		const [st, linear, bits] = [f.param(0), f.param(1), f.param(2)];
		const count = f.let(F.tlbListCount.of(st));
		f.if(count.gtU(TLB_LIST_CAPACITY), () => {
			f.call(core.fn("flushTlb"), st, 0);
			f.return();
		});
		F.generation.set(f, st, F.generation.of(st).add(1));
		F.pending.set(f, st, F.pending.of(st).or(PENDING.code));
		const [n, list] = [f.local("i32", 0), f.let(F.tlbList.of(st))];
		f.while(n.ltU(count), () => {
			const entry = f.let(list.add(n.shl(2)).load("i32"));
			f.if(TLB.tag.of(entry).xor(linear).shrU(bits).eqz(), () => TLB.tag.set(f, entry, -2));
			f.set(n, n.add(1));
		});
	});

	/** `flushAround(state, linear)`: forgets the page at an address, however large it may have been (INVLPG). */
	core.define("flushAround", ["i32", "i64"], [], (f) => {
		const [st, linear] = [f.param(0), f.param(1)];
		f.call(core.fn("flushPage"), st, linear);
		const large = largeByte(st, linear).load("i32_8u", F.largePages.offset).and(largeBits(linear));
		f.if(large.ne(0), () => f.call(core.fn("flushRegion"), st, linear, 22n));
		f.if(F.hugePages.of(st).and(hugeBit(linear)).ne(0n), () => f.call(core.fn("flushRegion"), st, linear, 30n));
	});

	/** `flushWrites(state)`: takes write permission from every cached page (new code, dirty log read). */
	core.define("flushWrites", ["i32"], [], (f) => {
		const st = f.param(0);
		const [n, count] = [f.local("i32", 0), f.let(F.tlbListCount.of(st))];
		const [list, area] = [f.let(F.tlbList.of(st)), f.let(F.tlbArea.of(st))];
		f.if(count.gtU(TLB_LIST_CAPACITY), () => {
			f.call(core.fn("flushTlb"), st, 0);
			f.return();
		});
		f.while(n.ltU(count), () => {
			const entry = f.let(list.add(n.shl(2)).load("i32"));
			const table = f.let(entry.sub(area).shrU(Math.log2(TLB_BYTES)));
			f.if(i32(WRITE_TABLES).shrU(table).and(1), () => TLB.tag.set(f, entry, -2));
			f.set(n, n.add(1));
		});
	});

	/** `flushHost(state, first, last)`: forgets translations to the VM memory from page `first` to page `last` (addresses, inclusive). */
	core.define("flushHost", ["i32", "i32", "i32"], [], (f) => {
		const [st, first, last] = [f.param(0), f.param(1), f.param(2)];
		// Page tables may have been there: none is where it was.
		F.generation.set(f, st, F.generation.of(st).add(1));
		F.pending.set(f, st, F.pending.of(st).or(PENDING.code));
		const [n, count, list] = [f.local("i32", 0), f.let(F.tlbListCount.of(st)), f.let(F.tlbList.of(st))];
		f.if(count.gtU(TLB_LIST_CAPACITY), () => {
			f.call(core.fn("flushTlb"), st, 0);
			f.return();
		});
		f.while(n.ltU(count), () => {
			const entry = f.let(list.add(n.shl(2)).load("i32"));
			// Of an empty entry this is any number, and emptying it again does no harm.
			const page = f.let(TLB.addend.of(entry).add(TLB.tag.of(entry).wrap()));
			f.if(page.geU(first).and(page.leU(last)), () => TLB.tag.set(f, entry, -2));
			f.set(n, n.add(1));
		});
	});

	core.define("tableOf", ["i32", "i32"], ["i32"], (f) => f.return(tableOf(f.param(0), f.param(1))));
}
