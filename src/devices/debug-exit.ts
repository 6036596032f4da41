import type { AccessSize, Device, PowerControl } from "../bus/device.ts";

/**
 * QEMU's isa-debug-exit: four ports, a write of any width to any of them ends the run with the written value; reads give 0.
 */
export class DebugExit implements Device<Record<string, never>> {
	/** How many ports it takes. */
	static readonly PORTS = 4;

	readonly name = "debug-exit";
	readonly sizes: readonly AccessSize[] = [1, 2, 4];
	private readonly power: Pick<PowerControl, "debugExit">;

	constructor(power: Pick<PowerControl, "debugExit">) {
		this.power = power;
	}

	read(): number {
		return 0;
	}

	write(_offset: number, _size: AccessSize, value: number): void {
		this.power.debugExit(value >>> 0);
	}

	reset(): void {}

	save(): Record<string, never> {
		return {};
	}

	load(): void {}
}
