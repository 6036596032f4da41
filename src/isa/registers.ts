/** General registers by number (SDM 2 table 3-1). */
export const GPR = [
	"rax",
	"rcx",
	"rdx",
	"rbx",
	"rsp",
	"rbp",
	"rsi",
	"rdi",
	"r8",
	"r9",
	"r10",
	"r11",
	"r12",
	"r13",
	"r14",
	"r15",
] as const;
export type GprName = (typeof GPR)[number];
export const RAX = 0;
export const RCX = 1;
export const RDX = 2;
export const RBX = 3;
export const RSP = 4;
export const RBP = 5;
export const RSI = 6;
export const RDI = 7;
export const R11 = 11;

/** Segment registers by number (SDM 2 table 3-1: sreg3), then the two that only tables use. */
export const SEGMENT = { es: 0, cs: 1, ss: 2, ds: 3, fs: 4, gs: 5, ldtr: 6, tr: 7 } as const;

/** Exception vectors (SDM 3A table 6-1). */
export const VECTOR = {
	DE: 0,
	DB: 1,
	NMI: 2,
	BP: 3,
	OF: 4,
	BR: 5,
	UD: 6,
	NM: 7,
	DF: 8,
	TS: 10,
	NP: 11,
	SS: 12,
	GP: 13,
	PF: 14,
	MF: 16,
	AC: 17,
	MC: 18,
	XM: 19,
	CP: 21,
} as const;
export type VectorName = keyof typeof VECTOR;
