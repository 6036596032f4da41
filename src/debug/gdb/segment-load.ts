import type { Vcpu } from "../../kvm/vcpu.ts";
import type { KvmSegment, Sregs } from "../../kvm/vcpu-sregs.ts";
import { fromBytes } from "./packets.ts";

const CR0_PE = 1n;
const RFLAGS_VM = 1n << 17n;

export type SegmentName = "cs" | "ss" | "ds" | "es" | "fs" | "gs";

/**
 * Loads a segment register as a debugger's user means it: in real and virtual-8086 mode with the base that follows from the selector, else
 * with what its descriptor says. Checks of rights are the user's own affair.
 * @returns false, and nothing has changed, where there is no such descriptor of a segment that is present.
 */
export function loadSegment(vcpu: Vcpu, name: SegmentName, selector: number): boolean {
	const sregs = vcpu.getSregs();
	const before = sregs[name];
	const real = (sregs.cr0 & CR0_PE) === 0n || (vcpu.getRegs().rflags & RFLAGS_VM) !== 0n;
	const loaded = real
		? { ...before, selector, base: BigInt(selector) << 4n }
		: (selector & ~3) === 0
			? nullSegment(before, name, selector)
			: described(vcpu, sregs, selector);
	return loaded !== undefined && vcpu.setSregs({ ...sregs, [name]: loaded }) === 0;
}

function nullSegment(before: KvmSegment, name: SegmentName, selector: number): KvmSegment | undefined {
	if (name === "cs") return undefined;
	return { ...before, selector, base: 0n, limit: 0, type: 0, present: 0, db: 0, s: 0, l: 0, g: 0, avl: 0, unusable: 1 };
}

/** A code or data segment from its descriptor (SDM 3A 3.4.5). */
function described(vcpu: Vcpu, { gdt, ldt }: Sregs, selector: number): KvmSegment | undefined {
	const table = (selector & 4) === 0 ? gdt : ldt;
	const offset = selector & ~7;
	if (offset + 7 > table.limit) return undefined;
	const bytes = vcpu.peek(table.base + BigInt(offset), 8);
	if (bytes === undefined) return undefined;
	const raw = fromBytes(bytes);
	const bits = (from: number, count: number): number => Number((raw >> BigInt(from)) & ((1n << BigInt(count)) - 1n));
	if (bits(44, 1) === 0 || bits(47, 1) === 0) return undefined;
	const g = bits(55, 1);
	const pages = bits(0, 16) | (bits(48, 4) << 16);
	return {
		base: BigInt(bits(16, 24)) | (BigInt(bits(56, 8)) << 24n),
		limit: g === 0 ? pages : ((pages << 12) | 0xfff) >>> 0,
		selector,
		type: bits(40, 4),
		s: 1,
		dpl: bits(45, 2),
		present: 1,
		avl: bits(52, 1),
		l: bits(53, 1),
		db: bits(54, 1),
		g,
		unusable: 0,
	};
}
