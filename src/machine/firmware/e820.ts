import { join, u32, u64 } from "../../base/bytes.ts";
import type { PcDescription } from "./description.ts";

const RAM = 1;
const FOUR_GIB = 2 ** 32;

/** The memory map as firmware reads it: 20 bytes for each range, RAM and reserved, no gaps. */
export function e820(pc: PcDescription): Uint8Array {
	const entry = (start: number, length: number, type: number): Uint8Array => join(u64(start), u64(length), u32(type));
	return join(entry(0, pc.lowRam, RAM), ...(pc.highRam > 0 ? [entry(FOUR_GIB, pc.highRam, RAM)] : []));
}
