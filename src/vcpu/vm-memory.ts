import { assert, UserError } from "../base/errors.ts";

/** Guest page size, bytes. */
export const PAGE_SIZE = 4096;
const WASM_PAGE = 65536;
/** The largest WebAssembly memory, bytes; the last page stays unused so that every end fits in 32 bits. */
export const MEMORY_LIMIT = 65535 * WASM_PAGE;

/**
 * The one WebAssembly memory of a VM: processor state, TLBs, decoded code, slot tables and guest RAM side by side.
 * It is shared memory, so views taken before it grows stay valid. Host pages are touched only when written.
 */
export class VmMemory {
	readonly memory: WebAssembly.Memory;
	private next: number;

	/** `reserved`: bytes at the bottom that belong to fixed layouts. */
	constructor(reserved = WASM_PAGE) {
		const initial = Math.ceil(reserved / WASM_PAGE);
		try {
			this.memory = new WebAssembly.Memory({ initial, maximum: 65535, shared: true });
		} catch (error) {
			throw new UserError(
				`cannot reserve address space for the guest (${String(error)}); is there a limit such as ulimit -v? Node's --disable-wasm-trap-handler helps`,
			);
		}
		this.next = initial * WASM_PAGE;
	}

	/** Current size in bytes. */
	get size(): number {
		return this.memory.buffer.byteLength;
	}

	/**
	 * Takes `bytes` zeroed bytes, page aligned, for good.
	 * @returns the offset in the memory.
	 * @throws UserError when the 4 GiB of a WebAssembly memory are used up.
	 */
	allocate(bytes: number): number {
		assert(Number.isSafeInteger(bytes) && bytes > 0, "allocation size");
		const at = this.next;
		const end = at + Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE;
		if (end > MEMORY_LIMIT)
			throw new UserError(`guest memory of ${bytes} bytes does not fit: all of it must stay below 4 GiB`);
		const missing = Math.ceil((end - this.size) / WASM_PAGE);
		if (missing > 0) {
			try {
				this.memory.grow(missing);
			} catch (error) {
				throw new UserError(`the host has no memory for ${bytes} bytes of guest memory (${String(error)})`);
			}
		}
		this.next = end;
		return at;
	}

	/** A view of `length` bytes at `offset`. */
	bytes(offset: number, length: number): Uint8Array {
		return new Uint8Array(this.memory.buffer, offset, length);
	}
}
