import { u8At, u32At } from "./bytes.ts";

/** Bytes before the compressed data: properties, dictionary size, unpacked size. */
const HEADER_SIZE = 13;

/** Probabilities have 11 bits; each bit moves one by 1/32 of what is left. */
const HALF = 1024;
const MODEL_BITS = 11;
const MODEL_TOTAL = 1 << MODEL_BITS;
const MOVE = 5;

const STATES = 12;
/** From here on the last thing was a match, not a literal. */
const FIRST_MATCH_STATE = 7;
const POSITION_STATES = 16;
const LENGTH_STATES = 4;
const ALIGN_BITS = 4;
/** Distances of slots up to here have modelled low bits; from here only the lowest four. */
const MODELLED_SLOTS = 14;
const MATCH_MIN = 2;

/** The stream is broken or ends early. */
export class LzmaError extends Error {
	override readonly name = "LzmaError";
}

function model(size: number): Uint16Array {
	return new Uint16Array(size).fill(HALF);
}

/** The range coder: each bit narrows the range by its probability (LZMA specification of the LZMA SDK, 9.20 and later). */
class RangeDecoder {
	private range = 0xffffffff;
	private code = 0;
	private at: number;
	private readonly bytes: Uint8Array;

	constructor(bytes: Uint8Array, at: number) {
		this.bytes = bytes;
		if (u8At(bytes, at) !== 0) throw new LzmaError("the compressed data does not begin with 0");
		this.code = swap(u32At(bytes, at + 1));
		this.at = at + 5;
	}

	/** More bytes than there are have been used. */
	get exhausted(): boolean {
		return this.at > this.bytes.length;
	}

	bit(probabilities: Uint16Array, index: number): number {
		const probability = probabilities[index]!;
		const bound = (this.range >>> MODEL_BITS) * probability;
		const one = this.code >>> 0 >= bound;
		if (one) {
			this.range = (this.range - bound) >>> 0;
			this.code = (this.code - bound) >>> 0;
			probabilities[index] = probability - (probability >>> MOVE);
		} else {
			this.range = bound;
			probabilities[index] = probability + ((MODEL_TOTAL - probability) >>> MOVE);
		}
		if (this.range < 1 << 24) this.shift();
		return one ? 1 : 0;
	}

	/** `count` bits that have no model, the highest first. */
	direct(count: number): number {
		let value = 0;
		for (let i = 0; i < count; i++) {
			this.range >>>= 1;
			const one = this.code >>> 0 >= this.range;
			if (one) this.code = (this.code - this.range) >>> 0;
			value = (value << 1) | (one ? 1 : 0);
			if (this.range < 1 << 24) this.shift();
		}
		return value >>> 0;
	}

	/** A number of `count` bits, the highest first, by a tree of models that begins at `base`. */
	tree(probabilities: Uint16Array, base: number, count: number): number {
		let node = 1;
		for (let i = 0; i < count; i++) node = (node << 1) | this.bit(probabilities, base + node);
		return node - (1 << count);
	}

	/** Likewise, the lowest bit first. */
	reverseTree(probabilities: Uint16Array, base: number, count: number): number {
		let node = 1;
		let value = 0;
		for (let i = 0; i < count; i++) {
			const bit = this.bit(probabilities, base + node);
			node = (node << 1) | bit;
			value |= bit << i;
		}
		return value;
	}

	private shift(): void {
		this.range = (this.range << 8) >>> 0;
		this.code = ((this.code << 8) | (this.bytes[this.at] ?? 0)) >>> 0;
		this.at++;
	}
}

function swap(value: number): number {
	return ((value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
}

/** Lengths of matches: 2 to 273. */
class LengthDecoder {
	private readonly choice = model(2);
	private readonly low = model(POSITION_STATES << 3);
	private readonly mid = model(POSITION_STATES << 3);
	private readonly high = model(256);

	decode(coder: RangeDecoder, positionState: number): number {
		if (coder.bit(this.choice, 0) === 0) return MATCH_MIN + coder.tree(this.low, positionState << 3, 3);
		if (coder.bit(this.choice, 1) === 0) return MATCH_MIN + 8 + coder.tree(this.mid, positionState << 3, 3);
		return MATCH_MIN + 16 + coder.tree(this.high, 0, 8);
	}
}

/** Bytes that unpacking would take; undefined where the stream does not say. */
function unpackedSize(packed: Uint8Array): number | undefined {
	const size = u32At(packed, 5) + u32At(packed, 9) * 2 ** 32;
	return packed.length < HEADER_SIZE || size >= 2 ** 53 ? undefined : size;
}

/**
 * Unpacks a stream in the format of `lzma` files: properties, dictionary size and unpacked size, then the data.
 * @throws LzmaError when it is broken, ends early, does not say its size, or would take more than `limit` bytes.
 */
export function unpackLzma(packed: Uint8Array, limit: number): Uint8Array {
	const size = unpackedSize(packed);
	if (size === undefined) throw new LzmaError("the unpacked size is missing");
	if (size > limit) throw new LzmaError(`${size} bytes unpacked are more than the ${limit} that are possible`);
	const properties = u8At(packed, 0);
	if (properties >= 9 * 5 * 5) throw new LzmaError(`properties ${properties} do not exist`);
	return new Unpacking(packed, properties, size).run();
}

/** One stream on its way. */
class Unpacking {
	private readonly coder: RangeDecoder;
	private readonly output: Uint8Array;
	private filled = 0;
	private readonly literalContext: number;
	private readonly literalPositionMask: number;
	private readonly positionMask: number;
	private readonly literals: Uint16Array;
	private readonly isMatch = model(STATES * POSITION_STATES);
	private readonly isRepeat = model(STATES);
	private readonly isRepeat0 = model(STATES);
	private readonly isRepeat1 = model(STATES);
	private readonly isRepeat2 = model(STATES);
	private readonly isRepeat0Long = model(STATES * POSITION_STATES);
	private readonly slots = model(LENGTH_STATES << 6);
	private readonly lowDistances = model(1 << 7);
	private readonly align = model(1 << ALIGN_BITS);
	private readonly lengths = new LengthDecoder();
	private readonly repeatLengths = new LengthDecoder();
	/** The last four distances less one, the latest first. */
	private readonly repeats: [number, number, number, number] = [0, 0, 0, 0];
	private state = 0;

	constructor(packed: Uint8Array, properties: number, size: number) {
		this.literalContext = properties % 9;
		const literalPosition = Math.floor(properties / 9) % 5;
		this.literalPositionMask = (1 << literalPosition) - 1;
		this.positionMask = (1 << Math.floor(properties / 45)) - 1;
		this.literals = model(0x300 << (this.literalContext + literalPosition));
		this.coder = new RangeDecoder(packed, HEADER_SIZE);
		this.output = new Uint8Array(size);
	}

	run(): Uint8Array {
		const { coder, output } = this;
		while (this.filled < output.length) {
			if (coder.exhausted) throw new LzmaError(`the data ends after ${this.filled} of ${output.length} bytes`);
			const positionState = this.filled & this.positionMask;
			if (coder.bit(this.isMatch, (this.state << 4) + positionState) === 0) this.literal();
			else this.copy(this.match(positionState));
		}
		return output;
	}

	private literal(): void {
		const { coder, output, literals } = this;
		const before = this.filled === 0 ? 0 : output[this.filled - 1]!;
		const position = (this.filled & this.literalPositionMask) << this.literalContext;
		const base = 0x300 * (position + (before >>> (8 - this.literalContext)));
		let symbol = 1;
		if (this.state >= FIRST_MATCH_STATE) {
			// After a match the byte that would have continued it is a good guess.
			let guess = output[this.filled - this.repeats[0] - 1]!;
			while (symbol < 0x100) {
				const expected = (guess >>> 7) & 1;
				guess <<= 1;
				const bit = coder.bit(literals, base + ((1 + expected) << 8) + symbol);
				symbol = (symbol << 1) | bit;
				if (bit !== expected) break;
			}
		}
		while (symbol < 0x100) symbol = (symbol << 1) | coder.bit(literals, base + symbol);
		output[this.filled++] = symbol;
		if (this.state < 4) this.state = 0;
		else this.state -= this.state < 10 ? 3 : 6;
	}

	/** The length of a match; its distance is the first of `repeats` afterwards. */
	private match(positionState: number): number {
		const { coder, repeats, state } = this;
		const afterLiteral = state < FIRST_MATCH_STATE;
		if (coder.bit(this.isRepeat, state) === 0) {
			const length = this.lengths.decode(coder, positionState);
			repeats.unshift(this.distance(length));
			repeats.pop();
			this.state = afterLiteral ? 7 : 10;
			return length;
		}
		if (coder.bit(this.isRepeat0, state) === 0) {
			if (coder.bit(this.isRepeat0Long, (state << 4) + positionState) === 0) {
				this.state = afterLiteral ? 9 : 11;
				return 1;
			}
		} else {
			const which = coder.bit(this.isRepeat1, state) === 0 ? 1 : 2 + coder.bit(this.isRepeat2, state);
			const [distance = 0] = repeats.splice(which, 1);
			repeats.unshift(distance);
		}
		this.state = afterLiteral ? 8 : 11;
		return this.repeatLengths.decode(coder, positionState);
	}

	/** Less one. */
	private distance(length: number): number {
		const { coder } = this;
		const slot = coder.tree(this.slots, Math.min(length - MATCH_MIN, LENGTH_STATES - 1) << 6, 6);
		if (slot < 4) return slot;
		const bits = (slot >>> 1) - 1;
		const base = ((2 | (slot & 1)) << bits) >>> 0;
		if (slot < MODELLED_SLOTS) return base + coder.reverseTree(this.lowDistances, base - slot, bits);
		const high = coder.direct(bits - ALIGN_BITS) * (1 << ALIGN_BITS);
		return base + high + coder.reverseTree(this.align, 0, ALIGN_BITS);
	}

	private copy(length: number): void {
		const { output } = this;
		const distance = this.repeats[0] + 1;
		if (distance === 2 ** 32) throw new LzmaError(`the data ends after ${this.filled} of ${output.length} bytes`);
		if (distance > this.filled) throw new LzmaError(`a match lies before the beginning, at byte ${this.filled}`);
		const end = Math.min(this.filled + length, output.length);
		for (; this.filled < end; this.filled++) output[this.filled] = output[this.filled - distance]!;
	}
}
