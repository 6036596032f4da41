import {
	EXIT_REASON,
	type HostBuffer,
	KVM_MEM_READONLY,
	type KvmResult,
	type MemSlotsOptions,
	type Regs,
	type Vcpu,
	Vm,
} from "../../../src/kvm/index.ts";

export const ENGINES = ["interpreter", "compiled"] as const;
export type Engine = (typeof ENGINES)[number];
export const PAGE = 4096;
export { EXIT_REASON, KVM_MEM_READONLY };

/** Where the code lies, in a slot of its own: number 31, 64 KiB from here on. */
export const CODE = 0x10_0000;
const CODE_SLOT = 31;
const CODE_SIZE = 0x1_0000;

export interface Options extends MemSlotsOptions {
	readonly code: readonly number[];
	readonly regs?: Partial<Regs>;
	/** Called before the vCPU is made: capabilities go here. */
	readonly before?: (vm: Vm) => void;
}

/** A flat 32-bit guest without paging, on the public interface alone. */
export class Guest {
	readonly vm: Vm;
	readonly vcpu: Vcpu;
	readonly code: HostBuffer;

	private constructor(vm: Vm, vcpu: Vcpu, code: HostBuffer) {
		this.vm = vm;
		this.vcpu = vcpu;
		this.code = code;
	}

	static async create(engine: Engine, options: Options): Promise<Guest> {
		const vm = await Vm.create(options);
		options.before?.(vm);
		const code = vm.allocate(CODE_SIZE);
		code.view.set(options.code);
		const vcpu = vm.createVcpu(0);
		if (typeof vcpu === "string") throw new Error(vcpu);
		const guest = new Guest(vm, vcpu, code);
		guest.slot(CODE_SLOT, 0, CODE, CODE_SIZE, code);
		await vcpu.setEngine(engine, 2);
		const sregs = vcpu.getSregs();
		for (const name of ["cs", "ds", "es", "fs", "gs", "ss"] as const) {
			const type = name === "cs" ? 11 : 3;
			Object.assign(sregs[name], { base: 0n, limit: 0xffff_ffff, selector: name === "cs" ? 8 : 16, type, db: 1, g: 1 });
		}
		sregs.cr0 = 0x11n;
		// No gates: an exception is a triple fault.
		sregs.idt = { base: 0n, limit: 0 };
		if (vcpu.setSregs(sregs) !== 0) throw new Error("setSregs");
		guest.setRegs({ rip: BigInt(CODE), rflags: 2n, rsp: BigInt(CODE + CODE_SIZE), ...options.regs });
		return guest;
	}

	/** KVM_SET_USER_MEMORY_REGION; a size of 0 deletes. `offset` into the buffer. */
	slot(slot: number, flags: number, gpa: number, size: number, buffer = this.code, offset = 0): KvmResult {
		return this.vm.setUserMemoryRegion({
			slot,
			flags,
			guestPhysAddr: BigInt(gpa),
			memorySize: BigInt(size),
			userspaceAddr: buffer.userspaceAddr + BigInt(offset),
		});
	}

	setRegs(changes: Partial<Regs>): KvmResult {
		return this.vcpu.setRegs({ ...this.vcpu.getRegs(), ...changes });
	}

	/** Runs; anything but 0 is an error. @returns the exit's reason. */
	run(): number {
		const result = this.vcpu.run({ limitMs: 20_000 });
		if (result !== 0) throw new Error(`run: ${result}`);
		return this.vcpu.exit.reason;
	}

	/** The bitmap of a slot as page numbers, or the error. */
	dirty(slot: number, pages: number): number[] | KvmResult {
		const bitmap = new Uint8Array(Math.ceil(pages / 64) * 8);
		const result = this.vm.getDirtyLog(slot, bitmap);
		if (result !== 0) return result;
		return Array.from({ length: pages }, (_, page) => page).filter((page) => (bitmap[page >> 3]! >> (page & 7)) & 1);
	}

	/** KVM_CLEAR_DIRTY_LOG of a whole slot, for some pages. */
	clear(slot: number, pages: number, which: readonly number[]): KvmResult {
		const bitmap = new Uint8Array(Math.ceil(pages / 64) * 8);
		for (const page of which) bitmap[page >> 3]! |= 1 << (page & 7);
		return this.vm.clearDirtyLog({ slot, numPages: pages, firstPage: 0n, bitmap });
	}
}

/**
 * A guest that does what ports tell it: from port 10h an address, from port 14h what to do there. 0: load four bytes and send them
 * to port 18h; 2: LOCK INC of four bytes; anything else: store it.
 */
export const COMMANDS = [
	...[0x66, 0xba, 0x10, 0, 0xed, 0x89, 0xc7, 0x66, 0xba, 0x14, 0, 0xed, 0x85, 0xc0, 0x75, 0x09, 0x8b, 0x07],
	...[0x66, 0xba, 0x18, 0, 0xef, 0xeb, 0xe7, 0x83, 0xf8, 2, 0x74, 4, 0x89, 0x07, 0xeb, 0xde, 0xf0, 0xff, 7, 0xeb, 0xd9],
];
export const LOAD = 0;
export const INCREMENT = 2;

/** One thing that user space saw. */
export type Seen =
	| { readonly kind: "read" | "write"; readonly gpa: number; readonly len: number; readonly data: string }
	| { readonly kind: "loaded"; readonly value: number }
	| { readonly kind: "fault"; readonly gpa: number };

/** Lets a {@link COMMANDS} guest do one thing. `device` answers what is no memory. @returns everything seen on the way. */
export function command(
	guest: Guest,
	address: number,
	what: number,
	device: (gpa: number) => number = () => 0,
): Seen[] {
	const { vcpu } = guest;
	const { exit } = vcpu;
	const seen: Seen[] = [];
	if (exit.reason !== EXIT_REASON.io || exit.port !== 0x10) guest.run();
	exit.portWords[0] = address;
	for (;;) {
		const result = vcpu.run({ limitMs: 20_000 });
		if (result === "EFAULT") return [...seen, { kind: "fault", gpa: exit.physAddr }];
		if (result !== 0) throw new Error(`run: ${result}`);
		if (exit.reason === EXIT_REASON.io) {
			if (exit.port === 0x10) return seen;
			if (exit.port === 0x14) exit.portWords[0] = what;
			else seen.push({ kind: "loaded", value: exit.portWords[0]! });
		} else if (exit.reason === EXIT_REASON.mmio) {
			const { physAddr: gpa, len, isWrite } = exit;
			if (!isWrite) for (let n = 0; n < len; n++) exit.data[n] = device(gpa + n);
			const data = Buffer.from(exit.data.slice(0, len)).toString("hex");
			seen.push({ kind: isWrite ? "write" : "read", gpa, len, data });
		} else throw new Error(`exit ${exit.reason}`);
	}
}

/** Numbers that look random and are the same every time. @returns a number below `limit` */
export function numbers(seed: number): (limit: number) => number {
	let state = seed >>> 0 || 1;
	return (limit) => {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		return (state >>> 0) % limit;
	};
}
