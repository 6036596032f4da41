import { lanesOf } from "../isa/vector-value.ts";

/** Bytes for `i8x16.shuffle(a, 0)` in place of `i8x16.swizzle(a, control)`: numbers beyond the vector are zeros. */
export function shuffleOfSwizzle(control: bigint): number[] {
	return lanesOf(control, 8).map((byte) => Number(byte < 16n ? byte : 16n));
}

/** Bytes for `i8x16.shuffle(a, b)` in place of `v128.bitselect(a, b, mask)`; undefined where the mask cuts bytes apart. */
export function shuffleOfSelect(mask: bigint): number[] | undefined {
	const bytes = lanesOf(mask, 8);
	if (bytes.some((byte) => byte !== 0n && byte !== 0xffn)) return undefined;
	return bytes.map((byte, n) => (byte ? n : 16 + n));
}
