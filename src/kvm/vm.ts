import { loadCore } from "../vcpu/core/load.ts";
import { F } from "../vcpu/layout.ts";
import { Processor, type ProcessorHost } from "../vcpu/processor.ts";
import { VmMemory } from "../vcpu/vm-memory.ts";
import { Backing, type HostBuffer } from "./backing.ts";
import { DirtyLog } from "./dirty-log.ts";
import type { Errno, KvmResult } from "./errno.ts";
import { MemSlots, type MemSlotsOptions, type Slot, type SlotsChange, type UserMemoryRegion } from "./memslots.ts";
import { MemslotsPool } from "./memslots-pool.ts";
import { Vcpu } from "./vcpu.ts";

/** KVM_CAP_MAX_VCPU_ID on x86. */
const MAX_VCPU_ID = 4096;

/** Hooks of a VM without an in-kernel interrupt controller. */
const NO_HOST: ProcessorHost = {
	acknowledge: () => -1,
	msr: () => undefined,
};

/** A virtual machine as KVM has them: memory slots over host buffers, and virtual processors. */
export class Vm {
	readonly memory: VmMemory;
	readonly slots: MemSlots;
	readonly dirtyLog: DirtyLog;
	private readonly backing: Backing;
	private readonly core: WebAssembly.Module;
	private readonly vcpus = new Map<number, Vcpu>();

	private constructor(core: WebAssembly.Module, options: MemSlotsOptions) {
		this.core = core;
		this.memory = new VmMemory();
		this.backing = new Backing(this.memory);
		this.slots = new MemSlots(this.backing, new MemslotsPool(this.memory), options);
		this.dirtyLog = new DirtyLog(this.slots);
		this.slots.onSlotsChanged((change, slot) => {
			for (const { processor } of this.vcpus.values()) forget(processor, change, slot);
		});
	}

	/** KVM_CREATE_VM. */
	static async create(options: MemSlotsOptions = {}): Promise<Vm> {
		return new Vm(await loadCore(), options);
	}

	/**
	 * Host memory that slots can name.
	 * @throws UserError when it does not fit: everything together stays below 4 GiB.
	 */
	allocate(bytes: number): HostBuffer {
		return this.backing.allocate(bytes);
	}

	/** KVM_SET_USER_MEMORY_REGION; see {@link MemSlots.setUserMemoryRegion}. */
	setUserMemoryRegion(region: UserMemoryRegion): KvmResult {
		return this.slots.setUserMemoryRegion(region);
	}

	/**
	 * KVM_CREATE_VCPU.
	 * @returns the vCPU in its reset state; EINVAL: no such id; EEXIST: it is in use.
	 */
	createVcpu(id: number, host: ProcessorHost = NO_HOST): Vcpu | Errno {
		if (!Number.isInteger(id) || id < 0 || id >= MAX_VCPU_ID) return "EINVAL";
		if (this.vcpus.has(id)) return "EEXIST";
		const vcpu = new Vcpu(id, new Processor(this.memory, host, this.core));
		this.vcpus.set(id, vcpu);
		return vcpu;
	}

	/** Host memory at `offset` of the VM's memory was changed from outside: decoded code there is dropped. */
	written(offset: number, length: number): void {
		// The processors of a VM share their decoded code.
		for (const { processor } of this.vcpus.values()) {
			processor.code.invalidate(offset, length);
			return;
		}
	}
}

/** Takes from a processor what a change of slots made wrong. That nothing is somewhere is never cached. */
function forget(processor: Processor, { kind, first, last }: SlotsChange, { host, pages }: Slot): void {
	processor.set(F.lastSlot, 0);
	if (kind === "protect") processor.call("flushWrites");
	else if (kind === "host" || (kind === "delete" && pages !== 0)) processor.call("flushTlb", 0);
	else if (kind === "delete" && host !== 0) processor.forgetHost(host, last - first + 1);
}
