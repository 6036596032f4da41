/** The layer below a machine: memory slots, dirty log, virtual processors and their exits, with KVM's names and error codes. */
export type { HostBuffer } from "./backing.ts";
export type { DirtyLog } from "./dirty-log.ts";
export type { Errno, KvmResult } from "./errno.ts";
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
export { EXIT_REASON, type Vcpu, type VcpuExit } from "./vcpu.ts";
export { Vm } from "./vm.ts";
