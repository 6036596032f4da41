/** The first bytes of an instruction: what a departure from iced is told by. */
export interface Opcode {
	/** One-byte opcodes, or those behind 0F. */
	readonly map: 0 | 1;
	readonly byte: number;
	/** ModRM, or whatever byte follows. */
	readonly next: number;
	/** Size of the code. */
	readonly bits: 16 | 32 | 64;
}

/** Where our decoder means to answer otherwise than iced: instructions that only iced knows. */
export interface Departure {
	readonly reason: string;
	readonly map: 0 | 1;
	readonly from: number;
	readonly to: number;
	readonly where?: (next: number, bits: 16 | 32 | 64) => boolean;
}

const reg = (next: number): number => (next >> 3) & 7;
const isRegister = (next: number): boolean => next >= 0xc0;
/** Where C4, C5 and 62 are no LES, LDS and BOUND. */
const isVector = (next: number, bits: 16 | 32 | 64): boolean => bits === 64 || isRegister(next);

export const ONLY_ICED: readonly Departure[] = [
	{ reason: "EVEX: AVX-512, newer than AVX2", map: 0, from: 0x62, to: 0x62, where: isVector },
	{ reason: "XOP, newer", map: 0, from: 0x8f, to: 0x8f, where: (next) => reg(next) !== 0 },
	{
		reason: "VEX: masks of AVX-512, AVX-VNNI and others, newer than AVX2; FMA4",
		map: 0,
		from: 0xc4,
		to: 0xc5,
		where: isVector,
	},
	{ reason: "XABORT and XBEGIN, newer", map: 0, from: 0xc6, to: 0xc7, where: (next) => next === 0xf8 },
	{ reason: "LKGS, newer", map: 1, from: 0x00, to: 0x00, where: (next, bits) => bits === 64 && reg(next) === 6 },
	{
		reason: "VMX, SMX, MONITOR, XSAVE, PKU and others, newer",
		map: 1,
		from: 0x01,
		to: 0x01,
		where: (next) => isRegister(next) || reg(next) === 5,
	},
	{ reason: "3DNow!, AMD's", map: 1, from: 0x0e, to: 0x0f },
	{ reason: "MOVNTSS and MOVNTSD of SSE4A, AMD's", map: 1, from: 0x2b, to: 0x2b },
	{ reason: "GETSEC, newer", map: 1, from: 0x37, to: 0x37 },
	{ reason: "GFNI, Key Locker, VMX and others, newer than AVX2", map: 1, from: 0x38, to: 0x38 },
	{ reason: "GFNI, Key Locker, VMX and others, newer than AVX2", map: 1, from: 0x3a, to: 0x3a },
	{ reason: "VMX and SSE4A, newer", map: 1, from: 0x78, to: 0x79 },
	{ reason: "PadLock, VIA's", map: 1, from: 0xa6, to: 0xa7 },
	{ reason: "RSM: #UD outside system management mode, which there is not", map: 1, from: 0xaa, to: 0xaa },
	{ reason: "PTWRITE, WAITPKG, CET and others, newer", map: 1, from: 0xae, to: 0xae },
	{
		reason: "VMX, RDPID and others, newer",
		map: 1,
		from: 0xc7,
		to: 0xc7,
		where: (next) => isRegister(next) || reg(next) !== 1,
	},
];

/** Of the departures that random code hardly ever meets, one instruction each. */
export const RARE = [
	[0x62, 0xf1, 0x7c, 0x48, 0x58, 0xc1],
	[0x8f, 0xe8, 0x78, 0xc0, 0xc1, 0x05],
	[0xc4, 0xe2, 0x78, 0xf3, 0xd8],
];

/** Forms of 64-bit mode that random code hardly ever meets. */
export const RARE64 = [
	[0xf0, 0x48, 0x0f, 0xc7, 0x08],
	...[0xe8, 0xf0, 0xf8].flatMap((first) => Array.from({ length: 8 }, (_, n) => [0x0f, 0xae, first + n])),
];

/**
 * 0F 18 to 0F 1F are all no-operations here, as on every processor since the Pentium Pro that gave them no meaning; iced
 * names some by their newer meanings and gives others a second operand, and it has names for reserved ones of 0F 0D. Lengths
 * must agree.
 */
export function isHint({ map, byte }: Opcode): boolean {
	return map === 1 && ((byte >= 0x18 && byte <= 0x1f) || byte === 0x0d);
}

/** Instructions that push EFLAGS, or leave them in some mode: ours reads the flags for that, iced does not count it. */
export const KEEPS_FLAGS: ReadonlySet<string> = new Set(["INT", "INT1", "INT3", "INTO", "SYSRET"]);
