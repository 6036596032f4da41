/** Subsystem 1AF4:1100, by which operating systems know the functions of a virtual machine's chipset. */
export const SUBSYSTEM = 0x1100_1af4;
