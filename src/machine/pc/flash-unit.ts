import { FlashArray } from "../../devices/pflash-array.ts";
import type { RomdControl } from "../../devices/pflash-cfi01.ts";
import { PflashCfi01 } from "../../devices/pflash-cfi01.ts";
import type { FlashObserver } from "../../devices/pflash-events.ts";
import type { FlashFile } from "../../host/flash-file.ts";
import type { HostBuffer } from "../../kvm/backing.ts";
import type { Vm } from "../../kvm/vm.ts";
import type { FlashActivity } from "../outcome.ts";

/** Bytes of an erase block, as on QEMU's `pc`. */
export const FLASH_SECTOR = 4096;

export interface FlashUnitParts {
	readonly vm: Vm;
	readonly file: FlashFile;
	readonly buffer: HostBuffer;
	readonly readonly: boolean;
	readonly observer: FlashObserver | undefined;
}

/** A flash chip of the board: its registers, its cells in guest memory, its file on the host. */
export class FlashUnit {
	readonly device: PflashCfi01;
	readonly buffer: HostBuffer;
	private readonly file: FlashFile;

	/** Fills `buffer` from `file`; what the guest changes goes back there. `romd` takes the unit's slot away and gives it back. */
	constructor(unit: number, { vm, file, buffer, readonly, observer }: FlashUnitParts, romd: RomdControl) {
		this.buffer = buffer;
		this.file = file;
		const store = {
			write: (offset: number, length: number): void => {
				vm.written(buffer.offset + offset, length);
				file.write(offset, length);
			},
			flush: (): void => file.flush(),
		};
		const cells = new FlashArray(buffer.view, FLASH_SECTOR, store, readonly);
		this.device = new PflashCfi01(`system.flash${unit}`, cells, romd, observer && { observer });
	}

	/** What the guest has done with it. */
	get activity(): FlashActivity {
		const { romdSwitches, erasedBlocks, programmedBytes } = this.device.statistics;
		return { romdSwitches, erasedBlocks, programmedBytes };
	}

	/** What has changed reaches the disk. */
	sync(): void {
		this.file.sync();
	}

	/** Everything reaches the disk. May be called repeatedly. */
	close(): void {
		this.file.close();
	}
}
