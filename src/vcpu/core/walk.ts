import { type Ex, i32, i64, type Local } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import { ACCESS, F, NOBODY, PENDING } from "../layout.ts";
import { MSR, msrField } from "../msr.ts";
import {
	KVM_MEM_LOG_DIRTY_PAGES,
	KVM_MEM_READONLY,
	RING_DIRTY,
	RING_ENTRY,
	SLOT_CHANGED,
	SLOT_DIRTY,
	SLOT_ENTRY_SIZE,
	SLOT_FIRST,
	SLOT_FLAGS,
	SLOT_HEADER_COUNT,
	SLOT_HEADER_TABLE,
	SLOT_HOST,
	SLOT_ID,
	SLOT_LAST,
	SLOT_PAGES,
} from "../slot-table.ts";
import { CR0, CR4, EFER, EFLAGS } from "./control-bits.ts";
import type { Core } from "./core.ts";
import { hasFeature } from "./feature-bits.ts";
import { PTE, reservedBits, WALK, walkFlags, wantsWrite } from "./page-entry.ts";
import { defineWalkCached, noteWalk } from "./walk-cache.ts";

const ALL = WALK.writable | WALK.user | WALK.executable | WALK.dirty | WALK.accessed;

/** Slot lookup, dirty marking and the page walk: the first one-step translation's machinery. */
export function defineWalk(core: Core): void {
	defineSlotFind(core);
	defineMarkDirty(core);
	defineEntryAccess(core);
	defineWalkLegacy(core);
	defineWalkPae(core);
	defineWalkCached(core);
	core.define("walk", ["i32", "i64", "i32"], ["i32"], (f) => {
		const [st, linear, access] = [f.param(0), f.param(1), f.param(2)];
		f.if(F.cr0.of(st).wrap().and(CR0.pg).eqz(), () => {
			F.walkGpa.set(f, st, linear.and(F.physicalMask.of(st)));
			F.walkFlags.set(f, st, ALL);
			f.return(0);
		});
		f.if(F.cr4.of(st).wrap().and(CR4.pae).ne(0), () => {
			f.returnIf(call(core.fn("walkCached"), st, linear, access), 0);
			f.return(call(core.fn("walkPae"), st, linear, access));
		});
		f.return(call(core.fn("walkLegacy"), st, linear, access));
	});
}

/** `slotFind(state, gpa)` → address of the slot's entry, or 0. */
function defineSlotFind(core: Core): void {
	core.define("slotFind", ["i32", "i64"], ["i32"], (f) => {
		const [st, gpa] = [f.param(0), f.param(1)];
		const entry = f.local("i32", F.lastSlot.of(st));
		f.if(entry.ne(0), () => {
			f.returnIf(
				entry
					.load("i64", SLOT_FIRST)
					.leU(gpa)
					.and(gpa.leU(entry.load("i64", SLOT_LAST))),
				entry,
			);
		});
		const table = f.let(i32(SLOT_HEADER_TABLE).load("i32"));
		const low = f.local("i32", 0);
		const high = f.local("i32", i32(SLOT_HEADER_COUNT).load("i32"));
		const middle = f.local("i32");
		f.while(low.ltU(high), (_exit, next) => {
			f.set(middle, low.add(high).shrU(1));
			f.set(entry, table.add(middle.mul(SLOT_ENTRY_SIZE)));
			f.if(entry.load("i64", SLOT_LAST).ltU(gpa), () => {
				f.set(low, middle.add(1));
				f.br(next);
			});
			f.if(entry.load("i64", SLOT_FIRST).gtU(gpa), () => {
				f.set(high, middle);
				f.br(next);
			});
			F.lastSlot.set(f, st, entry);
			f.return(entry);
		});
		f.return(0);
	});
	/** `slotWritable(entry, gpa)` → 1 unless the host may only read what is behind the byte. */
	core.define("slotWritable", ["i32", "i64"], ["i32"], (f) => {
		const [entry, gpa] = [f.param(0), f.param(1)];
		const pages = f.let(entry.load("i32", SLOT_PAGES));
		f.returnIf(entry.load("i32", SLOT_HOST).ne(0).or(pages.eqz()), 1);
		const page = gpa.sub(entry.load("i64", SLOT_FIRST)).shrU(12).wrap();
		f.return(pages.add(page.shl(2)).load("i32").and(1).eqz());
	});
	/** `slotHost(entry, gpa)` → offset in VM memory of the byte, 0 where it has no backing. */
	core.define("slotHost", ["i32", "i64"], ["i32"], (f) => {
		const [entry, gpa] = [f.param(0), f.param(1)];
		const distance = f.let(gpa.sub(entry.load("i64", SLOT_FIRST)));
		const host = f.let(entry.load("i32", SLOT_HOST));
		f.returnIf(host.ne(0), host.add(distance.wrap()));
		const page = f.let(entry.load("i32", SLOT_PAGES));
		f.returnIf(page.eqz(), 0);
		f.set(page, page.add(distance.shrU(12).wrap().shl(2)).load("i32").and(-4096));
		f.returnIf(page.eqz(), 0);
		f.return(page.add(distance.wrap().and(0xfff)));
	});
}

/**
 * `markDirty(state, entry, gpa)`: a store reached the page. Sets its changed bit where the slot has those, else its dirty
 * bit where the slot logs; with a dirty ring, a page whose bit was clear becomes an entry.
 */
function defineMarkDirty(core: Core): void {
	core.define("pushDirty", ["i32", "i32", "i64"], [], (f) => {
		const [st, id, page] = [f.param(0), f.param(1), f.param(2)];
		const pushed = f.let(F.ringPushed.of(st));
		const used = f.let(pushed.sub(F.ringReset.of(st)));
		// The reserve is larger than what one instruction dirties; the hypervisor's own stores look before.
		f.if(used.gtU(F.ringMask.of(st)), () => f.return());
		const entry = f.let(F.ring.of(st).add(pushed.and(F.ringMask.of(st)).shl(4)));
		f.store("i32", entry, id, RING_ENTRY.slot);
		f.store("i64", entry, page, RING_ENTRY.offset);
		f.store("i32", entry, RING_DIRTY, RING_ENTRY.flags);
		F.ringPushed.set(f, st, pushed.add(1));
		f.if(used.add(1).geU(F.ringSoft.of(st)), () => F.pending.set(f, st, F.pending.of(st).or(PENDING.ring)));
	});
	core.define("markDirty", ["i32", "i32", "i64"], [], (f) => {
		const [st, entry, gpa] = [f.param(0), f.param(1), f.param(2)];
		const changed = f.let(entry.load("i32", SLOT_CHANGED));
		f.if(changed.ne(0), () => {
			f.store("i32_8", changed.add(gpa.sub(entry.load("i64", SLOT_FIRST)).shrU(12).wrap()), 1);
			f.return();
		});
		f.if(
			entry
				.load("i32", SLOT_FLAGS)
				.and(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY)
				.eq(KVM_MEM_LOG_DIRTY_PAGES),
			() => {
				const bitmap = f.let(entry.load("i32", SLOT_DIRTY));
				f.if(bitmap.ne(0), () => {
					const page = f.let(gpa.sub(entry.load("i64", SLOT_FIRST)).shrU(12).wrap());
					f.set(bitmap, bitmap.add(page.shrU(3)));
					const old = f.let(bitmap.load("i32_8u"));
					const bit = f.let(i32(1).shl(page.and(7)));
					f.store("i32_8", bitmap, old.or(bit));
					f.if(F.ring.of(st).ne(0).and(old.and(bit).eqz()), () => {
						f.call(core.fn("pushDirty"), st, entry.load("i32", SLOT_ID), page.extU());
					});
				});
			},
		);
	});
}

/**
 * `entryHost(state, gpa)` → VM memory offset of a page-table entry, 0 where there is no memory.
 * `entryUpdate(state, gpa, host, old, new, size)` sets accessed and dirty bits by compare and swap; in a readonly slot
 * it does nothing but say so to the host. Its page becomes dirty.
 */
function defineEntryAccess(core: Core): void {
	core.define("entryHost", ["i32", "i64"], ["i32"], (f) => {
		const [st, gpa] = [f.param(0), f.param(1)];
		const entry = f.let(call(core.fn("slotFind"), st, gpa));
		f.returnIf(entry.eqz(), 0);
		f.return(call(core.fn("slotHost"), entry, gpa));
	});
	core.define("entryUpdate", ["i32", "i64", "i32", "i64", "i32"], [], (f) => {
		const [st, gpa, host, value, bytes] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		const entry = f.let(call(core.fn("slotFind"), st, gpa));
		const writable = f.let(entry.load("i32", SLOT_FLAGS).and(KVM_MEM_READONLY).eqz());
		f.if(writable.and(call(core.fn("slotWritable"), entry, gpa)), () => {
			f.if(
				bytes.eq(8),
				() => f.store("i64", host, value),
				() => f.store("i32", host, value.wrap()),
			);
			f.call(core.fn("markDirty"), st, entry, gpa);
			f.call(core.fn("checkCode"), st, host, bytes);
			f.return();
		});
		f.if(F.hearsLostBits.of(st), () => {
			f.if(
				F.walkRecord.of(st).eq(NOBODY),
				() => F.walkLost.set(f, st, 1),
				() => {
					F.lostGpa.set(f, st, gpa);
					F.lostEntry.set(f, st, value);
					F.lostBytes.set(f, st, bytes);
					f.call(core.imports.bitsLost, st);
				},
			);
		});
	});
}

/** Bits of a page fault's error code besides those of {@link ACCESS} (SDM 3A 4.7). */
const CODE = { present: 1, reserved: 8, key: 0x20 } as const;

/** The error code of a page fault by this access. Fetches show where a page can be closed to them. */
function errorCode(st: Ex, access: Ex): Ex {
	const cr4 = F.cr4.of(st).wrap();
	const nx = F.efer.of(st).wrap().and(EFER.nxe).ne(0).and(cr4.and(CR4.pae).ne(0));
	const shows = nx.or(cr4.and(CR4.smep).ne(0));
	return wantsWrite(access)
		.shl(1)
		.or(access.and(ACCESS.user))
		.or(access.and(ACCESS.fetch).and(i32(0).sub(shows)));
}

interface Walk {
	readonly f: FunctionBuilder;
	readonly core: Core;
	readonly st: Local;
	readonly linear: Local;
	readonly access: Local;
	readonly code: Local;
}

function startWalk(core: Core, f: FunctionBuilder): Walk {
	const st = f.param(0);
	const access = f.param(2);
	return { f, core, st, linear: f.param(1), access, code: f.local("i32", errorCode(st, access)) };
}

function fail(walk: Walk, bits: Ex | number): void {
	const { f, core, st, linear, code } = walk;
	f.return(call(core.fn("pageFault"), st, linear, code.or(bits)));
}

/**
 * Checks the rights collected from all levels (SDM 3A 4.6); returns the fault where they do not suffice. `refused`: what
 * protection keys say.
 */
function checkRights(walk: Walk, rights: Local, refused: Ex | number = 0): void {
	const { f, st, access } = walk;
	const denied = CODE.present;
	const code = typeof refused === "number" ? denied : refused.or(denied);
	const userPage = rights.and(PTE.user).ne(0);
	f.if(
		access.and(ACCESS.user).ne(0),
		() => f.if(userPage.eqz(), () => fail(walk, code)),
		() => f.if(userPage, () => f.if(closedToSupervisor(st, access), () => fail(walk, code))),
	);
	f.if(
		wantsWrite(access)
			.and(rights.and(PTE.write).eqz())
			.and(access.and(ACCESS.user).ne(0).or(F.cr0.of(st).wrap().and(CR0.wp).ne(0))),
		() => fail(walk, code),
	);
	if (typeof refused !== "number") f.if(refused.ne(0), () => fail(walk, code));
}

/** 1 where SMEP or SMAP keeps a supervisor's access from a user's page. EFLAGS.AC opens pages to explicit accesses only. */
function closedToSupervisor(st: Ex, access: Ex): Ex {
	const cr4 = F.cr4.of(st).wrap();
	const opened = F.eflags.of(st).and(EFLAGS.ac).ne(0).and(access.and(ACCESS.system).eqz());
	const data = cr4.and(CR4.smap).ne(0).and(opened.eqz());
	return cr4.and(CR4.smep).ne(0).when(access.and(ACCESS.fetch).ne(0), data);
}

/**
 * The error code's key bit where the page's protection key refuses a data access, else 0 (SDM 3A 4.6.2): user pages by
 * PKRU, supervisor pages by IA32_PKRS.
 */
function refusedByKey({ f, st, access }: Walk, rights: Local, entry: Ex): Local {
	const refused = f.local("i32", 0);
	f.if(
		F.cr4
			.of(st)
			.wrap()
			.and(CR4.pke | CR4.pks)
			.ne(0)
			.and(access.and(ACCESS.fetch).eqz()),
		() => {
			const userPage = f.let(rights.and(PTE.user).ne(0));
			const on = F.cr4.of(st).wrap().and(i32(CR4.pke).when(userPage, CR4.pks)).ne(0);
			f.if(on, () => {
				const register = F.pkru.of(st).when(userPage, msrField(MSR.pkrs).of(st).wrap());
				const bits = f.let(register.shrU(entry.shrU(59).wrap().and(15).shl(1)).and(3));
				const heeds = access.and(ACCESS.user).ne(0).or(F.cr0.of(st).wrap().and(CR0.wp).ne(0));
				const write = bits.and(2).ne(0).and(wantsWrite(access)).and(heeds);
				f.set(refused, bits.and(1).or(write).mul(CODE.key));
			});
		},
	);
	return refused;
}

/** 32-bit paging, with 4 MiB pages and PSE-36 (SDM 3A 4.3). */
function defineWalkLegacy(core: Core): void {
	core.define("walkLegacy", ["i32", "i64", "i32"], ["i32"], (f) => {
		const walk = startWalk(core, f);
		const { st, linear, access } = walk;
		const va = f.let(linear.wrap());
		const physicalMask = f.let(F.physicalMask.of(st));
		const pdeGpa = f.let(F.cr3.of(st).and(0xfffff000).add(va.shrU(20).and(0xffc).extU()).and(physicalMask));
		const pdeHost = f.let(call(core.fn("entryHost"), st, pdeGpa));
		const pde = f.local("i32");
		f.if(pdeHost.ne(0), () => f.set(pde, pdeHost.load("i32")));
		f.if(pde.and(PTE.present).eqz(), () => fail(walk, 0));
		const rights = f.local("i32", pde);
		const gpa = f.local("i64");
		const leafGpa = f.local("i64", pdeGpa);
		const leafHost = f.local("i32", pdeHost);
		const leaf = f.local("i32", pde);
		f.if(
			pde.and(PTE.large).ne(0).and(F.cr4.of(st).wrap().and(CR4.pse).ne(0)),
			() => {
				// PSE-36: bits 20:13 are address bits 39:32, as far as there are any; bit 21 is reserved (SDM 3A table 4-4).
				const high = f.let(pde.shrU(13).and(0x1ff).extU().shl(32));
				f.if(high.and(F.physicalReserved.of(st).or(1n << 40n)).ne(0n), () => fail(walk, CODE.present | CODE.reserved));
				f.set(gpa, pde.and(0xffc00000).extU().or(high).or(va.and(0x3fffff).extU()));
			},
			() => {
				f.set(leafGpa, pde.and(0xfffff000).extU().add(va.shrU(10).and(0xffc).extU()).and(physicalMask));
				f.set(leafHost, call(core.fn("entryHost"), st, leafGpa));
				f.set(leaf, 0);
				f.if(leafHost.ne(0), () => f.set(leaf, leafHost.load("i32")));
				f.if(leaf.and(PTE.present).eqz(), () => fail(walk, 0));
				f.set(rights, rights.and(leaf));
				f.set(gpa, leaf.and(0xfffff000).extU().or(va.and(0xfff).extU()));
			},
		);
		checkRights(walk, rights);
		f.if(access.and(ACCESS.check).eqz(), () => {
			f.if(leafHost.ne(pdeHost).and(pde.and(PTE.accessed).eqz()), () => {
				f.call(core.fn("entryUpdate"), st, pdeGpa, pdeHost, pde.or(PTE.accessed).extU(), 4);
			});
			const wanted = f.let(leaf.or(PTE.accessed).or(wantsWrite(access).mul(PTE.dirty)));
			f.if(wanted.ne(leaf), () => f.call(core.fn("entryUpdate"), st, leafGpa, leafHost, wanted.extU(), 4));
			f.set(leaf, wanted);
		});
		F.walkGpa.set(f, st, gpa.and(physicalMask));
		F.walkFlags.set(f, st, walkFlags(st, rights, i32(1), leaf, leafHost.eq(pdeHost).add(1)));
		f.return(0);
	});
}

/** PAE paging from the page-directory-pointer registers (SDM 3A 4.4), 4-level and 5-level paging (4.5). */
function defineWalkPae(core: Core): void {
	core.define("walkPae", ["i32", "i64", "i32"], ["i32"], (f) => {
		const walk = startWalk(core, f);
		const { st, linear, access } = walk;
		const physicalMask = f.let(F.physicalMask.of(st));
		const long = f.let(F.efer.of(st).wrap().and(EFER.lma).ne(0));
		const reserved = f.let(reservedBits(st));
		const level = f.local("i32");
		const table = f.local("i64");
		const rights = f.local("i32", -1);
		const executable = f.local("i32", 1);
		const above = { rights: f.local("i32"), executable: f.local("i32") };
		f.if(
			long,
			() => {
				f.set(level, i32(5).when(F.cr4.of(st).wrap().and(CR4.la57).ne(0), 4));
				f.set(table, F.cr3.of(st).and(0x000ffffffffff000n));
			},
			() => {
				const register = f.let(st.add(linear.shrU(30).wrap().and(3).shl(3)).load("i64", F.pdpte.offset));
				f.if(register.wrap().and(PTE.present).eqz(), () => fail(walk, 0));
				f.set(level, 2);
				f.set(table, register.and(0x000ffffffffff000n));
			},
		);
		const gpa = f.local("i64");
		const host = f.local("i32");
		const entry = f.local("i64");
		const shift = f.local("i64");
		// Tables seen on the way, for their accessed bits once the access is known to be allowed.
		const seen = f.local("i32", 0);
		f.block((leaf) => {
			f.loop((next) => {
				f.set(shift, level.mul(9).add(3).extU());
				f.set(gpa, table.add(linear.shrU(shift).and(0x1ff).shl(3)).and(physicalMask));
				f.set(host, call(core.fn("entryHost"), st, gpa));
				f.set(entry, 0);
				f.if(host.ne(0), () => f.set(entry, host.load("i64")));
				f.if(entry.wrap().and(PTE.present).eqz(), () => fail(walk, 0));
				f.if(entry.and(reserved).ne(0n), () => fail(walk, CODE.present | CODE.reserved));
				f.set(above.rights, rights);
				f.set(above.executable, executable);
				f.set(rights, rights.and(entry.wrap()));
				f.set(executable, executable.and(entry.shrU(63).eqz()));
				f.brIf(leaf, level.eq(1));
				f.if(entry.wrap().and(PTE.large).ne(0), () => {
					const small = level.geU(4).or(level.eq(3).and(hasFeature(st, "pdpe1gb").eqz()));
					// Large pages: address bits below the page size but for PAT (12) are reserved.
					f.if(small.or(entry.and(i64(1).shl(shift).sub(0x2000n)).ne(0n)), () => {
						fail(walk, CODE.present | CODE.reserved);
					});
					f.br(leaf);
				});
				const slot = f.let(st.add(seen.shl(4)));
				f.store("i64", slot, gpa, F.scratch.offset);
				f.store("i32", slot, host, F.scratch.offset + 8);
				f.set(seen, seen.add(1));
				f.set(table, entry.and(0x000ffffffffff000n));
				f.set(level, level.sub(1));
				f.br(next);
			});
		});
		const refused = refusedByKey(walk, rights, entry);
		checkRights(walk, rights, refused.and(i32(0).sub(long)));
		f.if(access.and(ACCESS.fetch).ne(0).and(executable.eqz()), () => fail(walk, CODE.present));
		const pageMask = f.let(i64(1).shl(shift).sub(1n));
		const result = f.let(entry.and(0x000ffffffffff000n).and(pageMask.not()).or(linear.and(pageMask)));
		f.if(access.and(ACCESS.check).eqz(), () => {
			f.while(seen.ne(0), () => {
				f.set(seen, seen.sub(1));
				const slot = f.let(st.add(seen.shl(4)));
				const at = f.let(slot.load("i32", F.scratch.offset + 8));
				const old = f.let(at.load("i64"));
				f.if(old.wrap().and(PTE.accessed).eqz(), () => {
					f.call(core.fn("entryUpdate"), st, slot.load("i64", F.scratch.offset), at, old.or(BigInt(PTE.accessed)), 8);
				});
			});
			const wanted = f.let(entry.or(BigInt(PTE.accessed)).or(wantsWrite(access).mul(PTE.dirty).extU()));
			f.if(wanted.ne(entry), () => f.call(core.fn("entryUpdate"), st, gpa, host, wanted, 8));
			f.set(entry, wanted);
			noteWalk(f, st, linear, { level, host, gpa, ...above });
		});
		F.walkGpa.set(f, st, result.and(physicalMask));
		F.walkFlags.set(f, st, walkFlags(st, rights, executable, entry.wrap(), level));
		f.return(0);
	});
}
