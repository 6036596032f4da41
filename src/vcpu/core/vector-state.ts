import { VECTOR } from "../../isa/registers.ts";
import type { Ex } from "../../wasm/expression.ts";
import { call } from "../../wasm/function.ts";
import { F } from "../layout.ts";
import { CR0, CR4, XCR0_AVX } from "./control-bits.ts";
import type { Core } from "./core.ts";

/** Whether vector registers may be used: `checkSse(state)` and `checkAvx(state)` → status. */
export function defineVectorState(core: Core): void {
	const define = (name: string, absent: (st: Ex) => Ex): void => {
		core.define(name, ["i32"], ["i32"], (f) => {
			const st = f.param(0);
			f.if(absent(st), () => f.return(call(core.fn("raise"), st, VECTOR.UD, 0)));
			f.if(F.cr0.of(st).wrap().and(CR0.ts).ne(0), () => f.return(call(core.fn("raise"), st, VECTOR.NM, 0)));
			f.return(0);
		});
	};
	define("checkSse", (st) => {
		const emulated = F.cr0.of(st).wrap().and(CR0.em).ne(0);
		return emulated.or(F.cr4.of(st).wrap().and(CR4.osfxsr).eqz());
	});
	define("checkAvx", (st) => {
		const off = F.cr4.of(st).wrap().and(CR4.osxsave).eqz();
		return off.or(F.xcr0.of(st).wrap().and(XCR0_AVX).ne(XCR0_AVX));
	});
}
