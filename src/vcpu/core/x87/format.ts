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

/** The six exceptions: mask bits of the control word, flags of the status word. */
export const EXCEPTIONS = 0x3f;
