import type { AccessSize } from "../../bus/device.ts";
import type { BusTarget } from "../../bus/range-bus.ts";
import type { LocalApic } from "../../devices/lapic.ts";
import type { ApicBus } from "../../devices/lapic-bus.ts";
import { LAPIC_ADDRESS, PAGE_BYTES } from "../../devices/lapic-registers.ts";

/**
 * The megabyte at 0xFEE00000: the local APIC's registers in its first page while software leaves them there, and
 * message-signalled interrupts behind it. What a processor stores to a first page without registers goes nowhere.
 */
export class ApicWindow implements BusTarget {
	readonly name = "apic-msi";
	readonly sizes: readonly AccessSize[] = [4];
	private readonly lapic: LocalApic;
	private readonly bus: ApicBus;
	private hasRegisters = true;

	constructor(lapic: LocalApic, bus: ApicBus) {
		this.lapic = lapic;
		this.bus = bus;
	}

	/** The registers are at `address` now; undefined: nowhere. */
	moved(address: number | undefined): void {
		this.hasRegisters = address === LAPIC_ADDRESS;
	}

	read(offset: number): number {
		return this.isRegister(offset) ? this.lapic.read(offset) : 0xffff_ffff;
	}

	write(offset: number, size: AccessSize, value: number): void {
		if (this.isRegister(offset)) this.lapic.write(offset, size, value);
		else if (offset >= PAGE_BYTES) this.bus.messageSignalled(LAPIC_ADDRESS + offset, value);
	}

	private isRegister(offset: number): boolean {
		return this.hasRegisters && offset < PAGE_BYTES;
	}
}
