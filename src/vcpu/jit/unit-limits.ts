/** How large a unit gets. */
export const UNIT_LIMITS = {
	/** Most blocks: beyond some 200 V8 falls back to a poorer register allocator. */
	limit: 160,
	/** Most instructions in all of them, and in one. */
	instructionLimit: 1200,
	blockLimit: 64,
} as const;
