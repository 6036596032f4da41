/** What a chip with the AMD command set is at, or was at when it was suspended. */
export interface Operation {
	readonly kind: "program" | "erase" | "chip-erase";
	/**
	 * `window`: more sectors may follow; `busy`; `failed`: a cell did not become what was asked for; `aborted`: of a write buffer.
	 * The last two wait for a reset.
	 */
	readonly phase: "window" | "busy" | "failed" | "aborted";
	/** Bit 7 of the last data. */
	readonly data7: number;
	/** Numbers of the blocks. */
	readonly blocks: readonly number[];
	/** Guest nanoseconds that it still takes, where it is suspended. */
	readonly left: number;
}

/** Status bits. */
export const DQ = { polling: 0x80, toggle: 0x40, failed: 0x20, erasing: 0x08, toggle2: 0x04, aborted: 0x02 } as const;

/** What reads give meanwhile; `toggles`: bits 6 and 2 as they are now. */
export function statusOf({ kind, phase, data7 }: Operation, toggles: number): number {
	let status = toggles;
	if (kind === "program") status |= ~data7 & DQ.polling;
	else if (phase !== "window") status |= DQ.erasing;
	if (phase === "failed") status |= DQ.failed;
	if (phase === "aborted") status |= DQ.aborted;
	return status;
}
