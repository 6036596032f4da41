/**
 * The slot table as the processor reads it: flat data in VM memory, published by `kvm`.
 *
 * A table is an array of {@link SLOT_ENTRY_SIZE}-byte entries, sorted by address, disjoint. The processor finds it
 * through the header at {@link SLOT_HEADER}. Table and header are edited in place, between instructions: addresses of
 * entries do not outlive a change of slots.
 */

/** Offset of the header in VM memory: i32 table offset, i32 entry count. */
export const SLOT_HEADER = 1024;
export const SLOT_HEADER_TABLE = SLOT_HEADER;
export const SLOT_HEADER_COUNT = SLOT_HEADER + 4;

export const SLOT_ENTRY_SIZE = 40;
/** i64: guest-physical address of the first byte. */
export const SLOT_FIRST = 0;
/** i64: guest-physical address of the last byte (inclusive). */
export const SLOT_LAST = 8;
/** i32: offset in VM memory of the first byte's backing, where the slot is backed by one contiguous piece; 0 = see SLOT_PAGES. */
export const SLOT_HOST = 16;
/** i32: KVM flags: 1 LOG_DIRTY_PAGES, 2 READONLY. */
export const SLOT_FLAGS = 20;
/** i32: offset in VM memory of the dirty bitmap (one bit per page of the slot, little endian 64-bit words), 0 = none. */
export const SLOT_DIRTY = 24;
/** i32: slot id with the address space in bits 16 and up, as in the dirty ring. */
export const SLOT_ID = 28;
/**
 * i32: offset in VM memory of an array of i32, the backing of each page (0 = none), where SLOT_HOST is 0. Bit 0 of an
 * element: the host may read the page only.
 */
export const SLOT_PAGES = 32;
/** i32: offset in VM memory of an array of bytes, one per page, that stores set to 1 (changed bits); 0 = none. */
export const SLOT_CHANGED = 36;

/** Slot flags, numbers as in Linux. */
export const KVM_MEM_LOG_DIRTY_PAGES = 1;
export const KVM_MEM_READONLY = 2;

/** Entry of a dirty ring, 16 bytes (struct kvm_dirty_gfn): u32 flags, u32 slot with its address space, u64 page in the slot. */
export const RING_ENTRY = { flags: 0, slot: 4, offset: 8 } as const;
export const RING_ENTRY_SIZE = 16;
export const RING_DIRTY = 1;
export const RING_RESET = 2;
