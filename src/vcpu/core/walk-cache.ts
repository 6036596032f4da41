import { type Ex, i64 } from "../../wasm/expression.ts";
import type { FunctionBuilder } from "../../wasm/function.ts";
import { ACCESS, F, WALK_CACHE_ENTRIES, WALK_ROW, WALK_ROW_SIZE } from "../layout.ts";
import { CR4 } from "./control-bits.ts";
import type { Core } from "./core.ts";
import { PTE, reservedBits, walkFlags, wantsWrite } from "./page-entry.ts";

const EXECUTABLE = 0x100;
const ADDRESS = 0x000ffffffffff000n;
/** log2 of what one row is for. */
const REGION_SHIFT = 21;

function rowOf(st: Ex, linear: Ex): Ex {
	const n = linear.shrU(REGION_SHIFT).wrap();
	return st
		.add(
			n
				.xor(n.shrU(9))
				.and(WALK_CACHE_ENTRIES - 1)
				.mul(WALK_ROW_SIZE),
		)
		.add(F.walkCache.offset);
}

/** What a walk that succeeded knows of its last table. */
export interface LastTable {
	readonly level: Ex;
	/** VM memory offset of the entry. */
	readonly host: Ex;
	readonly gpa: Ex;
	/** Bits that the entries above have in common, and whether they all allow to execute. */
	readonly rights: Ex;
	readonly executable: Ex;
}

/** Notes where a walk ended; its accessed bits are set. */
export function noteWalk(
	f: FunctionBuilder,
	st: Ex,
	linear: Ex,
	{ level, host, gpa, rights, executable }: LastTable,
): void {
	const row = f.let(rowOf(st, linear));
	WALK_ROW.region.set(f, row, linear.shrU(REGION_SHIFT));
	WALK_ROW.cr3.set(f, row, F.cr3.of(st));
	WALK_ROW.generation.set(f, row, F.generation.of(st).add(1));
	WALK_ROW.table.set(f, row, host.sub(gpa.wrap().and(0xfff)));
	WALK_ROW.rights.set(f, row, rights.or(PTE.accessed));
	WALK_ROW.level.set(f, row, level.or(executable.mul(EXECUTABLE)));
	f.release(row);
}

/**
 * `walkCached(state, linear, access)` → 1 with the result of a walk, from a table that is known and an entry in it that allows the
 * access and needs no accessed or dirty bit set; 0: the whole walk says what is what, as after a fault on a processor (SDM 3A 4.10.4.1).
 */
export function defineWalkCached(core: Core): void {
	core.define("walkCached", ["i32", "i64", "i32"], ["i32"], (f) => {
		const [st, linear, access] = [f.param(0), f.param(1), f.param(2)];
		const row = f.let(rowOf(st, linear));
		f.returnIf(
			WALK_ROW.region
				.of(row)
				.ne(linear.shrU(REGION_SHIFT))
				.or(WALK_ROW.cr3.of(row).ne(F.cr3.of(st)))
				.or(WALK_ROW.generation.of(row).ne(F.generation.of(st).add(1))),
			0,
		);
		const level = f.let(WALK_ROW.level.of(row));
		const shift = f.let(level.and(0xff).mul(9).add(3).extU());
		const entry = f.let(WALK_ROW.table.of(row).add(linear.shrU(shift).wrap().and(0x1ff).shl(3)).load("i64"));
		const bits = f.let(entry.wrap());
		const write = wantsWrite(access);
		const needed = f.let(write.mul(PTE.dirty).or(PTE.present | PTE.accessed));
		f.returnIf(bits.and(needed).ne(needed), 0);
		f.returnIf(entry.and(reservedBits(st)).ne(0n), 0);
		const pageMask = f.let(i64(1).shl(shift).sub(1n));
		f.if(level.and(0xff).ne(1), () => {
			f.returnIf(
				bits
					.and(PTE.large)
					.eqz()
					.or(entry.and(pageMask.sub(0x1fffn)).ne(0n)),
				0,
			);
		});
		const rights = f.let(WALK_ROW.rights.of(row).and(bits));
		const cr4 = F.cr4.of(st).wrap();
		f.returnIf(cr4.and(CR4.pke | CR4.pks).ne(0), 0);
		const forUser = rights.and(PTE.user).ne(0);
		f.if(
			access.and(ACCESS.user).ne(0),
			() => f.returnIf(forUser.eqz(), 0),
			() => f.returnIf(forUser.and(cr4.and(CR4.smep | CR4.smap).ne(0)), 0),
		);
		f.returnIf(write.and(rights.and(PTE.write).eqz()), 0);
		const executable = f.let(level.and(EXECUTABLE).ne(0).and(entry.shrU(63).eqz()));
		f.returnIf(access.and(ACCESS.fetch).ne(0).and(executable.eqz()), 0);
		const page = entry.and(ADDRESS).and(pageMask.not()).or(linear.and(pageMask));
		F.walkGpa.set(f, st, page.and(F.physicalMask.of(st)));
		F.walkFlags.set(f, st, walkFlags(st, rights, executable, bits, level.and(0xff)));
		f.return(1);
	});
}
