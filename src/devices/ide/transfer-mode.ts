/** How data comes: PIO, multiword DMA or ultra DMA, and its number. */
export interface TransferMode {
	readonly kind: "pio" | "mwdma" | "udma";
	readonly number: number;
}

/** Kinds by bits 7:3 of the count in SET FEATURES, and the highest number of each (ATA/ATAPI-6, table 44). */
const MODES: ReadonlyMap<number, readonly [TransferMode["kind"], number]> = new Map([
	[0x00, ["pio", 1]],
	[0x08, ["pio", 4]],
	[0x20, ["mwdma", 2]],
	[0x40, ["udma", 5]],
]);

/** The mode that SET FEATURES asks for; undefined where there is none such. */
export function modeOf(count: number): TransferMode | undefined {
	const found = MODES.get(count & 0xf8);
	if (found === undefined) return undefined;
	const [kind, most] = found;
	const number = count & 7;
	return number <= most ? { kind, number } : undefined;
}
