import type { AccessSize, Device } from "../../bus/device.ts";
import { allOnes, type PciBus } from "../../bus/pci.ts";

const ENABLE = 0x8000_0000;

/**
 * Configuration mechanism 1 (PCI 2.1, 3.2.2.3.2): the address register at 0xCF8. Only doublewords reach it; narrower
 * accesses belong to whatever else lies there (the reset control register at 0xCF9), are dropped and read all ones.
 */
export class PciConfigAddress implements Device<{ address: number }> {
	readonly name = "pci-config-address";
	readonly sizes: readonly AccessSize[] = [1, 2, 4];
	private address = 0;

	/** Bit 31 enable, 23:16 bus, 15:8 slot and function, 7:2 register. */
	get value(): number {
		return this.address;
	}

	read(_offset: number, size: AccessSize): number {
		return size === 4 ? this.address : allOnes(size);
	}

	write(_offset: number, size: AccessSize, value: number): void {
		if (size === 4) this.address = value >>> 0;
	}

	reset(): void {
		this.address = 0;
	}

	save(): { address: number } {
		return { address: this.address };
	}

	load(state: { address: number }): void {
		this.address = state.address;
	}
}

/** The data window at 0xCFC..0xCFF: byte lanes of the doubleword that the address register selects. */
export class PciConfigData implements Device<null> {
	readonly name = "pci-config-data";
	readonly sizes: readonly AccessSize[] = [1, 2, 4];
	private readonly address: PciConfigAddress;
	private readonly bus: PciBus;

	constructor(address: PciConfigAddress, bus: PciBus) {
		this.address = address;
		this.bus = bus;
	}

	read(offset: number, size: AccessSize): number {
		const target = this.target();
		if (target === undefined) return allOnes(size);
		return this.bus.readConfig(target.devfn, target.register + offset, size);
	}

	write(offset: number, size: AccessSize, value: number): void {
		const target = this.target();
		if (target !== undefined) this.bus.writeConfig(target.devfn, target.register + offset, size, value);
	}

	reset(): void {}

	save(): null {
		return null;
	}

	load(): void {}

	/** There is one bus; configuration cycles for others meet no bridge. */
	private target(): { devfn: number; register: number } | undefined {
		const address = this.address.value;
		if ((address & ENABLE) === 0 || ((address >>> 16) & 0xff) !== 0) return undefined;
		return { devfn: (address >>> 8) & 0xff, register: address & 0xfc };
	}
}
