import { UserError } from "../base/errors.ts";
import { PAGE_SIZE, type VmMemory } from "../vcpu/vm-memory.ts";

const SMALLEST = 64;

/** Pieces of VM memory for tables and bitmaps that come and go: powers of two, kept for reuse. */
export class MemslotsPool {
	readonly memory: VmMemory;
	private readonly free = new Map<number, number[]>();

	constructor(memory: VmMemory) {
		this.memory = memory;
	}

	/** `bytes` zeroed bytes, aligned to 64; 0 when the VM's memory is full. */
	allocate(bytes: number): number {
		const size = sizeClass(bytes);
		const recycled = this.free.get(size)?.pop();
		if (recycled !== undefined) {
			this.memory.bytes(recycled, size).fill(0);
			return recycled;
		}
		try {
			const at = this.memory.allocate(Math.max(size, PAGE_SIZE));
			for (let rest = at + size; rest < at + PAGE_SIZE; rest += size) this.release(rest, size);
			return at;
		} catch (error) {
			if (error instanceof UserError) return 0;
			throw error;
		}
	}

	/** Takes back what {@link allocate} gave for `bytes`; 0 is nothing. */
	release(offset: number, bytes: number): void {
		if (offset === 0) return;
		const size = sizeClass(bytes);
		const list = this.free.get(size);
		if (list === undefined) this.free.set(size, [offset]);
		else list.push(offset);
	}
}

function sizeClass(bytes: number): number {
	return Math.max(SMALLEST, 2 ** Math.ceil(Math.log2(bytes)));
}
