import type { FlashArray } from "./pflash-array.ts";
import type { FlashLocking, FlashRefusal } from "./pflash-events.ts";
import type { FlashBlock, FlashRun } from "./pflash-geometry.ts";
import type { FlashReports } from "./pflash-reports.ts";

/**
 * What one of several chips side by side has of a flash: words as wide as the chip, numbered from 0. Word `n` of all chips together
 * is word `n` of the bank. Programming only clears bits.
 */
export class FlashLane {
	/** Bytes of a word. */
	readonly width: number;
	readonly array: FlashArray;
	readonly reports: FlashReports;
	/** Bytes of a word of the bank. */
	private readonly bankWidth: number;
	/** Of this chip's word in one of the bank, bytes. */
	private readonly start: number;

	constructor(array: FlashArray, reports: FlashReports, lane: number, width: number, bankWidth: number) {
		this.array = array;
		this.reports = reports;
		this.width = width;
		this.bankWidth = bankWidth;
		this.start = lane * width;
	}

	/** The erase blocks of this chip. */
	get runs(): FlashRun[] {
		const chips = this.bankWidth / this.width;
		return this.array.geometry.runs.map(({ count, size }) => ({ count, size: size / chips }));
	}

	/** Where the bank's word lies, for reports. */
	offset(word: number): number {
		return word * this.bankWidth;
	}

	/** The block around a word; its offset and length are the bank's. */
	blockAt(word: number): FlashBlock {
		return this.array.geometry.blockAt(this.offset(word));
	}

	/** First word of a block. */
	firstWord(block: FlashBlock): number {
		return block.offset / this.bankWidth;
	}

	read(word: number): number {
		return this.array.read(this.offset(word) + this.start, this.width);
	}

	/** Reported as `kind`. True when every bit is as it should be: a 0 stays a 0. */
	program(word: number, value: number, kind: "program" | "program-buffer" = "program"): boolean {
		const at = this.offset(word) + this.start;
		this.reports.program(at, this.width, value, kind);
		const cells = (this.array.read(at, this.width) & value) >>> 0;
		this.array.program(at, this.width, cells);
		return cells === value;
	}

	/** Not reported: it may come later than its command. */
	erase(block: FlashBlock): void {
		if (this.width === this.bankWidth) this.array.erase(block);
		else this.array.eraseLane(block, this.start, this.width, this.bankWidth);
	}

	lock(action: FlashLocking, block: FlashBlock): void {
		this.reports.lock(action, block);
	}

	error(word: number, status: number, reason: FlashRefusal): void {
		this.reports.error(this.offset(word), status, reason);
	}
}
