import { SLOT_LIMIT } from "./memslots.ts";

/** Capabilities by Linux' numbers (KVM_CAP_*). */
export const KVM_CAP = {
	irqchip: 0,
	userMemory: 3,
	setTssAddr: 4,
	extCpuid: 7,
	nrVcpus: 9,
	nrMemslots: 10,
	nopIoDelay: 12,
	mpState: 14,
	coalescedMmio: 15,
	syncMmu: 16,
	destroyMemoryRegionWorks: 21,
	userNmi: 22,
	setGuestDebug: 23,
	irqfd: 32,
	ioeventfd: 36,
	joinMemoryRegionsWorks: 30,
	vcpuEvents: 41,
	debugregs: 50,
	maxVcpus: 66,
	readonlyMem: 81,
	s390MemOp: 116,
	multiAddressSpace: 118,
	maxVcpuId: 128,
	immediateExit: 136,
	ioeventfdNoLength: 100,
	ioeventfdAnyLength: 122,
	coalescedPio: 162,
	manualDirtyLogProtect2: 168,
	dirtyLogRing: 192,
	exitOnEmulationFailure: 204,
	dirtyLogRingAcqRel: 223,
	dirtyLogRingWithBitmap: 225,
	userMemory2: 231,
	memoryFaultInfo: 232,
	memoryAttributes: 233,
	guestMemfd: 234,
	preFaultMemory: 236,
} as const;

/** Most bytes of a dirty ring: 65,536 entries of 16 bytes. */
export const DIRTY_RING_MAX_BYTES = 65_536 * 16;
/** KVM_CAP_MAX_VCPU_ID on x86. */
export const MAX_VCPU_ID = 4096;
/** The page of the vCPU's mapping that holds the coalesced ring. */
const COALESCED_PAGE_OFFSET = 2;

const ANSWERS: ReadonlyMap<number, number> = new Map<number, number>([
	[KVM_CAP.userMemory, 1],
	[KVM_CAP.extCpuid, 1],
	[KVM_CAP.nrVcpus, 1],
	[KVM_CAP.nrMemslots, SLOT_LIMIT],
	[KVM_CAP.nopIoDelay, 1],
	[KVM_CAP.coalescedMmio, COALESCED_PAGE_OFFSET],
	[KVM_CAP.syncMmu, 1],
	[KVM_CAP.destroyMemoryRegionWorks, 1],
	[KVM_CAP.joinMemoryRegionsWorks, 1],
	[KVM_CAP.userNmi, 1],
	[KVM_CAP.setGuestDebug, 1],
	[KVM_CAP.irqfd, 1],
	[KVM_CAP.ioeventfd, 1],
	[KVM_CAP.ioeventfdNoLength, 1],
	[KVM_CAP.ioeventfdAnyLength, 1],
	[KVM_CAP.vcpuEvents, 1],
	[KVM_CAP.debugregs, 1],
	[KVM_CAP.maxVcpus, 1024],
	[KVM_CAP.readonlyMem, 1],
	[KVM_CAP.s390MemOp, 1],
	[KVM_CAP.maxVcpuId, MAX_VCPU_ID],
	[KVM_CAP.immediateExit, 1],
	[KVM_CAP.coalescedPio, 1],
	[KVM_CAP.manualDirtyLogProtect2, 3],
	[KVM_CAP.dirtyLogRing, DIRTY_RING_MAX_BYTES],
	[KVM_CAP.dirtyLogRingAcqRel, DIRTY_RING_MAX_BYTES],
	[KVM_CAP.exitOnEmulationFailure, 1],
	[KVM_CAP.userMemory2, 1],
	[KVM_CAP.memoryFaultInfo, 1],
	[KVM_CAP.preFaultMemory, 1],
]);

/**
 * KVM_CHECK_EXTENSION: 0 where the capability is missing or unknown, else a positive number.
 * @param addressSpaces of the VM asked; more than one makes KVM_CAP_MULTI_ADDRESS_SPACE answer their number.
 */
export function checkExtension(cap: number, addressSpaces = 1): number {
	if (cap === KVM_CAP.multiAddressSpace) return addressSpaces > 1 ? addressSpaces : 0;
	return ANSWERS.get(cap) ?? 0;
}
