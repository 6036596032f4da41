import type { Clock, IrqLine, PowerControl } from "../../bus/device.ts";
import { fanOut, OrLine } from "../../bus/lines.ts";
import { IOAPIC_PINS, IoApic } from "../../devices/ioapic.ts";
import { LocalApic } from "../../devices/lapic.ts";
import { ApicBus } from "../../devices/lapic-bus.ts";
import type { TimeStamp } from "../../devices/lapic-timer.ts";
import { Pic8259Pair } from "../../devices/pic8259-pair.ts";
import type { PortSpace } from "./port-space.ts";

export const ISA_LINES = 16;
/** Interrupt 2 is how the second 8259 reaches the first. */
const CASCADE = 2;
/** The input of the I/O APIC that has the timer's interrupt instead of the cascade. */
const IOAPIC_TIMER_PIN = 2;

/** The processor's pins, as the board drives them. */
export interface ProcessorPins {
	/** The interrupt request, a level. */
	readonly interrupt: IrqLine;
	nmi(): void;
	/** Follows the local APIC's task priority: CR8, 0..15. */
	taskPriority(value: number): void;
	timeStamp: TimeStamp;
	/** IGNNE#: until none is left, x87 errors are ignored while CR0.NE is 0. */
	ignoreFpuErrors(): void;
	/** Opens (addresses as they are) or closes (address bit 20 is 0) the A20 gate. */
	a20(open: boolean): void;
}

export interface InterruptParts {
	readonly clock: Clock;
	readonly power: Pick<PowerControl, "reset">;
	readonly cpu: ProcessorPins;
	/** Told where the local APIC's registers are when software moves them or switches them off. */
	readonly apicMoved: (address: number | undefined) => void;
}

/** The 8259 pair, the I/O APIC and the local APIC, and the sixteen ISA interrupts that lead to them. */
export class Interrupts {
	readonly pic: Pic8259Pair;
	readonly ioapic: IoApic;
	readonly lapic: LocalApic;
	/** Messages between APICs, and from devices that signal with a message. */
	readonly bus = new ApicBus();
	private readonly isa: readonly OrLine[];
	private readonly pins: readonly OrLine[];

	constructor(space: PortSpace, { clock, power, cpu, apicMoved }: InterruptParts) {
		this.pic = new Pic8259Pair({ set: (high) => this.lapic.lint0.set(high) });
		this.ioapic = new IoApic(this.bus);
		this.lapic = new LocalApic({
			id: 0,
			bootstrap: true,
			clock,
			timeStamp: cpu.timeStamp,
			bus: this.bus,
			pic: this.pic,
			moved: apicMoved,
			cpu: {
				interrupt: cpu.interrupt,
				taskPriority: (value) => cpu.taskPriority(value),
				nmi: () => cpu.nmi(),
				// There is no system management mode, and the bootstrap processor never waits for a start-up message.
				smi: () => {},
				init: () => power.reset("init"),
				startup: () => {},
			},
		});
		this.pins = Array.from({ length: IOAPIC_PINS }, (_, pin) => new OrLine(this.ioapic.line(pin)));
		this.isa = Array.from({ length: ISA_LINES }, (_, irq) => {
			if (irq === CASCADE) return new OrLine({ set() {} });
			return new OrLine(fanOut(this.pic.line(irq), this.pin(irq === 0 ? IOAPIC_TIMER_PIN : irq)));
		});
		space.place(0x20, 2, this.pic, Pic8259Pair.MASTER);
		space.place(0xa0, 2, this.pic, Pic8259Pair.SLAVE);
		space.place(0x4d0, 2, this.pic, Pic8259Pair.ELCR);
		space.own(this.ioapic, this.lapic);
	}

	/** A further input to ISA interrupt `irq`, 0..15: several devices can share one. */
	line(irq: number): IrqLine {
		return this.isa[irq]!.input();
	}

	/** A further input to pin `pin` of the I/O APIC, 0..23, for what no ISA interrupt leads to. */
	pin(pin: number): IrqLine {
		return this.pins[pin]!.input();
	}

	/** A further input to each of the sixteen. */
	lines(): IrqLine[] {
		return this.isa.map((line) => line.input());
	}
}
