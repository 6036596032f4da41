import { assert } from "../base/errors.ts";

/** Erase blocks of one size, in a row. */
export interface FlashRun {
	readonly count: number;
	/** Bytes: a power of two. */
	readonly size: number;
}

export interface FlashBlock {
	readonly index: number;
	/** Of its first byte. */
	readonly offset: number;
	/** Bytes. */
	readonly length: number;
}

interface PlacedRun extends FlashRun {
	readonly offset: number;
	readonly firstBlock: number;
}

/** How a flash is divided into erase blocks, from the lowest address on. */
export class FlashGeometry {
	readonly runs: readonly FlashRun[];
	/** Bytes. */
	readonly size: number;
	readonly blockCount: number;
	private readonly placed: readonly PlacedRun[];

	constructor(runs: readonly FlashRun[]) {
		let offset = 0;
		let firstBlock = 0;
		this.runs = runs;
		this.placed = runs.map((run) => {
			assert(run.count > 0 && run.size > 0 && (run.size & (run.size - 1)) === 0, "a run of flash blocks");
			const placed = { ...run, offset, firstBlock };
			offset += run.count * run.size;
			firstBlock += run.count;
			return placed;
		});
		this.size = offset;
		this.blockCount = firstBlock;
	}

	/** The block around a byte of the flash. */
	blockAt(offset: number): FlashBlock {
		const run = this.placed.findLast((each) => each.offset <= offset);
		assert(run !== undefined && offset < this.size, "a byte of the flash");
		const inRun = Math.floor((offset - run.offset) / run.size);
		return { index: run.firstBlock + inRun, offset: run.offset + inRun * run.size, length: run.size };
	}

	/** All of them, from the lowest address on. */
	blocks(): FlashBlock[] {
		return this.placed.flatMap(({ count, size, offset, firstBlock }) =>
			Array.from({ length: count }, (_, n) => ({ index: firstBlock + n, offset: offset + n * size, length: size })),
		);
	}
}
