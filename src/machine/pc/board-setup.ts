import type { AccessSize } from "../../bus/device.ts";
import { pirqOf } from "../../devices/pci/piix3-isa.ts";
import type { Ports } from "../board.ts";
import type { PciRoute } from "../firmware/mp-table.ts";

const CONFIG_ADDRESS = 0xcf8;
const CONFIG_DATA = 0xcfc;
const ENABLE = 0x8000_0000;
const FUNCTIONS = 256;
const HOST_BRIDGE = 0;
const ISA_BRIDGE = 8;

const REGISTER = {
	id: 0x00,
	command: 0x04,
	headerType: 0x0e,
	bars: 0x10,
	interruptLine: 0x3c,
	interruptPin: 0x3d,
} as const;
const BARS = 6;
const MULTIFUNCTION = 0x80;
const DECODE_IO_AND_MEMORY = 3;
const BAR_IO = 1;
const BAR_64 = 4;

/** Where base address registers get their places, upwards. */
const IO_FROM = 0xc000;
const MEMORY_FROM = 0xe000_0000;

/** ISA interrupts of PIRQA to PIRQD, as SeaBIOS and QEMU have them. */
const PIRQ_IRQS = [10, 10, 11, 11] as const;
const PIRQ_ROUTES = 0x60;
const ELCR_HIGH = 0x4d1;

const PIIX3_IDE = 0x7010_8086;
const IDE_TIMING = 0x40;
/** Both channels decode their legacy ports. */
const IDE_DECODE = 0x8000_8000;

const PIIX4_PM = 0x7113_8086;
const PM_BASE = 0x40;
const PM_PORTS = 0x600;
const PM_ENABLE = 0x80;
const SCI = 9;

const PAM0 = 0x59;
const PAM5 = 0x5e;

/**
 * What a BIOS would have set up before it starts an operating system, done from outside for a board without one: A20 open, 8259s
 * at vectors 8 and 0x70 with everything but the timer masked, the timer at 18.2 Hz, PCI interrupts routed, base addresses assigned
 * and decoded, power management at port 0x600.
 */
export class BoardSetup {
	private readonly ports: Ports;
	private nextIo = IO_FROM;
	private nextMemory = MEMORY_FROM;

	constructor(ports: Ports) {
		this.ports = ports;
	}

	/** Where the interrupt pins of all slots arrive at the I/O APIC. */
	static routes(): PciRoute[] {
		const slots = Array.from({ length: 32 }, (_, slot) => slot);
		return slots.flatMap((slot) =>
			[1, 2, 3, 4].map((pin) => ({ slot, pin, input: slot === 1 && pin === 1 ? SCI : PIRQ_IRQS[pirqOf(slot, pin)]! })),
		);
	}

	run(): void {
		this.nextIo = IO_FROM;
		this.nextMemory = MEMORY_FROM;
		this.ports.write(0x92, 1, 0x02);
		this.interrupts();
		for (let devfn = 0; devfn < FUNCTIONS; devfn++) {
			if (devfn & 7 && (this.read(devfn & ~7, REGISTER.headerType, 1) & MULTIFUNCTION) === 0) continue;
			const id = this.read(devfn, REGISTER.id, 4);
			if (id !== 0xffff_ffff) this.pciFunction(devfn, id);
		}
	}

	/** E0000..FFFFF is RAM that can be written, or no longer be written. */
	shadow(writable: boolean): void {
		this.write(HOST_BRIDGE, PAM0, 1, writable ? 0x30 : 0x10);
		this.write(HOST_BRIDGE, PAM5, 2, writable ? 0x3333 : 0x1111);
	}

	private interrupts(): void {
		for (const [command, data, vector, cascade, mask] of [
			[0x20, 0x21, 0x08, 0x04, 0xfa],
			[0xa0, 0xa1, 0x70, 0x02, 0xff],
		] as const) {
			this.ports.write(command, 1, 0x11);
			for (const word of [vector, cascade, 0x01, mask]) this.ports.write(data, 1, word);
		}
		// The timer of the PC/AT: 65536 counts.
		for (const [port, value] of [
			[0x43, 0x34],
			[0x40, 0],
			[0x40, 0],
		] as const)
			this.ports.write(port, 1, value);
		PIRQ_IRQS.forEach((irq, pirq) => {
			this.write(ISA_BRIDGE, PIRQ_ROUTES + pirq, 1, irq);
		});
		this.ports.write(
			ELCR_HIGH,
			1,
			PIRQ_IRQS.reduce((bits, irq) => bits | (1 << (irq - 8)), 0),
		);
	}

	private pciFunction(devfn: number, id: number): void {
		for (let bar = 0; bar < BARS; bar++) if (this.place(devfn, REGISTER.bars + 4 * bar)) bar++;
		const pin = this.read(devfn, REGISTER.interruptPin, 1);
		if (id === PIIX3_IDE) this.write(devfn, IDE_TIMING, 4, IDE_DECODE);
		if (id === PIIX4_PM) {
			this.write(devfn, PM_BASE, 4, PM_PORTS | 1);
			this.write(devfn, PM_ENABLE, 1, 1);
			this.write(devfn, REGISTER.interruptLine, 1, SCI);
		} else if (pin >= 1 && pin <= 4) {
			this.write(devfn, REGISTER.interruptLine, 1, PIRQ_IRQS[pirqOf(devfn >> 3, pin)]!);
		}
		this.write(devfn, REGISTER.command, 2, this.read(devfn, REGISTER.command, 2) | DECODE_IO_AND_MEMORY);
	}

	/** Gives a base address register its place. @returns whether it is the first half of one of 64 bits */
	private place(devfn: number, register: number): boolean {
		this.write(devfn, register, 4, 0xffff_ffff);
		const bits = this.read(devfn, register, 4);
		const io = (bits & BAR_IO) !== 0;
		const mask = io ? bits & 0xfffc : bits & 0xffff_fff0;
		const wide = !io && (bits & BAR_64) !== 0;
		if (mask === 0) {
			this.write(devfn, register, 4, 0);
			return wide;
		}
		const size = io ? (-mask & 0xffff) >>> 0 : -mask >>> 0;
		const up = (address: number): number => Math.ceil(address / size) * size;
		const address = io ? up(this.nextIo) : up(this.nextMemory);
		if (io) this.nextIo = address + size;
		else this.nextMemory = address + size;
		this.write(devfn, register, 4, address);
		if (wide) this.write(devfn, register + 4, 4, 0);
		return wide;
	}

	private read(devfn: number, register: number, size: AccessSize): number {
		this.select(devfn, register);
		return this.ports.read(CONFIG_DATA + (register & 3), size);
	}

	private write(devfn: number, register: number, size: AccessSize, value: number): void {
		this.select(devfn, register);
		this.ports.write(CONFIG_DATA + (register & 3), size, value >>> 0);
	}

	private select(devfn: number, register: number): void {
		this.ports.write(CONFIG_ADDRESS, 4, (ENABLE | (devfn << 8) | (register & 0xfc)) >>> 0);
	}
}
