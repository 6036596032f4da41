/** A file of symbols that cannot be what it claims to be. The message goes on after the file's name: `is damaged: …`. */
export class Damaged extends Error {
	override readonly name = "Damaged";
}

const LONGEST_NAME = 4096;

/** Little-endian bytes of a file; whatever is read beyond their end is {@link Damaged}, and says what is missing. */
export class Bytes {
	readonly data: Buffer;
	/** What the bytes are, for messages: `its symbol table`. */
	readonly what: string;

	constructor(data: Uint8Array, what: string) {
		this.data = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
		this.what = what;
	}

	get size(): number {
		return this.data.length;
	}
	u8(at: number): number {
		this.need(at, 1);
		return this.data.readUInt8(at);
	}
	u16(at: number): number {
		this.need(at, 2);
		return this.data.readUInt16LE(at);
	}
	u32(at: number): number {
		this.need(at, 4);
		return this.data.readUInt32LE(at);
	}
	u64(at: number): bigint {
		this.need(at, 8);
		return this.data.readBigUInt64LE(at);
	}
	/** Four or eight bytes. */
	word(at: number, bytes: 4 | 8): bigint {
		return bytes === 8 ? this.u64(at) : BigInt(this.u32(at));
	}
	slice(at: number, size: number, what = this.what): Bytes {
		this.need(at, size);
		return new Bytes(this.data.subarray(at, at + size), what);
	}
	/** Text up to a NUL, the end of the bytes, or a length that no name has. */
	text(at: number): string {
		this.need(at, 0);
		const end = this.data.indexOf(0, at);
		const last = Math.min(end < 0 ? this.size : end, at + LONGEST_NAME);
		return this.data.toString("utf8", at, last);
	}

	private need(at: number, size: number): void {
		if (at >= 0 && size >= 0 && at + size <= this.size) return;
		throw new Damaged(`is damaged or truncated: ${this.what} has ${this.size} bytes, and byte ${at + size} is needed`);
	}
}

/** Reads bytes one after the other. */
export class Cursor {
	readonly bytes: Bytes;
	at: number;
	readonly end: number;

	constructor(bytes: Bytes, at = 0, end = bytes.size) {
		this.bytes = bytes;
		this.at = at;
		this.end = end;
		if (at > end || end > bytes.size) throw new Damaged(`is damaged or truncated: ${bytes.what} ends too early`);
	}

	get more(): boolean {
		return this.at < this.end;
	}
	u8(): number {
		return this.bytes.u8(this.advance(1));
	}
	i8(): number {
		return (this.u8() << 24) >> 24;
	}
	u16(): number {
		return this.bytes.u16(this.advance(2));
	}
	u32(): number {
		return this.bytes.u32(this.advance(4));
	}
	u64(): bigint {
		return this.bytes.u64(this.advance(8));
	}
	word(size: 4 | 8): bigint {
		return this.bytes.word(this.advance(size), size);
	}
	/** An offset of four or eight bytes; never more than a file can have. */
	offset(size: 4 | 8): number {
		return size === 4 ? this.u32() : Number(this.u64());
	}
	/** DWARF's variable-length unsigned number; exact below 2^53. */
	uleb(): number {
		let value = 0;
		let scale = 1;
		for (;;) {
			const byte = this.u8();
			if (scale < 2 ** 64) value += (byte & 0x7f) * scale;
			if ((byte & 0x80) === 0) return value;
			scale *= 128;
		}
	}
	/** DWARF's variable-length signed number; exact within 2^53. */
	sleb(): number {
		let value = 0;
		let scale = 1;
		for (;;) {
			const byte = this.u8();
			if (scale < 2 ** 64) value += (byte & 0x7f) * scale;
			scale *= 128;
			if ((byte & 0x80) === 0) return (byte & 0x40) !== 0 && scale <= 2 ** 70 ? value - scale : value;
		}
	}
	text(): string {
		const text = this.bytes.text(this.at);
		const end = this.bytes.data.indexOf(0, this.at);
		this.at = end < 0 ? this.end : end + 1;
		return text;
	}
	take(size: number): Bytes {
		return this.bytes.slice(this.advance(size), size);
	}
	skip(size: number): void {
		this.advance(size);
	}

	private advance(size: number): number {
		const at = this.at;
		if (size < 0 || at + size > this.end)
			throw new Damaged(`is damaged: ${this.bytes.what} ends in the middle of an entry`);
		this.at = at + size;
		return at;
	}
}
