/** How the processor ran when it stored to ROM. */
export type CodeMode = "real" | "v86" | "prot16" | "prot32" | "long";

/** Who stored. All but a device do it on account of an instruction, or between two. */
export type RomWriter =
	| { readonly kind: "instruction" }
	/** The processor marks a descriptor accessed or busy, for the instruction that loads it. */
	| { readonly kind: "descriptor" }
	/** The processor sets accessed and dirty bits of a page-table entry, for an access of the instruction. */
	| { readonly kind: "page-walk" }
	/** The processor delivers an interrupt or exception. The instruction is the one that it came upon. */
	| { readonly kind: "delivery"; readonly vector: number }
	/** A bus master. The instruction is the one that the processor was about to run. */
	| { readonly kind: "dma"; readonly device: string };

/** One store that a readonly slot refused, or one command to a flash. */
export interface RomWrite {
	/** First guest-physical address that was refused. */
	readonly gpa: number;
	/** Bytes that were refused. */
	readonly size: number;
	/** The bytes that the guest wanted to store there, lowest address first; absent where the store faulted before they were known. */
	readonly data: Uint8Array | undefined;
	/** What the ROM holds there, as many bytes. */
	readonly old: Uint8Array;
	/** Linear address of the first refused byte; absent for a device's access. */
	readonly target: bigint | undefined;
	/** Bytes of the whole store, of which some may have gone to RAM. */
	readonly storeSize: number;
	/** Where the store goes on in another page: as many bytes from its first refused one, and its guest-physical address. */
	readonly crossing: { readonly offset: number; readonly gpa: number } | undefined;
	/** What was hit, such as `bios`, `pam f0000` or `flash 0`. */
	readonly region: string;
	/** Guest-physical addresses, inclusive, over which the region goes on from there; absent where that is not known. */
	readonly extent: { readonly first: number; readonly last: number } | undefined;
	/** What a flash took the store for, such as `program`; absent where it is no flash. */
	readonly command: string | undefined;
	readonly by: RomWriter;
	/** The store faulted: #GP(0). */
	readonly faulted: boolean;
	/** Code segment, selector value. */
	readonly cs: number;
	/** Offset in the code segment of the first byte of the instruction, prefixes included. */
	readonly rip: bigint;
	/** Linear address of the same. */
	readonly linear: bigint;
	/** Bytes at `linear`, up to 15; fewer where they cannot be read. */
	readonly code: Uint8Array;
	readonly mode: CodeMode;
	/** Current privilege level, 0..3. */
	readonly cpl: number;
	/** Number of the processor. */
	readonly cpu: number;
	/** Low half of RSP: another one says that the way to the instruction was another. */
	readonly stackPointer: number;
	/** Guest instructions retired before this one. */
	readonly instructions: number;
	/** Guest time, nanoseconds. */
	readonly timeNs: number;
}

/** Takes the machine's ROM writes, one by one, as they happen. What it is given may be reused: copy what is kept. */
export interface RomWriteSink {
	record(write: RomWrite): void;
}
