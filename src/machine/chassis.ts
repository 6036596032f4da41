import { createHash } from "node:crypto";
import { assert } from "../base/errors.ts";
import type { MachineConfig } from "../config/index.ts";
import { X2APIC_FIRST_MSR, X2APIC_LAST_MSR } from "../devices/lapic-x2apic.ts";
import { packageVersion } from "../host/version.ts";
import { KVM_MEM_READONLY } from "../kvm/memslots.ts";
import type { Vcpu } from "../kvm/vcpu.ts";
import { Vm } from "../kvm/vm.ts";
import { cpuidOf } from "../vcpu/cpu-models.ts";
import { featuresIn, findCpuid } from "../vcpu/cpuid.ts";
import type { UnitCompiler } from "../vcpu/jit/compiler.ts";
import { F } from "../vcpu/layout.ts";
import { MSR } from "../vcpu/msr.ts";
import type { RunControl } from "./debugger/run-control.ts";
import { DirectBoot } from "./direct-boot.ts";
import { DirtyIntervals } from "./dirty-intervals.ts";
import { type EngineChoice, useEngine } from "./engine.ts";
import { GuestClock } from "./guest-clock.ts";
import type { End, MachineHost, Moment } from "./outcome.ts";
import { PanicWatch } from "./panic-watch.ts";
import { hasFirmware, Pc } from "./pc/pc.ts";
import { processorTrace } from "./processor-trace.ts";
import type { Requests } from "./requests.ts";
import { RomStores } from "./rom-stores.ts";
import { RunLoop } from "./run-loop.ts";
import type { Sleep } from "./sleep.ts";
import { hex, type Trace, traceTo } from "./trace.ts";

/** Width of guest-physical addresses. */
const PHYSICAL_BITS = 40;
/** Bytes hashed at a time. */
const HASH_PIECE = 1 << 20;

/** What a chassis takes from the run that it belongs to. */
export interface ChassisParts {
	readonly config: MachineConfig;
	readonly host: MachineHost;
	readonly requests: Requests;
	readonly sleep: Sleep;
	readonly engine: EngineChoice;
	/** It runs beside another one: files are read and never written. */
	readonly shadow: boolean;
	/** With `--clock host`: nanoseconds since the start. */
	readonly hostTime: () => number;
	/** The date at power-on, milliseconds since 1970 UTC. */
	readonly startUtcMs: number;
	/** Host time, as hostMs() has it, at which the run loop ends the run. */
	readonly deadline: number;
	/** Called at every turn of the event loop. */
	readonly turned: (pc: Pc) => void;
	/** A debugger that may stop the guest. */
	readonly debug?: RunControl | undefined;
}

/** A board with its processor, wired up after power-on, and the loop that runs it. */
export class Chassis {
	readonly vm: Vm;
	readonly vcpu: Vcpu;
	readonly pc: Pc;
	readonly clock: GuestClock;
	readonly loop: RunLoop;
	/** The processor has the TSC deadline mode of the local APIC's timer. */
	private readonly hasDeadline: boolean;
	/** Absent on the interpreter. */
	readonly compiler: UnitCompiler | undefined;
	private readonly intervals: DirtyIntervals | undefined;
	/** Why the host does not take what the guest has changed in its flash; undefined where it does. */
	private unsaved: string | undefined;
	private readonly romStores: RomStores;

	/** @throws UserError when the board cannot be built from its configuration. */
	static async build(parts: ChassisParts): Promise<Chassis> {
		let built: Chassis | undefined;
		const chassis = (): Chassis => {
			assert(built, "a processor runs when its board is built");
			return built;
		};
		const trace = traceTo(parts.host.trace, parts.config.trace, () => ({
			instructions: built?.instructions ?? 0,
			timeNs: built?.clock.now() ?? 0,
		}));
		const cpuid = cpuidOf(parts.config.cpu, { physicalBits: PHYSICAL_BITS });
		const vm = await Vm.create({ physicalBits: PHYSICAL_BITS });
		traceSlots(vm, trace);
		const told = processorTrace(trace, parts.config.trace, () => chassis().vcpu.processor);
		const vcpu = vm.createVcpu(0, {
			acknowledge: () => chassis().pc.interrupts.lapic.acknowledge(),
			...(told ? { traced: told.traced } : {}),
			msr: (isWrite, index, value) => chassis().msr(isWrite, index, value),
			taskPriority: (value) => chassis().setTaskPriority(value),
			ferr: () => chassis().pc.isa.coprocessor.error(),
			port: (isWrite, port, size, value) => chassis().loop.portAccess(isWrite, port, size, value),
			refuses: (gpa) => chassis().romStores.refuses(gpa),
			bitsLost: (lost) => chassis().romStores.bitsLost(lost),
		});
		assert(typeof vcpu !== "string", "the vCPU");
		assert(vcpu.setCpuid2(cpuid) === 0, "CPUID");
		if (told) vcpu.processor.trace(told.wanted, told.first, told.last);
		// Before the board: what the compiler allocates must lie in the lower half of the VM's memory, and RAM can fill it.
		const compiler = await useEngine(vcpu.processor, parts.engine);
		built = new Chassis(vm, vcpu, compiler, trace, parts);
		return built;
	}

	private constructor(vm: Vm, vcpu: Vcpu, compiler: UnitCompiler | undefined, trace: Trace, parts: ChassisParts) {
		const { config, requests, sleep } = parts;
		this.vm = vm;
		this.vcpu = vcpu;
		this.compiler = compiler;
		const { processor } = vcpu;
		const clock = new GuestClock(
			processor,
			config.maxGuestTimeNs ?? Number.POSITIVE_INFINITY,
			config.clock === "host" ? parts.hostTime : undefined,
		);
		this.clock = clock;
		const host =
			config.panicText === "off" ? parts.host : watched(parts.host, new PanicWatch(config.panicText, clock, requests));
		const identity = findCpuid(vcpu.getCpuid2(), 1);
		const romStores = new RomStores({
			...{ config, processor, clock, host },
			requests: parts.shadow ? undefined : requests,
			map: () => this.pc,
		});
		this.romStores = romStores;
		const pc = new Pc(config, {
			vm,
			clock,
			power: requests,
			host: config.romWrites === "off" ? host : { ...host, flash: romStores.flashSink(host.flash) },
			shadow: parts.shadow,
			trace,
			cpu: {
				interrupt: {
					set: (asserted) => {
						processor.setInterruptLine(asserted);
						if (asserted) sleep.wake();
					},
				},
				nmi: () => processor.nmi(),
				taskPriority: (value) => processor.setTaskPriority(value),
				timeStamp: () => processor.timeStamp(),
				ignoreFpuErrors: () => processor.ignoreFpuErrors(),
				a20: (open) => processor.setA20(open),
			},
			unsaved: (detail) => {
				this.unsaved ??= detail;
				requests.stop({ kind: "output-error", detail });
			},
			romStore: romStores.refused,
			dmaRefused: (...refused) => romStores.dma(...refused),
			cpuSignature: identity?.eax ?? 0,
			cpuFeatures: identity?.edx ?? 0,
			version: packageVersion(),
			startUtcMs: parts.startUtcMs,
		});
		this.pc = pc;
		this.hasDeadline = featuresIn(vcpu.getCpuid2()).has("tsc-deadline");
		const sources = [host.keyboard, ...host.serial.map(({ input }) => input)].filter((source) => source !== undefined);
		const { dirtyLog } = parts.shadow ? {} : host;
		this.intervals = dirtyLog && new DirtyIntervals(vm, dirtyLog, () => processor.retired());
		const { kernel } = config;
		const boot =
			kernel === undefined || hasFirmware(config) ? undefined : new DirectBoot({ config, kernel, vm, vcpu, pc });
		const restarts = config.onReset === "auto" ? boot === undefined : config.onReset === "restart";
		this.loop = new RunLoop({
			intervals: this.intervals,
			vcpu,
			clock,
			board: pc,
			requests,
			sleep,
			limits: {
				instructions: config.maxInstructions ?? Number.POSITIVE_INFINITY,
				guestTimeNs: config.maxGuestTimeNs ?? Number.POSITIVE_INFINITY,
				deadline: parts.deadline,
			},
			storeRefused: () => romStores.faulted(),
			restarted: restarts ? () => boot?.start() : undefined,
			mayHear: () => sources.some((source) => !source.ended),
			turned: () => parts.turned(pc),
			debug: parts.debug,
			trace: { exits: trace("exits"), resets: trace("resets") },
		});
		pc.reset();
		boot?.start();
	}

	/** Guest instructions retired since power-on. */
	get instructions(): number {
		return this.vcpu.processor.retired();
	}

	/** See RunningMachine. */
	get moment(): Moment {
		const { processor } = this.vcpu;
		return {
			timeNs: this.clock.now(),
			instructions: processor.retired() - 1,
			cs: processor.get(F.exitCs),
			rip: processor.get64(F.exitIp),
		};
	}

	/** SHA-256 of guest RAM, in hexadecimal. */
	ramHash(): string {
		const hash = createHash("sha256");
		const ram = this.pc.ram.view;
		// Node's hash takes no shared memory: copy it piece by piece.
		const piece = new Uint8Array(Math.min(ram.length, HASH_PIECE));
		for (let at = 0; at < ram.length; at += piece.length) {
			const part = ram.subarray(at, at + piece.length);
			piece.set(part);
			hash.update(piece.subarray(0, part.length));
		}
		return hash.digest("hex");
	}

	/** Flash contents reach the disk. @returns the end of the run: `end`, unless they could not. */
	saved(end: End): End {
		this.pc.sync();
		return this.unsaved === undefined ? end : { kind: "output-error", detail: this.unsaved };
	}

	/** Everything reaches the disk, and files are closed. May be called repeatedly. */
	close(): void {
		try {
			this.intervals?.finish(this.clock.now());
		} finally {
			this.compiler?.close();
			this.pc.close();
		}
	}

	private setTaskPriority(value: number): void {
		this.pc.interrupts.lapic.cr8 = value;
	}

	private msr(isWrite: boolean, index: number, value: bigint): bigint | boolean | undefined {
		const answer = isWrite ? this.writeMsr(index, value) : this.readMsr(index);
		if (isWrite) this.loop.attend();
		return answer;
	}

	private readMsr(index: number): bigint | undefined {
		const { lapic } = this.pc.interrupts;
		if (index === MSR.tscDeadline && this.hasDeadline) return lapic.deadline;
		return isX2apic(index) ? lapic.readMsr(index) : undefined;
	}

	private writeMsr(index: number, value: bigint): boolean {
		const { lapic } = this.pc.interrupts;
		if (index === MSR.apicBase) lapic.base = Number(value);
		else if (index === MSR.tsc) lapic.timeStampSet();
		else if (index === MSR.tscDeadline && this.hasDeadline) lapic.deadline = value;
		else return isX2apic(index) && lapic.writeMsr(index, value);
		return true;
	}
}

function isX2apic(index: number): boolean {
	return index >= X2APIC_FIRST_MSR && index <= X2APIC_LAST_MSR;
}

/** A host whose consoles a panic is looked for on. */
function watched(host: MachineHost, panic: PanicWatch): MachineHost {
	const serial = host.serial.map((line) => ({ ...line, output: panic.watch(line.output) }));
	return { ...host, serial, debugcon: panic.watch(host.debugcon) };
}

function traceSlots(vm: Vm, trace: Trace): void {
	const say = trace("slots");
	if (say === undefined) return;
	vm.slots.onSlotsChanged(({ kind, first, last }, { slot, flags }) => {
		const access = flags & KVM_MEM_READONLY ? "readonly" : "writable";
		say(kind, { slot, first: hex(first, 4), last: hex(last, 4), access }, first, last);
	});
}
