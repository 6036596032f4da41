import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

/** Machine code, 16-bit. It starts at F000:0000 with what reset leaves in the registers: DS, ES and SS are 0, interrupts off. */
export type Code = readonly number[];

const u16 = (value: number): Code => [value & 0xff, value >>> 8];
const u32 = (value: number): Code => [...u16(value & 0xffff), ...u16(value >>> 16)];

/** mov al, value; mov dx, port; out dx, al */
export const outByte = (port: number, value: number): Code => [0xb0, value, 0xba, ...u16(port), 0xee];
/** mov eax, value; mov dx, port; out dx, eax */
export const outLong = (port: number, value: number): Code => [
	0x66,
	0xb8,
	...u32(value),
	0xba,
	...u16(port),
	0x66,
	0xef,
];
/** mov dx, port; in al, dx */
export const inByte = (port: number): Code => [0xba, ...u16(port), 0xec];
/** out 0xe9, al: AL on the debug console. */
export const sayAl: Code = [0xe6, 0xe9];
/** The text on the debug console. */
export const say = (text: string): Code => [...text].flatMap((char) => [0xb0, char.charCodeAt(0), ...sayAl]);
/** mov al, status; out 0xf4, al: the run is over. */
export const exit = (status: number): Code => [0xb0, status, 0xe6, 0xf4];
/** mov byte [address], value */
export const storeByte = (address: number, value: number): Code => [0xc6, 0x06, ...u16(address), value];
/** mov word [address], value */
export const storeWord = (address: number, value: number): Code => [0xc7, 0x06, ...u16(address), ...u16(value)];
/** mov dword [address], value; the address has 32 bits: see {@link bigReal}. */
export const storeFar = (address: number, value: number): Code => [
	0x67,
	0x66,
	0xc7,
	0x05,
	...u32(address),
	...u32(value),
];
/** mov ecx, number; mov eax, low; xor edx, edx; wrmsr */
export const wrmsr = (number: number, low: number): Code => [
	...[0x66, 0xb9, ...u32(number)],
	...[0x66, 0xb8, ...u32(low)],
	...[0x66, 0x31, 0xd2, 0x0f, 0x30],
];
/** mov ecx, number; rdmsr */
export const rdmsr = (number: number): Code => [0x66, 0xb9, ...u32(number), 0x0f, 0x32];
export const sti: Code = [0xfb];
export const hlt: Code = [0xf4];
/** jmp $ */
export const forever: Code = [0xeb, 0xfe];
/** inc byte [0x500]; what follows runs once only: RAM outlives a reset. */
export const once = (code: Code): Code => [
	0xfe,
	0x06,
	0x00,
	0x05,
	0x80,
	0x3e,
	0x00,
	0x05,
	0x01,
	0x75,
	code.length,
	...code,
];

const GDT = 0xff00;

/** DS reaches 4 GiB from here on: lgdt cs:[…]; protected mode; mov ds, ax; back in real mode. */
export const bigReal: Code = [
	...[0x2e, 0x66, 0x0f, 0x01, 0x16, ...u16(GDT)],
	...[0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0],
	...[0xb8, 0x08, 0x00, 0x8e, 0xd8],
	...[0x0f, 0x20, 0xc0, 0x24, 0xfe, 0x0f, 0x22, 0xc0],
	...[0x31, 0xc0, 0x8e, 0xd8],
];

/** A 64 KiB ROM that starts with `code`; `more` goes to further offsets. */
export function tinyRom(code: Code, more: Readonly<Record<number, Code>> = {}): Uint8Array {
	const rom = new Uint8Array(0x10000).fill(0xcc);
	rom.set(code);
	for (const [offset, bytes] of Object.entries(more)) rom.set(bytes, Number(offset));
	// Its limit and address, then a null descriptor and flat data.
	rom.set([...u16(15), ...u32(0xf0000 + GDT + 8)], GDT);
	rom.set([0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0x93, 0xcf, 0], GDT + 8);
	// jmp 0xf000:0
	rom.set([0xea, 0x00, 0x00, 0x00, 0xf0], 0xfff0);
	return rom;
}

/** Writes files that last as long as the test file's tests. @returns what gives a file its contents, and its path. */
export function temporaryFiles(): (name: string, contents: Uint8Array) => string {
	const folder = mkdtempSync(join(tmpdir(), "tsvmm-"));
	afterAll(() => rmSync(folder, { recursive: true }));
	return (name, contents) => {
		const path = join(folder, name);
		writeFileSync(path, contents);
		return path;
	};
}
