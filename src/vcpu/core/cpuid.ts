import { RAX, RBX, RCX, RDX } from "../../isa/registers.ts";
import { type Ex, i32, type Local } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import {
	CPUID_APIC,
	CPUID_ENTRY,
	CPUID_ENTRY_SIZE,
	CPUID_OSPKE,
	CPUID_OSXSAVE,
	CPUID_SIGNIFICANT_INDEX,
	XSAVE_COMPONENTS,
	XSAVE_HEADER_END,
} from "../cpuid.ts";
import { F, GPRS, STATUS } from "../layout.ts";
import { APIC_BASE, MSR, msrField } from "../msr.ts";
import { CR4 } from "./control-bits.ts";
import type { Core } from "./core.ts";

/** CPUID from the table that the host filled. */
export function defineCpuid(core: Core): void {
	/** `cpuidFind(state, function, index)` → address of the entry, or 0. */
	core.define("cpuidFind", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, leaf, index] = [f.param(0), f.param(1), f.param(2)];
		const entry = f.local("i32", F.cpuidTable.of(st));
		const end = f.let(entry.add(F.cpuidCount.of(st).mul(CPUID_ENTRY_SIZE)));
		f.while(entry.ltU(end), () => {
			const anyIndex = entry.load("i32", CPUID_ENTRY.flags).and(CPUID_SIGNIFICANT_INDEX).eqz();
			const same = entry.load("i32", CPUID_ENTRY.index).eq(index);
			f.returnIf(entry.load("i32", CPUID_ENTRY.function).eq(leaf).and(anyIndex.or(same)), entry);
			f.set(entry, entry.add(CPUID_ENTRY_SIZE));
		});
		f.return(0);
	});

	core.define("helper_cpuid", ["i32", "i32"], ["i32"], (f) => {
		const st = f.param(0);
		const leaf = f.let(st.load("i32", GPRS + RAX * 8));
		const index = f.let(st.load("i32", GPRS + RCX * 8));
		const find = (number: Ex | number): Ex => call(core.fn("cpuidFind"), st, number, index);
		const entry = f.let(find(leaf));
		f.if(entry.eqz(), () => {
			// Beyond the last leaf of its class a number gives the last basic leaf; a gap inside gives zeros (SDM 2A CPUID).
			const first = f.let(find(leaf.and(0x80000000)));
			f.if(first.ne(0), () => {
				f.if(leaf.gtU(first.load("i32", CPUID_ENTRY.eax)), () => {
					const basic = f.let(find(0));
					f.if(basic.ne(0), () => f.set(entry, find(basic.load("i32", CPUID_ENTRY.eax))));
				});
			});
		});
		const give = (register: number, value: Ex): void => f.store("i64", st, value.extU(), GPRS + register * 8);
		const part = f.local("i32");
		for (const [register, offset] of [
			[RAX, CPUID_ENTRY.eax],
			[RBX, CPUID_ENTRY.ebx],
			[RCX, CPUID_ENTRY.ecx],
			[RDX, CPUID_ENTRY.edx],
		] as const) {
			f.set(part, 0);
			f.if(entry.ne(0), () => f.set(part, entry.load("i32", offset)));
			if (register === RDX) {
				// A disabled local APIC does not show (SDM 3A 11.4.3).
				const off = msrField(MSR.apicBase).of(st).wrap().and(APIC_BASE.enable).eqz();
				f.if(leaf.eq(1).and(off), () => f.set(part, part.and(~CPUID_APIC)));
			}
			if (register === RCX) {
				shown(f, part, leaf.eq(1), F.cr4.of(st), CR4.osxsave, CPUID_OSXSAVE);
				shown(f, part, leaf.eq(7).and(index.eqz()), F.cr4.of(st), CR4.pke, CPUID_OSPKE);
			}
			if (register === RBX) {
				f.if(leaf.eq(0xd).and(part.ne(0)).and(index.leU(1)), () => {
					f.set(part, areaBytes(F.xcr0.of(st), "standard").when(index.eqz(), areaBytes(F.xcr0.of(st), "compacted")));
				});
			}
			give(register, part);
		}
		f.return(i32(STATUS.next));
	});
}

/** Replaces a bit of CPUID's answer for a leaf by the bit of CR4 that it reports. */
function shown(f: FunctionBuilder, part: Local, isLeaf: Ex, cr4: Ex, control: number, bit: number): void {
	const set = cr4.wrap().and(control).ne(0).mul(bit);
	f.if(isLeaf, () => f.set(part, part.and(~bit).or(set)));
}

/** Bytes of an XSAVE area with the components that are switched on, in either format (SDM 1 13.4.2, 13.4.3). */
function areaBytes(xcr0: Ex, format: "standard" | "compacted"): Ex {
	return XSAVE_COMPONENTS.filter(({ bit }) => bit >= 2).reduce<Ex>((bytes, { bit, offset, size }) => {
		const on = xcr0.wrap().shrU(bit).and(1);
		return format === "compacted" ? bytes.add(on.mul(size)) : i32(offset + size).when(on, bytes);
	}, i32(XSAVE_HEADER_END));
}
