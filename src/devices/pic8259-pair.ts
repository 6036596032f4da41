import type { AccessSize, Device, IrqLine } from "../bus/device.ts";
import { Pic8259, type PicChipState } from "./pic8259.ts";

/** The master's input that the slave drives. */
const CASCADE = 2;
/** Inputs that may be level-triggered (82371AB 4.2.2.3): not the timer, keyboard, cascade, RTC and coprocessor. */
const MASTER_ELCR = 0xf8;
const SLAVE_ELCR = 0xde;

export interface PicPairState {
	master: PicChipState;
	slave: PicChipState;
}

/**
 * The PC's two 8259As with their edge/level control registers.
 * Offsets: 0, 1 master (ports 0x20, 0x21); 2, 3 slave (0xA0, 0xA1); 4, 5 ELCR (0x4D0, 0x4D1).
 */
export class Pic8259Pair implements Device<PicPairState> {
	readonly name = "pic8259";
	readonly sizes: readonly AccessSize[] = [1];
	/** Offsets of the three groups of ports, for the board. */
	static readonly MASTER = 0;
	static readonly SLAVE = 2;
	static readonly ELCR = 4;

	private readonly master: Pic8259;
	private readonly slave: Pic8259;

	/** @param output INTR: to the processor, or to LINT0 of its local APIC */
	constructor(output: IrqLine) {
		this.master = new Pic8259(output, true);
		this.slave = new Pic8259({ set: (high) => this.master.setLine(CASCADE, high) }, false);
	}

	/** The line to ISA interrupt `irq`, 0..15; 2 is the cascade and leads nowhere. */
	line(irq: number): IrqLine {
		return { set: (high) => this.setLine(irq, high) };
	}

	setLine(irq: number, high: boolean): void {
		if (irq >= 8) this.slave.setLine(irq - 8, high);
		else if (irq !== CASCADE) this.master.setLine(irq, high);
	}

	/** Whether INTR is high. */
	hasInterrupt(): boolean {
		return this.master.requesting;
	}

	/**
	 * The processor's acknowledge: takes the request of highest priority into service.
	 * @returns its vector; that of level 7 when the request went away meanwhile (spurious interrupt)
	 */
	acknowledge(): number {
		const input = this.master.take();
		if (input !== CASCADE) return this.master.vector(input);
		return this.slave.vector(this.slave.take());
	}

	read(offset: number): number {
		switch (offset) {
			case 0:
			case 1:
				return this.master.read(offset);
			case 2:
			case 3:
				return this.slave.read(offset - 2);
			case 4:
				return this.master.elcr;
			case 5:
				return this.slave.elcr;
			default:
				return 0xff;
		}
	}

	write(offset: number, _size: AccessSize, value: number): void {
		const byte = value & 0xff;
		switch (offset) {
			case 0:
			case 1:
				this.master.write(offset, byte);
				break;
			case 2:
			case 3:
				this.slave.write(offset - 2, byte);
				break;
			case 4:
				this.master.elcr = byte & MASTER_ELCR;
				break;
			case 5:
				this.slave.elcr = byte & SLAVE_ELCR;
				break;
			default:
				break;
		}
	}

	reset(): void {
		this.slave.reset();
		this.master.reset();
	}

	save(): PicPairState {
		return { master: this.master.save(), slave: this.slave.save() };
	}

	load(state: PicPairState): void {
		this.slave.load(state.slave);
		// Second, because loading the slave moved the master's cascade input.
		this.master.load(state.master);
	}
}
