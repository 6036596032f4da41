import { PciConfigSpace, type PciConfigState, type Window } from "../../bus/pci.ts";
import { IdeBusMaster } from "../ide-bus-master.ts";
import { IdeChannel, type IdeDrive } from "../ide-channel.ts";
import { SUBSYSTEM } from "./subsystem.ts";

/** Bytes of the bus master registers behind base address register 4. */
export const BUS_MASTER_SIZE = 16;

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

	constructor(window: Window, primary: IdeDrives = [], secondary: IdeDrives = []) {
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
		this.primary = new IdeChannel("ide-primary", primary);
		this.secondary = new IdeChannel("ide-secondary", secondary);
		this.busMasterRegisters = new IdeBusMaster();
	}

	save(): PciConfigState {
		return this.saveConfig();
	}
}
