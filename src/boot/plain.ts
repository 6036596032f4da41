import { UserError } from "../base/errors.ts";
import { isElf, loadElf, readElf } from "./elf.ts";
import type { ImageFile } from "./image-file.ts";
import type { EntryChoice, Kernel } from "./kernel.ts";
import { startLikeLinux } from "./linux.ts";

const ONE_MIB = 2 ** 20;
/** IP in the only segment of a flat 16-bit image has 16 bits. */
const SEGMENT = 0x10000;

/** An ELF image without a protocol: started at its entry point in the mode of its class, as Linux's vmlinux is. */
export function elfKernel(file: ImageFile, entry: EntryChoice): Kernel | undefined {
	if (!isElf(file)) return undefined;
	const elf = readElf(file);
	const { bits } = elf;
	if (entry === "16" || (entry === "32" && bits === 64) || (entry === "64" && bits === 32)) {
		throw file.refuse(`is an ELF${bits} image, which has no ${entry}-bit entry (--kernel-entry)`);
	}
	return {
		protocol: `ELF${bits}`,
		modules: "one",
		load(payload, map) {
			loadElf(file, elf, map);
			return startLikeLinux(payload, map, { bits, entry: elf.entry });
		},
	};
}

/** Bytes without any header, loaded and entered at an address; 32-bit unless another width is asked for. */
export function flatKernel(file: ImageFile, entry: EntryChoice, address: number): Kernel {
	if (entry !== "auto" && entry !== "16" && entry !== "32" && entry !== "64") {
		throw new UserError(`--kernel-entry: ${entry} does not go with --kernel-address, which is for flat binaries`);
	}
	const bits = entry === "auto" ? 32 : (Number(entry) as 16 | 32 | 64);
	if (bits === 16 && address >= ONE_MIB) {
		throw new UserError(
			`--kernel-address: 0x${address.toString(16)} cannot be reached in real mode; at most 0xfffff can`,
		);
	}
	return {
		protocol: `flat, ${bits}-bit`,
		modules: "one",
		load(payload, map) {
			map.put(file.name, address, file.bytes);
			if (bits !== 16) return startLikeLinux(payload, map, { bits, entry: address });
			// A boot sector at 0x7c00 expects segments of 0; above the first 64 KiB CS has to come closer.
			const codeSegment = address < SEGMENT ? 0 : address >> 4;
			return {
				bits,
				entry: address,
				codeSegment,
				dataSegment: codeSegment,
				registers: { rsp: Math.min(address, SEGMENT - 16) },
			};
		},
	};
}
