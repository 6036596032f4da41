import type { Clock, Dma, PowerControl } from "../../bus/device.ts";
import { devfn, type PciBus } from "../../bus/pci.ts";
import { type BusTarget, byteInside } from "../../bus/range-bus.ts";
import { PciConfigAddress, PciConfigData } from "../../devices/pci/config-ports.ts";
import { I440fx } from "../../devices/pci/i440fx.ts";
import { BUS_MASTER_SIZE, type IdeDrives, Piix3Ide } from "../../devices/pci/piix3-ide.ts";
import { Piix3Isa } from "../../devices/pci/piix3-isa.ts";
import { GPE0_BASE, GPE0_LENGTH, Piix4Pm, PM_BLOCK_SIZE } from "../../devices/pci/piix4-pm.ts";
import { ResetControl } from "../../devices/reset-control.ts";
import type { Topology } from "../../memory/topology.ts";
import type { MemoryMap } from "../memory-map.ts";
import type { Interrupts } from "./interrupts.ts";
import { LateWindow, type PortSpace } from "./port-space.ts";

/** The interrupt of ACPI. */
const SCI = 9;
/** ISA interrupts of the IDE channels. */
const PRIMARY_IRQ = 14;
const SECONDARY_IRQ = 15;
/** PCI addresses of the functions. */
const HOST_BRIDGE = devfn(0, 0);
const ISA_BRIDGE = devfn(1, 0);
const IDE = devfn(1, 1);
const POWER_MANAGEMENT = devfn(1, 3);

export interface PciParts {
	readonly bus: PciBus;
	readonly map: MemoryMap;
	readonly clock: Clock;
	readonly power: PowerControl;
	readonly interrupts: Interrupts;
	/** How many serial ports the machine has. */
	readonly serialPorts: number;
	/** How functions reach memory by themselves. */
	readonly dma: Dma;
	readonly drives: readonly [primary: IdeDrives, secondary: IdeDrives];
}

/** The PCI bus with the i440FX host bridge and the PIIX3 and PIIX4 functions, and everything behind them. */
export class PciFunctions {
	readonly pm: Piix4Pm;

	constructor(space: PortSpace, { bus, map, clock, power, interrupts, serialPorts, dma, drives }: PciParts) {
		const host = new I440fx(
			{ set: (segment, read, write) => map.setPam(segment, read, write) },
			{ set: (open) => map.setSmram(open) },
		);
		const isa = new Piix3Isa(interrupts.lines());

		const ideWindow = new LateWindow();
		const ide = new Piix3Ide({
			...{ window: ideWindow, dma, drives },
			irqs: [interrupts.line(PRIMARY_IRQ), interrupts.line(SECONDARY_IRQ)],
		});
		ideWindow.open(space.bus.window(BUS_MASTER_SIZE, ide.busMasterRegisters));

		const pmWindow = new LateWindow();
		this.pm = new Piix4Pm({
			clock,
			power,
			sci: interrupts.line(SCI),
			window: pmWindow,
			legacy: { lpt1: false, com1: serialPorts > 0, com2: serialPorts > 1 },
		});
		pmWindow.open(space.bus.window(PM_BLOCK_SIZE, this.pm.registers));

		bus.attach(HOST_BRIDGE, host);
		bus.attach(ISA_BRIDGE, isa);
		bus.attach(IDE, ide);
		bus.attach(POWER_MANAGEMENT, this.pm);
		space.own(host, isa, ide, this.pm);

		const address = new PciConfigAddress();
		const data = new PciConfigData(address, bus);
		const resetControl = new ResetControl(power);
		space.lay(0xcf8, 4, byteInside(address, 1, resetControl));
		space.lay(0xcfc, 4, atOnce(map.topology, data));
		space.own(address, data, resetControl);

		space.place(0x1f0, 8, ide.primary);
		space.place(0x3f6, 1, ide.primary.control);
		space.place(0x170, 8, ide.secondary);
		space.place(0x376, 1, ide.secondary.control);
		space.place(0xb2, 2, this.pm.apm);
		space.place(GPE0_BASE, GPE0_LENGTH, this.pm.gpe0);
	}
}

/** One write changes memory once, however many segments or base addresses it moves. */
function atOnce(topology: Topology, target: BusTarget): BusTarget {
	return {
		name: target.name,
		sizes: target.sizes,
		read: (offset, size) => target.read(offset, size),
		write(offset, size, value) {
			topology.begin();
			target.write(offset, size, value);
			topology.commit();
		},
	};
}
