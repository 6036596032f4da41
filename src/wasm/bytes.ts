/** A growing byte buffer with the LEB128 encodings of the WebAssembly binary format. */
export class ByteWriter {
	private data: Uint8Array;
	length = 0;

	constructor(capacity = 256) {
		this.data = new Uint8Array(capacity);
	}

	private reserve(extra: number): void {
		if (this.length + extra <= this.data.length) return;
		const bigger = new Uint8Array(Math.max(this.data.length * 2, this.length + extra));
		bigger.set(this.data.subarray(0, this.length));
		this.data = bigger;
	}

	u8(byte: number): void {
		if (this.length === this.data.length) this.reserve(1);
		this.data[this.length++] = byte;
	}

	/** Unsigned LEB128 of a number in 0..2^32-1. */
	u32(value: number): void {
		let rest = value >>> 0;
		while (rest >= 0x80) {
			this.u8((rest & 0x7f) | 0x80);
			rest >>>= 7;
		}
		this.u8(rest);
	}

	/** Signed LEB128 of a 32-bit number. */
	s32(value: number): void {
		let rest = value | 0;
		while (rest < -64 || rest > 63) {
			this.u8((rest & 0x7f) | 0x80);
			rest >>= 7;
		}
		this.u8(rest & 0x7f);
	}

	/** Signed LEB128 of a 64-bit number. */
	s64(value: bigint): void {
		let rest = BigInt.asIntN(64, value);
		if (rest >= -0x80000000n && rest <= 0x7fffffffn) {
			this.s32(Number(rest));
			return;
		}
		while (rest < -64n || rest > 63n) {
			this.u8(Number(rest & 0x7fn) | 0x80);
			rest >>= 7n;
		}
		this.u8(Number(rest & 0x7fn));
	}

	bytes(source: Uint8Array): void {
		this.reserve(source.length);
		this.data.set(source, this.length);
		this.length += source.length;
	}

	name(text: string): void {
		const encoded = new TextEncoder().encode(text);
		this.u32(encoded.length);
		this.bytes(encoded);
	}

	/** Appends `content` as a section: id, size, bytes. */
	section(id: number, content: ByteWriter): void {
		this.u8(id);
		this.u32(content.length);
		this.bytes(content.view());
	}

	/** The bytes written so far; valid until the next write. */
	view(): Uint8Array {
		return this.data.subarray(0, this.length);
	}

	take(): Uint8Array<ArrayBuffer> {
		return new Uint8Array(this.view());
	}
}
