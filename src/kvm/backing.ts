import { assert } from "../base/errors.ts";
import { findRange } from "../base/ranges.ts";
import { PAGE_SIZE, type VmMemory } from "../vcpu/vm-memory.ts";

/** One past the last address of KVM's user half (x86-64 TASK_SIZE_MAX). */
export const USER_END = 0x7fff_ffff_f000n;

/** Where user space keeps its buffers; below are addresses that nobody backs. */
const FIRST_BUFFER = 0x7f00_0000_0000n;
/** Guest and host addresses equal in their low 21 bits allow large mappings (Linux virt/kvm/api, 4.35). */
const BUFFER_ALIGN = 0x20_0000n;

const PAGE = BigInt(PAGE_SIZE);

/** A host buffer that slots may refer to. */
export interface HostBuffer {
	/** Its bytes, zero to begin with; the guest sees what is written here. */
	readonly view: Uint8Array;
	/** Its address as slots name it; a multiple of 2 MiB. */
	readonly userspaceAddr: bigint;
	/** Its place in the VM's memory. */
	readonly offset: number;
}

interface Piece {
	readonly first: bigint;
	readonly last: bigint;
	/** Where the byte at `first` lies in the VM's memory. */
	readonly offset: number;
}

/** How the host addresses of a slot map to the VM's memory. */
export type Binding =
	/** One piece, from this offset on. */
	| { readonly kind: "contiguous"; readonly offset: number }
	/** Pages here and there; {@link Backing.pageAt} tells. */
	| { readonly kind: "scattered" }
	/** None of them is backed. Legal until touched. */
	| { readonly kind: "none" };

/** The host's side of guest memory: which host virtual addresses (hva) have bytes, and where in the VM's memory those lie. */
export class Backing {
	private readonly memory: VmMemory;
	/** Sorted, disjoint. */
	private readonly pieces: Piece[] = [];
	private next = FIRST_BUFFER;
	private readonly listeners: ((first: bigint, last: bigint) => void)[] = [];

	constructor(memory: VmMemory) {
		this.memory = memory;
	}

	/** Calls `listener` whenever what lies behind the host addresses first..last has changed (KVM's MMU notifier). */
	onChange(listener: (first: bigint, last: bigint) => void): void {
		this.listeners.push(listener);
	}

	/**
	 * A new buffer of `bytes` zeroed bytes, rounded up to whole pages.
	 * @throws UserError when it does not fit the VM's memory.
	 */
	allocate(bytes: number): HostBuffer {
		const offset = this.memory.allocate(bytes);
		const first = this.next;
		const last = first + ((BigInt(bytes) + PAGE - 1n) / PAGE) * PAGE - 1n;
		assert(last < USER_END, "host addresses");
		// The gap after it keeps an overlong slot from reaching the next buffer unnoticed.
		this.next = ((last + BUFFER_ALIGN) / BUFFER_ALIGN + 1n) * BUFFER_ALIGN;
		this.pieces.push({ first, last, offset });
		for (const listener of this.listeners) listener(first, last);
		return { view: this.memory.bytes(offset, bytes), userspaceAddr: first, offset };
	}

	/** What `size` bytes from `userspaceAddr` on are bound to; both multiples of 4096, size > 0. */
	bind(userspaceAddr: bigint, size: bigint): Binding {
		const last = userspaceAddr + size - 1n;
		const piece = findRange(this.pieces, userspaceAddr);
		if (piece !== undefined && last <= piece.last) {
			return { kind: "contiguous", offset: piece.offset + Number(userspaceAddr - piece.first) };
		}
		const touched = this.pieces.some((each) => each.first <= last && each.last >= userspaceAddr);
		return touched ? { kind: "scattered" } : { kind: "none" };
	}

	/** Where the byte at a host address lies in the VM's memory; 0 where nothing backs it. */
	pageAt(userspaceAddr: bigint): number {
		const piece = findRange(this.pieces, userspaceAddr);
		return piece === undefined ? 0 : piece.offset + Number(userspaceAddr - piece.first);
	}
}
