import type { KvmResult } from "./errno.ts";
import { EventFd } from "./eventfd.ts";
import { isU32, isU64 } from "./unsigned.ts";

/** Flags of KVM_IOEVENTFD. */
export const IOEVENTFD = { datamatch: 1, pio: 2, deassign: 4, virtioCcwNotify: 8 } as const;
const KNOWN_FLAGS = IOEVENTFD.datamatch | IOEVENTFD.pio | IOEVENTFD.deassign | IOEVENTFD.virtioCcwNotify;
const BUS_FLAGS = IOEVENTFD.pio | IOEVENTFD.virtioCcwNotify;

/** The argument of KVM_IOEVENTFD: a write that signals an eventfd instead of leaving the guest. */
export interface IoEventFd {
	/** What is signalled; anything that is no {@link EventFd} is EBADF. */
	readonly eventfd: EventFd | undefined;
	/** u64: guest-physical address or port. */
	readonly addr: bigint;
	/** Bytes of the write: 1, 2, 4, 8; 0: any. */
	readonly len: number;
	/** u64: the value that counts, with {@link IOEVENTFD.datamatch}. */
	readonly datamatch?: bigint;
	/** Bits of {@link IOEVENTFD}. */
	readonly flags: number;
}

interface Entry {
	readonly eventfd: EventFd;
	readonly addr: bigint;
	readonly len: number;
	/** undefined: whatever is written. */
	readonly match: bigint | undefined;
	readonly bus: number;
}

/** The ioeventfds of a VM (Linux virt/kvm/api, 4.59; virt/kvm/eventfd.c). */
export class IoEventFds {
	private entries: Entry[] = [];

	get empty(): boolean {
		return this.entries.length === 0;
	}

	/**
	 * KVM_IOEVENTFD.
	 * @returns 0; EINVAL: unknown flag or length, an end beyond 2^64, or a match without a length; EBADF: no eventfd; EEXIST:
	 *   a write could mean both this and another one; ENOENT: nothing of the kind to deassign.
	 */
	set({ eventfd, addr, len, datamatch = 0n, flags }: IoEventFd): KvmResult {
		if (!isU32(flags) || !isU64(addr) || !isU32(len) || !isU64(datamatch)) return "EINVAL";
		const match = (flags & IOEVENTFD.datamatch) === 0 ? undefined : datamatch;
		const bus = flags & BUS_FLAGS;
		if ((flags & IOEVENTFD.deassign) !== 0) {
			if (!(eventfd instanceof EventFd)) return "EBADF";
			const found = this.entries.find(
				(each) =>
					each.bus === bus &&
					each.eventfd === eventfd &&
					each.addr === addr &&
					each.len === len &&
					each.match === match,
			);
			if (found === undefined) return "ENOENT";
			this.entries = this.entries.filter((each) => each !== found);
			return 0;
		}
		if (![0, 1, 2, 4, 8].includes(len) || addr + BigInt(len) >= 1n << 64n) return "EINVAL";
		if ((flags & ~KNOWN_FLAGS) !== 0 || (len === 0 && match !== undefined)) return "EINVAL";
		if (!(eventfd instanceof EventFd)) return "EBADF";
		const collides = this.entries.some(
			(each) =>
				each.bus === bus &&
				each.addr === addr &&
				(each.len === 0 ||
					len === 0 ||
					(each.len === len && (each.match === undefined || match === undefined || each.match === match))),
		);
		if (collides) return "EEXIST";
		this.entries.push({ eventfd, addr, len, match, bus });
		return 0;
	}

	/** Signals for a write of `len` bytes, in two words. @returns whether that was all it was for. */
	write(addr: number, len: number, pio: number, words: Uint32Array): boolean {
		for (const each of this.entries) {
			if (each.bus !== (pio === 0 ? 0 : IOEVENTFD.pio) || Number(each.addr) !== addr) continue;
			if (each.len !== 0 && each.len !== len) continue;
			if (each.match !== undefined && each.match !== writtenValue(words, len)) continue;
			each.eventfd.signal();
			return true;
		}
		return false;
	}
}

function writtenValue(words: Uint32Array, len: number): bigint {
	return BigInt.asUintN(len * 8, (BigInt(words[1]!) << 32n) | BigInt(words[0]!));
}
