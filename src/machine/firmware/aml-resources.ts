import { join, u8, u16, u32 } from "../../base/bytes.ts";
import { type Aml, buffer } from "./aml.ts";

/** Resource descriptors (ACPI 6.4, 6.4), to be joined in a {@link resourceTemplate}. */

/** Ports `base` .. `base + length - 1`, decoded with 16 bits. */
export function io(base: number, length: number): Uint8Array {
	return join(u8(0x47), u8(1), u16(base), u16(base), u8(1), u8(length));
}

/** ISA interrupts: edge triggered, active high, exclusive. */
export function irq(...irqs: readonly number[]): Uint8Array {
	return join(u8(0x22), u16(irqs.reduce((mask, number) => mask | (1 << number), 0)));
}

/** Any of these interrupts: level triggered, active high, shared. The first number is at {@link INTERRUPT_NUMBER}. */
export function interrupt(...numbers: readonly number[]): Uint8Array {
	const CONSUMER = 1;
	const SHARED = 8;
	return join(u8(0x89), u16(2 + 4 * numbers.length), u8(CONSUMER | SHARED), u8(numbers.length), ...numbers.map(u32));
}

/** Byte offset of the first number in an {@link interrupt} descriptor. */
export const INTERRUPT_NUMBER = 5;

const MEMORY = 0;
const IO = 1;
const BUS = 2;
/** Produced for the devices below, both ends fixed, positively decoded. */
const WINDOW = 0x0c;
/** All of a range of ports, ISA-like or not. */
const ENTIRE_RANGE = 3;
const READ_WRITE = 1;
const CACHEABLE = 2;

export function busWindow(first: number, last: number): Uint8Array {
	return wordWindow(BUS, 0, first, last);
}

export function ioWindow(first: number, last: number): Uint8Array {
	return wordWindow(IO, ENTIRE_RANGE, first, last);
}

export function memoryWindow(first: number, last: number, cacheable = false): Uint8Array {
	const flags = READ_WRITE | (cacheable ? CACHEABLE : 0);
	const numbers = [0, first, last, 0, last - first + 1].map(u32);
	return join(u8(0x87), u16(23), u8(MEMORY), u8(WINDOW), u8(flags), ...numbers);
}

function wordWindow(type: number, flags: number, first: number, last: number): Uint8Array {
	const numbers = [0, first, last, 0, last - first + 1].map(u16);
	return join(u8(0x88), u16(13), u8(type), u8(WINDOW), u8(flags), ...numbers);
}

/** The buffer that `_CRS` and `_PRS` give. Its end tag's checksum of 0 means it is not checked. */
export function resourceTemplate(...descriptors: readonly Uint8Array[]): Aml {
	return buffer(join(...descriptors, Uint8Array.of(0x79, 0)));
}
