import { F, PENDING } from "../vcpu/layout.ts";
import type { Processor } from "../vcpu/processor.ts";
import { GPR, type GprName } from "../vcpu/register-names.ts";
import type { KvmResult } from "./errno.ts";
import { isU64 } from "./unsigned.ts";

/** struct kvm_regs: all u64. */
export type Regs = Record<GprName | "rip" | "rflags", bigint>;

/** struct kvm_debugregs: u64 each. */
export interface DebugRegs {
	/** DR0 to DR3. */
	db: bigint[];
	dr6: bigint;
	dr7: bigint;
	/** Must be 0. */
	flags: number;
}

const RFLAGS_FIXED = 2n;
/** Bits of EFLAGS that are always 0. */
const RFLAGS_RESERVED = 0xffff_ffff_ffc0_8028n;

/** KVM_GET_REGS. */
export function getRegs(processor: Processor): Regs {
	const regs = {} as Regs;
	GPR.forEach((name, n) => {
		regs[name] = processor.gpr(n);
	});
	regs.rip = processor.get64(F.rip);
	regs.rflags = BigInt(processor.call("readFlags") >>> 0);
	return regs;
}

/** KVM_SET_REGS: bit 1 of RFLAGS becomes 1, reserved ones 0; an exception on its way is dropped. @returns 0; EINVAL: a value has more than 64 bits. */
export function setRegs(processor: Processor, regs: Regs): KvmResult {
	if (![...GPR, "rip" as const, "rflags" as const].every((name) => isU64(regs[name]))) return "EINVAL";
	GPR.forEach((name, n) => {
		processor.setGpr(n, regs[name]);
	});
	processor.set64(F.rip, regs.rip);
	processor.call("writeFlags", Number((regs.rflags & ~RFLAGS_RESERVED) | RFLAGS_FIXED) | 0);
	processor.set(F.faultPending, 0);
	processor.set(F.delivering, -1);
	processor.set(F.pending, processor.get(F.pending) & ~(PENDING.debug | PENDING.step));
	processor.call("updateSegments");
	processor.call("updateMode");
	return 0;
}

/** KVM_GET_DEBUGREGS. */
export function getDebugRegs(processor: Processor): DebugRegs {
	const dr = (n: number): bigint => processor.get64(F.dr, n * 8);
	return { db: [dr(0), dr(1), dr(2), dr(3)], dr6: dr(6), dr7: dr(7), flags: 0 };
}

/** KVM_SET_DEBUGREGS. @returns 0; EINVAL: flags, or bits beyond 32 in DR6 or DR7. */
export function setDebugRegs(processor: Processor, { db, dr6, dr7, flags }: DebugRegs): KvmResult {
	const high = 0xffff_ffff_0000_0000n;
	if (flags !== 0 || db.length !== 4 || !db.every(isU64) || !isU64(dr6) || !isU64(dr7)) return "EINVAL";
	if ((dr6 & high) !== 0n || (dr7 & high) !== 0n) return "EINVAL";
	db.forEach((value, n) => {
		processor.set64(F.dr, value, n * 8);
	});
	processor.set64(F.dr, (dr6 & 0xe00fn) | 0xffff_0ff0n, 6 * 8);
	processor.set64(F.dr, (dr7 & 0xffff_23ffn) | 0x400n, 7 * 8);
	processor.call("updateMode");
	processor.call("flushTlb", 0);
	return 0;
}
