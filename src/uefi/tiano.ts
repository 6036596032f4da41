import { u8At, u32At } from "./bytes.ts";

/** Packed and unpacked size. */
const HEADER_SIZE = 8;
/** Codes for literals (256) and lengths 3 to 256. */
const SYMBOLS = 510;
const SYMBOL_COUNT_BITS = 9;
/** Codes for the lengths of codes. */
const LENGTHS = 19;
const LENGTH_COUNT_BITS = 5;
const LONGEST_CODE = 16;
const MIN_MATCH = 3;

/** The stream is broken or ends early. */
export class TianoError extends Error {
	override readonly name = "TianoError";
}

/** Bits, the highest of a byte first; past the end zeros. */
class BitReader {
	private readonly bytes: Uint8Array;
	private readonly end: number;
	private position: number;

	constructor(bytes: Uint8Array, start: number, end: number) {
		this.bytes = bytes;
		this.position = 8 * start;
		this.end = 8 * end;
	}

	get exhausted(): boolean {
		return this.position > this.end;
	}

	/** Up to 24. */
	read(count: number): number {
		let value = 0;
		for (let i = 0; i < count; i++) value = (value << 1) | this.bit();
		return value;
	}

	bit(): number {
		const at = this.position++;
		return at >= this.end ? 0 : (u8At(this.bytes, at >>> 3) >>> (7 - (at & 7))) & 1;
	}
}

/** A canonical prefix code, given by the length of each symbol's code; 0 is none. */
class PrefixCode {
	private readonly counts = new Uint16Array(LONGEST_CODE + 1);
	private readonly symbols: number[] = [];
	/** The one symbol that takes no bits. */
	private readonly only: number | undefined;

	private constructor(lengths: readonly number[], only: number | undefined) {
		this.only = only;
		for (const length of lengths) this.counts[length]!++;
		this.counts[0] = 0;
		for (let length = 1; length <= LONGEST_CODE; length++) {
			for (let symbol = 0; symbol < lengths.length; symbol++) if (lengths[symbol] === length) this.symbols.push(symbol);
		}
		let room = 1;
		for (let length = 1; length <= LONGEST_CODE; length++) room = 2 * room - this.counts[length]!;
		if (only === undefined && room !== 0) throw new TianoError("a table of codes is not complete");
	}

	static of(lengths: readonly number[]): PrefixCode {
		return new PrefixCode(lengths, undefined);
	}

	static always(symbol: number): PrefixCode {
		return new PrefixCode([], symbol);
	}

	decode(bits: BitReader): number {
		if (this.only !== undefined) return this.only;
		let code = 0;
		let first = 0;
		let index = 0;
		for (let length = 1; length <= LONGEST_CODE; length++) {
			code |= bits.bit();
			const count = this.counts[length]!;
			if (code - first < count) return this.symbols[index + code - first]!;
			index += count;
			first = (first + count) << 1;
			code <<= 1;
		}
		throw new TianoError("a code does not exist");
	}
}

/**
 * Unpacks what UEFI calls standard compression (UEFI 2.10, chapter 19): blocks of prefix codes for literals, lengths and
 * distances. `distanceBits` is 4 there, and 5 in the variant that edk2 names Tiano.
 * @throws TianoError when the stream is broken or would take more than `limit` bytes.
 */
export function unpackTiano(packed: Uint8Array, distanceBits: 4 | 5, limit: number): Uint8Array {
	const packedSize = u32At(packed, 0);
	const size = u32At(packed, 4);
	if (packed.length < HEADER_SIZE || packedSize > packed.length - HEADER_SIZE) {
		throw new TianoError("the compressed data ends early");
	}
	if (size > limit) throw new TianoError(`${size} bytes unpacked are more than the ${limit} that are possible`);
	const bits = new BitReader(packed, HEADER_SIZE, HEADER_SIZE + packedSize);
	const output = new Uint8Array(size);
	for (let filled = 0; filled < size; ) filled = block(bits, output, filled, distanceBits);
	return output;
}

/** Unpacks one block. @returns how much of `output` is filled then. */
function block(bits: BitReader, output: Uint8Array, start: number, distanceBits: number): number {
	let left = bits.read(16);
	if (left === 0) throw new TianoError("a block is empty");
	const lengthCode = lengthTable(bits, LENGTH_COUNT_BITS, LENGTHS, 3);
	const symbolCode = symbolTable(bits, lengthCode);
	const distanceCode = lengthTable(bits, distanceBits, (1 << distanceBits) - 1, -1);
	let filled = start;
	for (; left > 0 && filled < output.length; left--) {
		if (bits.exhausted) throw new TianoError(`the data ends after ${filled} of ${output.length} bytes`);
		const symbol = symbolCode.decode(bits);
		if (symbol < 256) {
			output[filled++] = symbol;
			continue;
		}
		const distance = distanceOf(bits, distanceCode.decode(bits));
		if (distance > filled) throw new TianoError(`a match lies before the beginning, at byte ${filled}`);
		const end = Math.min(output.length, filled + symbol - 256 + MIN_MATCH);
		for (; filled < end; filled++) output[filled] = output[filled - distance]!;
	}
	return filled;
}

function distanceOf(bits: BitReader, slot: number): number {
	if (slot <= 1) return slot + 1;
	return 2 ** (slot - 1) + longRead(bits, slot - 1) + 1;
}

function longRead(bits: BitReader, count: number): number {
	if (count <= 24) return bits.read(count);
	return bits.read(count - 24) * 2 ** 24 + bits.read(24);
}

/** A table of lengths in three bits each, longer ones in unary. After symbol `gapAfter` - 1 up to three may be left out. */
function lengthTable(bits: BitReader, countBits: number, most: number, gapAfter: number): PrefixCode {
	const count = bits.read(countBits);
	if (count === 0) return PrefixCode.always(bits.read(countBits));
	if (count > most) throw new TianoError("a table of codes is too long");
	const lengths: number[] = [];
	while (lengths.length < count) {
		let length = bits.read(3);
		if (length === 7) {
			while (bits.bit() === 1) {
				if (++length > LONGEST_CODE) throw new TianoError("a code is too long");
			}
		}
		lengths.push(length);
		if (lengths.length === gapAfter) for (let gap = bits.read(2); gap > 0; gap--) lengths.push(0);
	}
	return PrefixCode.of(lengths);
}

/** The table of literals and lengths, whose lengths are coded themselves; 0 to 2 are runs of unused symbols. */
function symbolTable(bits: BitReader, lengthCode: PrefixCode): PrefixCode {
	const count = bits.read(SYMBOL_COUNT_BITS);
	if (count === 0) return PrefixCode.always(bits.read(SYMBOL_COUNT_BITS));
	if (count > SYMBOLS) throw new TianoError("a table of codes is too long");
	const lengths: number[] = [];
	while (lengths.length < count) {
		const code = lengthCode.decode(bits);
		if (code > 2) {
			lengths.push(code - 2);
			continue;
		}
		let run = 1;
		if (code === 1) run = bits.read(4) + 3;
		if (code === 2) run = bits.read(SYMBOL_COUNT_BITS) + 20;
		for (; run > 0 && lengths.length < count; run--) lengths.push(0);
	}
	return PrefixCode.of(lengths);
}
