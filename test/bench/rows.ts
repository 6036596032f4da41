/** A benchmark guest, built into `guests/images/NAME.bin`: from `guests/rows/NAME.c`, or from SOURCE.c for 64-bit mode. */
export interface Row {
	readonly name: string;
	/** Of a row in 64-bit mode: the name of its source, and of its 32-bit twin where there is one. */
	readonly source?: string;
	/** Instructions it retires from reset to exit; an iteration of REP counts as one. */
	readonly instructions: number;
	/** What it prints when the work was done right. */
	readonly checksum: string;
}

/**
 * The rows in the order of the report. The counts are tsvmm's; an instruction-counting plugin of QEMU 7.2 differs by the OUT that
 * exits and by one for each REP, whose end it counts as well.
 */
export const rows: readonly Row[] = [
	{ name: "loop", instructions: 1_050_016_927, checksum: "cf4c715f" },
	{ name: "sum", instructions: 442_510_213, checksum: "58132e30" },
	{ name: "sieve", instructions: 760_745_008, checksum: "003e9482" },
	{ name: "crc", instructions: 1_015_056_834, checksum: "0d0e2efc" },
	{ name: "qsort", instructions: 674_932_175, checksum: "4c991fad" },
	{ name: "fib", instructions: 1_094_485_605, checksum: "01709e79" },
	{ name: "indirect", instructions: 427_513_949, checksum: "319b0578" },
	{ name: "bytecode", instructions: 496_017_083, checksum: "a11f9281" },
	{ name: "movs", instructions: 153_513_545, checksum: "0448183c" },
	{ name: "interrupt", instructions: 20_017_086, checksum: "31c77201" },
	{ name: "paging", instructions: 26_184_238, checksum: "aa5fced0" },
	{ name: "port", instructions: 48_016_926, checksum: "bb1d1c00" },
	{ name: "smc", instructions: 5_236_910, checksum: "e1d013f3" },
	{ name: "loop64", source: "loop", instructions: 1_050_022_039, checksum: "cf4c715f" },
	{ name: "sum64", source: "sum", instructions: 442_515_324, checksum: "58132e30" },
	{ name: "sieve64", source: "sieve", instructions: 846_026_614, checksum: "003e9482" },
	{ name: "crc64", source: "crc", instructions: 1_015_064_525, checksum: "0d0e2efc" },
	{ name: "qsort64", source: "qsort", instructions: 700_622_561, checksum: "4c991fad" },
	{ name: "fib64", source: "fib", instructions: 1_094_490_723, checksum: "01709e79" },
	{ name: "indirect64", source: "indirect", instructions: 382_518_541, checksum: "319b0578" },
	{ name: "bytecode64", source: "bytecode", instructions: 496_022_171, checksum: "a11f9281" },
	{ name: "movs64", source: "movs", instructions: 153_494_659, checksum: "0448183c" },
	{ name: "interrupt64", source: "interrupt", instructions: 20_022_179, checksum: "31c77201" },
	{ name: "paging64", source: "paging", instructions: 26_103_708, checksum: "aa5fced0" },
	{ name: "port64", source: "port", instructions: 48_022_039, checksum: "bb1d1c00" },
	{ name: "smc64", source: "smc", instructions: 4_702_023, checksum: "e1d013f3" },
	{ name: "matrix64", source: "matrix", instructions: 353_570_364, checksum: "6c33ccfd" },
];

/** The guest that exits at once: what starting and stopping costs. */
export const exitRow: Row = { name: "exit", instructions: 16_920, checksum: "00000000" };
