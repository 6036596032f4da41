import { SEGMENT, VECTOR } from "../../isa/registers.ts";
import { i32 } from "../../wasm/expression.ts";
import { call } from "../../wasm/function.ts";
import { ACCESS, ATTR, F, SEG } from "../layout.ts";
import { CR0, EFLAGS } from "./control-bits.ts";
import type { Core } from "./core.ts";
import { segmentAddress } from "./mode.ts";

/** Type of a 32-bit TSS, the busy bit aside: only that one has a permission map (SDM 1 18.5.2). */
const TSS32 = 9;
/** Offset of the map's base address in the TSS. */
const MAP_BASE = 102;

/** Whether the I/O instructions may use a port (SDM 1 18.5.2). */
export function defineIoPermission(core: Core): void {
	/** `ioAllowed(state, rec, port, bytes)` → 0, or stopHere: #GP(0) or a fault of reading the TSS. Uses F.data. */
	core.define("ioAllowed", ["i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, port, bytes] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const refuse = call(core.fn("raise"), st, VECTOR.GP, 0);
		f.returnIf(F.cr0.of(st).wrap().and(CR0.pe).eqz(), 0);
		const flags = f.let(F.eflags.of(st));
		f.returnIf(
			flags
				.and(EFLAGS.vm)
				.eqz()
				.and(F.cpl.of(st).leU(flags.and(EFLAGS.iopl).shrU(EFLAGS.ioplShift))),
			0,
		);
		const tss = f.let(segmentAddress(st, SEGMENT.tr));
		const limit = f.let(SEG.limit.of(tss));
		f.returnIf(
			SEG.attributes
				.of(tss)
				.and(ATTR.unusable | ATTR.s | 0xd)
				.ne(TSS32)
				.or(limit.ltU(MAP_BASE + 1)),
			refuse,
		);
		const systemMask = f.let(F.systemMask.of(st));
		const at = f.let(SEG.base.of(tss).add(MAP_BASE).and(systemMask));
		f.check(call(core.fn("load"), st, rec, at, 2, ACCESS.system));
		const offset = f.let(F.data.of(st).add(port.shrU(3).extU()));
		// Two bytes are read whatever the port: the map ends with a byte of ones (SDM 1 18.5.2).
		f.returnIf(offset.add(1).gtU(limit), refuse);
		f.set(at, SEG.base.of(tss).add(offset).and(systemMask));
		f.check(call(core.fn("load"), st, rec, at, 2, ACCESS.system));
		const wanted = f.let(i32(1).shl(bytes).sub(1).shl(port.and(7)));
		f.returnIf(F.data.of(st).wrap().and(wanted).ne(0), refuse);
		f.return(0);
	});
}
