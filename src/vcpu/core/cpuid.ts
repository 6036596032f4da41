import { RAX, RBX, RCX, RDX } from "../../isa/registers.ts";
import { type Ex, i32 } from "../../wasm/expression.ts";
import { call } from "../../wasm/function.ts";
import { CPUID_ENTRY, CPUID_ENTRY_SIZE, CPUID_FEATURE, CPUID_SIGNIFICANT_INDEX } from "../cpuid.ts";
import { F, GPRS, STATUS } from "../layout.ts";
import { APIC_BASE, MSR, msrField } from "../msr.ts";
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
				f.if(leaf.eq(1).and(off), () => f.set(part, part.and(~CPUID_FEATURE.apic)));
			}
			give(register, part);
		}
		f.return(i32(STATUS.next));
	});
}
