import type { Geometry } from "./task-file.ts";
import type { TransferMode } from "./transfer-mode.ts";

const WORDS = 256;
const LAST_LBA28 = 0x0fff_ffff;

/** Sectors that one interrupt of READ MULTIPLE may carry at most. */
export const MOST_MULTIPLE = 16;

/** What IDENTIFY tells of a disk, beside what never changes. */
export interface DiskIdentity {
	readonly sectors: number;
	readonly serial: string;
	/** As it was after reset, and as INITIALIZE DEVICE PARAMETERS has set it. */
	readonly geometry: Geometry;
	readonly current: Geometry;
	/** Sectors of READ MULTIPLE; 0: not set. */
	readonly multiple: number;
	readonly mode: TransferMode;
	readonly writeCache: boolean;
	readonly lookAhead: boolean;
	readonly smart: boolean;
}

/** A block of 256 words as IDENTIFY gives it. */
export class IdentifyBlock {
	readonly words = new Uint16Array(WORDS);

	set(at: number, ...values: readonly number[]): void {
		values.forEach((value, n) => {
			this.words[at + n] = value;
		});
	}

	/** 32 bits, low word first. */
	set32(at: number, value: number): void {
		this.set(at, value & 0xffff, value >>> 16);
	}

	/** `words` words of text, padded with spaces, the first character of each pair in the upper byte. */
	text(at: number, words: number, text: string): void {
		const padded = text.padEnd(2 * words).slice(0, 2 * words);
		for (let n = 0; n < words; n++) {
			this.set(at + n, (padded.charCodeAt(2 * n) << 8) | padded.charCodeAt(2 * n + 1));
		}
	}

	/** The modes that there are, and the one chosen (ATA/ATAPI-6, words 63 and 88). */
	modes(mode: TransferMode): void {
		const chosen = (kind: TransferMode["kind"]): number => (mode.kind === kind ? 0x100 << mode.number : 0);
		this.set(63, 0x07 | chosen("mwdma"));
		this.set(88, 0x3f | chosen("udma"));
	}

	bytes(): Uint8Array {
		return new Uint8Array(this.words.buffer);
	}
}

/** The data of IDENTIFY DEVICE (ATA/ATAPI-6, 8.15). */
export function identifyDisk(disk: DiskIdentity): Uint8Array {
	const block = new IdentifyBlock();
	const { geometry, current } = disk;
	// A fixed drive.
	block.set(0, 0x0040, geometry.cylinders, 0, geometry.heads, 512 * geometry.sectors, 512, geometry.sectors);
	block.text(10, 10, disk.serial);
	block.set(20, 3, 512, 4);
	block.text(23, 4, "1.0");
	block.text(27, 20, "TSVMM HARDDISK");
	block.set(47, 0x8000 | MOST_MULTIPLE);
	// 32-bit accesses of the data register; IORDY, LBA, DMA; words 54 to 58, 64 to 70 and 88 count.
	block.set(48, 1, 0x0b00, 0, 0x0200, 0x0200, 0x0007);
	block.set(54, current.cylinders, current.heads, current.sectors);
	block.set32(57, Math.min(current.cylinders * current.heads * current.sectors, disk.sectors));
	block.set(59, disk.multiple === 0 ? 0 : 0x0100 | disk.multiple);
	block.set32(60, Math.min(disk.sectors, LAST_LBA28));
	block.modes(disk.mode);
	// PIO 3 and 4; cycle times in nanoseconds.
	block.set(64, 0x03, 120, 120, 120, 120);
	// ATA-4 to ATA-6.
	block.set(80, 0x0070, 0);
	const [commands, enabled] = commandSets(disk);
	block.set(82, commands, 0x7400, 0x4000, enabled, 0x3400, 0x4000);
	// Master, determined by its jumper; the cable has 80 conductors.
	block.set(93, 0x6001);
	block.set32(100, disk.sectors % 2 ** 32);
	block.set32(102, Math.floor(disk.sectors / 2 ** 32));
	return block.bytes();
}

/** Words 82 and 85: write cache, look-ahead, power management, SMART, NOP. */
function commandSets({ writeCache, lookAhead, smart }: DiskIdentity): readonly [supported: number, enabled: number] {
	const fixed = 0x4008;
	return [fixed | 0x61, fixed | (smart ? 0x01 : 0) | (writeCache ? 0x20 : 0) | (lookAhead ? 0x40 : 0)];
}
