import { SEGMENT, VECTOR } from "../../isa/registers.ts";
import { call } from "../../wasm/function.ts";
import { F, SEG, STATUS, segmentOffset } from "../layout.ts";
import { MSR, msrField } from "../msr.ts";
import { CR4 } from "./control-bits.ts";
import type { Core } from "./core.ts";
import { segmentAddress } from "./mode.ts";
import { isCanonicalBase } from "./msr.ts";
import { writeGpr } from "./segments.ts";

/** SWAPGS, RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE. */
export function defineSegmentBases(core: Core): void {
	core.define("helper_swapgs", ["i32", "i32"], ["i32"], (f) => {
		const st = f.param(0);
		const kernel = msrField(MSR.kernelGsBase);
		const base = f.let(kernel.of(st));
		kernel.set(f, st, SEG.base.of(st, segmentOffset(SEGMENT.gs)));
		f.call(core.fn("setBase"), st, SEGMENT.gs, base);
		f.return(STATUS.next);
	});

	core.define("helper_readBase", ["i32", "i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, segment, register, bytes] = [f.param(0), f.param(2), f.param(3), f.param(4)];
		const off = F.cr4.of(st).wrap().and(CR4.fsgsbase).eqz();
		f.returnIf(off, call(core.fn("raise"), st, VECTOR.UD, 0));
		writeGpr(f, st, register, bytes, SEG.base.of(segmentAddress(st, segment)));
		f.return(STATUS.next);
	});

	core.define("helper_writeBase", ["i32", "i32", "i32", "i64"], ["i32"], (f) => {
		const [st, segment, base] = [f.param(0), f.param(2), f.param(3)];
		const off = F.cr4.of(st).wrap().and(CR4.fsgsbase).eqz();
		f.returnIf(off, call(core.fn("raise"), st, VECTOR.UD, 0));
		f.returnIf(isCanonicalBase(st, base).eqz(), call(core.fn("raise"), st, VECTOR.GP, 0));
		f.call(core.fn("setBase"), st, segment, base);
		f.return(STATUS.next);
	});
}
