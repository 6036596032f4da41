import { checksum, u32 } from "../../base/bytes.ts";
import { UserError } from "../../base/errors.ts";
import { ImageFile } from "../../boot/image-file.ts";
import { type Module, zeroEnded } from "../../boot/kernel.ts";
import { checkCommandLine, isBzImage, REAL_MODE, readBzImage, realModeSetup } from "../../boot/linux.ts";
import type { MachineConfig } from "../../config/index.ts";
import { FW_CFG, type FwCfg } from "../../devices/fw-cfg.ts";
import { firmwareImage } from "./image.ts";

/** The option ROM that boots the kernel, and how the boot order names it. */
const ROM_FILE = "genroms/linuxboot.bin";
export const ROM_BOOT_PATH = `/rom@${ROM_FILE}`;
/** Offsets in it of the PnP header, that header's checksum, and where the ROM's own goes. */
const PNP = { first: 0x20, size: 0x20, checksum: 9 } as const;

/** Firmware keeps its own tables at the end of low RAM. */
const FIRMWARE_RESERVE = 256 * 1024;
const PAGE = 4096;

/** A kernel that firmware is to boot. */
export interface FirmwareKernel {
	readonly path: string;
	readonly bytes: Uint8Array;
	readonly commandLine: string;
	readonly initrd: Module | undefined;
	/** Bytes of RAM below 4 GiB. */
	readonly lowRam: number;
}

/** @throws UserError for a way into the kernel that firmware does not have. */
export function checkFirmwareEntry({
	kernelEntry,
	kernelAddress,
}: Pick<MachineConfig, "kernelEntry" | "kernelAddress">): void {
	if (kernelAddress === undefined && (kernelEntry === "auto" || kernelEntry === "16")) return;
	const name = kernelAddress === undefined ? "kernel-entry" : "kernel-address";
	throw new UserError(`--${name}: with --bios or --flash, firmware loads and enters the kernel; leave this out`);
}

/**
 * Hands a Linux kernel to firmware: the items in which it looks for one, and an option ROM for a BIOS, which does not.
 * @throws UserError for a kernel that is no bzImage, and for what does not fit.
 */
export function provideKernelItems(fwCfg: FwCfg, { path, bytes, commandLine, initrd, lowRam }: FirmwareKernel): void {
	const file = new ImageFile(`--kernel: ${path}`, bytes);
	if (!isBzImage(file)) {
		throw file.refuse(
			"is no Linux bzImage, and firmware can boot no other kernel; leave out --bios and --flash to boot it directly",
		);
	}
	const image = readBzImage(file);
	checkCommandLine({ commandLine }, image);
	const place = initrd && {
		address: initrdAddress(initrd, image.initrdMax, lowRam, image.kernel.length),
		size: initrd.bytes.length,
	};
	const blob = (address: number, size: number, data: number, at: number, content: Uint8Array): void => {
		fwCfg.addItem(address, u32(at));
		fwCfg.addItem(size, u32(content.length));
		fwCfg.addItem(data, content);
	};
	const setup = realModeSetup(image, place);
	blob(FW_CFG.KERNEL_ADDRESS, FW_CFG.KERNEL_SIZE, FW_CFG.KERNEL_DATA, REAL_MODE.kernel, image.kernel);
	blob(FW_CFG.SETUP_ADDRESS, FW_CFG.SETUP_SIZE, FW_CFG.SETUP_DATA, REAL_MODE.setup, setup);
	const line = zeroEnded(commandLine);
	blob(FW_CFG.COMMAND_LINE_ADDRESS, FW_CFG.COMMAND_LINE_SIZE, FW_CFG.COMMAND_LINE_DATA, REAL_MODE.commandLine, line);
	const disk = initrd?.bytes ?? new Uint8Array();
	blob(FW_CFG.INITRD_ADDRESS, FW_CFG.INITRD_SIZE, FW_CFG.INITRD_DATA, place?.address ?? 0, disk);
	fwCfg.addFile(ROM_FILE, optionRom());
}

/** As high as kernel and firmware let it. */
function initrdAddress({ name, bytes }: Module, initrdMax: number, lowRam: number, kernelSize: number): number {
	const end = Math.min(initrdMax + 1, lowRam - FIRMWARE_RESERVE);
	const address = Math.floor((end - bytes.length) / PAGE) * PAGE;
	if (address < REAL_MODE.kernel + kernelSize) {
		throw new UserError(
			`${name}: no room for ${bytes.length} bytes in the guest's memory beside the kernel; --memory gives it more`,
		);
	}
	return address;
}

/** The ROM with its checksums. */
function optionRom(): Uint8Array {
	const rom = firmwareImage("linuxboot.bin");
	const pnp = rom.subarray(PNP.first, PNP.first + PNP.size);
	pnp[PNP.checksum] = checksum(pnp);
	rom[rom.length - 1] = checksum(rom);
	return rom;
}
