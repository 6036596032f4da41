import { F, PENDING } from "../vcpu/layout.ts";
import type { Processor } from "../vcpu/processor.ts";
import { VECTOR } from "../vcpu/register-names.ts";
import type { KvmResult } from "./errno.ts";

/** struct kvm_vcpu_events: what is on its way to the guest (Linux virt/kvm/api, 4.31). */
export interface VcpuEvents {
	exception: {
		/** 1: this exception is delivered next. */
		injected: number;
		nr: number;
		hasErrorCode: number;
		errorCode: number;
	};
	interrupt: {
		/** 1: this external interrupt is taken as soon as the guest lets it. */
		injected: number;
		nr: number;
		/** KVM_X86_SHADOW_INT_*: 1 after MOV SS, 2 after STI. */
		shadow: number;
	};
	nmi: { pending: number; masked: number };
}

const SHADOW = { movSs: 1, sti: 2 } as const;
/** F.shadow: interrupts wait; debug traps wait too. */
const WAITS = { interrupts: 1, both: 3 } as const;
const HAS_ERROR_CODE = new Set<number>([
	VECTOR.DF,
	VECTOR.TS,
	VECTOR.NP,
	VECTOR.SS,
	VECTOR.GP,
	VECTOR.PF,
	VECTOR.AC,
	VECTOR.CP,
]);

/** KVM_GET_VCPU_EVENTS. */
export function getVcpuEvents(processor: Processor): VcpuEvents {
	const queued = processor.get(F.interruptQueued);
	const shadow = processor.get(F.shadow);
	const injected = processor.get(F.faultPending) !== 0 ? 1 : 0;
	const nr = injected ? processor.get(F.faultVector) : 0;
	return {
		exception: {
			injected,
			nr,
			hasErrorCode: injected && HAS_ERROR_CODE.has(nr) ? 1 : 0,
			errorCode: injected ? processor.get(F.faultCode) >>> 0 : 0,
		},
		interrupt: {
			injected: queued >= 0 ? 1 : 0,
			nr: Math.max(queued, 0),
			shadow: (shadow & 2) !== 0 ? SHADOW.movSs : shadow !== 0 ? SHADOW.sti : 0,
		},
		nmi: { pending: processor.get(F.nmiPending), masked: processor.get(F.nmiBlocked) },
	};
}

/** KVM_SET_VCPU_EVENTS. @returns 0; EINVAL: an exception above 31 or NMI's vector, an interrupt above 255, or a field that is no flag. */
export function setVcpuEvents(processor: Processor, { exception, interrupt, nmi }: VcpuEvents): KvmResult {
	const flags = [exception.injected, exception.hasErrorCode, interrupt.injected, nmi.pending, nmi.masked];
	if (!flags.every((flag) => flag === 0 || flag === 1)) return "EINVAL";
	const vector = (n: number, most: number): boolean => Number.isInteger(n) && n >= 0 && n <= most;
	if (exception.injected && (!vector(exception.nr, 31) || exception.nr === VECTOR.NMI)) return "EINVAL";
	if (!vector(interrupt.nr, 255) || !vector(interrupt.shadow, SHADOW.movSs | SHADOW.sti)) return "EINVAL";
	if (!vector(exception.errorCode, 0xffff_ffff)) return "EINVAL";
	processor.set(F.faultPending, 0);
	if (exception.injected) {
		processor.set64(F.faultAddress, processor.get64(F.cr2));
		processor.call("raise", exception.nr, exception.hasErrorCode ? exception.errorCode | 0 : 0);
	}
	processor.set(F.interruptQueued, -1);
	if (interrupt.injected) processor.queueInterrupt(interrupt.nr);
	processor.set(F.shadow, interrupt.shadow & SHADOW.movSs ? WAITS.both : interrupt.shadow ? WAITS.interrupts : 0);
	processor.set(F.nmiBlocked, nmi.masked);
	processor.set(F.nmiPending, nmi.pending);
	if (nmi.pending) processor.set(F.pending, processor.get(F.pending) | PENDING.interrupt);
	return 0;
}
