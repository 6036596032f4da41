/** Why a flash refused something. */
export type FlashRefusal =
	/** The chip, or its image, cannot be written. */
	| "readonly"
	/** The block is locked. */
	| "locked"
	/** The cycles are no command of the set. */
	| "sequence"
	/** Data lie outside what the command can reach. */
	| "boundary"
	/** A bit that is 0 was to become 1, which takes an erase. */
	| "needs-erase"
	/** The chip is busy with something that must end or be resumed first. */
	| "busy";

/** Commands whose address says nothing more than where they were written. */
export type FlashCommand =
	| "read-array"
	| "read-id"
	| "cfi-query"
	| "read-status"
	| "clear-status"
	| "suspend"
	| "resume"
	| "unlock-bypass"
	| "unlock-bypass-reset";

export type FlashLocking = "lock" | "unlock" | "lock-down";

/**
 * What a flash was told and what it did, decoded from its bus cycles; told as it happens. Offsets and lengths are bytes, from the
 * start of the flash. `bytes` and `before` belong to the observer.
 */
export type FlashEvent =
	| { readonly kind: FlashCommand; readonly offset: number }
	/** `program`: one data cycle; `program-buffer`: a confirmed buffer. `before` is what the cells held. */
	| {
			readonly kind: "program" | "program-buffer";
			readonly offset: number;
			readonly bytes: Uint8Array;
			readonly before: Uint8Array;
	  }
	/** A block; where the whole chip is erased, one after the other. */
	| { readonly kind: "erase"; readonly block: number; readonly offset: number; readonly length: number }
	| {
			readonly kind: "lock";
			readonly action: FlashLocking;
			readonly block: number;
			readonly offset: number;
			readonly length: number;
	  }
	/** Nothing that the command set knows. `cycles`: the low bytes written, the last one at `offset`. */
	| { readonly kind: "unknown"; readonly offset: number; readonly cycles: readonly number[] }
	/** What the event before asked for was refused. `status`: the status bits that say so. */
	| { readonly kind: "error"; readonly offset: number; readonly status: number; readonly reason: FlashRefusal }
	/** From now on reads are direct array reads (`on`), or answered by the chip. */
	| { readonly kind: "romd"; readonly on: boolean };

/** Told of each event. */
export type FlashObserver = (event: FlashEvent) => void;
