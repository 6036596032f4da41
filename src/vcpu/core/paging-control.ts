import { VECTOR } from "../../isa/registers.ts";
import { i64 } from "../../wasm/expression.ts";
import { call } from "../../wasm/function.ts";
import { F } from "../layout.ts";
import { CR0, CR4, EFER } from "./control-bits.ts";
import type { Core } from "./core.ts";

/** Bits 1–2, 5–8 and 63 of a page-directory-pointer entry (SDM 3A table 4-8); address bits that do not exist come on top. */
const PDPTE_RESERVED = 0x80000000000001e6n;

/** What follows from a new CR3. */
export function definePagingControl(core: Core): void {
	/**
	 * `loadPdptes(state, cr3)` → 1 with the four page-directory-pointer registers loaded, or 0 with nothing changed: an
	 * entry is present and has reserved bits set (SDM 3A 4.4.1).
	 */
	core.define("loadPdptes", ["i32", "i64"], ["i32"], (f) => {
		const [st, cr3] = [f.param(0), f.param(1)];
		const first = f.let(cr3.and(0xffffffe0n).and(F.physicalMask.of(st)));
		const host = f.let(call(core.fn("entryHost"), st, first));
		const reserved = f.let(F.physicalReserved.of(st).or(i64(PDPTE_RESERVED)));
		// Nothing there reads as not present, as in the page walk.
		const entries = [0, 1, 2, 3].map((n) => {
			const entry = f.local("i64", 0);
			f.if(host.ne(0), () => f.set(entry, host.load("i64", n * 8)));
			f.returnIf(entry.wrap().and(1).ne(0).and(entry.and(reserved).ne(0)), 0);
			return entry;
		});
		entries.forEach((entry, n) => {
			F.pdpte.set(f, st, entry, n * 8);
		});
		f.return(1);
	});

	/**
	 * `loadCr3(state, value)` → 0, or stopHere with #GP(0) and nothing changed. Forgets all translations that are not
	 * global. The value's reserved bits are the caller's business.
	 */
	core.define("loadCr3", ["i32", "i64"], ["i32"], (f) => {
		const [st, value] = [f.param(0), f.param(1)];
		const pae = f.let(
			F.cr0
				.of(st)
				.wrap()
				.and(CR0.pg)
				.ne(0)
				.and(F.cr4.of(st).wrap().and(CR4.pae).ne(0))
				.and(F.efer.of(st).wrap().and(EFER.lma).eqz()),
		);
		f.if(pae, () => {
			f.if(call(core.fn("loadPdptes"), st, value).eqz(), () => f.return(call(core.fn("raise"), st, VECTOR.GP, 0)));
		});
		F.cr3.set(f, st, value);
		f.call(core.fn("flushTlb"), st, 1);
		f.return(0);
	});
}
