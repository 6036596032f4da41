import { closeAll } from "../../base/close-all.ts";
import { SECTOR } from "../../bus/block-store.ts";
import type { Clock } from "../../bus/device.ts";
import type { MachineConfig } from "../../config/index.ts";
import { placeDrives } from "../../config/sections/drives.ts";
import { Cdrom } from "../../devices/ide/cdrom.ts";
import { CD_SECTOR } from "../../devices/ide/cdrom-packets.ts";
import { Disk } from "../../devices/ide/disk.ts";
import type { IdeDrives } from "../../devices/pci/piix3-ide.ts";
import { DiskImage, type Keep } from "../../host/disk-image.ts";

/** The drives of a machine, on their cables, and the files behind them. */
export class Drives {
	readonly channels: readonly [primary: IdeDrives, secondary: IdeDrives];
	private readonly images: DiskImage[] = [];

	/**
	 * Opens the images; they stay open until {@link close}. What changes in those of a `shadow` is never written.
	 * @throws UserError for an image that is missing, of a length that no disk has, or in use.
	 */
	constructor({ drives, engine }: MachineConfig, { clock, shadow }: { clock: Clock; shadow: boolean }) {
		// Boards that run beside each other read the same file, which has to stay as it is until the end.
		const keep: Keep = shadow ? "never" : engine === "lockstep" ? "at-close" : "now";
		try {
			const placed = placeDrives(drives).map((drive, n) => {
				if (drive === undefined) return undefined;
				const { path, readonly, snapshot, media } = drive;
				const store = new DiskImage(path, {
					...{ what: "--drive", readonly, unit: media === "cdrom" ? CD_SECTOR : SECTOR },
					keep: snapshot ? "never" : keep,
				});
				this.images.push(store);
				const parts = { clock, store, serial: `TSVMM0000${n + 1}` };
				return media === "cdrom" ? new Cdrom(parts) : new Disk(parts);
			});
			this.channels = [
				[placed[0], placed[1]],
				[placed[2], placed[3]],
			];
		} catch (error) {
			this.close();
			throw error;
		}
	}

	/** Everything reaches the disk. May be called repeatedly. */
	close(): void {
		closeAll(this.images);
	}
}
