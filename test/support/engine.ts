import { assert } from "../../src/base/errors.ts";
import { EXIT_REASON, type Vcpu } from "../../src/kvm/vcpu.ts";
import { Vm } from "../../src/kvm/vm.ts";
import { UnitCompiler } from "../../src/vcpu/jit/compiler.ts";
import { ATTR, F, segmentOffset } from "../../src/vcpu/layout.ts";
import type { Processor } from "../../src/vcpu/processor.ts";

/** Every engine that instruction tests run on. */
export const ENGINES = ["interpreter", "compiled"] as const;
export type EngineName = (typeof ENGINES)[number];

export interface GuestOptions {
	/** `prot32`: flat 4 GiB segments, CPL 0, no paging. Default. */
	readonly mode?: "real" | "prot32" | "prot16";
	/** Bytes of RAM from address 0; default 1 MiB. */
	readonly ram?: number;
	/** Where the code goes and starts; default 0x1000. */
	readonly origin?: number;
	readonly code?: Uint8Array | readonly number[];
	/** Further memory, by address. */
	readonly memory?: Readonly<Record<number, Uint8Array | readonly number[]>>;
	/** General registers by name (eax …); esp defaults to 0x8000. */
	readonly registers?: Partial<Record<RegisterName, number>>;
	readonly eflags?: number;
}

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
		await useEngine(guest.processor, engine);
		const origin = options.origin ?? 0x1000;
		guest.setMode(options.mode ?? "prot32");
		if (options.code) guest.ram.set(options.code, origin);
		for (const [address, bytes] of Object.entries(options.memory ?? {})) guest.ram.set(bytes, Number(address));
		guest.processor.set64(F.rip, BigInt(origin));
		guest.setRegister("esp", 0x8000);
		for (const [name, value] of Object.entries(options.registers ?? {})) guest.setRegister(name as RegisterName, value);
		guest.processor.call("writeFlags", options.eflags ?? 2);
		return guest;
	}

	private setMode(mode: NonNullable<GuestOptions["mode"]>): void {
		const { processor } = this;
		const big = mode === "prot32";
		const limit = big ? 0xffffffffn : 0xffffn;
		const size = big ? ATTR.big | ATTR.granular : 0;
		processor.set64(F.cr0, mode === "real" ? 0x60000010n : 0x60000011n);
		for (const n of [0, 2, 3, 4, 5])
			processor.setSegment(n, mode === "real" ? 0 : 16, 0n, limit, ATTR.present | ATTR.s | 3 | size);
		processor.setSegment(1, mode === "real" ? 0 : 8, 0n, limit, ATTR.present | ATTR.s | 0xb | size);
		processor.refresh();
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
	processor.setCompiler(new UnitCompiler(processor, 2));
}
