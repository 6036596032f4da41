/** One machine whose flat view QEMU has printed. The files beside this one are named after the cases. */
export interface FlatViewCase {
	readonly name: string;
	readonly memoryMiB: number;
	/** Firmware image sizes, bytes. */
	readonly bios?: number;
	/** Unit 0 first. */
	readonly flash?: readonly number[];
	readonly vga?: boolean;
	/** PAM registers 0x59..0x5f, written one after the other. */
	readonly pam?: readonly number[];
	/** SMRAM register 0x72. */
	readonly smram?: number;
	/** Write this command to the unit's first byte. */
	readonly flashCommand?: { readonly unit: number; readonly command: number };
}

const KIB = 1024;
/** Debian's OVMF builds: code, then variables. */
const OVMF_2M = [0x1e0000, 0x20000];
const OVMF_4M = [0x37c000, 0x84000];

export const flatViewCases: readonly FlatViewCase[] = [
	{ name: "m64", memoryMiB: 64, bios: 256 * KIB },
	{ name: "m256", memoryMiB: 256, bios: 256 * KIB },
	{ name: "m2816", memoryMiB: 2816, bios: 256 * KIB },
	{ name: "m3583", memoryMiB: 3583, bios: 256 * KIB },
	{ name: "m3584", memoryMiB: 3584, bios: 256 * KIB },
	{ name: "m6144", memoryMiB: 6144, bios: 256 * KIB },
	{ name: "bios64k", memoryMiB: 128, bios: 64 * KIB },
	{ name: "bios128k", memoryMiB: 128, bios: 128 * KIB },
	{ name: "bios2m", memoryMiB: 128, bios: 2048 * KIB },
	{ name: "flash2m", memoryMiB: 128, flash: OVMF_2M },
	{ name: "flash4m", memoryMiB: 128, flash: OVMF_4M },
	{ name: "flash-one-unit", memoryMiB: 128, flash: [64 * KIB] },
	{ name: "flash-id", memoryMiB: 128, flash: OVMF_4M, flashCommand: { unit: 1, command: 0x90 } },
	{ name: "vga", memoryMiB: 128, bios: 256 * KIB, vga: true },
	{ name: "vga-smram-open", memoryMiB: 128, bios: 256 * KIB, vga: true, smram: 0x4a },
	{ name: "pam-shadow", memoryMiB: 128, bios: 256 * KIB, pam: [0x30, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33] },
	{ name: "pam-locked", memoryMiB: 128, bios: 256 * KIB, pam: [0x10, 0x11, 0x31, 0x33, 0x33, 0x11, 0x11] },
	{ name: "pam-mixed", memoryMiB: 128, flash: OVMF_2M, pam: [0x20, 0x10, 0x32, 0x03, 0x21, 0x01, 0x13] },
];
