import { assert } from "../base/errors.ts";
import type { CoreFeature } from "./core/feature-bits.ts";
import { F, Field } from "./layout.ts";

/** Model-specific registers by number (SDM 4, tables 2-2 and 2-22: P6 family). */
export const MSR = {
	tsc: 0x10,
	platformId: 0x17,
	apicBase: 0x1b,
	powerOn: 0x2a,
	tscAdjust: 0x3b,
	speculationControl: 0x48,
	predictionCommand: 0x49,
	microcodeLoad: 0x79,
	microcodeRevision: 0x8b,
	perfCounter0: 0xc1,
	perfCounter1: 0xc2,
	platformInfo: 0xce,
	mtrrCap: 0xfe,
	archCapabilities: 0x10a,
	sysenterCs: 0x174,
	sysenterEsp: 0x175,
	sysenterEip: 0x176,
	mcgCap: 0x179,
	mcgStatus: 0x17a,
	perfSelect0: 0x186,
	perfSelect1: 0x187,
	miscEnable: 0x1a0,
	debugControl: 0x1d9,
	lastBranchFrom: 0x1db,
	lastBranchTo: 0x1dc,
	lastInterruptFrom: 0x1dd,
	lastInterruptTo: 0x1de,
	/** Base and mask of variable range n at +2n and +2n+1. */
	mtrrVariable: 0x200,
	mtrrFixed64K: 0x250,
	mtrrFixed16K: 0x258,
	/** Eight of them. */
	mtrrFixed4K: 0x268,
	pat: 0x277,
	mtrrDefault: 0x2ff,
	/** Control, status, address and miscellaneous of machine-check bank n at +4n. */
	machineCheckBank: 0x400,
	tscDeadline: 0x6e0,
	pkrs: 0x6e1,
	xss: 0xda0,
	efer: 0xc0000080,
	star: 0xc0000081,
	lstar: 0xc0000082,
	cstar: 0xc0000083,
	syscallMask: 0xc0000084,
	fsBase: 0xc0000100,
	gsBase: 0xc0000101,
	kernelGsBase: 0xc0000102,
	tscAux: 0xc0000103,
	amdPerfSelect: 0xc0010000,
	amdPerfCounter: 0xc0010004,
	amdSystemConfiguration: 0xc0010010,
	amdHardwareConfiguration: 0xc0010015,
	amdInterruptPending: 0xc0010055,
} as const;

export const MTRR_VARIABLE_RANGES = 8;
export const MACHINE_CHECK_BANKS = 5;

/** APIC_BASE by bit mask (SDM 3A 11.4.4). */
export const APIC_BASE = { bootstrap: 0x100, extended: 0x400, enable: 0x800, address: 0xfee00000 } as const;

/** What WRMSR accepts. */
export type MsrRule =
	/** Nothing: #GP(0). */
	| "readOnly"
	/** Anything, and forgets it. */
	| "ignored"
	/** These bits; others are #GP(0). */
	| { readonly bits: bigint }
	/** These bits, for what they do: they cannot be read. */
	| { readonly command: bigint }
	/** The low half; what is above is dropped. */
	| "low"
	/** A canonical linear address. */
	| "linear"
	/** 0 or all ones. */
	| "allOrNothing"
	/** Memory type in bits 7:0, then these bits. */
	| { readonly type: bigint }
	/** Like `type`, with the page numbers that the processor's physical addresses have. */
	| "mtrrBase"
	| "mtrrMask"
	/** Eight memory types. */
	| "eightTypes"
	/** Eight memory types, UC- included. */
	| "eightPatTypes"
	/** Bits kept, and the host told: the local APIC moves. */
	| "apicBase";

/** A register that is kept as a plain value. */
export interface MsrEntry {
	readonly number: number;
	readonly rule: MsrRule;
	/** Value after reset. */
	readonly reset: bigint;
	/** The register exists where the processor has one of these; always, if there are none. */
	readonly needs: readonly CoreFeature[];
}

/**
 * What the processor is not subject to, or has cured (SDM 4, IA32_ARCH_CAPABILITIES): nothing here speculates. RDCL_NO, IBRS_ALL,
 * SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO, IF_PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO, PSDP_NO, BHI_NO, PBRSB_NO,
 * GDS_NO, RFDS_NO, ITS_NO.
 */
const ARCH_CAPABILITIES = [0, 1, 3, 4, 5, 6, 8, 13, 14, 15, 20, 24, 26, 27, 62].reduce(
	(all, n) => all | (1n << BigInt(n)),
	0n,
);

function* entries(): Generator<MsrEntry> {
	const entry = (number: number, rule: MsrRule, reset = 0n, ...needs: CoreFeature[]): MsrEntry => ({
		number,
		rule,
		reset,
		needs,
	});
	const all: MsrRule = { bits: 0xffffffffffffffffn };
	yield entry(MSR.platformId, "readOnly");
	yield entry(
		MSR.apicBase,
		"apicBase",
		BigInt(APIC_BASE.address | APIC_BASE.enable | APIC_BASE.bootstrap) & 0xffffffffn,
	);
	yield entry(MSR.powerOn, all);
	yield entry(MSR.microcodeLoad, "ignored");
	yield entry(MSR.speculationControl, { bits: 7n }, 0n, "spec-ctrl", "stibp", "ssbd");
	yield entry(MSR.predictionCommand, { command: 1n }, 0n, "spec-ctrl");
	yield entry(MSR.microcodeRevision, all, 0x1_0000_0000n);
	yield entry(MSR.perfCounter0, { bits: 0xffffffffffn });
	yield entry(MSR.perfCounter1, { bits: 0xffffffffffn });
	yield entry(MSR.perfSelect0, { bits: 0xffffffffn });
	yield entry(MSR.perfSelect1, { bits: 0xffffffffn });
	// Eight variable ranges, the fixed ones, write combining (SDM 3A 12.11.1).
	yield entry(MSR.mtrrCap, "readOnly", BigInt(MTRR_VARIABLE_RANGES | 0x500));
	yield entry(MSR.sysenterCs, "low");
	yield entry(MSR.sysenterEsp, "linear");
	yield entry(MSR.sysenterEip, "linear");
	yield entry(MSR.mcgCap, "readOnly", BigInt(MACHINE_CHECK_BANKS));
	yield entry(MSR.mcgStatus, { bits: 7n });
	// A bus of 100 MHz, ten times as fast as that.
	yield entry(MSR.platformInfo, "readOnly", 0xa00n);
	yield entry(MSR.archCapabilities, "readOnly", ARCH_CAPABILITIES, "arch-capabilities");
	// Fast strings; no branch traces, no event-based sampling. The other bits are those of other processors.
	yield entry(MSR.miscEnable, all, 0x1801n);
	yield entry(MSR.debugControl, { bits: 0x7fn });
	yield entry(MSR.lastBranchFrom, "readOnly");
	yield entry(MSR.lastBranchTo, "readOnly");
	yield entry(MSR.lastInterruptFrom, "readOnly");
	yield entry(MSR.lastInterruptTo, "readOnly");
	for (let n = 0; n < MTRR_VARIABLE_RANGES; n++) {
		yield entry(MSR.mtrrVariable + 2 * n, "mtrrBase");
		yield entry(MSR.mtrrVariable + 2 * n + 1, "mtrrMask");
	}
	yield entry(MSR.mtrrFixed64K, "eightTypes");
	yield entry(MSR.mtrrFixed16K, "eightTypes");
	yield entry(MSR.mtrrFixed16K + 1, "eightTypes");
	for (let n = 0; n < 8; n++) yield entry(MSR.mtrrFixed4K + n, "eightTypes");
	yield entry(MSR.pat, "eightPatTypes", 0x0007040600070406n);
	yield entry(MSR.mtrrDefault, { type: 0xc00n });
	for (let n = 0; n < MACHINE_CHECK_BANKS; n++) {
		const bank = MSR.machineCheckBank + 4 * n;
		yield entry(bank, "allOrNothing");
		// Status is only ever cleared (SDM 3B 16.3.2.2).
		yield entry(bank + 1, { bits: 0n });
		yield entry(bank + 2, all);
		yield entry(bank + 3, all);
	}
	yield entry(MSR.pkrs, { bits: 0xffffffffn }, 0n, "pks");
	yield entry(MSR.xss, { bits: 0n }, 0n, "xsaves");
	yield entry(MSR.star, all, 0n, "lm");
	yield entry(MSR.lstar, "linear", 0n, "lm");
	yield entry(MSR.cstar, "linear", 0n, "lm");
	yield entry(MSR.syscallMask, { bits: 0xffffffffn }, 0n, "lm");
	yield entry(MSR.kernelGsBase, "linear", 0n, "lm");
	yield entry(MSR.tscAux, { bits: 0xffffffffn }, 0n, "rdtscp", "rdpid");
	// AMD's: four performance counters, and configuration that nothing here depends on.
	for (let n = 0; n < 4; n++) {
		yield entry(MSR.amdPerfSelect + n, all, 0n, "amd");
		yield entry(MSR.amdPerfCounter + n, { bits: 0xffffffffffffn }, 0n, "amd");
	}
	yield entry(MSR.amdSystemConfiguration, all, 0n, "amd");
	yield entry(MSR.amdHardwareConfiguration, all, 0n, "amd");
	yield entry(MSR.amdInterruptPending, all, 0n, "amd");
	// Also moved by writes to the counter: its rule is its own.
	yield entry(MSR.tscAdjust, all, 0n, "tsc-adjust");
}

/** Every plain register; the n-th one's value is the n-th of {@link F.msrs}. */
export const MSR_ENTRIES: readonly MsrEntry[] = [...entries()];

const INDEX = new Map(MSR_ENTRIES.map(({ number }, n) => [number, n]));

/** Where the value of plain register `number` lives in the processor's state. */
export function msrField(number: number): Field {
	const index = INDEX.get(number);
	assert(index !== undefined, `MSR ${number.toString(16)} is not a plain one`);
	return new Field(F.msrs.offset + index * 8, 8);
}
