import { ATTR, F, SEG, segmentOffset } from "../vcpu/layout.ts";
import { MSR, msrField } from "../vcpu/msr.ts";
import type { Processor } from "../vcpu/processor.ts";
import { SEGMENT } from "../vcpu/register-names.ts";
import type { KvmResult } from "./errno.ts";
import { isU64 } from "./unsigned.ts";

/** struct kvm_segment. Bits are 0 or 1. */
export interface KvmSegment {
	base: bigint;
	/** Bytes, expanded by the granularity: u32. */
	limit: number;
	selector: number;
	/** Low four bits of the descriptor's type. */
	type: number;
	present: number;
	dpl: number;
	db: number;
	s: number;
	l: number;
	g: number;
	avl: number;
	unusable: number;
}

/** struct kvm_dtable. */
export interface KvmDtable {
	base: bigint;
	/** u16 */
	limit: number;
}

/** struct kvm_sregs. */
export interface Sregs {
	cs: KvmSegment;
	ds: KvmSegment;
	es: KvmSegment;
	fs: KvmSegment;
	gs: KvmSegment;
	ss: KvmSegment;
	tr: KvmSegment;
	ldt: KvmSegment;
	gdt: KvmDtable;
	idt: KvmDtable;
	cr0: bigint;
	cr2: bigint;
	cr3: bigint;
	cr4: bigint;
	cr8: bigint;
	efer: bigint;
	apicBase: bigint;
	/** Four u64: the bit of the interrupt that waits. */
	interruptBitmap: bigint[];
}

const SEGMENTS = ["cs", "ds", "es", "fs", "gs", "ss", "tr", "ldt"] as const;
type SegmentKey = (typeof SEGMENTS)[number];
const NUMBER: Readonly<Record<SegmentKey, number>> = { ...SEGMENT, ldt: SEGMENT.ldtr };

const CR0_PE = 1n;
const CR0_NW = 1n << 29n;
const CR0_CD = 1n << 30n;
const CR0_PG = 1n << 31n;
const CR4_PAE = 1n << 5n;
/** VME to OSXMMEXCPT: bits that user space may set whatever CPUID says; others go with their features. */
const CR4_KNOWN = 0x7ffn;
const EFER_LME = 1n << 8n;
const EFER_LMA = 1n << 10n;
const RFLAGS_VM = 0x20000;

/** KVM_GET_SREGS; CR8 is the caller's. */
export function getSregs(processor: Processor, cr8: bigint): Sregs {
	const segment = (key: SegmentKey): KvmSegment => {
		const at = segmentOffset(NUMBER[key]);
		const attributes = processor.get(SEG.attributes, at);
		const bit = (mask: number): number => ((attributes & mask) !== 0 ? 1 : 0);
		return {
			base: processor.get64(SEG.base, at),
			limit: Number(processor.get64(SEG.limit, at) & 0xffff_ffffn),
			selector: processor.get(SEG.selector, at) & 0xffff,
			type: attributes & ATTR.typeMask,
			present: bit(ATTR.present),
			dpl: (attributes >> ATTR.dplShift) & 3,
			db: bit(ATTR.big),
			s: bit(ATTR.s),
			l: bit(ATTR.long),
			g: bit(ATTR.granular),
			avl: bit(ATTR_AVL),
			unusable: bit(ATTR.unusable),
		};
	};
	const segments = Object.fromEntries(SEGMENTS.map((key) => [key, segment(key)])) as Record<SegmentKey, KvmSegment>;
	const interruptBitmap = [0n, 0n, 0n, 0n];
	const queued = processor.get(F.interruptQueued);
	if (queued >= 0) interruptBitmap[queued >> 6] = 1n << BigInt(queued & 63);
	return {
		...segments,
		gdt: { base: processor.get64(F.gdtBase), limit: processor.get(F.gdtLimit) & 0xffff },
		idt: { base: processor.get64(F.idtBase), limit: processor.get(F.idtLimit) & 0xffff },
		cr0: processor.get64(F.cr0),
		cr2: processor.get64(F.cr2),
		cr3: processor.get64(F.cr3),
		cr4: processor.get64(F.cr4),
		cr8,
		efer: processor.get64(F.efer),
		apicBase: processor.get64(msrField(MSR.apicBase)),
		interruptBitmap,
	};
}

const ATTR_AVL = 0x100;

/** Whether the control registers and CS fit each other, as KVM_SET_SREGS asks (Linux arch/x86/kvm/x86.c, kvm_is_valid_sregs). */
export function areValid(sregs: Sregs, cr4Bits: bigint): boolean {
	const { cr0, cr2, cr3, cr4, efer, cs } = sregs;
	if (![cr0, cr2, cr3, cr4, efer, sregs.cr8, sregs.apicBase].every(isU64)) return false;
	for (const key of SEGMENTS) if (!isSegment(sregs[key])) return false;
	for (const { base, limit } of [sregs.gdt, sregs.idt]) if (!isU64(base) || !fits(limit, 16)) return false;
	if (sregs.interruptBitmap.length !== 4 || !sregs.interruptBitmap.every(isU64)) return false;
	const paging = (cr0 & CR0_PG) !== 0n;
	if (cr0 >> 32n !== 0n || (paging && (cr0 & CR0_PE) === 0n)) return false;
	if ((cr0 & CR0_NW) !== 0n && (cr0 & CR0_CD) === 0n) return false;
	if ((cr4 & ~(CR4_KNOWN | cr4Bits)) !== 0n) return false;
	if (paging && (efer & EFER_LME) !== 0n) {
		return (cr4 & CR4_PAE) !== 0n && (efer & EFER_LMA) !== 0n && cr3 >> 52n === 0n;
	}
	return (efer & EFER_LMA) === 0n && cs.l === 0;
}

function fits(value: number, bits: number): boolean {
	return Number.isInteger(value) && value >= 0 && value < 2 ** bits;
}

function isSegment(segment: KvmSegment): boolean {
	const { base, limit, selector, type, dpl } = segment;
	const flags = [segment.present, segment.db, segment.s, segment.l, segment.g, segment.avl, segment.unusable];
	if (!isU64(base) || !fits(limit, 32) || !fits(selector, 16) || !fits(type, 4) || !fits(dpl, 2)) return false;
	return flags.every((flag) => fits(flag, 1));
}

/**
 * KVM_SET_SREGS. Pages are looked up anew; a bit in the interrupt bitmap queues that interrupt.
 * @returns 0; EINVAL: the registers do not fit each other or their widths, and nothing has changed.
 */
export function setSregs(processor: Processor, sregs: Sregs): KvmResult {
	if (!areValid(sregs, processor.get64(F.cr4Bits))) return "EINVAL";
	for (const key of SEGMENTS) {
		const { base, limit, selector, type, present, dpl, db, s, l, g, avl, unusable } = sregs[key];
		const attributes =
			type |
			(s * ATTR.s) |
			(dpl << ATTR.dplShift) |
			(present * ATTR.present) |
			(avl * ATTR_AVL) |
			(l * ATTR.long) |
			(db * ATTR.big) |
			(g * ATTR.granular) |
			(unusable * ATTR.unusable);
		processor.setSegment(NUMBER[key], selector, base, BigInt(limit), attributes);
	}
	processor.set64(F.gdtBase, sregs.gdt.base);
	processor.set64(F.gdtLimit, BigInt(sregs.gdt.limit));
	processor.set64(F.idtBase, sregs.idt.base);
	processor.set64(F.idtLimit, BigInt(sregs.idt.limit));
	processor.set64(F.cr0, sregs.cr0);
	processor.set64(F.cr2, sregs.cr2);
	processor.set64(F.cr3, sregs.cr3);
	processor.set64(F.cr4, sregs.cr4);
	processor.set64(F.efer, sregs.efer);
	processor.set64(msrField(MSR.apicBase), sregs.apicBase);
	const protectedMode = (sregs.cr0 & CR0_PE) !== 0n;
	const v86 = (processor.get(F.eflags) & RFLAGS_VM) !== 0;
	processor.set(F.cpl, protectedMode ? (v86 ? 3 : sregs.ss.dpl) : 0);
	const pae = (sregs.cr0 & CR0_PG) !== 0n && (sregs.cr4 & CR4_PAE) !== 0n && (sregs.efer & EFER_LMA) === 0n;
	if (pae) processor.call("loadPdptes", sregs.cr3);
	processor.refresh();
	sregs.interruptBitmap.forEach((bits, n) => {
		if (bits === 0n) return;
		processor.queueInterrupt(n * 64 + highestBit(bits));
	});
	return 0;
}

function highestBit(bits: bigint): number {
	return bits.toString(2).length - 1;
}
