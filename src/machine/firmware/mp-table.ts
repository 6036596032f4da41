import { checksum, join, text, u8, u16, u32, zeros } from "../../base/bytes.ts";
import type { PcDescription } from "./description.ts";

/** The floating pointer and, behind it, the configuration table that it points to (MultiProcessor Specification 1.4, 4). */
export const MP_ALIGNMENT = 16;
const POINTER_SIZE = 16;
const HEADER_SIZE = 44;
const CHECKSUM_IN_POINTER = 10;
const CHECKSUM_IN_HEADER = 7;
const VERSION = 4;
const LOCAL_APIC = 0xfee0_0000;
const IO_APIC = 0xfec0_0000;
/** As the local APICs' version registers say. */
const LOCAL_APIC_VERSION = 0x14;
const IO_APIC_VERSION = 0x20;
const PCI_BUS = 0;
const ISA_BUS = 1;
const CONFORMING = 0;
/** Active high, level: how the board's PCI interrupts arrive. */
const LEVEL_HIGH = 0x0d;
const INTERRUPT = 0;
const NMI = 1;
const EXTERNAL = 3;
const ALL = 0xff;
const ISA_INTERRUPTS = 16;

/** A PCI interrupt pin and the I/O APIC input that it reaches. */
export interface PciRoute {
	readonly slot: number;
	/** 1 is INTA#. */
	readonly pin: number;
	readonly input: number;
}

/** The tables for operating systems without ACPI; `address` is where the pointer will be. */
export function mpTables(pc: PcDescription, address: number, routes: readonly PciRoute[]): Uint8Array {
	const ENABLED = 1;
	const BOOTSTRAP = 2;
	const ioApicId = pc.cpus;
	const source = (type: number, flags: number, bus: number, irq: number, input: number): Uint8Array =>
		join(Uint8Array.of(3, type), u16(flags), Uint8Array.of(bus, irq, ioApicId, input));
	const local = (type: number, apic: number, input: number): Uint8Array =>
		join(Uint8Array.of(4, type), u16(CONFORMING), Uint8Array.of(ISA_BUS, 0, apic, input));
	// An ISA interrupt that PCI pins use is theirs; the timer is on input 2, where the cascade would be.
	const ofPci = new Set(routes.map(({ input }) => input));
	const isa = Array.from({ length: ISA_INTERRUPTS }, (_, irq) => irq).filter((irq) => irq !== 2 && !ofPci.has(irq));
	const entries = [
		...Array.from({ length: pc.cpus }, (_, id) =>
			join(
				Uint8Array.of(0, id, LOCAL_APIC_VERSION, ENABLED | (id === 0 ? BOOTSTRAP : 0)),
				u32(pc.cpuSignature),
				u32(pc.cpuFeatures),
				zeros(8),
			),
		),
		join(Uint8Array.of(1, PCI_BUS), text("PCI", 6, 0x20)),
		join(Uint8Array.of(1, ISA_BUS), text("ISA", 6, 0x20)),
		join(Uint8Array.of(2, ioApicId, IO_APIC_VERSION, ENABLED), u32(IO_APIC)),
		...routes.map(({ slot, pin, input }) => source(INTERRUPT, LEVEL_HIGH, PCI_BUS, (slot << 2) | (pin - 1), input)),
		...isa.map((irq) => source(INTERRUPT, CONFORMING, ISA_BUS, irq, irq === 0 ? 2 : irq)),
		local(EXTERNAL, ALL, 0),
		local(NMI, ALL, 1),
	];
	const body = join(...entries);
	const table = join(
		join(text("PCMP"), u16(HEADER_SIZE + body.length), u8(VERSION), u8(0)),
		join(text("TSVMM", 8, 0x20), text("PC", 12, 0x20), u32(0), u16(0)),
		join(u16(entries.length), u32(LOCAL_APIC), u32(0)),
		body,
	);
	table[CHECKSUM_IN_HEADER] = checksum(table);
	const pointer = join(text("_MP_"), u32(address + POINTER_SIZE), Uint8Array.of(1, VERSION, 0, 0), zeros(4));
	pointer[CHECKSUM_IN_POINTER] = checksum(pointer);
	return join(pointer, table);
}
