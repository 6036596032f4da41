import { UserError } from "../../base/errors.ts";
import { type FlashImage, flashImage } from "../flash.ts";
import { path } from "../kinds.ts";
import { list, optional } from "../option.ts";

export const firmware = [
	optional({
		key: "bios",
		name: "bios",
		kind: path,
		help: "ROM image that ends at 4 GiB, its last 128 KiB also below 1 MiB",
	}),
	list({
		key: "flash",
		name: "flash",
		kind: flashImage,
		help: "CFI flash image, kept in its file; repeatable: without --bios the first ends at 4 GiB, with it directly below the ROM; the second lies below the first. Keys: readonly=on|off, snapshot=on|off (on forgets what the guest changes), command-set=intel|amd, strict=on|off (the rules of real chips instead of QEMU's), bank-width and device-width=8|16|32, blocks=SIZE or COUNTxSIZE+..., timing=on|off (chips take time), locked=on|off (at power-on; with strict), format=raw, if=pflash",
	}),
] as const;

/** QEMU's `pc` has two flash units. */
const FLASH_UNITS = 2;

export function checkFirmware(config: {
	readonly bios?: string;
	readonly flash: readonly FlashImage[];
	readonly kernel?: string;
}): void {
	if (config.bios === undefined && config.flash.length === 0 && config.kernel === undefined) {
		throw new UserError(
			"nothing to boot: give a kernel with --kernel FILE, a ROM with --bios FILE or a flash image with --flash FILE",
		);
	}
	if (config.flash.length > FLASH_UNITS) {
		throw new UserError(`--flash: ${config.flash.length} images given, but the machine has ${FLASH_UNITS} flash units`);
	}
	const [first, second] = config.flash;
	if (first !== undefined && second !== undefined && first.path === second.path) {
		throw new UserError(`--flash: both flash units would write to ${first.path}; give each its own file`);
	}
}
