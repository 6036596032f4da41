import type { AccessSize, Device, IrqLine } from "../bus/device.ts";

export interface CoprocessorErrorState {
	asserted: boolean;
}

/**
 * Ports 0xF0 and 0xF1 of a PC, and the latch behind FERR#: an x87 error that is not masked becomes an interrupt where CR0.NE is 0. A
 * write to 0xF0 lowers it and asserts IGNNE#, so that the handler can use the FPU; one to 0xF1, once the coprocessor's reset,
 * only lowers it. Reads give all ones.
 */
export class CoprocessorError implements Device<CoprocessorErrorState> {
	readonly name = "coprocessor-error";
	readonly sizes: readonly AccessSize[] = [1];
	private readonly irq: IrqLine;
	private readonly ignore: () => void;
	private asserted = false;

	constructor({ irq, ignore }: { irq: IrqLine; ignore: () => void }) {
		this.irq = irq;
		this.ignore = ignore;
	}

	/** The processor asserts FERR#. */
	error(): void {
		this.set(true);
	}

	read(): number {
		return 0xff;
	}

	write(offset: number): void {
		if (offset > 1) return;
		if (offset === 0) this.ignore();
		this.set(false);
	}

	reset(): void {
		this.set(false);
	}

	save(): CoprocessorErrorState {
		return { asserted: this.asserted };
	}

	load({ asserted }: CoprocessorErrorState): void {
		this.set(asserted);
	}

	private set(asserted: boolean): void {
		this.asserted = asserted;
		this.irq.set(asserted);
	}
}
