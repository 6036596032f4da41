import { assert } from "../../src/base/errors.ts";
import { EXIT_REASON } from "../../src/kvm/vcpu.ts";
import { ATTR, F, SEG, segmentOffset } from "../../src/vcpu/layout.ts";
import { type EngineName, type RegisterName, TestGuest } from "./engine.ts";

/** Where a {@link SystemGuest} keeps what. Below its stack pointer each stack has 4 KiB. */
export const AT = {
	gdt: 0x10000,
	ldt: 0x11000,
	idt: 0x12000,
	tss: 0x13000,
	otherTss: 0x14000,
	handlers: 0x15000,
	code: 0x20000,
	stack0: 0x32000,
	stack1: 0x34000,
	stack3: 0x38000,
	data: 0x40000,
	pages: 0x80000,
} as const;

/** Selectors that every {@link SystemGuest} has; tests add their own from 0x40 up. */
export const SELECTOR = {
	code0: 0x08,
	data0: 0x10,
	code3: 0x1b,
	data3: 0x23,
	tss: 0x28,
	code1: 0x31,
	data1: 0x39,
} as const;

/** Flags nibble of a descriptor: 4 KiB units and 32 bits. */
export const FLAT = 0xc;
export const HLT = 0xf4;
const RAM = 0x100000;
const REGISTER_NAMES = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"] as const;

export interface Start {
	readonly code: readonly number[];
	/** Privilege level; `v86` and `real` are modes of their own. Default 0. */
	readonly at?: 0 | 1 | 3 | "v86" | "real";
	/** Width of code and stack in protected mode. Default 32. */
	readonly bits?: 16 | 32;
	readonly registers?: Partial<Record<RegisterName, number>>;
	readonly eflags?: number;
}

/** What the last run ended with. */
export interface Outcome {
	/** Vector of the exception or interrupt whose handler halted, -1 for any other HLT. */
	readonly vector: number;
	/** Linear address of the HLT. */
	readonly at: number;
}

/**
 * A guest with GDT, LDT, IDT and a 32-bit TSS. Every gate of the IDT leads to a HLT in ring 0, so that a test reads the
 * frame on the stack. {@link start} may be called again and again: hot code gets compiled.
 */
export class SystemGuest {
	readonly guest: TestGuest;
	readonly memory: DataView;

	private constructor(guest: TestGuest) {
		this.guest = guest;
		this.memory = new DataView(guest.ram.buffer, guest.ram.byteOffset, guest.ram.length);
	}

	static async create(engine: EngineName): Promise<SystemGuest> {
		return new SystemGuest(await TestGuest.create(engine, { ram: RAM }));
	}

	/** Writes an 8-byte descriptor; the selector's TI bit says into which table. `limit` as stored. */
	descriptor(selector: number, base: number, limit: number, rights: number, flags = 0): void {
		const at = (selector & 4 ? AT.ldt : AT.gdt) + (selector & 0xfff8);
		this.memory.setUint32(at, ((base << 16) | (limit & 0xffff)) >>> 0, true);
		const high = (base & 0xff000000) | (flags << 20) | (limit & 0xf0000) | (rights << 8) | ((base >>> 16) & 0xff);
		this.memory.setUint32(at + 4, high >>> 0, true);
	}

	/** Writes a gate into a descriptor table (`selector`) or, with `vector`, into the IDT. */
	gate(
		where: { selector: number } | { vector: number },
		target: number,
		offset: number,
		rights: number,
		count = 0,
	): void {
		const at =
			"vector" in where
				? AT.idt + where.vector * 8
				: (where.selector & 4 ? AT.ldt : AT.gdt) + (where.selector & 0xfff8);
		this.memory.setUint32(at, ((target << 16) | (offset & 0xffff)) >>> 0, true);
		this.memory.setUint32(at + 4, ((offset & 0xffff0000) | (rights << 8) | count) >>> 0, true);
	}

	/** Rights byte of a descriptor as it is in memory. */
	rights(selector: number): number {
		return this.memory.getUint8((selector & 4 ? AT.ldt : AT.gdt) + (selector & 0xfff8) + 5);
	}

	/** `count` little-endian words of `bytes` at a linear address. */
	words(at: number, count: number, bytes: 2 | 4 = 4): number[] {
		return Array.from({ length: count }, (_, n) =>
			bytes === 4 ? this.memory.getUint32(at + n * 4, true) : this.memory.getUint16(at + n * 2, true),
		);
	}

	/** The frame on the stack in force (base 0). */
	frame(count: number, bytes: 2 | 4 = 4): number[] {
		return this.words(this.guest.register("esp"), count, bytes);
	}

	/** Tables and registers as at the beginning; RAM beyond the tables keeps what it holds. */
	start({ code, at = 0, bits = 32, registers = {}, eflags = 2 }: Start): void {
		const { guest } = this;
		const { processor } = guest;
		guest.ram.fill(0, AT.gdt, AT.handlers);
		for (const [selector, rights] of [
			[SELECTOR.code0, 0x9b],
			[SELECTOR.data0, 0x93],
			[SELECTOR.code1, 0xbb],
			[SELECTOR.data1, 0xb3],
			[SELECTOR.code3, 0xfb],
			[SELECTOR.data3, 0xf3],
		] as const)
			this.descriptor(selector, 0, 0xfffff, rights, FLAT);
		this.descriptor(SELECTOR.tss, AT.tss, 0xfff, 0x8b);
		for (let vector = 0; vector < 256; vector++) {
			this.gate({ vector }, SELECTOR.code0, AT.handlers + vector, 0xee);
			guest.ram[AT.handlers + vector] = HLT;
		}
		this.memory.setUint32(AT.tss + 4, AT.stack0, true);
		this.memory.setUint16(AT.tss + 8, SELECTOR.data0, true);
		this.memory.setUint32(AT.tss + 12, AT.stack1, true);
		this.memory.setUint16(AT.tss + 16, SELECTOR.data1, true);
		this.memory.setUint16(AT.tss + 0x66, 0x88, true);
		guest.ram.fill(0xff, AT.tss + 0x88, AT.tss + 0x1000);

		const real = at === "real";
		const virtual = at === "v86";
		const level = virtual ? 3 : real ? 0 : at;
		processor.set64(F.cr0, real ? 0x10n : 0x11n);
		for (const field of [F.cr2, F.cr3, F.cr4]) processor.set64(field, 0n);
		processor.set64(F.gdtBase, BigInt(AT.gdt));
		processor.set64(F.gdtLimit, 0xfffn);
		processor.set64(F.idtBase, BigInt(AT.idt));
		processor.set64(F.idtLimit, 0x7ffn);
		processor.setSegment(6, 0, 0n, 0n, ATTR.unusable);
		processor.setSegment(7, SELECTOR.tss, BigInt(AT.tss), 0xfffn, ATTR.present | 0xb);
		const rights = ATTR.present | ATTR.s | (level << ATTR.dplShift) | 3;
		const size = bits === 32 ? ATTR.big : 0;
		for (const n of [0, 1, 2, 3, 4, 5]) {
			if (real || virtual) {
				processor.setSegment(n, n === 1 ? AT.code >> 4 : 0x3000, n === 1 ? BigInt(AT.code) : 0x30000n, 0xffffn, rights);
				continue;
			}
			const selector =
				n === 1
					? [SELECTOR.code0, SELECTOR.code1, 0, SELECTOR.code3]
					: [SELECTOR.data0, SELECTOR.data1, 0, SELECTOR.data3];
			const type = n === 1 ? ATTR.code : 0;
			processor.setSegment(n, selector[level] ?? 0, 0n, 0xffffffffn, rights | type | size | ATTR.granular);
		}
		processor.set(F.cpl, level);
		processor.set(F.shadow, 0);
		processor.set(F.nmiBlocked, 0);
		processor.call("writeFlags", eflags | (virtual ? 0x20000 : 0));
		processor.refresh();
		for (const name of REGISTER_NAMES) guest.setRegister(name, 0);
		const pointer = [AT.stack0, AT.stack1, 0, AT.stack3][level] ?? 0;
		guest.setRegister("esp", real || virtual ? 0x1000 : bits === 16 ? pointer & 0xffff : pointer);
		for (const [name, value] of Object.entries(registers)) guest.setRegister(name as RegisterName, value);
		if (code.some((byte, n) => guest.ram[AT.code + n] !== byte)) processor.code.flush();
		guest.ram.set(code, AT.code);
		processor.set64(F.rip, real || virtual ? 0n : BigInt(AT.code));
	}

	/** Runs to a HLT. */
	run(): Outcome {
		const reason = this.guest.run(100_000);
		assert(reason === EXIT_REASON.hlt, `exit reason ${reason} at ${this.guest.eip.toString(16)} instead of HLT`);
		const at = this.segment(1).base + this.guest.eip - 1;
		const vector = at - AT.handlers;
		return { vector: vector >= 0 && vector < 256 ? vector : -1, at };
	}

	/** {@link start} and {@link run}. */
	play(start: Start): Outcome {
		this.start(start);
		return this.run();
	}

	/** A segment register by number. */
	segment(n: number): { selector: number; base: number; limit: number; attributes: number; usable: boolean } {
		const { processor } = this.guest;
		const at = segmentOffset(n);
		const attributes = processor.get(SEG.attributes, at);
		return {
			selector: processor.get(SEG.selector, at),
			base: processor.getNumber(SEG.base, at),
			limit: processor.getNumber(SEG.limit, at),
			attributes: attributes & 0xffff,
			usable: (attributes & ATTR.unusable) === 0,
		};
	}
}

/** Runs a test body several times on one guest: the last times in compiled code, where the engine compiles. */
export async function heated(engine: EngineName, body: (guest: SystemGuest) => void): Promise<void> {
	const guest = await SystemGuest.create(engine);
	for (let n = 0; n < 6; n++) body(guest);
}
