import { assert } from "../base/errors.ts";
import type { AccessSize, Device } from "./device.ts";

/**
 * A range of I/O ports or memory whose place the guest chooses: behind a base address register, or behind a
 * chipset's own base register. The machine puts the function's registers there.
 * Places may overlap other devices while firmware is still arranging things; that must not stop the machine.
 */
export interface Window {
	/** The first port or address, a multiple of the window's size; undefined takes the window off the bus. */
	place(base: number | undefined): void;
}

/**
 * One PCI function as its bus sees it: a device whose 256 bytes of registers are its configuration space.
 * What lies behind its base address registers are devices of their own.
 */
export interface PciFunction<State = unknown> extends Device<State> {
	/** Which interrupt pin it drives: 0 none, 1 INTA# .. 4 INTD# (PCI 2.1, 6.2.4). */
	readonly interruptPin: number;
}

/** One base address register (PCI 2.1, 6.2.5.1). */
export interface Bar {
	/** 0..5: the register at 0x10 + 4 * index. */
	readonly index: number;
	readonly kind: "io" | "memory";
	/** Bytes, a power of two: at least 4 for ports, 16 for memory. */
	readonly size: number;
	readonly window: Window;
}

/** What a function's header says of it (PCI 2.1, 6.1 and 6.2). */
export interface PciIdentity {
	readonly vendor: number;
	readonly device: number;
	readonly revision?: number;
	/** Class code: base class, sub-class, programming interface, from bit 23 down. */
	readonly classCode: number;
	/** Bit 7: the slot holds several functions. */
	readonly headerType?: number;
	/** Subsystem vendor in bits 15:0, subsystem in bits 31:16. */
	readonly subsystem?: number;
	/** Status after reset: fast back-to-back, DEVSEL timing. */
	readonly status?: number;
	readonly interruptPin?: number;
}

export const PCI_COMMAND = 0x04;
export const PCI_STATUS = 0x06;
export const PCI_INTERRUPT_LINE = 0x3c;
const PCI_REVISION = 0x08;
const PCI_CACHE_LINE_SIZE = 0x0c;
const PCI_HEADER_TYPE = 0x0e;
const PCI_BARS = 0x10;
const PCI_BARS_END = 0x28;
const PCI_SUBSYSTEM = 0x2c;
const PCI_INTERRUPT_PIN = 0x3d;

export const COMMAND_IO = 1 << 0;
export const COMMAND_MEMORY = 1 << 1;
export const COMMAND_MASTER = 1 << 2;
const COMMAND_SERR = 1 << 8;
const COMMAND_INTX_DISABLE = 1 << 10;
/** Special cycles, memory write and invalidate, palette snoop, parity response and stepping are not offered. */
const COMMAND_WRITABLE = COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER | COMMAND_SERR | COMMAND_INTX_DISABLE;
/** Error bits of the status register; written ones clear them. */
const STATUS_CLEARABLE = 0xf900;

/** Ports end at 64 KiB. */
const PORTS = 0x10000;

/** A function's saved configuration space: 256 bytes. */
export interface PciConfigState {
	readonly config: readonly number[];
}

/**
 * Configuration space with the standard header. A subclass lays its own registers over it in the constructor with
 * {@link register} and learns of writes by {@link written}.
 */
export abstract class PciConfigSpace<State extends PciConfigState = PciConfigState> implements PciFunction<State> {
	abstract readonly name: string;
	readonly sizes: readonly AccessSize[] = [1, 2, 4];
	readonly interruptPin: number;
	protected readonly config = new Uint8Array(256);
	private readonly initial = new Uint8Array(256);
	/** Bits that take the written value. */
	private readonly writable = new Uint8Array(256);
	/** Bits that a written one clears. */
	private readonly clearable = new Uint8Array(256);
	private readonly bars: readonly Bar[];
	private readonly placed: (number | undefined)[];

	constructor(identity: PciIdentity, bars: readonly Bar[] = []) {
		this.interruptPin = identity.interruptPin ?? 0;
		this.bars = bars;
		this.placed = bars.map(() => undefined);
		this.register(0x00, 4, ((identity.device << 16) | identity.vendor) >>> 0, 0);
		this.register(PCI_COMMAND, 2, 0, COMMAND_WRITABLE);
		this.register(PCI_STATUS, 2, identity.status ?? 0, 0, STATUS_CLEARABLE);
		this.register(PCI_REVISION, 4, ((identity.classCode << 8) | (identity.revision ?? 0)) >>> 0, 0);
		this.register(PCI_CACHE_LINE_SIZE, 1, 0, 0xff);
		this.register(PCI_HEADER_TYPE, 1, identity.headerType ?? 0, 0);
		this.register(PCI_SUBSYSTEM, 4, identity.subsystem ?? 0, 0);
		this.register(PCI_INTERRUPT_LINE, 1, 0, 0xff);
		this.register(PCI_INTERRUPT_PIN, 1, this.interruptPin, 0);
		for (const bar of bars) {
			assert((bar.size & (bar.size - 1)) === 0 && bar.size >= (bar.kind === "io" ? 4 : 16), "BAR size");
			this.register(PCI_BARS + 4 * bar.index, 4, bar.kind === "io" ? 1 : 0, -bar.size >>> 0);
		}
	}

	/** Declares a register of `size` bytes: its value after reset, which bits are writable, which a written one clears. */
	protected register(offset: number, size: number, initial: number, writable: number, clearable = 0): void {
		for (let i = 0; i < size; i++) {
			this.initial[offset + i] = initial >>> (8 * i);
			this.writable[offset + i] = writable >>> (8 * i);
			this.clearable[offset + i] = clearable >>> (8 * i);
			this.config[offset + i] = initial >>> (8 * i);
		}
	}

	/** Changes which bits of a byte are writable, for registers that lock. */
	protected setWritable(offset: number, bits: number): void {
		this.writable[offset] = bits;
	}

	/** Called after bytes `first`..`last` were written, and with the whole space after reset and load. */
	protected written(_first: number, _last: number): void {}

	read(offset: number, size: AccessSize): number {
		let value = 0;
		for (let i = 0; i < size; i++) value |= (this.config[offset + i] ?? 0xff) << (8 * i);
		return value >>> 0;
	}

	write(offset: number, size: AccessSize, value: number): void {
		for (let i = 0; i < size && offset + i < 256; i++) {
			const at = offset + i;
			const byte = (value >>> (8 * i)) & 0xff;
			const mask = this.writable[at] ?? 0;
			this.config[at] = ((this.config[at] ?? 0) & ~mask & ~(byte & (this.clearable[at] ?? 0))) | (byte & mask);
		}
		this.applied(offset, offset + size - 1);
	}

	reset(): void {
		this.config.set(this.initial);
		this.applied(0, 255);
	}

	abstract save(): State;

	load(state: State): void {
		this.config.set(state.config);
		this.applied(0, 255);
	}

	protected saveConfig(): PciConfigState {
		return { config: Array.from(this.config) };
	}

	protected get command(): number {
		return this.read(PCI_COMMAND, 2);
	}

	/** May the function reach memory by itself? */
	get busMaster(): boolean {
		return (this.command & COMMAND_MASTER) !== 0;
	}

	private applied(first: number, last: number): void {
		const touched = (from: number, end: number): boolean => first < end && last >= from;
		if (touched(PCI_COMMAND, PCI_STATUS) || touched(PCI_BARS, PCI_BARS_END)) this.placeBars();
		this.written(first, last);
	}

	private placeBars(): void {
		this.bars.forEach((bar, i) => {
			const base = this.barBase(bar);
			if (base === this.placed[i]) return;
			this.placed[i] = base;
			bar.window.place(base);
		});
	}

	/** Base 0 means not yet assigned; a range that wraps or leaves its space is what sizing all-ones looks like. */
	private barBase(bar: Bar): number | undefined {
		const enable = bar.kind === "io" ? COMMAND_IO : COMMAND_MEMORY;
		if ((this.command & enable) === 0) return undefined;
		const base = (this.read(PCI_BARS + 4 * bar.index, 4) & -bar.size) >>> 0;
		const end = base + bar.size;
		return base === 0 || end > (bar.kind === "io" ? PORTS : 0xffff_ffff) ? undefined : base;
	}
}

/** The functions of bus 0. A function that is not there reads all ones and drops writes: master abort. */
export class PciBus {
	private readonly functions = new Map<number, PciFunction>();

	/** `devfn`: slot in bits 7:3, function in bits 2:0. */
	attach(devfn: number, fn: PciFunction): void {
		assert(devfn >= 0 && devfn < 256 && !this.functions.has(devfn), `PCI ${pciName(devfn)} is taken`);
		this.functions.set(devfn, fn);
	}

	at(devfn: number): PciFunction | undefined {
		return this.functions.get(devfn);
	}

	/** In order of slot and function. */
	entries(): [devfn: number, fn: PciFunction][] {
		return [...this.functions].sort(([a], [b]) => a - b);
	}

	readConfig(devfn: number, offset: number, size: AccessSize): number {
		const fn = this.functions.get(devfn);
		return fn ? fn.read(offset, size) : allOnes(size);
	}

	writeConfig(devfn: number, offset: number, size: AccessSize, value: number): void {
		this.functions.get(devfn)?.write(offset, size, value);
	}
}

/** Slot and function as one number. */
export function devfn(slot: number, fn: number): number {
	return (slot << 3) | fn;
}

/** The way people write it: 00:01.3. */
export function pciName(devfn: number): string {
	return `00:${(devfn >> 3).toString(16).padStart(2, "0")}.${devfn & 7}`;
}

/** What a read that nobody answers gives. */
export function allOnes(size: AccessSize): number {
	return size === 4 ? 0xffff_ffff : (1 << (8 * size)) - 1;
}
