/** Whether a number fits the u32 of the interface. */
export function isU32(value: number): boolean {
	return Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff;
}

/** Whether a number fits the u64 of the interface. */
export function isU64(value: bigint): boolean {
	return value >= 0n && value < 1n << 64n;
}
