import type { Dma, IrqLine } from "../../bus/device.ts";
import { PciConfigSpace, type PciConfigState, type Window } from "../../bus/pci.ts";
import { IdeBusMaster } from "../ide-bus-master.ts";
import { IdeChannel, type IdeDrive } from "../ide-channel.ts";
import { SUBSYSTEM } from "./subsystem.ts";

/** Bytes of the bus master registers behind base address register 4. */
export const BUS_MASTER_SIZE = 16;

export interface Piix3IdeParts {
	/** Where the bus master registers are. */
	readonly window: Window;
	readonly dma: Dma;
	/** ISA interrupts 14 and 15. */
	readonly irqs: readonly [primary: IrqLine, secondary: IrqLine];
	readonly drives?: readonly [primary?: IdeDrives, secondary?: IdeDrives];
}

/** The drives of one channel: master, slave. */
export type IdeDrives = readonly [master?: IdeDrive | undefined, slave?: IdeDrive | undefined];

/**
 * The PIIX3's IDE function, 8086:7010: two channels at the legacy ports (0x1F0 and 0x3F6, interrupt 14; 0x170 and
 * 0x376, interrupt 15), which answer whatever IDETIM says, and bus master registers.
 */
export class Piix3Ide extends PciConfigSpace {
	readonly name = "piix3-ide";
	readonly primary: IdeChannel;
	readonly secondary: IdeChannel;
	/** {@link BUS_MASTER_SIZE} bytes, where `window` was placed. */
	readonly busMasterRegisters: IdeBusMaster;

	constructor({ window, dma, irqs, drives = [] }: Piix3IdeParts) {
		super(
			{
				vendor: 0x8086,
				device: 0x7010,
				classCode: 0x01_01_80,
				subsystem: SUBSYSTEM,
				status: 0x0280,
			},
			[{ index: 4, kind: "io", size: BUS_MASTER_SIZE, window }],
		);
		for (let offset = 0x40; offset < 0x100; offset++) this.register(offset, 1, 0, 0xff);
		const [primary, secondary] = drives;
		this.primary = new IdeChannel("ide-primary", irqs[0], primary);
		this.secondary = new IdeChannel("ide-secondary", irqs[1], secondary);
		this.busMasterRegisters = new IdeBusMaster({
			dma,
			channels: [this.primary, this.secondary],
			allowed: () => this.busMaster,
		});
	}

	save(): PciConfigState {
		return this.saveConfig();
	}
}
