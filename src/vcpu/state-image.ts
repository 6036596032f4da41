/** Places in the image of FXSAVE, which is the legacy region of XSAVE's (SDM 1 table 10-2). */
export const LEGACY = { mxcsr: 24, mask: 28, registers: 32, xmm: 160, end: 512 } as const;

/** Bits of MXCSR that exist; any other is #GP(0). */
export const MXCSR_MASK = 0xffff;
