import type { Errno } from "./errno.ts";
import { isU32, isU64 } from "./unsigned.ts";

/** Operations of KVM_S390_MEM_OP, carried over to x86. 2 and 3 are s390's alone. */
export const MEM_OP = {
	logicalRead: 0,
	logicalWrite: 1,
	absoluteRead: 4,
	absoluteWrite: 5,
	absoluteCmpxchg: 6,
} as const;

/** Flags of a memory operation. */
export const MEM_OP_FLAG = {
	/** Translate and check; no data moves, no accessed or dirty bit is set. */
	checkOnly: 1,
	/** Where the answer is an exception, the guest gets it. */
	injectException: 2,
	/** x86: as supervisor whatever the privilege level. */
	supervisor: 8,
} as const;

/** Most bytes of one operation. */
export const MEM_OP_MAX_SIZE = 65536;
/** Most entries of the dirty ring that a write takes: its pages, and four tables on the way to each. */
export const MEM_OP_RING_ENTRIES = 64;

/** A memory operation (Linux virt/kvm/api, 4.89). */
export interface MemOp {
	/** u64: linear address for logical operations, guest-physical for absolute ones. */
	readonly gaddr: bigint;
	/** Bits of {@link MEM_OP_FLAG}. */
	readonly flags: number;
	/** u32: bytes, 1 .. {@link MEM_OP_MAX_SIZE}; 1, 2, 4, 8 or 16 to compare and exchange. */
	readonly size: number;
	/** One of {@link MEM_OP}. */
	readonly op: number;
	/** At least `size` bytes: takes what is read, has what is written. Not needed to check only. */
	readonly buf?: Uint8Array;
	/** To compare and exchange: the value expected, `size` bytes; it takes the value found where that differs. */
	readonly old?: Uint8Array;
	/** After a positive answer: the exception's error code, and CR2 for a page fault. */
	errorCode?: number;
	cr2?: bigint;
}

/** Checks what all memory operations have in common, in KVM's order: flags, size. @returns 0, EINVAL or E2BIG. */
export function checkMemOp({ gaddr, flags, size, op }: MemOp, knownFlags: number): 0 | Errno {
	if (!isU32(flags) || (flags & ~knownFlags) !== 0) return "EINVAL";
	if (!isU32(size) || size === 0 || !isU64(gaddr) || !isU32(op)) return "EINVAL";
	return size > MEM_OP_MAX_SIZE ? "E2BIG" : 0;
}

/** The buffer of an operation that moves data; EFAULT where it is missing or too short. */
export function bufferOf({ buf, size }: MemOp): Uint8Array | "EFAULT" {
	return buf === undefined || buf.length < size ? "EFAULT" : buf;
}

/**
 * Compares `size` bytes of VM memory at `host` with `old` and, where they are equal, stores `buf` in one atomic step (up to
 * eight bytes; sixteen are atomic because no vCPU runs meanwhile). Else `old` takes what is there.
 * @returns whether it stored.
 */
export function compareExchange(
	buffer: ArrayBufferLike,
	host: number,
	size: number,
	buf: Uint8Array,
	old: Uint8Array,
): boolean {
	if (size === 16) {
		const there = new Uint8Array(buffer, host, 16);
		if (there.every((byte, n) => byte === old[n])) {
			there.set(buf.subarray(0, 16));
			return true;
		}
		old.set(there);
		return false;
	}
	const expected = new DataView(old.buffer, old.byteOffset, size);
	const wanted = new DataView(buf.buffer, buf.byteOffset, size);
	let found: bigint;
	let before: bigint;
	if (size === 8) {
		before = expected.getBigUint64(0, true);
		const view = new BigUint64Array(buffer, host, 1);
		found = Atomics.compareExchange(view, 0, before, wanted.getBigUint64(0, true));
		if (found !== before) expected.setBigUint64(0, found, true);
		return found === before;
	}
	const read = (data: DataView): number =>
		size === 1 ? data.getUint8(0) : size === 2 ? data.getUint16(0, true) : data.getUint32(0, true);
	const view =
		size === 1
			? new Uint8Array(buffer, host, 1)
			: size === 2
				? new Uint16Array(buffer, host, 1)
				: new Uint32Array(buffer, host, 1);
	const was = read(expected);
	const is = Atomics.compareExchange(view, 0, was, read(wanted));
	if (is === was) return true;
	if (size === 1) expected.setUint8(0, is);
	else if (size === 2) expected.setUint16(0, is, true);
	else expected.setUint32(0, is, true);
	return false;
}

/** Sizes that can be compared and exchanged. */
export function isCmpxchgSize(size: number): boolean {
	return size === 1 || size === 2 || size === 4 || size === 8 || size === 16;
}
