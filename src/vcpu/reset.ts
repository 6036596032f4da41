import { SEGMENT } from "../isa/registers.ts";
import { ATTR, F, PENDING } from "./layout.ts";
import { MSR_ENTRIES, msrField } from "./msr.ts";
import type { Processor } from "./processor.ts";

/** CR0.CD and CR0.NW. */
const CACHING = 0x60000000n;

/**
 * The state after power-on or reset, or after INIT, which keeps caching, model-specific registers and the time-stamp counter
 * (SDM 3A table 9-1, P6). `signature`: CPUID leaf 1, EAX.
 */
export function resetState(processor: Processor, kind: "power-on" | "init", signature: number): void {
	for (let n = 0; n < 16; n++) processor.setGpr(n, 0n);
	processor.set64(F.rip, 0xfff0n);
	const caching = kind === "init" ? processor.get64(F.cr0) & CACHING : CACHING;
	processor.set64(F.cr0, caching | 0x10n);
	for (const field of [F.cr2, F.cr3, F.cr4, F.efer, F.gdtBase, F.idtBase]) processor.set64(field, 0n);
	processor.set64(F.gdtLimit, 0xffffn);
	processor.set64(F.idtLimit, 0xffffn);
	for (let n = 0; n < 4; n++) processor.set64(F.dr, 0n, n * 8);
	processor.set64(F.dr, 0xffff0ff0n, 6 * 8);
	processor.set64(F.dr, 0x400n, 7 * 8);
	if (kind === "power-on") {
		for (const { number, reset } of MSR_ENTRIES) processor.set64(msrField(number), reset);
		processor.set64(F.tscOffset, -BigInt(processor.retired()));
		resetFloatingPoint(processor);
	}
	// EDX identifies the processor as CPUID does.
	processor.setGpr(2, BigInt(signature));
	processor.set(F.cpl, 0);
	const data = ATTR.present | ATTR.s | 3;
	for (const n of [SEGMENT.es, SEGMENT.ss, SEGMENT.ds, SEGMENT.fs, SEGMENT.gs])
		processor.setSegment(n, 0, 0n, 0xffffn, data);
	processor.setSegment(SEGMENT.cs, 0xf000, 0xffff0000n, 0xffffn, ATTR.present | ATTR.s | 0xb);
	processor.setSegment(SEGMENT.ldtr, 0, 0n, 0xffffn, ATTR.present | 2);
	processor.setSegment(SEGMENT.tr, 0, 0n, 0xffffn, ATTR.present | 0xb);
	for (const field of [
		F.shadow,
		F.halted,
		F.faultPending,
		F.pending,
		F.readCount,
		F.readRecord,
		F.replaying,
		F.redelivering,
		F.writeCount,
		F.writePosition,
		F.exitReason,
		F.nmiPending,
		F.nmiBlocked,
		F.portAnswered,
		F.faultDr6,
		F.skipUnit,
	])
		processor.set(field, 0);
	processor.set(F.interruptQueued, -1);
	processor.set(F.delivering, -1);
	processor.call("writeFlags", 2);
	processor.refresh();
	if (processor.get(F.interruptLine)) processor.set(F.pending, PENDING.interrupt);
}

/** FPU, MMX and vector state as FINIT leaves it, registers cleared: what KVM starts a vCPU with. INIT leaves all of it alone. */
function resetFloatingPoint(processor: Processor): void {
	for (const { offset, bytes } of [
		{ offset: F.ymm.offset, bytes: 16 * 32 },
		{ offset: F.fpr.offset, bytes: 8 * 16 },
	])
		processor.memory.bytes(processor.state + offset, bytes).fill(0);
	for (const field of [F.fsw, F.ftop, F.ftags, F.fop, F.fcs, F.fds, F.fpuIgnore, F.pkru]) processor.set(field, 0);
	processor.set64(F.fip, 0n);
	processor.set64(F.fdp, 0n);
	processor.set(F.fcw, 0x37f);
	processor.set(F.mxcsr, 0x1f80);
	// The x87 component is always on (SDM 3A 2.6).
	processor.set64(F.xcr0, 1n);
}
