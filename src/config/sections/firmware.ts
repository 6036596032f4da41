import { UserError } from "../../base/errors.ts";
import { type FlashImage, flashImage } from "../flash.ts";
import { path, text } from "../kinds.ts";
import { list, optional } from "../option.ts";

export const firmware = [
	optional({
		key: "firmware",
		name: "firmware",
		kind: { ...text, placeholder: "ovmf|seabios|NAME" },
		help: "installed firmware: ovmf (UEFI), seabios, or what a QEMU firmware descriptor has as file name or description",
	}),
	optional({
		key: "flashVars",
		name: "flash-vars",
		kind: path,
		help: "keep the variables of --firmware in FILE, which is made where it does not exist; without it they are forgotten at the end",
	}),
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
	readonly firmware?: string;
	readonly flashVars?: string;
	readonly bios?: string;
	readonly flash: readonly FlashImage[];
	readonly kernel?: string;
}): void {
	const { firmware, flashVars, bios, flash, kernel } = config;
	if (firmware === undefined && bios === undefined && flash.length === 0 && kernel === undefined) {
		throw new UserError(
			"nothing to boot: give a kernel with --kernel FILE, firmware with --firmware ovmf or seabios, or its image with --bios FILE or --flash FILE",
		);
	}
	if (firmware !== undefined && (bios !== undefined || flash.length > 0)) {
		const other = bios === undefined ? `--flash ${flash[0]?.path}` : `--bios ${bios}`;
		throw new UserError(`--firmware ${firmware} and ${other} both say what the firmware is; give one of them`);
	}
	if (firmware === undefined && flashVars !== undefined) {
		const hint = flash.length === 0 ? "give it with --firmware NAME" : `write --flash ${flashVars} instead`;
		throw new UserError(`--flash-vars: there is no --firmware that it could be for; ${hint}`);
	}
	if (flash.length > FLASH_UNITS) {
		throw new UserError(`--flash: ${flash.length} images given, but the machine has ${FLASH_UNITS} flash units`);
	}
	const [first, second] = flash;
	if (first !== undefined && second !== undefined && first.path === second.path) {
		throw new UserError(`--flash: both flash units would write to ${first.path}; give each its own file`);
	}
}
