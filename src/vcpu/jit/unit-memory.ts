import { SEGMENT } from "../../isa/registers.ts";
import type { Ex, Local } from "../../wasm/expression.ts";
import { call } from "../../wasm/function.ts";
import { ACCESS, KEY, SEG, segmentOffset, TLB, TLB_BYTES, TLB_TABLE } from "../layout.ts";
import type { UnitFrame } from "./unit-frame.ts";

/** Data accesses of a unit: segments and the TLB. Whatever is not the common case leaves for the interpreter. */
export class UnitMemory {
	private readonly frame: UnitFrame;

	constructor(frame: UnitFrame) {
		this.frame = frame;
	}

	private has(bits: number): boolean {
		return (this.frame.key & bits) !== 0;
	}

	/**
	 * Linear address of an access through segment `n`, of the registers' type; leaves where a limit or right might be violated.
	 * In 64-bit mode only FS and GS have a base (SDM 3A 3.2.4), and no page that is not canonical is in the TLB.
	 */
	linear(n: number, offset: Ex, bytes: number, write: boolean): Ex {
		const { f, st } = this.frame;
		const at = segmentOffset(n);
		if (this.has(KEY.long)) {
			const based = n === SEGMENT.fs || n === SEGMENT.gs;
			return based ? offset.add(SEG.start.of(st, at)) : offset;
		}
		// ES, CS, SS and DS are flat in flat units, but CS cannot be written.
		if (this.has(KEY.flat) && n < 4 && n !== SEGMENT.cs) return offset.wrap();
		const wide = f.let(offset);
		const high = (write ? SEG.writeHigh : SEG.readHigh).of(st, at);
		const outside = SEG.low
			.of(st, at)
			.gtS(wide)
			.or(wide.add(bytes - 1).gtS(high));
		f.if(outside, () => this.frame.leave());
		return wide.wrap().add(st.load("i32", at + SEG.base.offset));
	}

	/** VM memory offset of an access, after the check that all of it lies in a cached page. */
	lookup(linear: Local, bytes: number, access: number): Ex {
		const { f, st, imports, addend } = this.frame;
		const table = this.tlb(access !== ACCESS.read);
		const entry = f.let(linear.wrap().shrU(8).and(0xfff0));
		const page = bytes === 1 ? linear.and(-4096) : linear.add(bytes - 1).and(-4096);
		// Where 64-bit code has run there may be entries that differ in the upper half only.
		const wide = this.has(KEY.long | KEY.compatibility);
		const hits = wide
			? entry.load("i64", table + TLB.tag.offset).eq(page.extU())
			: entry.load("i32", table + TLB.tag.offset).eq(page);
		const near = (expected: number): Ex =>
			wide
				? hits.and(entry.load("i32", table + TLB.addend.offset).eq(expected))
				: entry.load("i64", table + TLB.addend.offset).eq(
						page
							.extU()
							.shl(32)
							.or(BigInt(expected >>> 0)),
					);
		const misses = (addend === undefined ? hits : near(addend)).eqz();
		f.if(misses, () => {
			if (imports.has("touch"))
				f.if(call(imports.get("touch"), st, linear.extU(), bytes, access).eqz(), () => this.frame.leave(true));
			else this.frame.leave(true);
		});
		return linear.wrap().add(addend ?? entry.load("i32", table + TLB.addend.offset));
	}

	private tlb(write: boolean): number {
		const table = this.has(KEY.user) ? TLB_TABLE.user : this.has(KEY.opened) ? TLB_TABLE.opened : TLB_TABLE.supervisor;
		return this.frame.tlbArea + (table + (write ? 1 : 0)) * TLB_BYTES;
	}
}
