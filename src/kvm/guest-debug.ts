import { F, GUEST_DEBUG, PENDING } from "../vcpu/layout.ts";
import type { Processor } from "../vcpu/processor.ts";
import { VECTOR } from "../vcpu/register-names.ts";
import type { KvmResult } from "./errno.ts";
import { isU32, isU64 } from "./unsigned.ts";

/** Bits of KVM_SET_GUEST_DEBUG's control (Linux virt/kvm/api, 4.87). */
export const KVM_GUESTDBG = {
	enable: GUEST_DEBUG.enable,
	singlestep: GUEST_DEBUG.singleStep,
	useSwBp: GUEST_DEBUG.software,
	useHwBp: GUEST_DEBUG.hardware,
	injectDb: 0x40000,
	injectBp: 0x80000,
	blockirq: GUEST_DEBUG.blockIrq,
} as const;
const KNOWN = Object.values(KVM_GUESTDBG).reduce((all, bit) => all | bit, 0);
const INJECT = KVM_GUESTDBG.injectDb | KVM_GUESTDBG.injectBp;

/** The argument of KVM_SET_GUEST_DEBUG. */
export interface GuestDebug {
	/** Bits of {@link KVM_GUESTDBG}. */
	readonly control: number;
	/** DR0 to DR7, of which 0 to 3 and 7 count, with `useHwBp`: the guest's own breakpoints rest meanwhile. */
	readonly debugreg?: readonly bigint[];
}

/**
 * KVM_SET_GUEST_DEBUG. Without `enable` nothing is debugged any more.
 * @returns 0; EINVAL: unknown bits or registers that are no u64; EBUSY: an exception is to be injected while one is on its way.
 */
export function setGuestDebug(processor: Processor, { control, debugreg = [] }: GuestDebug): KvmResult {
	if (!isU32(control) || (control & ~KNOWN) !== 0 || !debugreg.every(isU64)) return "EINVAL";
	if ((control & INJECT) !== 0) {
		if (processor.get(F.faultPending) !== 0) return "EBUSY";
		processor.call("raise", control & KVM_GUESTDBG.injectDb ? VECTOR.DB : VECTOR.BP, 0);
	}
	const before = processor.get(F.guestDebug);
	const now = control & GUEST_DEBUG.enable ? control & ~INJECT : 0;
	processor.set(F.guestDebug, now);
	for (let n = 0; n < 4; n++) processor.set64(F.debugAddress, debugreg[n] ?? 0n, n * 8);
	processor.set64(F.debugControl, debugreg[7] ?? 0n);
	if ((now & GUEST_DEBUG.singleStep) === 0) processor.set(F.pending, processor.get(F.pending) & ~PENDING.step);
	processor.set(F.stepDr6, 0);
	processor.call("updateMode");
	// With data breakpoints no access may pass by the check through a TLB.
	if (((before | now) & GUEST_DEBUG.hardware) !== 0) processor.call("flushTlb", 0);
	return 0;
}
