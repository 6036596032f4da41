/** EFLAGS by bit mask (SDM 1 3.4.3). */
export const EFLAGS = {
	cf: 0x1,
	/** Bit 1 is always set. */
	fixed: 0x2,
	pf: 0x4,
	af: 0x10,
	zf: 0x40,
	sf: 0x80,
	tf: 0x100,
	if: 0x200,
	df: 0x400,
	of: 0x800,
	iopl: 0x3000,
	ioplShift: 12,
	nt: 0x4000,
	rf: 0x10000,
	vm: 0x20000,
	ac: 0x40000,
	vif: 0x80000,
	vip: 0x100000,
	id: 0x200000,
} as const;

/** CR0 by bit mask (SDM 3A 2.5). */
export const CR0 = {
	pe: 0x1,
	mp: 0x2,
	em: 0x4,
	ts: 0x8,
	/** Always set. */
	et: 0x10,
	ne: 0x20,
	wp: 0x10000,
	am: 0x40000,
	nw: 0x20000000,
	cd: 0x40000000,
	pg: 0x80000000,
} as const;

/** CR4 by bit mask (SDM 3A 2.5). */
export const CR4 = {
	vme: 0x1,
	pvi: 0x2,
	tsd: 0x4,
	de: 0x8,
	pse: 0x10,
	pae: 0x20,
	mce: 0x40,
	pge: 0x80,
	pce: 0x100,
	osfxsr: 0x200,
	osxmmexcpt: 0x400,
	umip: 0x800,
	la57: 0x1000,
	fsgsbase: 0x10000,
	pcide: 0x20000,
	osxsave: 0x40000,
	smep: 0x100000,
	smap: 0x200000,
	pke: 0x400000,
	pks: 0x1000000,
} as const;

/** EFER by bit mask (SDM 3A 2.2.1). */
export const EFER = { sce: 0x1, lme: 0x100, lma: 0x400, nxe: 0x800 } as const;

/** XCR0 by bit mask (SDM 3A 2.6). */
export const XCR0 = { x87: 0x1, sse: 0x2, avx: 0x4, pkru: 0x200 } as const;

/** DR6 by bit mask (SDM 3B 17.2.3). */
export const DR6 = { bd: 0x2000, bs: 0x4000, bt: 0x8000 } as const;

/** DR7 by bit mask (SDM 3B 17.2.4). */
export const DR7 = { enabled: 0xff, fixed: 0x400, gd: 0x2000 } as const;

/** XCR0 bits for XMM registers and the upper halves of YMM registers (SDM 1 13.3). */
export const XCR0_AVX = 6;

/** FPU status word by bit mask (SDM 1 8.1.3). TOP, bits 11–13, is kept apart. */
export const FSW = {
	/** Invalid operation, denormal operand, zero divide, overflow, underflow, precision. */
	invalid: 0x1,
	denormal: 0x2,
	zeroDivide: 0x4,
	overflow: 0x8,
	underflow: 0x10,
	precision: 0x20,
	/** With `invalid`: of the register stack. */
	stack: 0x40,
	/** ES: an exception that is not masked waits. B, bit 15, shows the same. */
	summary: 0x80,
	busy: 0x8000,
	c0: 0x100,
	c1: 0x200,
	c2: 0x400,
	c3: 0x4000,
} as const;
