import { type MapEntry, MEMORY_TYPE } from "../../boot/load-map.ts";
import type { PcDescription } from "./description.ts";

const ONE_MIB = 0x10_0000;
const VGA_WINDOW = 0xa_0000;
const FOUR_GIB = 2 ** 32;

/** Where the tables of a machine without firmware lie: E0000..EFFFF for ACPI, F0000..FFFFF for what is searched for there. */
export const TABLE_AREA = { acpi: 0xe_0000, searched: 0xf_0000, end: ONE_MIB } as const;

/** The memory map that a kernel is told where no firmware tells it. */
export function kernelMemoryMap({ lowRam, highRam }: Pick<PcDescription, "lowRam" | "highRam">): MapEntry[] {
	const map = [
		{ first: 0, size: VGA_WINDOW, type: MEMORY_TYPE.ram },
		{ first: TABLE_AREA.acpi, size: TABLE_AREA.end - TABLE_AREA.acpi, type: MEMORY_TYPE.reserved },
		{ first: ONE_MIB, size: lowRam - ONE_MIB, type: MEMORY_TYPE.ram },
		{ first: FOUR_GIB, size: highRam, type: MEMORY_TYPE.ram },
	];
	return map.filter(({ size }) => size > 0);
}
