import { UserError } from "../../base/errors.ts";
import { address, choice, line, type ModuleFiles, moduleFiles, path } from "../kinds.ts";
import { optional, required } from "../option.ts";

export const kernel = [
	optional({
		key: "kernel",
		name: "kernel",
		kind: path,
		help: "kernel to boot: Linux bzImage, ELF with a PVH note, Multiboot 1 or 2, plain ELF; with --firmware, --bios or --flash it is handed to the firmware",
	}),
	optional({
		key: "initrd",
		name: "initrd",
		kind: moduleFiles,
		help: 'initial RAM disk; for Multiboot, modules with their arguments: "FILE ARGUMENTS,FILE"',
	}),
	optional({ key: "append", name: "append", kind: line, help: "the kernel's command line" }),
	required({
		key: "kernelEntry",
		name: "kernel-entry",
		kind: choice("auto", "64", "32", "16", "pvh", "multiboot", "multiboot2"),
		default: "auto",
		help: "the way into the kernel: by width (Linux, plain ELF and flat binaries), or by protocol; auto: the first that it offers",
	}),
	optional({
		key: "kernelAddress",
		name: "kernel-address",
		kind: address,
		help: "the kernel is a flat binary: load and enter it at this address",
	}),
] as const;

export function checkKernel(config: {
	readonly kernel?: string;
	readonly initrd?: ModuleFiles;
	readonly append?: string;
	readonly kernelEntry: string;
	readonly kernelAddress?: number;
}): void {
	if (config.kernel !== undefined) return;
	const needless = [
		["initrd", config.initrd],
		["append", config.append],
		["kernel-entry", config.kernelEntry === "auto" ? undefined : config.kernelEntry],
		["kernel-address", config.kernelAddress],
	].find(([, value]) => value !== undefined);
	if (needless !== undefined)
		throw new UserError(`--${needless[0]}: there is no kernel that it could be for; give one with --kernel FILE`);
}
