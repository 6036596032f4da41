/** The shape of a flash with sectors of one size. */
export interface FlashGeometry {
	/** Bytes. */
	readonly size: number;
	readonly sectorSize: number;
	/** Bytes of the write buffer, a power of two. */
	readonly bufferSize: number;
}

const INTEL_EXTENDED = 0x0001;
const PRIMARY_TABLE = 0x31;

/**
 * The query table of an Intel-command-set chip (JESD68.01; Intel extended query 1.0): 256 bytes, one for each
 * address. Timings are exponents of two. The size is given as the number of trailing zeros, which is short of the
 * truth for sizes that are no power of two; QEMU says so too, and drivers count the sectors.
 */
export function cfi01Query(geometry: FlashGeometry): Uint8Array {
	const table = new Uint8Array(256);
	const word = (at: number, value: number): void => {
		table[at] = value & 0xff;
		table[at + 1] = value >> 8;
	};
	const text = (at: number, value: string): void => {
		table.set(new TextEncoder().encode(value), at);
	};
	text(0x10, "QRY");
	word(0x13, INTEL_EXTENDED);
	word(0x15, PRIMARY_TABLE);
	// Vcc 4.5 V to 5.5 V, no Vpp.
	table[0x1b] = 0x45;
	table[0x1c] = 0x55;
	// Typical: byte and buffer program 128 us, sector erase 1024 ms; 16 times that at most; no chip erase.
	table[0x1f] = 0x07;
	table[0x20] = 0x07;
	table[0x21] = 0x0a;
	table[0x23] = 0x04;
	table[0x24] = 0x04;
	table[0x25] = 0x04;
	table[0x27] = trailingZeros(geometry.size);
	// Asynchronous, 8 and 16 bits wide.
	word(0x28, 0x0002);
	word(0x2a, trailingZeros(geometry.bufferSize));
	// One erase region: sectors less one, and a sector's size in units of 256 bytes.
	table[0x2c] = 1;
	word(0x2d, geometry.size / geometry.sectorSize - 1);
	word(0x2f, geometry.sectorSize >> 8);
	// No optional feature, one protection field.
	text(PRIMARY_TABLE, "PRI10");
	table[0x3f] = 1;
	return table;
}

function trailingZeros(value: number): number {
	return 31 - Math.clz32(value & -value);
}
