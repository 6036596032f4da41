import { assert } from "../../src/base/errors.ts";
import { GPR, type GprName } from "../../src/isa/registers.ts";
import { EXIT_REASON, type Vcpu } from "../../src/kvm/vcpu.ts";
import { Vm } from "../../src/kvm/vm.ts";
import { UnitCompiler } from "../../src/vcpu/jit/compiler.ts";
import { WorkshopInPlace } from "../../src/vcpu/jit/workshop-in-place.ts";
import { ATTR, F, segmentOffset } from "../../src/vcpu/layout.ts";
import type { Processor } from "../../src/vcpu/processor.ts";

/** Every engine that instruction tests run on. */
export const ENGINES = ["interpreter", "compiled"] as const;
export type EngineName = (typeof ENGINES)[number];

export interface GuestOptions {
	/**
	 * `prot32`: flat 4 GiB segments, CPL 0, no paging. Default. `long`: 64-bit mode at CPL 0 with page tables in the last
	 * {@link LONG_TABLES} bytes of RAM: the first GiB at 0, and again at {@link LONG_HIGH} and {@link LONG_TOP}.
	 */
	readonly mode?: "real" | "prot32" | "prot16" | "long";
	/** Bytes of RAM from address 0; default 1 MiB. */
	readonly ram?: number;
	/** Where the code goes and starts; default 0x1000. */
	readonly origin?: number;
	/** RIP at the start, where that is another address of the same memory. */
	readonly rip?: bigint;
	readonly code?: Uint8Array | readonly number[];
	/** Further memory, by address. */
	readonly memory?: Readonly<Record<number, Uint8Array | readonly number[]>>;
	/** General registers by name (eax …, or rax … with all 64 bits); esp defaults to 0x8000. */
	readonly registers?: Partial<Record<RegisterName, number>> & Partial<Record<GprName, bigint>>;
	readonly eflags?: number;
}

/** Bytes of the page tables of 64-bit mode: PML4, PDPT, page directory, at the end of RAM. */
export const LONG_TABLES = 0x3000;
/** Where the first GiB appears as well in 64-bit mode: at the bottom of the upper half, and at its end where kernels are. */
export const LONG_HIGH = 0xffff_8000_0000_0000n;
export const LONG_TOP = 0xffff_ffff_8000_0000n;

const REGISTERS = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"] as const;
export type RegisterName = (typeof REGISTERS)[number];

/** A VM with one vCPU on a chosen engine, RAM from 0, and shorthands for tests. */
export class TestGuest {
	readonly vm: Vm;
	readonly vcpu: Vcpu;
	readonly processor: Processor;
	readonly ram: Uint8Array;

	private constructor(vm: Vm, vcpu: Vcpu, ram: Uint8Array) {
		this.vm = vm;
		this.vcpu = vcpu;
		this.processor = vcpu.processor;
		this.ram = ram;
	}

	static async create(engine: EngineName, options: GuestOptions = {}): Promise<TestGuest> {
		const vm = await Vm.create();
		const size = options.ram ?? 1 << 20;
		const buffer = vm.allocate(size);
		const done = vm.setUserMemoryRegion({
			slot: 0,
			flags: 0,
			guestPhysAddr: 0n,
			memorySize: BigInt(buffer.view.length),
			userspaceAddr: buffer.userspaceAddr,
		});
		assert(done === 0, "RAM slot");
		const vcpu = vm.createVcpu(0);
		assert(typeof vcpu !== "string", "vCPU");
		const guest = new TestGuest(vm, vcpu, buffer.view);
		// Whatever CPUID says: all instructions that there are.
		guest.processor.setInstructions();
		await useEngine(guest.processor, engine);
		const origin = options.origin ?? 0x1000;
		guest.setMode(options.mode ?? "prot32");
		if (options.code) guest.ram.set(options.code, origin);
		for (const [address, bytes] of Object.entries(options.memory ?? {})) guest.ram.set(bytes, Number(address));
		guest.processor.set64(F.rip, options.rip ?? BigInt(origin));
		guest.setRegister("esp", 0x8000);
		for (const [name, value] of Object.entries(options.registers ?? {})) {
			if (typeof value === "bigint") guest.setGpr(name as GprName, value);
			else guest.setRegister(name as RegisterName, value);
		}
		guest.processor.call("writeFlags", options.eflags ?? 2);
		return guest;
	}

	private setMode(mode: NonNullable<GuestOptions["mode"]>): void {
		const { processor } = this;
		if (mode === "long") {
			this.setLongMode();
			return;
		}
		const big = mode === "prot32";
		const limit = big ? 0xffffffffn : 0xffffn;
		const size = big ? ATTR.big | ATTR.granular : 0;
		processor.set64(F.cr0, mode === "real" ? 0x60000010n : 0x60000011n);
		for (const n of [0, 2, 3, 4, 5])
			processor.setSegment(n, mode === "real" ? 0 : 16, 0n, limit, ATTR.present | ATTR.s | 3 | size);
		processor.setSegment(1, mode === "real" ? 0 : 8, 0n, limit, ATTR.present | ATTR.s | 0xb | size);
		processor.refresh();
	}

	private setLongMode(): void {
		const { processor, ram } = this;
		const entries = new DataView(ram.buffer, ram.byteOffset);
		const [pml4, pointers, directory] = [0, 1, 2].map((n) => ram.length - LONG_TABLES + n * 0x1000) as [
			number,
			number,
			number,
		];
		const present = 0x27n;
		for (const n of [0, 256, 511]) entries.setBigUint64(pml4 + n * 8, BigInt(pointers) | present, true);
		for (const n of [0, 510]) entries.setBigUint64(pointers + n * 8, BigInt(directory) | present, true);
		for (let n = 0; n < 512; n++) entries.setBigUint64(directory + n * 8, (BigInt(n) << 21n) | 0xe7n, true);
		processor.set64(F.cr0, 0xe0000011n);
		processor.set64(F.cr3, BigInt(pml4));
		processor.set64(F.cr4, 0x20n);
		processor.set64(F.efer, 0x501n);
		for (const n of [0, 2, 3, 4, 5])
			processor.setSegment(n, 16, 0n, 0xffffffffn, ATTR.present | ATTR.s | 3 | ATTR.big | ATTR.granular);
		processor.setSegment(1, 8, 0n, 0xffffffffn, ATTR.present | ATTR.s | 0xb | ATTR.long | ATTR.granular);
		processor.refresh();
	}

	/** A general register with all 64 bits. */
	gpr(name: GprName): bigint {
		return this.processor.gpr(GPR.indexOf(name));
	}

	setGpr(name: GprName, value: bigint): void {
		this.processor.setGpr(GPR.indexOf(name), value);
	}

	get rip(): bigint {
		return this.processor.get64(F.rip);
	}

	register(name: RegisterName): number {
		return Number(this.processor.gpr(REGISTERS.indexOf(name)) & 0xffffffffn);
	}

	setRegister(name: RegisterName, value: number): void {
		this.processor.setGpr(REGISTERS.indexOf(name), BigInt(value >>> 0));
	}

	get eip(): number {
		return Number(this.processor.get64(F.rip));
	}

	get eflags(): number {
		return this.processor.call("readFlags");
	}

	selector(n: number): number {
		return this.processor.get({ offset: segmentOffset(n) } as never);
	}

	/**
	 * Runs at most `instructions` instructions.
	 * @returns the exit reason: `budget` when all of them retired.
	 */
	run(instructions = 1_000_000): number {
		this.processor.setBudget(instructions);
		const result = this.vcpu.run();
		assert(result === 0, `run: ${result}`);
		return this.vcpu.exit.reason;
	}

	/** Runs to HLT; anything else is an error that says where. */
	runToHalt(instructions = 10_000_000): void {
		const reason = this.run(instructions);
		assert(reason === EXIT_REASON.hlt, `exit reason ${reason} at ${this.eip.toString(16)} instead of HLT`);
	}
}

/** Makes a processor run on `engine`. */
export async function useEngine(processor: Processor, engine: EngineName): Promise<void> {
	if (engine === "interpreter") return;
	// Compiled as early as can be, so that short tests run compiled code.
	processor.setCompiler(new UnitCompiler(processor, (room) => new WorkshopInPlace(room), 2));
}
