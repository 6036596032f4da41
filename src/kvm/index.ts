/**
 * The layer below a machine: memory slots, dirty log, virtual processors and their exits, with KVM's names, numbers and error
 * codes. Results are 0 or a positive number, or the name of the error that Linux would give as a negative one.
 */
export type { CpuidEntry } from "../vcpu/cpuid.ts";
export type { ProcessorHost } from "../vcpu/processor-host.ts";
export type { HostAccess, HostBuffer } from "./backing.ts";
export { KVM_CAP } from "./capabilities.ts";
export { COALESCED_MMIO_MAX, type CoalescedRing, type CoalescedWrite, type CoalescedZone } from "./coalesced.ts";
export { type ClearDirtyLog, type DirtyLog, INITIALLY_SET, MANUAL_PROTECT } from "./dirty-log.ts";
export type { DirtyGfn, DirtyRing } from "./dirty-ring.ts";
export { ERRNO, type Errno, isErrno, type KvmResult } from "./errno.ts";
export { EventFd } from "./eventfd.ts";
export { type GuestDebug, KVM_GUESTDBG } from "./guest-debug.ts";
export { IOEVENTFD, type IoEventFd } from "./ioeventfd.ts";
export { IRQFD, type IrqFd, type IrqSink } from "./irq.ts";
export { Kvm } from "./kvm.ts";
export type { Translation } from "./linear.ts";
export { MEM_OP, MEM_OP_FLAG, MEM_OP_MAX_SIZE, type MemOp } from "./mem-op.ts";
export {
	KVM_MEM_LOG_DIRTY_PAGES,
	KVM_MEM_READONLY,
	type MemSlots,
	type MemSlotsOptions,
	SLOT_LIMIT,
	type Slot,
	type SlotsChange,
	type SlotsListener,
	type UserMemoryRegion,
} from "./memslots.ts";
export { MAP_MEMORY_FLAG, type MapMemory, type PreFaultMemory } from "./pre-fault.ts";
export { EXIT_REASON, type RunOptions, type Vcpu, type VcpuExit } from "./vcpu.ts";
export type { VcpuEvents } from "./vcpu-events.ts";
export type { Fpu, Xsave } from "./vcpu-fpu.ts";
export type { MsrValue } from "./vcpu-msrs.ts";
export type { DebugRegs, Regs } from "./vcpu-registers.ts";
export type { KvmDtable, KvmSegment, Sregs } from "./vcpu-sregs.ts";
export { type EnableCap, type UserMemoryRegion2, Vm } from "./vm.ts";
