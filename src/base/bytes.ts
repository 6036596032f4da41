/** Little-endian pieces of tables for guests. */

export function u8(value: number): Uint8Array {
	return Uint8Array.of(value);
}

export function u16(value: number): Uint8Array {
	return Uint8Array.of(value, value >>> 8);
}

export function u32(value: number): Uint8Array {
	return Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24);
}

/** For numbers up to 2^53. */
export function u64(value: number): Uint8Array {
	return join(u32(value % 2 ** 32), u32(Math.floor(value / 2 ** 32)));
}

/** ASCII, filled up with `fill` to `length` bytes, or exactly as long as it is. */
export function text(value: string, length = value.length, fill = 0): Uint8Array {
	const bytes = new Uint8Array(length).fill(fill);
	new TextEncoder().encodeInto(value, bytes);
	return bytes;
}

export function zeros(length: number): Uint8Array {
	return new Uint8Array(length);
}

export function join(...parts: readonly Uint8Array[]): Uint8Array {
	const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
	let at = 0;
	for (const part of parts) {
		whole.set(part, at);
		at += part.length;
	}
	return whole;
}

/** The byte that makes the sum of all bytes 0. */
export function checksum(bytes: Uint8Array): number {
	return -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;
}
