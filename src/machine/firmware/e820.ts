import { join, u32, u64 } from "./bytes.ts";
import type { PcDescription } from "./description.ts";

const RAM = 1;
const RESERVED = 2;
const FOUR_GIB = 2 ** 32;
/** Below 1 TiB, where AMD processors have no memory: HyperTransport. */
const HYPERTRANSPORT = 0xfd_0000_0000;
const HYPERTRANSPORT_SIZE = 0x3_0000_0000;

/** The memory map as firmware reads it: 20 bytes for each range, RAM and reserved, no gaps. */
export function e820(pc: PcDescription): Uint8Array {
	const entry = (start: number, length: number, type: number): Uint8Array => join(u64(start), u64(length), u32(type));
	return join(
		entry(HYPERTRANSPORT, HYPERTRANSPORT_SIZE, RESERVED),
		entry(0, pc.lowRam, RAM),
		...(pc.highRam > 0 ? [entry(FOUR_GIB, pc.highRam, RAM)] : []),
	);
}
