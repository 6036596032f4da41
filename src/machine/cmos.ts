import type { Rtc } from "../devices/rtc.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** Fills in what the board tells firmware through CMOS memory, as QEMU's `pc` does. `lowRam`, `highRam`: bytes below and above 4 GiB. */
export function fillCmos(rtc: Rtc, lowRam: number, highRam: number): void {
	const word = (index: number, value: number): void => {
		rtc.setCmos(index, value & 0xff);
		rtc.setCmos(index + 1, (value >> 8) & 0xff);
	};
	// Base memory, KiB.
	word(0x15, 640);
	// Extended memory above 1 MiB, KiB, at most 63 MiB; in two places.
	const extended = Math.min(Math.max(lowRam / KIB - KIB, 0), 65535);
	word(0x17, extended);
	word(0x30, extended);
	// Memory above 16 MiB and above 4 GiB, in units of 64 KiB.
	word(0x34, Math.min(Math.max((lowRam - 16 * MIB) / (64 * KIB), 0), 65535));
	const high = highRam / (64 * KIB);
	word(0x5b, high & 0xffff);
	rtc.setCmos(0x5d, (high >> 16) & 0xff);
	// Equipment: no floppy drives, no FPU, a PS/2 mouse.
	rtc.setCmos(0x14, 0x04);
	// Processors but one.
	rtc.setCmos(0x5f, 0);
	// Boot order: hard disk, floppy, CD-ROM; a floppy must have the boot signature.
	rtc.setCmos(0x3d, 0x12);
	rtc.setCmos(0x38, 0x30);
}
