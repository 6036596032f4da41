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

/** What the host may do with memory of its own (mprotect). */
export type HostAccess = "none" | "read" | "readWrite";

/** Bit 0 of {@link Backing.pageAt}: the page may only be read. */
const READ_ONLY = 1;

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
	/** Pages, by number, that are not readable and writable. */
	private readonly restricted = new Map<bigint, "none" | "read">();
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
		this.changed(first, last);
		return { view: this.memory.bytes(offset, bytes), userspaceAddr: first, offset };
	}

	/**
	 * mprotect(2) on whole pages: from now on the guest may use them only so.
	 * @returns whether all of them are part of buffers and the range consists of pages; else nothing has changed.
	 */
	protect(userspaceAddr: bigint, size: bigint, access: HostAccess): boolean {
		if (size <= 0n || (userspaceAddr | size) & (PAGE - 1n) || this.bytes(userspaceAddr, size) === undefined)
			return false;
		for (let page = userspaceAddr / PAGE; page < (userspaceAddr + size) / PAGE; page++) {
			if (access === "readWrite") this.restricted.delete(page);
			else this.restricted.set(page, access);
		}
		this.changed(userspaceAddr, userspaceAddr + size - 1n);
		return true;
	}

	/**
	 * Puts fresh zero pages behind a range of a buffer, as mmap(2) with MAP_FIXED does.
	 * @returns what lies there now; undefined where the range is no part of a buffer or does not consist of pages.
	 */
	replace(userspaceAddr: bigint, size: bigint): HostBuffer | undefined {
		if (size <= 0n || (userspaceAddr | size) & (PAGE - 1n)) return undefined;
		const view = this.bytes(userspaceAddr, size);
		if (view === undefined || !this.protect(userspaceAddr, size, "readWrite")) return undefined;
		view.fill(0);
		return { view, userspaceAddr, offset: view.byteOffset };
	}

	/** The `size` bytes at a host address where all of them lie in one buffer. */
	bytes(userspaceAddr: bigint, size: bigint): Uint8Array | undefined {
		const piece = findRange(this.pieces, userspaceAddr);
		if (piece === undefined || size <= 0n || userspaceAddr + size - 1n > piece.last) return undefined;
		return this.memory.bytes(piece.offset + Number(userspaceAddr - piece.first), Number(size));
	}

	private changed(first: bigint, last: bigint): void {
		for (const listener of this.listeners) listener(first, last);
	}

	private isRestricted(first: bigint, last: bigint): boolean {
		if (this.restricted.size === 0) return false;
		for (const page of this.restricted.keys()) if (page >= first / PAGE && page <= last / PAGE) return true;
		return false;
	}

	/** What `size` bytes from `userspaceAddr` on are bound to; both multiples of 4096, size > 0. */
	bind(userspaceAddr: bigint, size: bigint): Binding {
		const last = userspaceAddr + size - 1n;
		const piece = findRange(this.pieces, userspaceAddr);
		if (piece !== undefined && last <= piece.last && !this.isRestricted(userspaceAddr, last)) {
			return { kind: "contiguous", offset: piece.offset + Number(userspaceAddr - piece.first) };
		}
		const touched = this.pieces.some((each) => each.first <= last && each.last >= userspaceAddr);
		return touched ? { kind: "scattered" } : { kind: "none" };
	}

	/** Where the page at a host address lies in the VM's memory, bit 0 set where it may only be read; 0 where nothing backs it. */
	pageAt(userspaceAddr: bigint): number {
		const piece = findRange(this.pieces, userspaceAddr);
		const access = this.restricted.get(userspaceAddr / PAGE);
		if (piece === undefined || access === "none") return 0;
		return piece.offset + Number(userspaceAddr - piece.first) + (access === "read" ? READ_ONLY : 0);
	}
}
