import type { IrqLine } from "../../bus/device.ts";
import { PciConfigSpace, type PciConfigState } from "../../bus/pci.ts";
import { SUBSYSTEM } from "./subsystem.ts";

const PIRQRC = 0x60;
const PIRQS = 4;
const ROUTE_DISABLE = 1 << 7;
/** ISA interrupts that a PIRQ may be routed to; the others are reserved (82371SB 2.3.4). */
const ROUTABLE = [3, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15];
const ISA_LINES = 16;

export interface Piix3IsaState extends PciConfigState {
	/** For each of PIRQA..D, the pins that drive it now: `devfn * 4 + pin - 1`, ascending. */
	readonly asserted: readonly (readonly number[])[];
}

/**
 * The PIIX3's PCI-to-ISA bridge, 8086:7000. It steers PIRQA#..PIRQD# to ISA interrupts; the reset control register
 * at port 0xCF9 is a device of its own.
 */
export class Piix3Isa extends PciConfigSpace<Piix3IsaState> {
	readonly name = "piix3-isa";
	private readonly lines: readonly IrqLine[];
	private readonly asserted: Set<number>[] = Array.from({ length: PIRQS }, () => new Set());
	/** ISA interrupts held by PIRQs, a bit each. */
	private held = 0;

	/** `lines`: this bridge's own input to each of the 16 ISA interrupts. */
	constructor(lines: readonly IrqLine[]) {
		super({
			vendor: 0x8086,
			device: 0x7000,
			classCode: 0x06_01_00,
			headerType: 0x80,
			subsystem: SUBSYSTEM,
			status: 0x0200,
		});
		for (let offset = 0x40; offset < 0x100; offset++) this.register(offset, 1, RESET.get(offset) ?? 0, 0xff);
		this.lines = lines;
	}

	/** The line from a function's interrupt pin (1 INTA# .. 4 INTD#) through the board's wiring to its PIRQ. */
	pin(devfn: number, pin: number): IrqLine {
		const source = devfn * 4 + pin - 1;
		const pirq = pirqOf(devfn >> 3, pin);
		return {
			set: (asserted) => {
				const sources = this.asserted[pirq]!;
				if (asserted === sources.has(source)) return;
				if (asserted) sources.add(source);
				else sources.delete(source);
				this.updateIrq();
			},
		};
	}

	override reset(): void {
		for (const sources of this.asserted) sources.clear();
		super.reset();
	}

	save(): Piix3IsaState {
		return { ...this.saveConfig(), asserted: this.asserted.map((sources) => [...sources].sort((a, b) => a - b)) };
	}

	override load(state: Piix3IsaState): void {
		state.asserted.forEach((sources, pirq) => {
			this.asserted[pirq] = new Set(sources);
		});
		super.load(state);
	}

	protected override written(first: number, last: number): void {
		if (first < PIRQRC + PIRQS && last >= PIRQRC) this.updateIrq();
	}

	private updateIrq(): void {
		let held = 0;
		this.asserted.forEach((sources, pirq) => {
			const route = this.config[PIRQRC + pirq]!;
			const irq = route & 0xf;
			if (sources.size > 0 && (route & ROUTE_DISABLE) === 0 && ROUTABLE.includes(irq)) held |= 1 << irq;
		});
		const changed = held ^ this.held;
		this.held = held;
		for (let irq = 0; irq < ISA_LINES; irq++) {
			if (changed & (1 << irq)) this.lines[irq]?.set((held & (1 << irq)) !== 0);
		}
	}
}

/** Which of PIRQA..D (0..3) a slot's pin is wired to: each slot starts one further, slot 1's INTA# at PIRQA. */
export function pirqOf(slot: number, pin: number): number {
	return (slot + pin - 2) & 3;
}

/** Registers that are not 0 after reset: ISA timing, X-bus select, PIRQ routes, memory hole, MIRQ, DMA, SMI. */
const RESET: ReadonlyMap<number, number> = new Map([
	[0x4c, 0x4d],
	[0x4e, 0x03],
	[0x60, 0x80],
	[0x61, 0x80],
	[0x62, 0x80],
	[0x63, 0x80],
	[0x69, 0x02],
	[0x70, 0x80],
	[0x76, 0x0c],
	[0x77, 0x0c],
	[0x78, 0x02],
	[0xa0, 0x08],
	[0xa8, 0x0f],
]);
