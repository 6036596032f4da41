import type { AccessSize, Device, PowerControl } from "../bus/device.ts";

/** System reset: what kind bit 2 starts (set: the whole machine, clear: the processor). */
const SRST = 1 << 1;
/** Starts the reset. */
const RCPU = 1 << 2;
/** Full reset with a power cycle (ICH and later). */
const FULL_RST = 1 << 3;

export interface ResetControlState {
	value: number;
}

/**
 * The reset control register at port 0xCF9 (82371AB 4.2.6): setting bit 2 restarts the machine. As QEMU does, every kind restarts
 * everything. Bit 2 reads 0.
 */
export class ResetControl implements Device<ResetControlState> {
	readonly name = "reset-control";
	readonly sizes: readonly AccessSize[] = [1];
	private readonly power: Pick<PowerControl, "reset">;
	private state: ResetControlState = { value: 0 };

	constructor(power: Pick<PowerControl, "reset">) {
		this.power = power;
	}

	read(offset: number): number {
		return offset === 0 ? this.state.value : 0xff;
	}

	write(offset: number, _size: AccessSize, value: number): void {
		if (offset !== 0) return;
		this.state.value = value & (SRST | FULL_RST);
		if (value & RCPU) this.power.reset("cf9");
	}

	reset(): void {
		this.state = { value: 0 };
	}

	save(): ResetControlState {
		return { ...this.state };
	}

	load(state: ResetControlState): void {
		this.state = { ...state };
	}
}
