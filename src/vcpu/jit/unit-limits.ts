/** How large a unit gets. */
export const UNIT_LIMITS = {
	/** Most blocks: beyond some 200 V8 falls back to a poorer register allocator. */
	limit: 160,
	/** Most instructions in all of them, and in one. */
	instructionLimit: 1200,
	blockLimit: 64,
} as const;

/** TLB misses for which a unit leaves before it is made to bear more of them: they cost about as much as making it anew. */
export const MISSES_BORNE = 16000;
