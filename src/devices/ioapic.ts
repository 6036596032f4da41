import type { AccessSize, Device, IrqLine } from "../bus/device.ts";
import { type ApicBus, destinationOf, type EoiListener } from "./lapic-bus.ts";

/** Where the I/O APIC is on a PC. */
export const IOAPIC_ADDRESS = 0xfec0_0000;
export const IOAPIC_PINS = 24;

/** Offsets (82093AA 3.1; the end-of-interrupt register came with version 0x20). */
const SELECT = 0x00;
const WINDOW = 0x10;
const END_OF_INTERRUPT = 0x40;

/** Register numbers behind the window. */
const ID = 0x00;
const VERSION = 0x01;
const ARBITRATION = 0x02;
const FIRST_ENTRY = 0x10;

const VERSION_VALUE = 0x20 | ((IOAPIC_PINS - 1) << 16);

/** Redirection entry, low half. */
const ENTRY_LOGICAL = 1 << 11;
const ENTRY_REMOTE_IRR = 1 << 14;
const ENTRY_LEVEL = 1 << 15;
const ENTRY_MASKED = 1 << 16;
const ENTRY_WRITABLE = 0x1afff;

export interface IoApicState {
	id: number;
	select: number;
	/** Low and high half of each redirection entry. */
	entries: { low: number; high: number }[];
	/** Levels on the pins, one bit each. */
	lines: number;
}

function powerOn(lines: number): IoApicState {
	const entries = Array.from({ length: IOAPIC_PINS }, () => ({ low: ENTRY_MASKED, high: 0 }));
	return { id: 0, select: 0, entries, lines };
}

/**
 * The 82093AA I/O APIC with 24 pins. Pins are asserted or not: the polarity bit is storage, as in QEMU. A rising edge on a masked
 * edge-triggered pin is lost (82093AA 3.2.4).
 */
export class IoApic implements Device<IoApicState>, EoiListener {
	readonly name = "ioapic";
	readonly sizes: readonly AccessSize[] = [4];
	private readonly bus: ApicBus;
	private state: IoApicState = powerOn(0);

	constructor(bus: ApicBus) {
		this.bus = bus;
		bus.listen(this);
	}

	/** The line to `pin`, 0..23. ISA interrupt 0 belongs to pin 2, others to the pin of their number. */
	line(pin: number): IrqLine {
		return { set: (asserted) => this.setLine(pin, asserted) };
	}

	setLine(pin: number, asserted: boolean): void {
		const { state } = this;
		const bit = 1 << pin;
		const rises = asserted && (state.lines & bit) === 0;
		state.lines = asserted ? state.lines | bit : state.lines & ~bit;
		const entry = state.entries[pin];
		if (entry === undefined || !asserted) return;
		if (rises || entry.low & ENTRY_LEVEL) this.service(pin);
	}

	endOfInterrupt(vector: number): void {
		for (const [pin, entry] of this.state.entries.entries()) {
			if ((entry.low & (ENTRY_LEVEL | ENTRY_REMOTE_IRR)) !== (ENTRY_LEVEL | ENTRY_REMOTE_IRR)) continue;
			if ((entry.low & 0xff) !== vector) continue;
			entry.low &= ~ENTRY_REMOTE_IRR;
			this.serviceLevel(pin);
		}
	}

	read(offset: number): number {
		if (offset === SELECT) return this.state.select;
		return offset === WINDOW ? this.readRegister(this.state.select) : 0xffff_ffff;
	}

	write(offset: number, _size: AccessSize, value: number): void {
		if (offset === SELECT) this.state.select = value & 0xff;
		else if (offset === WINDOW) this.writeRegister(this.state.select, value);
		else if (offset === END_OF_INTERRUPT) this.endOfInterrupt(value & 0xff);
	}

	reset(): void {
		this.state = powerOn(this.state.lines);
	}

	save(): IoApicState {
		return { ...this.state, entries: this.state.entries.map((entry) => ({ ...entry })) };
	}

	load(state: IoApicState): void {
		this.state = { ...state, entries: state.entries.map((entry) => ({ ...entry })) };
	}

	private readRegister(register: number): number {
		switch (register) {
			case ID:
			case ARBITRATION:
				return this.state.id << 24;
			case VERSION:
				return VERSION_VALUE;
			default: {
				const entry = this.state.entries[(register - FIRST_ENTRY) >> 1];
				if (entry === undefined) return 0xffff_ffff;
				return register & 1 ? entry.high : entry.low;
			}
		}
	}

	private writeRegister(register: number, value: number): void {
		if (register === ID) {
			this.state.id = (value >>> 24) & 0x0f;
			return;
		}
		const pin = (register - FIRST_ENTRY) >> 1;
		const entry = this.state.entries[pin];
		if (entry === undefined) return;
		if (register & 1) entry.high = (value & 0xff00_0000) >>> 0;
		else {
			// Remote IRR has no meaning for edges; software clears a stuck one by switching to edge and back.
			const kept = value & ENTRY_LEVEL ? entry.low & ENTRY_REMOTE_IRR : 0;
			entry.low = (value & ENTRY_WRITABLE) | kept;
		}
		this.serviceLevel(pin);
	}

	/** Sends for a level-triggered pin that is still asserted. */
	private serviceLevel(pin: number): void {
		const level = (this.state.entries[pin]?.low ?? 0) & ENTRY_LEVEL;
		if (level && this.state.lines & (1 << pin)) this.service(pin);
	}

	private service(pin: number): void {
		const entry = this.state.entries[pin];
		if (entry === undefined || entry.low & (ENTRY_MASKED | ENTRY_REMOTE_IRR)) return;
		const level = (entry.low & ENTRY_LEVEL) !== 0;
		// Set first: the processor may end the interrupt before send comes back.
		if (level) entry.low |= ENTRY_REMOTE_IRR;
		const taken = this.bus.send({
			vector: entry.low & 0xff,
			mode: (entry.low >> 8) & 7,
			destination: destinationOf(entry.high >>> 24),
			logical: (entry.low & ENTRY_LOGICAL) !== 0,
			level,
		});
		if (level && !taken) entry.low &= ~ENTRY_REMOTE_IRR;
	}
}
