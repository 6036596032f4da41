import type { AccessSize, Clock, Device, IrqLine, PowerControl } from "../../bus/device.ts";
import { PciConfigSpace, type PciConfigState, type Window } from "../../bus/pci.ts";
import { ApmPorts } from "../acpi/apm-ports.ts";
import { GpeBlock } from "../acpi/gpe.ts";
import { Pm1, type Pm1State } from "../acpi/pm1.ts";
import { SUBSYSTEM } from "./subsystem.ts";

const PMBASE = 0x40;
const PMBASE_MASK = 0xffc0;
const DEVACTB = 0x5b;
/** A write to APMC would raise an SMI; firmware that finds it set takes system management mode as set up already. */
const APMC_EN = 1 << 1;
const DEVRESA = 0x5f;
const DEVRESB = 0x63;
const DEVRESC = 0x67;
const PMREGMISC = 0x80;
const PMIOSE = 1 << 0;
const SMBBA = 0x90;
const SMBHSTCFG = 0xd2;

/** Bytes of the register block at PMBASE. */
export const PM_BLOCK_SIZE = 0x40;
/** Where the general-purpose event block lies, and its length in bytes. */
export const GPE0_BASE = 0xafe0;
export const GPE0_LENGTH = 4;

/** SLP_TYP values (82371AB 7.2.3, as the ACPI tables name them). Suspend to RAM is not offered. */
export const SLEEP_TYPE_S4 = 2;
export const SLEEP_TYPE_S5 = 0;

/** Which legacy ports the machine has: the PIIX4 decodes them, and firmware reads it here. */
export interface LegacyPorts {
	readonly lpt1: boolean;
	readonly com1: boolean;
	readonly com2: boolean;
}

export interface Piix4PmOptions {
	readonly clock: Clock;
	readonly power: PowerControl;
	/** The system control interrupt, ISA interrupt 9: level, active high. */
	readonly sci: IrqLine;
	/** Where {@link Piix4Pm.registers} are. */
	readonly window: Window;
	readonly legacy: LegacyPorts;
}

/** The PIIX4's power management function, 8086:7113. The SMBus base is kept, but no SMBus controller answers there. */
export class Piix4Pm extends PciConfigSpace {
	readonly name = "piix4-pm";
	readonly pm1: Pm1;
	/** 64 bytes at PMBASE. */
	readonly registers: PmRegisters;
	/** 4 bytes at {@link GPE0_BASE}. */
	readonly gpe0: GpeBlock;
	/** 2 bytes at port 0xB2. */
	readonly apm: ApmPorts;
	private readonly sci: IrqLine;
	private readonly window: Window;
	private blockBase: number | undefined;

	constructor(options: Piix4PmOptions) {
		super({
			vendor: 0x8086,
			device: 0x7113,
			revision: 3,
			classCode: 0x06_80_00,
			subsystem: SUBSYSTEM,
			status: 0x0280,
			interruptPin: 1,
		});
		const { legacy } = options;
		for (let offset = 0x40; offset < 0x100; offset++) this.register(offset, 1, 0, 0xff);
		this.register(PMBASE, 4, 1, 0xffff_ffff);
		this.register(DEVACTB, 1, APMC_EN, 0xff);
		this.register(DEVRESA, 1, 0x10 | (legacy.lpt1 ? 0x80 : 0), 0xff);
		this.register(DEVRESB, 1, 0x60, 0xff);
		this.register(DEVRESC, 1, (legacy.com1 ? 0x08 : 0) | (legacy.com2 ? 0x90 : 0), 0xff);
		this.register(SMBBA, 4, 0xb101, 0xffff_ffff);
		this.register(SMBHSTCFG, 1, 0x09, 0xff);
		this.sci = options.sci;
		this.window = options.window;
		this.gpe0 = new GpeBlock("piix4-gpe0", GPE0_LENGTH, () => this.updateIrq());
		this.pm1 = new Pm1(options.clock, options.power, [SLEEP_TYPE_S4, SLEEP_TYPE_S5], () => this.updateIrq());
		this.registers = new PmRegisters(this.pm1);
		this.apm = new ApmPorts();
	}

	/** Where the guest has put the power management registers; 0 before it has. The ACPI tables tell it. */
	get pmBase(): number {
		return this.read(PMBASE, 4) & PMBASE_MASK;
	}

	save(): PciConfigState {
		return this.saveConfig();
	}

	/** PMIOSE alone enables the block; the command register's I/O bit has no say (82371AB 7.1.27). */
	protected override written(first: number, last: number): void {
		if (!(first < PMBASE + 4 && last >= PMBASE) && !(first <= PMREGMISC && last >= PMREGMISC)) return;
		const base = this.read(PMREGMISC, 1) & PMIOSE ? this.pmBase : undefined;
		if (base === this.blockBase) return;
		this.blockBase = base;
		this.window.place(base);
	}

	private updateIrq(): void {
		this.sci.set(this.pm1.sciEnabled && (this.pm1.pending || this.gpe0.pending));
	}
}

/**
 * The I/O registers at PMBASE: PM1 status +0, enable +2, control +4 and the timer +8, which is read-only. What else the
 * chip has here (global standby, processor control) reads all ones.
 */
export class PmRegisters implements Device<Pm1State> {
	readonly name = "piix4-pm-registers";
	readonly sizes: readonly AccessSize[] = [1, 2, 4];
	private readonly pm1: Pm1;

	constructor(pm1: Pm1) {
		this.pm1 = pm1;
	}

	read(offset: number, size: AccessSize): number {
		if (offset === 8 && size === 4) return this.pm1.timer.read();
		let value = 0;
		for (let i = 0; i < size; i++) value |= this.byte(offset + i) << (8 * i);
		return value >>> 0;
	}

	write(offset: number, size: AccessSize, value: number): void {
		const mask = size === 4 ? 0xffff_ffff : (1 << (8 * size)) - 1;
		this.writeRegister(0, offset, mask, value);
		this.writeRegister(2, offset, mask, value);
		this.writeRegister(4, offset, mask, value);
	}

	reset(): void {
		this.pm1.reset();
	}

	save(): Pm1State {
		return this.pm1.save();
	}

	load(state: Pm1State): void {
		this.pm1.load(state);
	}

	private byte(offset: number): number {
		if (offset < 6) return (this.register(offset & ~1) >> (8 * (offset & 1))) & 0xff;
		if (offset >= 8 && offset < 12) return (this.pm1.timer.value >>> (8 * (offset - 8))) & 0xff;
		return 0xff;
	}

	private register(offset: number): number {
		if (offset === 0) return this.pm1.status;
		return offset === 2 ? this.pm1.enable : this.pm1.controlRegister;
	}

	/** Writes those bytes of the 16-bit register at `at` that an access at `offset` covers. */
	private writeRegister(at: number, offset: number, mask: number, value: number): void {
		const shift = 8 * (at - offset);
		if (shift <= -16 || shift >= 32) return;
		const covered = (shift >= 0 ? mask >>> shift : mask << -shift) & 0xffff;
		if (covered === 0) return;
		const bits = (shift >= 0 ? value >>> shift : value << -shift) & covered;
		if (at === 0) this.pm1.clearStatus(bits);
		else if (at === 2) this.pm1.enable = (this.pm1.enable & ~covered) | bits;
		else this.pm1.controlRegister = (this.pm1.controlRegister & ~covered) | bits;
	}
}
