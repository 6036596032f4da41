import type { AccessSize, Device, IrqLine, PowerControl } from "../bus/device.ts";

const INIT_NOW = 1 << 0;
const A20 = 1 << 1;

export interface Port92State {
	value: number;
}

/**
 * System control port A (port 0x92): bit 1 is this port's share of A20, a rising bit 0 resets the processor; the rest is storage.
 * The board ORs `a20` with the keyboard controller's.
 */
export class Port92 implements Device<Port92State> {
	readonly name = "port92";
	readonly sizes: readonly AccessSize[] = [1];
	private readonly a20: IrqLine;
	private readonly power: Pick<PowerControl, "reset">;
	private state: Port92State = { value: 0 };

	constructor(outputs: { a20: IrqLine; power: Pick<PowerControl, "reset"> }) {
		this.a20 = outputs.a20;
		this.power = outputs.power;
	}

	read(offset: number): number {
		return offset === 0 ? this.state.value : 0xff;
	}

	write(offset: number, _size: AccessSize, value: number): void {
		if (offset !== 0) return;
		const rising = value & ~this.state.value;
		this.state.value = value & 0xff;
		this.updateA20();
		if (rising & INIT_NOW) this.power.reset("port92");
	}

	reset(): void {
		this.load({ value: 0 });
	}

	save(): Port92State {
		return { ...this.state };
	}

	load(state: Port92State): void {
		this.state = { ...state };
		this.updateA20();
	}

	private updateA20(): void {
		this.a20.set((this.state.value & A20) !== 0);
	}
}
