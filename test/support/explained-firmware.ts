import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "../debug/symbols/toolchain.ts";

const SOURCES = fileURLToPath(new URL("../debug/rom-writes/firmware/", import.meta.url));

/** What builds it: GCC's package brings binutils. */
export const FIRMWARE_TOOLS = ["gcc"] as const;

/** Builds the firmware that stores to its own ROM, in `folder`: a ROM image, and the ELF file with its symbols. */
export function buildFirmware(folder: string): { readonly bios: string; readonly symbols: string } {
	const [symbols, bios] = [join(folder, "settings.elf"), join(folder, "settings.bin")];
	const flags = ["-m32", "-g", "-O1", "-ffreestanding", "-fno-pic", "-no-pie", "-nostdlib", "-static"];
	const more = ["-fno-stack-protector", "-fcf-protection=none", "-Wno-main", `-ffile-prefix-map=${SOURCES}=`];
	const link = ["-Wl,--build-id=none", "-T", join(SOURCES, "rom.ld")];
	const sources = ["start.S", "settings.c"].map((name) => join(SOURCES, name));
	run(folder, "gcc", ...flags, ...more, ...link, ...sources, "-o", symbols);
	run(folder, "objcopy", "-O", "binary", symbols, bios);
	return { bios, symbols };
}
