import { hostMs } from "../base/host-time.ts";
import type { CpuidEntry } from "../vcpu/cpuid.ts";
import { BREAK_DEBUGGER, EXIT, F, PENDING, SEG, segmentOffset } from "../vcpu/layout.ts";
import type { Processor } from "../vcpu/processor.ts";
import { SEGMENT } from "../vcpu/register-names.ts";
import type { DirtyRing } from "./dirty-ring.ts";
import type { KvmResult } from "./errno.ts";
import { type GuestDebug, setGuestDebug } from "./guest-debug.ts";
import { logicalMemOp, peekLinear, pokeLinear, type Translation, translate } from "./linear.ts";
import { MEM_OP_RING_ENTRIES, type MemOp } from "./mem-op.ts";
import type { MapMemory, PreFault, PreFaultMemory } from "./pre-fault.ts";
import { PvClock, type Store } from "./pv-clock.ts";
import { isU32, isU64 } from "./unsigned.ts";
import { getVcpuEvents, setVcpuEvents, type VcpuEvents } from "./vcpu-events.ts";
import { VcpuExit } from "./vcpu-exit.ts";
import { type Fpu, getFpu, getXsave, setFpu, setXsave, type Xsave } from "./vcpu-fpu.ts";
import { type MsrValue, readMsr, writeMsr } from "./vcpu-msrs.ts";
import { type DebugRegs, getDebugRegs, getRegs, type Regs, setDebugRegs, setRegs } from "./vcpu-registers.ts";
import { getSregs, type Sregs, setSregs } from "./vcpu-sregs.ts";

export { EXIT_REASON, VcpuExit } from "./vcpu-exit.ts";

/** Instructions between two looks at the time. */
const SLICE = 0x7fff_ffff;
const TIMED_SLICE = 1_000_000;
const INSTRUCTION_BYTES = 15;
const DR6_FIXED = 0xffff_0ff0;
/** Most CPUID entries. */
const MAX_CPUID_ENTRIES = 128;

/** What a vCPU needs of its VM. */
export interface VcpuParts {
	readonly processor: Processor;
	readonly preFault: PreFault;
	readonly ring: DirtyRing | undefined;
	/** A port write that something in the hypervisor takes. `words`: up to eight bytes. */
	writePort(port: number, size: number, words: Uint32Array): boolean;
	/** Whether the VM has this vCPU only. */
	alone(): boolean;
	/** Stores on the hypervisor's own account. */
	readonly store: Store;
	/** Copies from host memory into guest memory as user space does. @returns false where one of them is missing. */
	copyIn(gpa: number, from: bigint, size: number): boolean;
}

/** Options of a run. */
export interface RunOptions {
	/** KVM_RUN's argument: anything but 0 is EINVAL. */
	readonly arg?: number;
	/** Host milliseconds after which the run comes back with EINTR, as if by a signal. */
	readonly limitMs?: number;
}

/** A virtual processor as KVM has them: {@link run} executes guest code until user space has to act. */
export class Vcpu {
	readonly id: number;
	readonly processor: Processor;
	readonly exit: VcpuExit;
	/** kvm_run's immediate_exit: a run finishes what the last exit left open and comes back with EINTR. */
	immediateExit = false;
	/** The dirty ring, where the VM has them. */
	readonly dirtyRing: DirtyRing | undefined;
	private readonly parts: VcpuParts;
	private readonly clock = new PvClock();
	private cpuid: readonly CpuidEntry[] = [];
	private awaiting: "nothing" | "mmio" | "port" = "nothing";

	constructor(id: number, parts: VcpuParts) {
		this.id = id;
		this.parts = parts;
		this.processor = parts.processor;
		this.dirtyRing = parts.ring;
		this.exit = new VcpuExit(parts.processor);
	}

	/** After reset, or INIT. An exit that waits for its answer is forgotten. */
	reset(kind: "power-on" | "init" = "power-on"): void {
		this.awaiting = "nothing";
		this.processor.reset(kind);
	}

	/**
	 * KVM_RUN: completes what the last exit left open, then runs.
	 * @returns 0 with {@link exit} filled in; EFAULT with reason memoryFault: memory whose backing is gone was touched; EINTR: user
	 *   space asked for it; EINVAL: bad options.
	 */
	run(options?: RunOptions): KvmResult {
		const { processor, exit } = this;
		if (options?.arg !== undefined && options.arg !== 0) return "EINVAL";
		const { immediateExit } = this;
		if (immediateExit) processor.set(F.pending, processor.get(F.pending) | PENDING.immediate);
		else if (this.clock.isDue) this.clock.refresh(processor, this.parts.store);
		if (this.awaiting !== "nothing") {
			if (this.awaiting === "port") processor.answerPort();
			else if (processor.answerRead()) return this.mmioExit();
			this.awaiting = "nothing";
		}
		for (;;) {
			const reason = processor.limited ? processor.run() : this.runOn(options?.limitMs);
			if (immediateExit) processor.set(F.pending, processor.get(F.pending) & ~PENDING.immediate);
			if (reason === EXIT.intr) return "EINTR";
			exit.reason = reason;
			if (reason === EXIT.mmio) return this.mmioExit();
			if (reason === EXIT.io) {
				exit.direction = processor.get(F.ioDirection);
				exit.size = processor.get(F.ioSize);
				exit.port = processor.get(F.ioPort);
				exit.count = processor.get(F.ioTotal);
				if (exit.direction === 0) this.awaiting = "port";
				else {
					exit.portWords[0] = processor.get(F.portData);
					if (this.parts.writePort(exit.port, exit.size, exit.portWords)) continue;
				}
			} else if (reason !== EXIT.budget && reason !== EXIT.hlt) {
				return this.rareExit(reason);
			}
			return 0;
		}
	}

	private mmioExit(): 0 {
		const { processor, exit } = this;
		exit.reason = EXIT.mmio;
		exit.physAddr = processor.getNumber(F.exitAddress);
		exit.len = processor.get(F.exitLength);
		exit.isWrite = processor.get(F.exitIsWrite) !== 0;
		if (!exit.isWrite) this.awaiting = "mmio";
		return 0;
	}

	/** Runs where nobody counts instructions, for at most `limitMs` host milliseconds. */
	private runOn(limitMs: number | undefined): number {
		const { processor } = this;
		const end = limitMs === undefined ? Number.POSITIVE_INFINITY : hostMs() + limitMs;
		const slice = limitMs === undefined ? SLICE : TIMED_SLICE;
		for (;;) {
			processor.allow(slice);
			const reason = processor.run();
			if (reason !== EXIT.budget) return reason;
			if (hostMs() < end) continue;
			this.exit.reason = EXIT.intr;
			return EXIT.intr;
		}
	}

	private rareExit(reason: number): KvmResult {
		const { processor, exit } = this;
		if (reason === EXIT.internalError) {
			exit.suberror = processor.get(F.errorSub);
			exit.instructionBytes = processor.peekCode(this.linearIp, INSTRUCTION_BYTES);
		} else if (reason === EXIT.debug) {
			const status = processor.get(F.stepDr6);
			processor.set(F.stepDr6, 0);
			exit.exception = status === 0 ? 3 : 1;
			exit.pc = this.linearIp;
			exit.dr6 = (DR6_FIXED | status) >>> 0;
			exit.dr7 = (processor.get(F.breakControl) & ~BREAK_DEBUGGER) >>> 0;
		} else if (reason === EXIT.memoryFault) {
			exit.physAddr = processor.getNumber(F.exitAddress);
			exit.len = 4096;
			exit.memoryFlags = 0;
			return "EFAULT";
		}
		return 0;
	}

	/** Linear address of the instruction ahead. */
	get linearIp(): bigint {
		const { processor } = this;
		const base = processor.get64(SEG.start, segmentOffset(SEGMENT.cs));
		return (base + processor.get64(F.rip)) & processor.get64(F.linearMask);
	}

	/** Whether the instruction ahead has begun, or the one behind has more to report: not the moment for a debugger. */
	get midInstruction(): boolean {
		const { processor } = this;
		const open = processor.get(F.replaying) | processor.get(F.faultPending) | (processor.get(F.pending) & PENDING.exit);
		return this.awaiting !== "nothing" || open !== 0;
	}

	/** kvm_run's request_interrupt_window: come back as soon as the guest would take an interrupt. */
	get requestInterruptWindow(): boolean {
		return this.processor.get(F.windowRequest) !== 0;
	}
	set requestInterruptWindow(wanted: boolean) {
		this.processor.set(F.windowRequest, wanted ? 1 : 0);
	}

	/** kvm_run's if_flag. */
	get ifFlag(): boolean {
		return this.processor.interruptible();
	}

	/** kvm_run's ready_for_interrupt_injection: an interrupt given now would be taken at once. */
	get readyForInterruptInjection(): boolean {
		const { processor } = this;
		return this.ifFlag && processor.get(F.shadow) === 0 && processor.get(F.interruptQueued) < 0;
	}

	/** kvm_run's cr8, the task priority of user space's interrupt controller. A value with reserved bits changes nothing. */
	get cr8(): bigint {
		return BigInt(this.processor.get(F.cr8));
	}

	set cr8(value: bigint) {
		if (value < 16n) this.processor.setTaskPriority(Number(value));
	}

	/** kvm_run's apic_base. */
	get apicBase(): bigint {
		return getSregs(this.processor, this.cr8).apicBase;
	}

	/**
	 * Chooses how guest code runs from now on: interpreted, or compiled once a block has run `heat` times (default 200). Compiled
	 * code belongs to one vCPU: a VM with several interprets.
	 */
	async setEngine(engine: "interpreter" | "compiled", heat = 200): Promise<void> {
		const { UnitCompiler } = await import("../vcpu/jit/compiler.ts");
		const { WorkshopInPlace } = await import("../vcpu/jit/workshop-in-place.ts");
		const compiles = engine === "compiled" && this.parts.alone();
		const { processor } = this;
		processor.setCompiler(
			compiles ? new UnitCompiler(processor, (room) => new WorkshopInPlace(room), heat) : undefined,
		);
	}

	/** KVM_GET_REGS. */
	getRegs(): Regs {
		return getRegs(this.processor);
	}

	/**
	 * KVM_SET_REGS; see {@link setRegs}. While port input waits for its answer, a new RIP drops that answer.
	 * @returns 0; EINVAL; EBUSY: an MMIO read waits for its answer, and nothing has changed.
	 */
	setRegs(regs: Regs): KvmResult {
		if (this.awaiting === "mmio") return "EBUSY";
		const before = this.processor.get64(F.rip);
		const result = setRegs(this.processor, regs);
		if (result === 0 && regs.rip !== before) this.awaiting = "nothing";
		return result;
	}

	/** KVM_GET_SREGS. */
	getSregs(): Sregs {
		return getSregs(this.processor, this.cr8);
	}

	/** KVM_SET_SREGS; see {@link setSregs}. @returns 0; EINVAL; EBUSY: an MMIO read waits for its answer. */
	setSregs(sregs: Sregs): KvmResult {
		if (this.awaiting === "mmio") return "EBUSY";
		const result = setSregs(this.processor, sregs);
		if (result === 0) this.cr8 = sregs.cr8;
		return result;
	}

	/** KVM_GET_DEBUGREGS. */
	getDebugRegs(): DebugRegs {
		return getDebugRegs(this.processor);
	}

	/** KVM_SET_DEBUGREGS. @returns 0; EINVAL: flags, or bits beyond 32 in DR6 or DR7. */
	setDebugRegs(regs: DebugRegs): KvmResult {
		return setDebugRegs(this.processor, regs);
	}

	/** KVM_GET_FPU. */
	getFpu(): Fpu {
		return getFpu(this.processor);
	}

	/** KVM_SET_FPU; see {@link setFpu}. */
	setFpu(fpu: Fpu): KvmResult {
		return setFpu(this.processor, fpu);
	}

	/** KVM_GET_XSAVE. */
	getXsave(): Xsave {
		return getXsave(this.processor);
	}

	/** KVM_SET_XSAVE; see {@link setXsave}. */
	setXsave(xsave: Xsave): KvmResult {
		return setXsave(this.processor, xsave);
	}

	/** KVM_GET_MSRS: fills in `data`. @returns how many, up to the first unknown one. */
	getMsrs(entries: MsrValue[]): number {
		return count(entries, (entry) => {
			const value = isU32(entry.index)
				? (this.clock.read(entry.index) ?? readMsr(this.processor, entry.index))
				: undefined;
			if (value !== undefined) entry.data = value;
			return value !== undefined;
		});
	}

	/** KVM_SET_MSRS. @returns how many, up to the first one that is unknown or does not take its value. */
	setMsrs(entries: readonly MsrValue[]): number {
		return count(entries, ({ index, data }) => {
			if (!isU32(index) || !isU64(data)) return false;
			return this.clock.write(index, data, this.parts.store) || writeMsr(this.processor, index, data);
		});
	}

	/** KVM_SET_CPUID2. @returns 0; E2BIG: more than 128 entries. */
	setCpuid2(entries: readonly CpuidEntry[]): KvmResult {
		if (entries.length > MAX_CPUID_ENTRIES) return "E2BIG";
		this.cpuid = entries.map((entry) => ({ ...entry }));
		this.processor.setCpuid(this.cpuid);
		return 0;
	}

	/** KVM_GET_CPUID2: what {@link setCpuid2} set. */
	getCpuid2(): CpuidEntry[] {
		return this.cpuid.map((entry) => ({ ...entry }));
	}

	/** KVM_GET_VCPU_EVENTS. */
	getVcpuEvents(): VcpuEvents {
		return getVcpuEvents(this.processor);
	}

	/** KVM_SET_VCPU_EVENTS. @returns 0; EINVAL: vectors or flags out of range. */
	setVcpuEvents(events: VcpuEvents): KvmResult {
		return setVcpuEvents(this.processor, events);
	}

	/**
	 * KVM_TRANSLATE: the physical address of a linear one, by the walk of a supervisor's read: accessed bits are set.
	 * @param compat: the constants that Linux gives for `writeable` (1) and `usermode` (0)
	 */
	translate(linearAddress: bigint, { compat = false } = {}): Translation {
		return translate(this.processor, BigInt.asUintN(64, linearAddress), compat);
	}

	/** KVM_INTERRUPT: queues an external interrupt, in place of one that waits. @returns 0; EINVAL: no vector. */
	interrupt(irq: number): KvmResult {
		if (!isU32(irq) || irq > 255) return "EINVAL";
		this.processor.queueInterrupt(irq);
		return 0;
	}

	/** KVM_NMI. */
	nmi(): KvmResult {
		this.processor.nmi();
		return 0;
	}

	/** KVM_SET_GUEST_DEBUG. @returns 0; EINVAL: unknown bits; EBUSY: an exception to inject, with one on its way. */
	setGuestDebug(debug: GuestDebug): KvmResult {
		return setGuestDebug(this.processor, debug);
	}

	/**
	 * A memory operation on linear addresses (KVM_S390_MEM_OP on x86), with the paging and privilege in force. All of the range is
	 * translated before a byte moves. Pages that are written become dirty.
	 * @returns 0; a positive number: the vector of the exception that a guest's access would raise (14 with `cr2`, 13), its error
	 *   code in `op`; EINVAL: flags, size 0 or operation; E2BIG: more than 64 KiB; EFAULT: no or a short buffer, or an address
	 *   without RAM (for writes: in ROM); EBUSY: an exception to inject, with one on its way; EAGAIN: the dirty ring has to be
	 *   harvested first.
	 */
	memOp(op: MemOp): KvmResult {
		if (this.dirtyRing !== undefined && this.dirtyRing.room < MEM_OP_RING_ENTRIES) return "EAGAIN";
		return logicalMemOp(this.processor, op);
	}

	/**
	 * For debuggers: a copy of `length` bytes of RAM or ROM at a linear address (u64), whatever the privilege level; undefined where one
	 * of them is nowhere. Unlike {@link memOp} it changes nothing, accessed bits included, and may be called at any time.
	 */
	peek(address: bigint, length: number): Uint8Array | undefined {
		return peekLinear(this.processor, address, length);
	}

	/**
	 * For debuggers: replaces bytes of RAM or ROM at a linear address (u64), whatever page tables and slots say of writing.
	 * @returns false, and nothing has changed, where one of them is nowhere.
	 */
	poke(address: bigint, data: Uint8Array): boolean {
		return pokeLinear(this.processor, address, data);
	}

	/** KVM_PRE_FAULT_MEMORY; see {@link PreFault.preFault}. `range` becomes what is left. */
	preFaultMemory(range: PreFaultMemory): KvmResult {
		return this.parts.preFault.preFault(range, () => this.immediateExit);
	}

	/** KVM_MAP_MEMORY in its first form; see {@link PreFault.mapMemory}. `range` becomes what is left. */
	mapMemory(range: MapMemory): KvmResult {
		return this.parts.preFault.mapMemory(range, () => this.immediateExit, this.parts.copyIn);
	}

	/** An ioctl of a vCPU by its number that has no method here: EINVAL, as Linux answers unknown ones. */
	ioctl(_request: number): KvmResult {
		return "EINVAL";
	}
}

function count<T>(entries: readonly T[], action: (entry: T) => boolean): number {
	const failed = entries.findIndex((entry) => !action(entry));
	return failed < 0 ? entries.length : failed;
}
