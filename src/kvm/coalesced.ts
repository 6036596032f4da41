import type { KvmResult } from "./errno.ts";
import { isU32, isU64 } from "./unsigned.ts";

const RING_BYTES = 4096;
const HEADER_BYTES = 8;
const ENTRY_BYTES = 24;
/** Entries of the ring; one stays free. */
export const COALESCED_MMIO_MAX = Math.floor((RING_BYTES - HEADER_BYTES) / ENTRY_BYTES);

/** The argument of KVM_REGISTER_COALESCED_MMIO: a range whose writes are queued instead of leaving the guest. */
export interface CoalescedZone {
	/** u64: guest-physical address or port. */
	readonly addr: bigint;
	/** u32: bytes. */
	readonly size: number;
	/** 0: memory, 1: ports. */
	readonly pio: number;
}

/** A queued write. */
export interface CoalescedWrite {
	readonly addr: bigint;
	readonly len: number;
	readonly pio: number;
	/** `len` bytes. */
	readonly data: Uint8Array;
}

/**
 * Queued writes (struct kvm_coalesced_mmio_ring): u32 first, u32 last, then entries of u64 address, u32 length, u32 pio and
 * eight bytes of data. The hypervisor moves `last`, user space `first`.
 */
export class CoalescedRing {
	/** The page as user space maps it. */
	readonly bytes = new Uint8Array(RING_BYTES);
	private readonly view = new DataView(this.bytes.buffer);

	get first(): number {
		return this.view.getUint32(0, true);
	}
	set first(value: number) {
		this.view.setUint32(0, value, true);
	}
	get last(): number {
		return this.view.getUint32(4, true);
	}
	set last(value: number) {
		this.view.setUint32(4, value, true);
	}

	/** The entry at an index, 0 .. {@link COALESCED_MMIO_MAX} - 1. */
	entry(index: number): CoalescedWrite {
		const at = HEADER_BYTES + index * ENTRY_BYTES;
		const len = this.view.getUint32(at + 8, true);
		return {
			addr: this.view.getBigUint64(at, true),
			len,
			pio: this.view.getUint32(at + 12, true),
			data: this.bytes.slice(at + 16, at + 16 + Math.min(len, 8)),
		};
	}

	/** What is queued, oldest first; the ring is empty afterwards. */
	drain(): CoalescedWrite[] {
		const writes: CoalescedWrite[] = [];
		while (this.first % COALESCED_MMIO_MAX !== this.last % COALESCED_MMIO_MAX) {
			writes.push(this.entry(this.first % COALESCED_MMIO_MAX));
			this.first = (this.first + 1) % COALESCED_MMIO_MAX;
		}
		return writes;
	}

	/** Queues a write of up to eight bytes, two words. @returns false when the ring is full, or user space has spoiled it. */
	push(addr: number, len: number, pio: number, words: Uint32Array): boolean {
		const { last } = this;
		if (last >= COALESCED_MMIO_MAX || (last + 1) % COALESCED_MMIO_MAX === this.first) return false;
		const at = HEADER_BYTES + last * ENTRY_BYTES;
		this.view.setUint32(at, addr % 0x1_0000_0000, true);
		this.view.setUint32(at + 4, Math.floor(addr / 0x1_0000_0000), true);
		this.view.setUint32(at + 8, len, true);
		this.view.setUint32(at + 12, pio, true);
		this.view.setUint32(at + 16, words[0]!, true);
		this.view.setUint32(at + 20, words[1]!, true);
		this.last = (last + 1) % COALESCED_MMIO_MAX;
		return true;
	}
}

interface Zone {
	readonly first: bigint;
	/** One past the last address. */
	readonly end: bigint;
	readonly pio: number;
}

/** Coalesced zones of a VM, and the one ring that they fill (Linux virt/kvm/api, 4.116; virt/kvm/coalesced_mmio.c). */
export class CoalescedZones {
	readonly ring = new CoalescedRing();
	private zones: Zone[] = [];

	get empty(): boolean {
		return this.zones.length === 0;
	}

	/** KVM_REGISTER_COALESCED_MMIO: EINVAL where `pio` is neither 0 nor 1. Zones may be empty, overlap and repeat. */
	register(zone: CoalescedZone): KvmResult {
		if (!isZone(zone)) return "EINVAL";
		this.zones.push({ first: zone.addr, end: zone.addr + BigInt(zone.size), pio: zone.pio });
		return 0;
	}

	/** KVM_UNREGISTER_COALESCED_MMIO: removes the zones that contain this one; 0 where there are none too. */
	unregister(zone: CoalescedZone): KvmResult {
		if (!isZone(zone)) return "EINVAL";
		const end = zone.addr + BigInt(zone.size);
		this.zones = this.zones.filter((each) => each.pio !== zone.pio || zone.addr < each.first || end > each.end);
		return 0;
	}

	/** Queues a write that lies wholly in a zone. */
	write(addr: number, len: number, pio: number, words: Uint32Array): boolean {
		for (const zone of this.zones) {
			if (zone.pio === pio && addr >= zone.first && BigInt(addr + len) <= zone.end) {
				return this.ring.push(addr, len, pio, words);
			}
		}
		return false;
	}
}

function isZone({ addr, size, pio }: CoalescedZone): boolean {
	return isU64(addr) && isU32(size) && (pio === 0 || pio === 1);
}
