/**
 * Reads from images that may be broken: bytes past the end read as ones, as erased flash does, so that a parser never throws.
 * All numbers are little endian.
 */

export function u8At(bytes: Uint8Array, at: number): number {
	return bytes[at] ?? 0xff;
}

export function u16At(bytes: Uint8Array, at: number): number {
	return u8At(bytes, at) | (u8At(bytes, at + 1) << 8);
}

export function u24At(bytes: Uint8Array, at: number): number {
	return u16At(bytes, at) | (u8At(bytes, at + 2) << 16);
}

export function u32At(bytes: Uint8Array, at: number): number {
	return (u16At(bytes, at) | (u16At(bytes, at + 2) << 16)) >>> 0;
}

/** Exact up to 2^53; what is beyond is larger than any image, which is all that its readers want to know. */
export function u64At(bytes: Uint8Array, at: number): number {
	return u32At(bytes, at) + u32At(bytes, at + 4) * 2 ** 32;
}

export function bigU64At(bytes: Uint8Array, at: number): bigint {
	return BigInt(u32At(bytes, at)) | (BigInt(u32At(bytes, at + 4)) << 32n);
}

/** Whether all of `bytes` are `value`. */
export function isFilled(bytes: Uint8Array, value: number): boolean {
	return bytes.every((byte) => byte === value);
}

/** Sum of the bytes modulo 2^8. */
export function sum8(bytes: Uint8Array): number {
	let sum = 0;
	for (const byte of bytes) sum += byte;
	return sum & 0xff;
}

/** Sum of the 16-bit words modulo 2^16; a last odd byte does not count. */
export function sum16(bytes: Uint8Array): number {
	let sum = 0;
	for (let at = 0; at + 1 < bytes.length; at += 2) sum += u16At(bytes, at);
	return sum & 0xffff;
}

/** The multiple of `alignment` at or after `value`. */
export function alignUp(value: number, alignment: number): number {
	return Math.ceil(value / alignment) * alignment;
}

/**
 * UTF-16 text up to its terminating zero, at most `limit` bytes. `end` is the offset after the zero; without a zero it is where
 * the text broke off.
 */
export function utf16At(bytes: Uint8Array, at: number, limit = bytes.length - at): { text: string; end: number } {
	const stop = Math.min(bytes.length, at + limit);
	let text = "";
	for (let next = at; next + 1 < stop; next += 2) {
		const unit = u16At(bytes, next);
		if (unit === 0) return { text, end: next + 2 };
		text += String.fromCharCode(unit);
	}
	return { text, end: stop };
}

/** `text` as UTF-16 with a terminating zero. */
export function utf16Bytes(text: string): Uint8Array {
	const bytes = new Uint8Array(2 * text.length + 2);
	for (let i = 0; i < text.length; i++) {
		const unit = text.charCodeAt(i);
		bytes[2 * i] = unit;
		bytes[2 * i + 1] = unit >>> 8;
	}
	return bytes;
}

export function hex(bytes: Uint8Array): string {
	let text = "";
	for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
	return text;
}

/** What `hex` wrote; undefined for anything else. Blanks and upper case are allowed. */
export function fromHex(text: string): Uint8Array | undefined {
	const digits = text.replace(/\s+/g, "");
	if (digits.length % 2 !== 0 || !/^[0-9a-f]*$/i.test(digits)) return undefined;
	return Uint8Array.from({ length: digits.length / 2 }, (_, i) => Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16));
}
