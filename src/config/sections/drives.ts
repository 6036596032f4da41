import { UserError } from "../../base/errors.ts";
import { DRIVE_PLACES, type DriveImage, driveImage } from "../drive.ts";
import { list } from "../option.ts";

export const drives = [
	list({
		key: "drives",
		name: "drive",
		kind: driveImage,
		help: "a raw image as IDE drive; repeatable, up to four. FILE alone is a hard disk; keys: index=0 to 3, media=disk|cdrom, readonly=on|off, snapshot=on|off (on forgets what the guest writes), format=raw, if=ide",
	}),
] as const;

/** What is at each of the four places: primary master and slave, secondary master and slave. */
export function placeDrives(drives: readonly DriveImage[]): (DriveImage | undefined)[] {
	const places = new Array<DriveImage | undefined>(DRIVE_PLACES).fill(undefined);
	for (const drive of drives) {
		if (drive.index === undefined) continue;
		const other = places[drive.index];
		if (other) throw new UserError(`--drive: ${other.path} and ${drive.path} both have index=${drive.index}`);
		places[drive.index] = drive;
	}
	for (const drive of drives) {
		if (drive.index !== undefined) continue;
		const free = places.indexOf(undefined);
		if (free < 0) throw new UserError(`--drive: ${drives.length} drives given, but there are ${DRIVE_PLACES} places`);
		places[free] = drive;
	}
	return places;
}
