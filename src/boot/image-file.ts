import { UserError } from "../base/errors.ts";

/** A guest image with its name for messages. Whatever is read beyond its end is a {@link UserError} that says what is missing. */
export class ImageFile {
	/** As messages begin: `--kernel: vmlinuz`. */
	readonly name: string;
	readonly bytes: Uint8Array;
	private readonly view: DataView;

	constructor(name: string, bytes: Uint8Array) {
		this.name = name;
		this.bytes = bytes;
		this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
	}

	get size(): number {
		return this.bytes.length;
	}

	u8(at: number, what: string): number {
		this.need(at, 1, what);
		return this.view.getUint8(at);
	}

	u16(at: number, what: string): number {
		this.need(at, 2, what);
		return this.view.getUint16(at, true);
	}

	u32(at: number, what: string): number {
		this.need(at, 4, what);
		return this.view.getUint32(at, true);
	}

	u64(at: number, what: string): bigint {
		this.need(at, 8, what);
		return this.view.getBigUint64(at, true);
	}

	/** @throws UserError unless all of `size` bytes at `at` are there. */
	slice(at: number, size: number, what: string): Uint8Array {
		this.need(at, size, what);
		return this.bytes.subarray(at, at + size);
	}

	/** The error that says that the image cannot be used; `problem` goes on after the name. */
	refuse(problem: string): UserError {
		return new UserError(`${this.name} ${problem}`);
	}

	private need(at: number, size: number, what: string): void {
		if (at + size <= this.size) return;
		throw this.refuse(`is truncated: ${what} ends at byte ${at + size}, and the file has ${this.size}`);
	}
}
