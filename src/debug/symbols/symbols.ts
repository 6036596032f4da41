/** What lies at a linear address. */
export interface Place {
	/** The image that the address belongs to, such as `vmlinux` or `DxeCore`. */
	readonly module?: string;
	/** The nearest symbol at or below the address. */
	readonly symbol?: string;
	/** Bytes from the start of the symbol or, without one, of the module. */
	readonly offset: number;
	/** Source file, as the compiler was given it. */
	readonly file?: string;
	/** Line in {@link file}, from 1. */
	readonly line?: number;
}

/** Tells what lies where. Never throws; the first question may read files. */
export interface Symbols {
	/** @param address linear, 64 bits unsigned. @returns undefined: nothing is known of it. */
	at(address: bigint): Place | undefined;
	/**
	 * The registers of the caller, by the compiler's unwind tables.
	 * @param isReturn `registers.pc` is where a call returns to, which may lie behind the calling function
	 * @returns undefined where there are no tables for it; `outermost`: nobody called.
	 */
	caller?(registers: UnwindRegisters, isReturn: boolean, read: MemoryReader): UnwindRegisters | "outermost" | undefined;
}

/** What unwind tables work on: flat code, with linear addresses throughout. */
export interface UnwindRegisters {
	readonly machine: "i386" | "x86-64";
	readonly pc: bigint;
	/** By DWARF's numbers (System V psABI); undefined: not known any more. */
	readonly values: readonly (bigint | undefined)[];
}

/**
 * Reads guest memory at a linear address (64 bits unsigned), with the paging in force and whatever the privilege level. Nothing in
 * the guest changes: no accessed bit, no device is read.
 * @param length bytes, at least 1
 * @returns a copy; undefined where a byte is not mapped or not in RAM or ROM.
 */
export type MemoryReader = (address: bigint, length: number) => Uint8Array | undefined;

/** One level of a call stack, the innermost first. */
export interface Frame {
	/** Linear address: of the instruction in hand for the innermost frame, else where a call returns to. */
	readonly address: bigint;
	/** For a return address, the place of the call before it. */
	readonly place: Place | undefined;
	/**
	 * How the frame was found: `exact` is where the processor is; `cfi` follows the compiler's unwind tables; `frame-pointer`
	 * follows saved values of (R/E)BP; `scan` is a word on the stack that looks like a return address.
	 */
	readonly how: "exact" | "frame-pointer" | "cfi" | "scan";
}

/** `module!symbol+0x12 (file.c:34)`, as much of it as is known. */
export function placeText({ module, symbol, offset, file, line }: Place): string {
	const name = [module, symbol].filter((part) => part !== undefined).join("!");
	const text = offset === 0 && name !== "" ? name : `${name}+0x${offset.toString(16)}`;
	return file === undefined ? text : `${text} (${file}${line === undefined ? "" : `:${line}`})`;
}

/** A little-endian number of 1, 2, 4 or 8 bytes. */
export function wordIn(bytes: Uint8Array): bigint {
	return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}
