import { UserError } from "../base/errors.ts";
import { loadCore } from "../vcpu/core/load.ts";
import { F } from "../vcpu/layout.ts";
import { Processor } from "../vcpu/processor.ts";
import type { ProcessorHost } from "../vcpu/processor-host.ts";
import { RING_ENTRY_SIZE } from "../vcpu/slot-table.ts";
import { PAGE_SIZE, VmMemory } from "../vcpu/vm-memory.ts";
import { Backing, type HostAccess, type HostBuffer } from "./backing.ts";
import { checkExtension, DIRTY_RING_MAX_BYTES, KVM_CAP, MAX_VCPU_ID } from "./capabilities.ts";
import type { CoalescedRing, CoalescedZone } from "./coalesced.ts";
import { type ClearDirtyLog, DirtyLog } from "./dirty-log.ts";
import { DirtyRing } from "./dirty-ring.ts";
import type { Errno, KvmResult } from "./errno.ts";
import type { IoEventFd } from "./ioeventfd.ts";
import { type IrqFd, IrqLines } from "./irq.ts";
import { KernelBus } from "./kernel-bus.ts";
import {
	bufferOf,
	checkMemOp,
	compareExchange,
	isCmpxchgSize,
	MEM_OP,
	MEM_OP_FLAG,
	MEM_OP_RING_ENTRIES,
	type MemOp,
} from "./mem-op.ts";
import { MemSlots, type MemSlotsOptions, type Slot, type SlotsChange, type UserMemoryRegion } from "./memslots.ts";
import { MemslotsPool } from "./memslots-pool.ts";
import { physicalPieces } from "./physical.ts";
import { PreFault } from "./pre-fault.ts";
import { isU32, isU64 } from "./unsigned.ts";
import { Vcpu } from "./vcpu.ts";

/** Hooks of a VM without an in-kernel interrupt controller. */
const NO_HOST: ProcessorHost = {
	acknowledge: () => -1,
	msr: () => undefined,
};

/** The argument of KVM_SET_USER_MEMORY_REGION2. There is no guest memfd, so flag 4 is refused and its fields do not count. */
export interface UserMemoryRegion2 extends UserMemoryRegion {
	readonly guestMemfdOffset?: bigint;
	readonly guestMemfd?: number;
}

/** The argument of KVM_ENABLE_CAP. */
export interface EnableCap {
	/** One of {@link KVM_CAP}. */
	readonly cap: number;
	/** Must be 0. */
	readonly flags?: number;
	/** Up to four u64; what is missing is 0. */
	readonly args?: readonly bigint[];
}

/** A virtual machine as KVM has them: memory slots over host buffers, and virtual processors. */
export class Vm {
	readonly memory: VmMemory;
	readonly slots: MemSlots;
	readonly dirtyLog: DirtyLog;
	/** Interrupt lines; they need a sink, which is the machine's interrupt controller. */
	readonly irq = new IrqLines();
	private readonly backing: Backing;
	private readonly bus = new KernelBus();
	private readonly preFault: PreFault;
	private readonly core: WebAssembly.Module;
	private readonly vcpus = new Map<number, Vcpu>();
	private readonly hosts: { readonly own: { bus: ProcessorHost["bus"] }; readonly given: ProcessorHost["bus"] }[] = [];
	/** Bytes of each vCPU's dirty ring, 0 without. */
	private ringBytes = 0;

	private constructor(core: WebAssembly.Module, options: MemSlotsOptions) {
		this.core = core;
		this.memory = new VmMemory();
		this.backing = new Backing(this.memory);
		this.slots = new MemSlots(this.backing, new MemslotsPool(this.memory), options);
		this.dirtyLog = new DirtyLog(this.slots);
		this.preFault = new PreFault(this.slots, this.memory);
		this.slots.onSlotsChanged((change, slot) => {
			for (const { processor } of this.vcpus.values()) forget(processor, change, slot);
		});
	}

	/** KVM_CREATE_VM. */
	static async create(options: MemSlotsOptions = {}): Promise<Vm> {
		return new Vm(await loadCore(), options);
	}

	/** KVM_CHECK_EXTENSION on this VM: 0, or a positive number. */
	checkExtension(cap: number): number {
		return checkExtension(cap, this.slots.addressSpaces);
	}

	/**
	 * KVM_ENABLE_CAP: 168, manual dirty-log protection (args[0]: {@link DirtyLog.enableManualProtect}), and 192 or 223, the dirty
	 * ring (args[0]: bytes, a power of two from 4096 on).
	 * @returns 0; EINVAL: unknown capability, flags or argument, a ring for the second time, or after a vCPU was created; E2BIG:
	 *   more than 65,536 ring entries.
	 */
	enableCap({ cap, flags = 0, args = [] }: EnableCap): KvmResult {
		if (!isU32(cap) || !args.every(isU64)) return "EINVAL";
		const value = args[0] ?? 0n;
		switch (cap) {
			case KVM_CAP.manualDirtyLogProtect2:
				return flags === 0 ? this.dirtyLog.enableManualProtect(value) : "EINVAL";
			case KVM_CAP.dirtyLogRing:
			case KVM_CAP.dirtyLogRingAcqRel:
				return this.enableDirtyRing(Number(BigInt.asUintN(32, value)));
			default:
				return "EINVAL";
		}
	}

	private enableDirtyRing(bytes: number): KvmResult {
		if (bytes === 0 || (bytes & (bytes - 1)) !== 0 || bytes < PAGE_SIZE || bytes % RING_ENTRY_SIZE !== 0)
			return "EINVAL";
		if (bytes > DIRTY_RING_MAX_BYTES) return "E2BIG";
		if (this.ringBytes !== 0 || this.vcpus.size > 0 || this.slots.dirtyTracking !== "writeProtect") return "EINVAL";
		this.ringBytes = bytes;
		return 0;
	}

	/**
	 * Host memory that slots can name.
	 * @throws UserError when it does not fit: everything together stays below 4 GiB; or is no number of bytes.
	 */
	allocate(bytes: number): HostBuffer {
		if (!Number.isSafeInteger(bytes) || bytes <= 0)
			throw new UserError(`cannot allocate ${bytes} bytes of guest memory`);
		return this.backing.allocate(bytes);
	}

	/** Host memory with this content to begin with. Guest memory is the VM's own: bytes from elsewhere are copied. Throws as {@link allocate}. */
	allocateCopy(content: Uint8Array): HostBuffer {
		const buffer = this.allocate(content.length);
		buffer.view.set(content);
		return buffer;
	}

	/**
	 * mprotect(2) on host memory of {@link allocate}: how the guest may use it from now on, also between an exit and its completion.
	 * Where it may not, {@link Vcpu.run} returns EFAULT.
	 * @returns 0; EINVAL: no whole pages; ENOMEM: not in one buffer.
	 */
	hostProtect(userspaceAddr: bigint, size: bigint, access: HostAccess): KvmResult {
		if (!isU64(userspaceAddr) || !isU64(size) || size === 0n) return "EINVAL";
		if ((userspaceAddr | size) % BigInt(PAGE_SIZE) !== 0n) return "EINVAL";
		return this.backing.protect(userspaceAddr, size, access) ? 0 : "ENOMEM";
	}

	/**
	 * Puts fresh zero pages behind host addresses, as mmap(2) with MAP_FIXED does: processors forget what they know of the old ones.
	 * @returns 0; EINVAL, ENOMEM as above.
	 */
	replacePages(userspaceAddr: bigint, size: bigint): KvmResult {
		if (!isU64(userspaceAddr) || !isU64(size) || size === 0n) return "EINVAL";
		if ((userspaceAddr | size) % BigInt(PAGE_SIZE) !== 0n) return "EINVAL";
		const pages = this.backing.replace(userspaceAddr, size);
		if (pages === undefined) return "ENOMEM";
		this.written(pages.offset, pages.view.length);
		return 0;
	}

	/** KVM_SET_USER_MEMORY_REGION; see {@link MemSlots.setUserMemoryRegion}. */
	setUserMemoryRegion(region: UserMemoryRegion): KvmResult {
		return this.slots.setUserMemoryRegion(region);
	}

	/** KVM_SET_USER_MEMORY_REGION2: the same; flag 4 is EINVAL, as without guest memfds, and padding does not count. */
	setUserMemoryRegion2(region: UserMemoryRegion2): KvmResult {
		return this.slots.setUserMemoryRegion(region);
	}

	/** KVM_GET_DIRTY_LOG; see {@link DirtyLog.getDirtyLog}. ENXIO: the VM has dirty rings instead. */
	getDirtyLog(slot: number, bitmap: Uint8Array): KvmResult {
		return this.ringBytes === 0 ? this.dirtyLog.getDirtyLog(slot, bitmap) : "ENXIO";
	}

	/** KVM_CLEAR_DIRTY_LOG; see {@link DirtyLog.clearDirtyLog}. ENXIO: the VM has dirty rings instead. */
	clearDirtyLog(log: ClearDirtyLog): KvmResult {
		return this.ringBytes === 0 ? this.dirtyLog.clearDirtyLog(log) : "ENXIO";
	}

	/** KVM_RESET_DIRTY_RINGS: gives back what was harvested from all vCPUs' rings. @returns how many entries; EINVAL: no rings. */
	resetDirtyRings(): KvmResult {
		if (this.ringBytes === 0) return "EINVAL";
		let entries = 0;
		for (const { dirtyRing } of this.vcpus.values()) entries += dirtyRing?.reset() ?? 0;
		return entries;
	}

	/** The ring that coalesced writes of all vCPUs go to. Drain it before any exit is handled. */
	get coalescedRing(): CoalescedRing {
		return this.bus.zones.ring;
	}

	/** KVM_REGISTER_COALESCED_MMIO. @returns 0; EINVAL: `pio` is neither 0 nor 1. */
	registerCoalescedMmio(zone: CoalescedZone): KvmResult {
		return this.busChanged(this.bus.zones.register(zone));
	}

	/** KVM_UNREGISTER_COALESCED_MMIO: zones that contain this one go; 0 where there are none too. EINVAL as above. */
	unregisterCoalescedMmio(zone: CoalescedZone): KvmResult {
		return this.busChanged(this.bus.zones.unregister(zone));
	}

	/** KVM_IOEVENTFD. @returns 0, EINVAL, EBADF, EEXIST or ENOENT: see IoEventFds.set. */
	ioeventfd(args: IoEventFd): KvmResult {
		return this.busChanged(this.bus.ioeventfds.set(args));
	}

	/** Processors ask the bus only while something is on it. */
	private busChanged(result: KvmResult): KvmResult {
		for (const { own, given } of this.hosts) own.bus = this.bus.isEmpty ? given : this.bus.before(given);
		return result;
	}

	/** KVM_IRQ_LINE. @returns 0; ENXIO: no interrupt controller; EINVAL: no such line. */
	irqLine(irq: number, level: number): KvmResult {
		return this.irq.line(irq, level);
	}

	/** KVM_IRQFD. @returns 0, EINVAL, EBADF or EBUSY: see IrqLines.irqfd. */
	irqfd(args: IrqFd): KvmResult {
		return this.irq.irqfd(args);
	}

	/**
	 * A memory operation on guest-physical addresses: read, write, compare and exchange.
	 * @returns 0 (a compare that fails too: `old` has what was found); EINVAL: flags, size or operation, or an address that is no
	 *   multiple of the size to compare and exchange; E2BIG: more than 64 KiB; EFAULT: no or a short buffer, or an address without RAM
	 *   (for writes: in ROM); EAGAIN: the dirty ring has to be harvested first.
	 */
	memOp(op: MemOp): KvmResult {
		const exchange = op.op === MEM_OP.absoluteCmpxchg;
		const refused = checkMemOp(op, exchange ? 0 : MEM_OP_FLAG.checkOnly);
		if (refused !== 0) return refused;
		if (!exchange && op.op !== MEM_OP.absoluteRead && op.op !== MEM_OP.absoluteWrite) return "EINVAL";
		if (exchange && (!isCmpxchgSize(op.size) || op.gaddr % BigInt(op.size) !== 0n)) return "EINVAL";
		const checkOnly = (op.flags & MEM_OP_FLAG.checkOnly) !== 0;
		const write = op.op !== MEM_OP.absoluteRead;
		const buffer = checkOnly ? undefined : bufferOf(op);
		if (buffer === "EFAULT" && write) return buffer;
		if (exchange && (op.old === undefined || op.old.length < op.size)) return "EFAULT";
		if (write && !this.hasRingRoom()) return "EAGAIN";
		if (op.gaddr >= 1n << 52n) return "EFAULT";
		const pieces = physicalPieces(this.slots, Number(op.gaddr), op.size, write);
		if (pieces === undefined) return "EFAULT";
		if (checkOnly || buffer === undefined) return 0;
		if (buffer === "EFAULT") return buffer;
		if (exchange) {
			const [piece] = pieces;
			if (piece === undefined || op.old === undefined) return "EFAULT";
			const done = compareExchange(this.memory.memory.buffer, piece.host, op.size, buffer, op.old);
			if (done) this.stored(piece.slot, piece.gpa, piece.host, op.size);
			return 0;
		}
		let done = 0;
		for (const { slot, gpa, host, bytes } of pieces) {
			const there = this.memory.bytes(host, bytes);
			if (write) {
				there.set(buffer.subarray(done, done + bytes));
				this.stored(slot, gpa, host, bytes);
			} else buffer.set(there, done);
			done += bytes;
		}
		return 0;
	}

	/** Whether the ring that takes the hypervisor's stores has room for those of one memory operation. */
	private hasRingRoom(): boolean {
		const [vcpu] = this.vcpus.values();
		return vcpu?.dirtyRing === undefined || vcpu.dirtyRing.room >= MEM_OP_RING_ENTRIES;
	}

	/** The hypervisor stored into guest memory: pages are dirty, code is gone. Without a vCPU of its own, the first one's ring takes it. */
	private stored(slot: Slot, gpa: number, host: number, bytes: number): void {
		this.written(host, bytes);
		if (slot.dirty === 0 && slot.changed === 0) return;
		const [vcpu] = this.vcpus.values();
		for (let at = gpa - (gpa % PAGE_SIZE); at < gpa + bytes; at += PAGE_SIZE) {
			if (vcpu === undefined) this.slots.markDirty(slot, at);
			else vcpu.processor.call("markDirty", vcpu.processor.call("slotFind", BigInt(at)), BigInt(at));
		}
	}

	/**
	 * KVM_CREATE_VCPU.
	 * @param host the machine's part: interrupt acknowledge, model-specific registers, and what is on the bus inside the hypervisor
	 * @returns the vCPU in its reset state; EINVAL: no such id; EEXIST: it is in use.
	 */
	createVcpu(id: number, host: ProcessorHost = NO_HOST): Vcpu | Errno {
		if (!Number.isInteger(id) || id < 0 || id >= MAX_VCPU_ID) return "EINVAL";
		if (this.vcpus.has(id)) return "EEXIST";
		const given = host.bus;
		const own = {
			acknowledge: () => host.acknowledge(),
			msr: (isWrite: boolean, index: number, value: bigint) => host.msr(isWrite, index, value),
			bus: this.bus.isEmpty ? given : this.bus.before(given),
			...(host.taskPriority ? { taskPriority: host.taskPriority.bind(host) } : {}),
			...(host.ferr ? { ferr: host.ferr.bind(host) } : {}),
			...(host.refuses ? { refuses: host.refuses.bind(host) } : {}),
			...(host.traced ? { traced: host.traced.bind(host) } : {}),
			...(host.bitsLost ? { bitsLost: host.bitsLost.bind(host) } : {}),
			...(host.port ? { port: this.bus.beforePorts(host.port.bind(host)) } : {}),
		};
		this.hosts.push({ own, given });
		const processor = new Processor(this.memory, own, this.core);
		const vcpu = new Vcpu(id, {
			processor,
			preFault: this.preFault,
			ring: this.ringBytes === 0 ? undefined : new DirtyRing(processor, this.slots, this.ringBytes),
			alone: () => this.vcpus.size === 1,
			writePort: (port, size, words) => !this.bus.isEmpty && this.bus.write(port, size, 1, words),
			store: (gpa, bytes) => {
				this.memOp({ gaddr: gpa, flags: 0, size: bytes.length, op: MEM_OP.absoluteWrite, buf: bytes });
			},
			copyIn: (gpa, from, size) => this.copyIn(gpa, from, size),
		});
		this.vcpus.set(id, vcpu);
		// Compiled code belongs to one processor, decoded code to all.
		if (this.vcpus.size > 1) for (const each of this.vcpus.values()) each.processor.setCompiler(undefined);
		return vcpu;
	}

	/** Content for guest memory, stored by user space: nothing becomes dirty. */
	private copyIn(gpa: number, from: bigint, size: number): boolean {
		const source = this.backing.bytes(from, BigInt(size));
		const pieces = physicalPieces(this.slots, gpa, size, false);
		if (source === undefined || pieces === undefined) return false;
		let done = 0;
		for (const { host, bytes } of pieces) {
			this.memory.bytes(host, bytes).set(source.subarray(done, done + bytes));
			this.written(host, bytes);
			done += bytes;
		}
		return true;
	}

	/** Host memory at `offset` of the VM's memory was changed from outside: decoded code there is dropped. */
	written(offset: number, length: number): void {
		// The processors of a VM share their decoded code.
		for (const { processor } of this.vcpus.values()) {
			if (processor.code.holdsCode(offset, length)) processor.code.invalidate(offset, length);
			return;
		}
	}

	/** An ioctl of a VM by its number that has no method here: ENOTTY, as Linux answers unknown ones. */
	ioctl(_request: number): KvmResult {
		return "ENOTTY";
	}
}

/** Takes from a processor what a change of slots made wrong. That nothing is somewhere is never cached. */
function forget(processor: Processor, { kind, first, last }: SlotsChange, { host, pages }: Slot): void {
	processor.set(F.lastSlot, 0);
	if (kind === "protect") processor.call("flushWrites");
	else if (kind === "host" || (kind === "delete" && pages !== 0)) processor.call("flushTlb", 0);
	else if (kind === "delete" && host !== 0) processor.forgetHost(host, last - first + 1);
}
