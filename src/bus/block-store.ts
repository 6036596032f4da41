/** Bytes of a sector. */
export const SECTOR = 512;

/**
 * What is on a disk: numbered sectors of {@link SECTOR} bytes. The caller stays within {@link sectors}. Everything is synchronous; false
 * means that the host refused.
 */
export interface BlockStore {
	/** How many there are. */
	readonly sectors: number;
	/** Writes are refused. */
	readonly readonly: boolean;
	/** Fills `into`, a whole number of sectors, from `sector` on. */
	read(sector: number, into: Uint8Array): boolean;
	/** Stores `from`, a whole number of sectors, from `sector` on. */
	write(sector: number, from: Uint8Array): boolean;
	/** What has been written outlives the host. */
	flush(): boolean;
}
