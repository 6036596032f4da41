import { assert } from "./errors.ts";

declare const brand: unique symbol;

/** A guest-physical address, 0 .. 2^64 - 1. A bigint, for maps and slots; the processor's hot paths use numbers. */
export type Gpa = bigint & { readonly [brand]: "gpa" };

/** One past the last guest-physical address. */
export const GPA_END = 1n << 64n;

/** Checks and brands an address. */
export function gpa(value: bigint | number): Gpa {
	const address = BigInt(value);
	assert(address >= 0n && address < GPA_END, `guest-physical address ${address} is out of range`);
	return address as Gpa;
}

/** An address as people read it: `0xfffc0000`. */
export function hex(value: bigint | number): string {
	return `0x${value.toString(16)}`;
}
