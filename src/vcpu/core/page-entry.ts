import { type Ex, i64 } from "../../wasm/expression.ts";
import { ACCESS, F } from "../layout.ts";
import { CR4, EFER } from "./control-bits.ts";

/** Bits of {@link F.walkFlags}: what the translation allows. */
export const WALK = {
	writable: 1,
	user: 2,
	executable: 4,
	global: 8,
	/** The leaf's dirty bit is set, or there is none. */
	dirty: 16,
	/** So are the accessed bits of all levels. */
	accessed: 32,
	/** From a page of 2 or 4 MiB, or of 1 GiB. */
	large: 64,
	huge: 128,
} as const;

/** What a TLB entry keeps of {@link F.walkFlags}: META of tlb.ts. */
export function metaOf(flags: Ex): Ex {
	return flags.shrU(3).and(1).or(flags.shrU(5).and(6));
}

/** Bits of page-table entries (SDM 3A 4.5). */
export const PTE = { present: 1, write: 2, user: 4, accessed: 0x20, dirty: 0x40, large: 0x80, global: 0x100 } as const;

/** Whether the access wants to write (WRITE or MODIFY). */
export function wantsWrite(access: Ex): Ex {
	return access.and(ACCESS.write | ACCESS.modify).ne(0);
}

/** Bits that must be 0 in every entry of PAE, 4- and 5-level paging (SDM 3A tables 4-9 to 4-11). */
export function reservedBits(st: Ex): Ex {
	const efer = F.efer.of(st).wrap();
	const noExecute = i64(0x8000000000000000n).when(efer.and(EFER.nxe).eqz(), 0n);
	// Software's own in long mode.
	const software = i64(0x7ff0000000000000n).when(efer.and(EFER.lma).eqz(), 0n);
	return F.physicalReserved.of(st).or(noExecute).or(software);
}

/** {@link WALK} bits of a translation by entry `leaf` of a table of level `level`, 1 the lowest. */
export function walkFlags(st: Ex, rights: Ex, executable: Ex, leaf: Ex, level: Ex): Ex {
	return rights
		.and(PTE.write)
		.shrU(1)
		.or(rights.and(PTE.user).shrU(1))
		.or(executable.shl(2))
		.or(leaf.and(PTE.global).shrU(5).and(F.cr4.of(st).wrap().and(CR4.pge).shrU(4)))
		.or(leaf.and(PTE.dirty).shrU(2))
		.or(rights.and(PTE.accessed))
		.or(level.eq(2).mul(WALK.large))
		.or(level.eq(3).mul(WALK.huge));
}
