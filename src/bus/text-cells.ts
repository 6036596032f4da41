/** A VGA text screen. */
export interface TextCells {
	readonly columns: number;
	/** 0 while the screen shows no text. */
	readonly rows: number;
	/** Character (code page 437) and attribute pairs, row by row. */
	readonly cells: Uint8Array;
	/** The cell that the cursor is on, or undefined when it is hidden. */
	readonly cursor: number | undefined;
}
