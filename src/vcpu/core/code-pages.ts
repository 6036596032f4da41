import { call } from "../../wasm/function.ts";
import { ACCESS, CODE_PAGE, CODE_PAGE_SIZE, F, TLB } from "../layout.ts";
import type { Core } from "./core.ts";
import { WALK } from "./page-entry.ts";

/** Compiled code over several pages is good as long as each of them is where it was. */
export function defineCodePages(core: Core): void {
	/**
	 * `confirmPages(state, pages, count)` → 1 where every page of the list of {@link CODE_PAGE} can be fetched from and is in its place.
	 * Nothing changes: no TLB is filled, and a page whose accessed bits are not yet set is left to the interpreter.
	 */
	core.define("confirmPages", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, pages, count] = [f.param(0), f.param(1), f.param(2)];
		const end = f.let(pages.add(count.mul(CODE_PAGE_SIZE)));
		const access = f.let(call(core.fn("accessRights"), st, ACCESS.fetch | ACCESS.check));
		f.while(pages.ltU(end), (_exit, next) => {
			const linear = f.let(CODE_PAGE.linear.of(pages));
			const host = f.let(CODE_PAGE.host.of(pages));
			f.set(pages, pages.add(CODE_PAGE_SIZE));
			const entry = f.let(F.tlbFetch.of(st).add(linear.wrap().shrU(8).and(0xfff0)));
			f.if(TLB.tag.of(entry).eq(linear), () => {
				f.returnIf(TLB.addend.of(entry).add(linear.wrap()).ne(host), 0);
				f.br(next);
			});
			f.if(call(core.fn("walk"), st, linear, access), () => {
				F.faultPending.set(f, st, 0);
				f.return(0);
			});
			f.returnIf(F.walkFlags.of(st).and(WALK.accessed).eqz(), 0);
			const gpa = f.let(F.walkGpa.of(st));
			const slot = f.let(call(core.fn("slotFind"), st, gpa));
			f.returnIf(slot.eqz(), 0);
			f.returnIf(call(core.fn("slotHost"), slot, gpa).ne(host), 0);
		});
		f.return(1);
	});
}
