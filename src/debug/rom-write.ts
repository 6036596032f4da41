/** How the processor ran when it stored to ROM. */
export type CodeMode = "real" | "v86" | "prot16" | "prot32" | "long";

/** One store that a readonly slot refused. */
export interface RomWrite {
	/** First guest-physical address of the store. */
	readonly gpa: number;
	/** The bytes that the guest wanted to store, lowest address first. */
	readonly data: Uint8Array;
	/** What was hit, such as `bios` or `pam f0000`. */
	readonly region: string;
	/** Code segment, selector value. */
	readonly cs: number;
	/** Offset in the code segment of the first byte of the instruction, prefixes included. */
	readonly rip: bigint;
	/** Linear address of the same. */
	readonly linear: bigint;
	/** Bytes at `linear`, up to 15; fewer where they cannot be read. */
	readonly code: Uint8Array;
	readonly mode: CodeMode;
	/** Guest instructions retired before this one. */
	readonly instructions: number;
}

/** Takes the machine's ROM writes, one by one, as they happen. What it is given may be reused: copy what is kept. */
export interface RomWriteSink {
	record(write: RomWrite): void;
}
