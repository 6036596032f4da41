import type { KvmResult } from "./errno.ts";
import { EventFd } from "./eventfd.ts";
import { isU32 } from "./unsigned.ts";

/** Global interrupt numbers there can be (KVM_MAX_IRQ_ROUTES). */
export const MAX_GSI = 4096;
/** Flags of KVM_IRQFD. */
export const IRQFD = { deassign: 1, resample: 2 } as const;

/** The argument of KVM_IRQFD. */
export interface IrqFd {
	readonly eventfd: EventFd | undefined;
	/** Global interrupt number, below {@link MAX_GSI}. */
	readonly gsi: number;
	/** Bits of {@link IRQFD}. */
	readonly flags: number;
	/** With {@link IRQFD.resample}: signalled at the end of interrupt, after the line has gone low. */
	readonly resamplefd?: EventFd | undefined;
}

/** Where interrupt lines end: an interrupt controller of the machine's. */
export interface IrqSink {
	/** Puts input line `gsi` to a level. */
	set(gsi: number, asserted: boolean): void;
}

interface Entry {
	readonly eventfd: EventFd;
	readonly gsi: number;
	readonly resamplefd: EventFd | undefined;
	readonly stop: () => void;
}

/** KVM_IRQ_LINE and KVM_IRQFD (Linux virt/kvm/api, 4.25 and 4.75), on an interrupt controller that the machine brings. */
export class IrqLines {
	/** undefined: there is no interrupt controller. */
	sink: IrqSink | undefined;
	private entries: Entry[] = [];

	/** KVM_IRQ_LINE. @returns 0; ENXIO: no interrupt controller; EINVAL: no such line. */
	line(gsi: number, level: number): KvmResult {
		if (this.sink === undefined) return "ENXIO";
		if (!isU32(gsi) || gsi >= MAX_GSI) return "EINVAL";
		this.sink.set(gsi, level !== 0);
		return 0;
	}

	/**
	 * KVM_IRQFD. A signal pulses the line; with resampling it raises the line until {@link endOfInterrupt}.
	 * @returns 0; EINVAL: unknown flag, line out of range, or resampling without a controller; EBADF: no eventfd; EBUSY: the
	 *   eventfd is in use already.
	 */
	irqfd({ eventfd, gsi, flags, resamplefd }: IrqFd): KvmResult {
		if (!isU32(flags) || (flags & ~(IRQFD.deassign | IRQFD.resample)) !== 0) return "EINVAL";
		if (!isU32(gsi) || gsi >= MAX_GSI) return "EINVAL";
		if ((flags & IRQFD.deassign) !== 0) {
			if (!(eventfd instanceof EventFd)) return "EBADF";
			for (const each of this.entries) if (each.eventfd === eventfd && each.gsi === gsi) each.stop();
			this.entries = this.entries.filter((each) => each.eventfd !== eventfd || each.gsi !== gsi);
			return 0;
		}
		const resample = (flags & IRQFD.resample) !== 0;
		if (resample && this.sink === undefined) return "EINVAL";
		if (!(eventfd instanceof EventFd) || (resample && !(resamplefd instanceof EventFd))) return "EBADF";
		if (this.entries.some((each) => each.eventfd === eventfd)) return "EBUSY";
		const stop = eventfd.onSignal(() => {
			eventfd.read();
			this.sink?.set(gsi, true);
			if (!resample) this.sink?.set(gsi, false);
		});
		this.entries.push({ eventfd, gsi, resamplefd: resample ? resamplefd : undefined, stop });
		return 0;
	}

	/** The guest acknowledged an interrupt of this line: resampling eventfds lower it and hear of it. */
	endOfInterrupt(gsi: number): void {
		for (const { gsi: own, resamplefd } of this.entries) {
			if (own !== gsi || resamplefd === undefined) continue;
			this.sink?.set(gsi, false);
			resamplefd.signal();
		}
	}
}
