import { XCR0 } from "../vcpu/core/control-bits.ts";
import { XSAVE_COMPONENTS, XSAVE_HEADER_END } from "../vcpu/cpuid.ts";
import { F } from "../vcpu/layout.ts";
import type { Processor } from "../vcpu/processor.ts";
import { LEGACY, MXCSR_MASK } from "../vcpu/state-image.ts";
import type { KvmResult } from "./errno.ts";

/** struct kvm_fpu. */
export interface Fpu {
	/** ST(0) to ST(7), 16 bytes each: ten of the number, the rest 0. */
	fpr: Uint8Array[];
	fcw: number;
	/** With TOP. */
	fsw: number;
	/** One bit per physical register, set where it is not empty. */
	ftwx: number;
	lastOpcode: number;
	lastIp: bigint;
	lastDp: bigint;
	/** Sixteen registers of 16 bytes. */
	xmm: Uint8Array[];
	mxcsr: number;
}

/** struct kvm_xsave: 4096 bytes, the standard format of XSAVE (SDM 1 13.4). */
export type Xsave = Uint8Array;
const XSAVE_BYTES = 4096;
const SLOT = 16;
const VECTORS = 16;
const YMM_BYTES = 32;
const HEADER = LEGACY.end;
const placeOf = (bit: number): number => XSAVE_COMPONENTS.find((component) => 1 << component.bit === bit)?.offset ?? 0;
const AVX = placeOf(XCR0.avx);
const PKRU = placeOf(XCR0.pkru);
/** Components that a guest may have. */
const SUPPORTED = BigInt(XSAVE_COMPONENTS.reduce((all, { bit }) => all | (1 << bit), 0));

/** The processor's x87 and SSE state as FXSAVE64 writes it in 64-bit mode: a view of what the core has put together. */
function legacyImage(processor: Processor): Uint8Array {
	processor.call("legacyToArea", 1);
	processor.call("mxcsrToArea");
	const area = processor.memory.bytes(processor.state + F.area.offset, LEGACY.end);
	area.fill(0, LEGACY.xmm);
	halves(processor, (half, n) => area.set(half, LEGACY.xmm + n * SLOT), 0);
	return area;
}

/** The reverse. MXCSR is the caller's to have checked. */
function setLegacyImage(processor: Processor, image: Uint8Array): void {
	const area = processor.memory.bytes(processor.state + F.area.offset, LEGACY.end);
	area.set(image);
	processor.call("legacyFromArea", 1);
	processor.set(F.mxcsr, new DataView(image.buffer, image.byteOffset).getUint32(LEGACY.mxcsr, true));
	halves(processor, (half, n) => half.set(image.subarray(LEGACY.xmm + n * SLOT, LEGACY.xmm + (n + 1) * SLOT)), 0);
}

/** Calls `each` with the low (0) or high (16) half of every vector register. */
function halves(processor: Processor, each: (half: Uint8Array, n: number) => void, offset: 0 | 16): void {
	for (let n = 0; n < VECTORS; n++)
		each(processor.memory.bytes(processor.state + F.ymm.offset + n * YMM_BYTES + offset, SLOT), n);
}

/** KVM_GET_FPU. */
export function getFpu(processor: Processor): Fpu {
	const image = legacyImage(processor).slice();
	const view = new DataView(image.buffer);
	const registers = (at: number, count: number): Uint8Array[] =>
		Array.from({ length: count }, (_, n) => image.slice(at + n * SLOT, at + (n + 1) * SLOT));
	return {
		fpr: registers(LEGACY.registers, 8),
		fcw: view.getUint16(0, true),
		fsw: view.getUint16(2, true),
		ftwx: view.getUint8(4),
		lastOpcode: view.getUint16(6, true),
		lastIp: view.getBigUint64(8, true),
		lastDp: view.getBigUint64(16, true),
		xmm: registers(LEGACY.xmm, VECTORS),
		mxcsr: view.getUint32(LEGACY.mxcsr, true),
	};
}

/** KVM_SET_FPU. Bits of MXCSR that do not exist are dropped. @returns 0; EINVAL: a register is missing or has not 16 bytes. */
export function setFpu(processor: Processor, fpu: Fpu): KvmResult {
	const { fpr, xmm } = fpu;
	if (fpr.length !== 8 || xmm.length !== VECTORS || [...fpr, ...xmm].some(({ length }) => length !== SLOT))
		return "EINVAL";
	const image = new Uint8Array(LEGACY.end);
	const view = new DataView(image.buffer);
	view.setUint16(0, fpu.fcw, true);
	view.setUint16(2, fpu.fsw, true);
	view.setUint8(4, fpu.ftwx);
	view.setUint16(6, fpu.lastOpcode, true);
	view.setBigUint64(8, BigInt.asUintN(64, fpu.lastIp), true);
	view.setBigUint64(16, BigInt.asUintN(64, fpu.lastDp), true);
	view.setUint32(LEGACY.mxcsr, fpu.mxcsr & MXCSR_MASK, true);
	fpr.forEach((register, n) => {
		image.set(register, LEGACY.registers + n * SLOT);
	});
	xmm.forEach((register, n) => {
		image.set(register, LEGACY.xmm + n * SLOT);
	});
	setLegacyImage(processor, image);
	return 0;
}

/** KVM_GET_XSAVE: components as they are, and in the header those that are not as reset leaves them. */
export function getXsave(processor: Processor): Xsave {
	const region = new Uint8Array(XSAVE_BYTES);
	const view = new DataView(region.buffer);
	region.set(legacyImage(processor));
	view.setBigUint64(HEADER, BigInt(processor.call("stateInUse")), true);
	halves(processor, (half, n) => region.set(half, AVX + n * SLOT), 16);
	view.setUint32(PKRU, processor.get(F.pkru), true);
	return region;
}

/**
 * KVM_SET_XSAVE: components that the header does not name become as reset leaves them; MXCSR is taken in any case.
 * @returns 0; EINVAL: not 4096 bytes, a component that there is not, a compacted image, MXCSR bits that do not exist.
 */
export function setXsave(processor: Processor, region: Xsave): KvmResult {
	if (region.length !== XSAVE_BYTES) return "EINVAL";
	const view = new DataView(region.buffer, region.byteOffset, region.length);
	const present = view.getBigUint64(HEADER, true);
	const reserved = region.subarray(HEADER + 8, XSAVE_HEADER_END).some((byte) => byte !== 0);
	if ((present & ~SUPPORTED) !== 0n || reserved) return "EINVAL";
	if ((view.getUint32(LEGACY.mxcsr, true) & ~MXCSR_MASK) !== 0) return "EINVAL";
	const has = (bit: number): boolean => (Number(present) & bit) !== 0;
	const image = region.slice(0, LEGACY.end);
	if (!has(XCR0.x87)) {
		image.fill(0, 0, LEGACY.mxcsr);
		image.fill(0, LEGACY.registers, LEGACY.xmm);
		new DataView(image.buffer).setUint16(0, 0x37f, true);
	}
	if (!has(XCR0.sse)) image.fill(0, LEGACY.xmm);
	setLegacyImage(processor, image);
	halves(
		processor,
		(half, n) => {
			if (has(XCR0.avx)) half.set(region.subarray(AVX + n * SLOT, AVX + (n + 1) * SLOT));
			else half.fill(0);
		},
		16,
	);
	processor.set(F.pkru, has(XCR0.pkru) ? view.getUint32(PKRU, true) : 0);
	processor.call("flushTlb", 0);
	return 0;
}
