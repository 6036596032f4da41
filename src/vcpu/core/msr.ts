import { RAX, RCX, RDX, SEGMENT, VECTOR } from "../../isa/registers.ts";
import { type Ex, i32, i64, type Local } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import { F, GPRS, SEG, STATUS, segmentOffset } from "../layout.ts";
import { APIC_BASE, MSR, MSR_ENTRIES, type MsrEntry, type MsrRule, msrField } from "../msr.ts";
import { CR0, EFER } from "./control-bits.ts";
import type { Core } from "./core.ts";
import { hasFeature } from "./feature-bits.ts";
import { setPair } from "./time-stamp.ts";

/** Memory types of MTRRs: UC 0, WC 1, WT 4, WP 5, WB 6; of the PAT also UC- 7 (SDM 3A table 12-8, 12.12.2). */
const MTRR_TYPES = 0b01110011;
const PAT_TYPES = 0b11110011;

/** Bits that no physical address has, of a register that holds page numbers. */
function beyondPhysical(st: Ex): Ex {
	return F.physicalReserved.of(st).or(i64(0xfff0000000000000n));
}

/**
 * 1 where a segment register or MSR takes the value as a base: canonical for the widest linear addresses that the processor
 * can have, whatever CR4.LA57 says (SDM 1 3.3.7.1).
 */
export function isCanonicalBase(st: Ex, value: Ex): Ex {
	const shift = i64(64 - 57).when(hasFeature(st, "la57"), BigInt(64 - 48));
	return value.shl(shift).shrS(shift).eq(value);
}

const BASES = [
	[MSR.fsBase, SEGMENT.fs],
	[MSR.gsBase, SEGMENT.gs],
] as const;

/** Chooses among registers by number, halving what is left at each step; `one` returns from the function. */
function chooseEntry(f: FunctionBuilder, number: Ex, one: (entry: MsrEntry) => void): void {
	const choose = (entries: readonly MsrEntry[]): void => {
		const [first] = entries;
		if (first === undefined) return;
		if (entries.length === 1) {
			const there = first.needs.map((feature) => hasFeature(f.param(0), feature));
			const [any, ...others] = there;
			const exists = any && others.reduce((all, each) => all.or(each), any);
			f.if(exists ? number.eq(first.number).and(exists) : number.eq(first.number), () => one(first));
			return;
		}
		const half = entries.length >> 1;
		const split = (entries[half] as MsrEntry).number;
		f.if(
			number.ltU(split | 0),
			() => choose(entries.slice(0, half)),
			() => choose(entries.slice(half)),
		);
	};
	choose([...MSR_ENTRIES].sort((a, b) => a.number - b.number));
}

/** RDMSR and WRMSR: the TSC, EFER, FS and GS, the table of msr.ts, then the host. */
export function defineMsr(core: Core): void {
	/** `typesValid(value, set)` → 1 where all eight bytes are memory types of the bit set. */
	core.define("typesValid", ["i64", "i32"], ["i32"], (f) => {
		const [value, set] = [f.param(0), f.param(1)];
		const n = f.local("i32", 0);
		f.while(n.ltU(8), () => {
			const type = f.let(value.shrU(n.shl(3).extU()).wrap().and(0xff));
			f.returnIf(type.gtU(7).or(set.shrU(type).and(1).eqz()), 0);
			f.set(n, n.add(1));
		});
		f.return(1);
	});

	core.define("helper_rdmsr", ["i32", "i32"], ["i32"], (f) => {
		const [st, rec] = [f.param(0), f.param(1)];
		const number = f.let(st.load("i32", GPRS + RCX * 8));
		const give = (value: Ex): void => {
			setPair(f, st, value);
			f.return(STATUS.next);
		};
		f.if(number.eq(MSR.tsc), () => give(f.let(call(core.fn("retired"), st, rec).add(F.tscOffset.of(st)))));
		f.if(number.eq(MSR.efer).and(F.eferBits.of(st).ne(0n)), () => give(F.efer.of(st)));
		for (const [base, segment] of BASES) {
			f.if(number.eq(base).and(hasFeature(st, "lm")), () => give(SEG.base.of(st, segmentOffset(segment))));
		}
		chooseEntry(f, number, (entry) => {
			if (typeof entry.rule === "object" && "command" in entry.rule) f.return(call(core.fn("raise"), st, VECTOR.GP, 0));
			else give(msrField(entry.number).of(st));
		});
		f.if(call(core.fn("hostMsr"), st, rec, 0, number), () => give(F.scratch.of(st)));
		f.return(call(core.fn("raise"), st, VECTOR.GP, 0));
	});

	core.define("helper_wrmsr", ["i32", "i32"], ["i32"], (f) => {
		const [st, rec] = [f.param(0), f.param(1)];
		const number = f.let(st.load("i32", GPRS + RCX * 8));
		const value = f.let(st.load("i64_32u", GPRS + RAX * 8).or(st.load("i64_32u", GPRS + RDX * 8).shl(32)));
		const adjust = msrField(MSR.tscAdjust);
		f.if(number.eq(MSR.tsc), () => {
			const offset = f.let(value.sub(call(core.fn("retired"), st, rec)));
			adjust.set(f, st, adjust.of(st).add(offset.sub(F.tscOffset.of(st))));
			F.tscOffset.set(f, st, offset);
			f.drop(call(core.fn("hostMsr"), st, rec, 1, MSR.tsc));
			f.return(STATUS.stopNext);
		});
		for (const [base, segment] of BASES) {
			f.if(number.eq(base).and(hasFeature(st, "lm")), () => {
				f.if(isCanonicalBase(st, value).eqz(), () => f.return(call(core.fn("raise"), st, VECTOR.GP, 0)));
				f.call(core.fn("setBase"), st, segment, value);
				f.return(STATUS.next);
			});
		}
		f.if(number.eq(MSR.efer).and(F.eferBits.of(st).ne(0n)), () => writeEfer(core, f, st, value));
		chooseEntry(f, number, ({ number: known, rule }) => {
			f.if(isAllowed(core, st, value, rule).eqz(), () => f.return(call(core.fn("raise"), st, VECTOR.GP, 0)));
			if (rule === "ignored" || (typeof rule === "object" && "command" in rule)) {
				f.return(STATUS.next);
				return;
			}
			if (rule === "apicBase") keepBootstrap(f, st, value);
			if (known === MSR.tscAdjust) F.tscOffset.set(f, st, F.tscOffset.of(st).add(value.sub(adjust.of(st))));
			msrField(known).set(f, st, rule === "low" ? value.and(0xffffffffn) : value);
			// The deadline of the local APIC's timer comes at another time.
			if (known === MSR.tscAdjust) f.drop(call(core.fn("hostMsr"), st, rec, 1, MSR.tsc));
			if (known === MSR.pkrs) f.call(core.fn("flushTlb"), st, 0);
			if (rule === "apicBase") {
				F.scratch.set(f, st, value);
				f.drop(call(core.fn("hostMsr"), st, rec, 1, number));
			}
			f.return(STATUS.stopNext);
		});
		F.scratch.set(f, st, value);
		f.if(call(core.fn("hostMsr"), st, rec, 1, number), () => f.return(STATUS.stopNext));
		f.return(call(core.fn("raise"), st, VECTOR.GP, 0));
	});
}

/** Whether the rule lets `value` be written. */
function isAllowed(core: Core, st: Ex, value: Ex, rule: MsrRule): Ex {
	const only = (bits: bigint): Ex => value.and(i64(BigInt.asIntN(64, ~bits))).eqz();
	const type = call(core.fn("typesValid"), value.and(0xff), MTRR_TYPES);
	switch (rule) {
		case "readOnly":
			return i32(0);
		case "ignored":
		case "low":
			return i32(1);
		case "mtrrBase":
			return value.and(beyondPhysical(st).or(0xf00)).eqz().and(type);
		case "mtrrMask":
			return value.and(beyondPhysical(st).or(0x7ff)).eqz();
		case "eightTypes":
			return call(core.fn("typesValid"), value, MTRR_TYPES);
		case "eightPatTypes":
			return call(core.fn("typesValid"), value, PAT_TYPES);
		case "linear":
			return isCanonicalBase(st, value);
		case "allOrNothing":
			return value.eqz().or(value.eq(-1n));
		case "apicBase":
			return value
				.and(beyondPhysical(st).or(0xfff & ~(APIC_BASE.bootstrap | APIC_BASE.extended | APIC_BASE.enable)))
				.eqz()
				.and(apicModeAllowed(st, value.wrap()));
		default:
			if ("command" in rule) return only(rule.command);
			return "type" in rule ? only(rule.type | 0xffn).and(type) : only(rule.bits);
	}
}

/** x2APIC mode is entered from xAPIC mode only, and left only by switching the APIC off (SDM 3A 11.12.5). */
function apicModeAllowed(st: Ex, value: Ex): Ex {
	const { enable, extended } = APIC_BASE;
	const old = msrField(MSR.apicBase).of(st).wrap();
	const enters = value.and(extended).ne(0);
	const possible = value.and(enable).ne(0).and(old.and(enable).ne(0)).and(hasFeature(st, "x2apic"));
	const leaves = value
		.and(extended | enable)
		.eq(enable)
		.and(old.and(extended).ne(0));
	return possible.when(enters, leaves.eqz());
}

/** The bootstrap bit is the processor's own. */
function keepBootstrap(f: FunctionBuilder, st: Ex, value: Local): void {
	const own = msrField(MSR.apicBase).of(st).and(APIC_BASE.bootstrap);
	f.set(value, value.and(~APIC_BASE.bootstrap).or(own));
}

/** LMA is not for software to write, and LME not while paging (SDM 3A 10.8.5). */
function writeEfer(core: Core, f: FunctionBuilder, st: Ex, value: Ex): void {
	const old = f.let(F.efer.of(st));
	const changed = f.let(old.xor(value).and(BigInt(~EFER.lma)));
	const paging = F.cr0.of(st).wrap().and(CR0.pg).ne(0);
	f.if(
		value
			.and(F.eferBits.of(st).or(BigInt(EFER.lma)).not())
			.ne(0n)
			.or(changed.wrap().and(EFER.lme).ne(0).and(paging)),
		() => f.return(call(core.fn("raise"), st, VECTOR.GP, 0)),
	);
	F.efer.set(f, st, old.xor(changed));
	f.call(core.fn("flushTlb"), st, 0);
	f.return(STATUS.stopNext);
}
