import type { FlashRun } from "./pflash-geometry.ts";

/** Typical times: exponents of two; 0 where there is no such command. */
export interface FlashTimes {
	/** Microseconds for a word. */
	readonly program: number;
	/** Microseconds for a full write buffer. */
	readonly buffer: number;
	/** Milliseconds for a block. */
	readonly erase: number;
	/** Milliseconds for the chip. */
	readonly chipErase: number;
}

/** What a chip's query table says (JESD68.01). */
export interface QueryFacts {
	/** 1: Intel's, 2: AMD's. */
	readonly commandSet: 1 | 2;
	/** Lowest and highest supply voltage: volts in the upper digit, tenths in the lower one. */
	readonly supply: readonly [lowest: number, highest: number];
	readonly typical: FlashTimes;
	/** How much longer each may take at most: exponents of two. */
	readonly longest: FlashTimes;
	/** 0: 8 bits, 1: 16 bits, 2: both, 3: 32 bits. */
	readonly bus: number;
	/** Bytes of the write buffer, an exponent of two; 0: there is none. */
	readonly buffer: number;
	/** The erase blocks of this chip, at most four sizes. */
	readonly runs: readonly FlashRun[];
	/** What follows the letters PRI in the primary table: its version and the command set's own fields. */
	readonly primary: readonly number[];
}

const PRIMARY_LETTERS = [0x50, 0x52, 0x49];
const RUNS = 0x2d;
/** Where the primary table lies: chips with a single size of blocks have it right behind that. */
const PRIMARY_INTEL = 0x31;
const PRIMARY = 0x40;

/**
 * The query table: 256 bytes, one for each address. The size is given as the number of its trailing zeros, which is short of the
 * truth for sizes that are no power of two; QEMU says so too, and drivers count the blocks.
 */
export function queryTable(facts: QueryFacts): Uint8Array {
	const { commandSet, supply, typical, longest, runs } = facts;
	const table = new Uint8Array(256);
	const word = (at: number, value: number): void => {
		table[at] = value & 0xff;
		table[at + 1] = value >> 8;
	};
	const primary = commandSet === 1 && runs.length === 1 ? PRIMARY_INTEL : PRIMARY;
	table.set([0x51, 0x52, 0x59], 0x10);
	word(0x13, commandSet);
	word(0x15, primary);
	// No programming voltage: 1D and 1E stay 0.
	table.set(supply, 0x1b);
	table.set([typical.program, typical.buffer, typical.erase, typical.chipErase], 0x1f);
	table.set([longest.program, longest.buffer, longest.erase, longest.chipErase], 0x23);
	table[0x27] = trailingZeros(runs.reduce((sum, { count, size }) => sum + count * size, 0));
	word(0x28, facts.bus);
	word(0x2a, facts.buffer);
	table[0x2c] = runs.length;
	runs.forEach(({ count, size }, n) => {
		word(RUNS + 4 * n, count - 1);
		word(RUNS + 4 * n + 2, size >> 8);
	});
	table.set([...PRIMARY_LETTERS, ...facts.primary], primary);
	return table;
}

function trailingZeros(value: number): number {
	return 31 - Math.clz32(value & -value);
}
