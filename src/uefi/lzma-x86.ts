import { u32At } from "./bytes.ts";

/** CALL and JMP with a distance of 32 bits are this long. */
const LENGTH = 5;

/** The highest byte of a distance that is likely one: short, in either direction. */
const isShort = (byte: number): boolean => byte === 0 || byte === 0xff;

/**
 * Undoes the filter that packers of x86 code put before LZMA: the distances of CALL and JMP (E8, E9) became addresses, counted
 * from the start of `code`, so that calls of one function look alike. Changes `code` in place. What looked like an opcode
 * shortly before decides whether one is taken for one; `recent` remembers: bit n is set where byte -n was E8 or E9, bit n + 4
 * where besides its distance looked short.
 */
export function undoX86Filter(code: Uint8Array): void {
	let recent = 0;
	let last = -LENGTH;
	for (let at = 0; at + LENGTH <= code.length; ) {
		if ((code[at]! & 0xfe) !== 0xe8) {
			at++;
			continue;
		}
		const since = at - last;
		last = at;
		recent = since > LENGTH ? 0 : age(recent, since);
		const before = recent >>> 1;
		const single = (before & (before - 1) & 7) === 0;
		if (isShort(code[at + 4]!) && single && before < 0x10) {
			write(code, at + 1, distance(u32At(code, at + 1), at + LENGTH, before));
			recent = 0;
			at += LENGTH;
		} else {
			recent |= isShort(code[at + 4]!) ? 0x11 : 1;
			at++;
		}
	}
}

/** `recent`, seen from `bytes` later. */
function age(recent: number, bytes: number): number {
	let aged = recent;
	for (let i = 0; i < bytes; i++) aged = (aged & 0x77) << 1;
	return aged;
}

/** `address` less `next`, where the bytes that an opcode shortly before covers too are inverted until they look long. */
function distance(address: number, next: number, before: number): number {
	let from = address;
	for (;;) {
		const result = (from - next) >>> 0;
		if (before === 0) return result;
		const covered = 32 - 8 * (32 - Math.clz32(before));
		if (!isShort((result >>> (covered - 8)) & 0xff)) return result;
		from = (result ^ (2 ** covered - 1)) >>> 0;
	}
}

/** The low 25 bits, with the highest of them as sign. */
function write(code: Uint8Array, at: number, value: number): void {
	code[at] = value;
	code[at + 1] = value >>> 8;
	code[at + 2] = value >>> 16;
	code[at + 3] = (value >>> 24) & 1 ? 0xff : 0;
}
