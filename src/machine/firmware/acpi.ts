import { join, text, u8, u16, u32, u64, zeros } from "../../base/bytes.ts";
import { HPET_ADDRESS, HPET_ID } from "../../devices/hpet.ts";
import type { PcDescription } from "./description.ts";
import { dsdtBody } from "./dsdt.ts";
import { TableLoader, ZONE_F_SEGMENT, ZONE_HIGH } from "./table-loader.ts";

/** The files that carry the ACPI tables to firmware. */
export const RSDP_FILE = "etc/acpi/rsdp";
export const TABLES_FILE = "etc/acpi/tables";
export const LOADER_FILE = "etc/table-loader";

export interface AcpiFiles {
	readonly rsdp: Uint8Array;
	readonly tables: Uint8Array;
	readonly loader: Uint8Array;
}

/** Lengths firmware sees, whatever the tables need. */
const TABLES_SIZE = 0x2_0000;
const LOADER_SIZE = 0x1000;

const HEADER_SIZE = 36;
const CHECKSUM_AT = 9;
const FACS_ALIGNMENT = 64;
const RSDP_ALIGNMENT = 16;
const RSDP_SIZE = 20;

const OEM_ID = "TSVMM ";
const OEM_TABLE_ID = "TSVMMPC ";
const CREATOR = "TSVM";

const LOCAL_APIC_BASE = 0xfee0_0000;
const IO_APIC_BASE = 0xfec0_0000;
const SCI = 9;

/** Offsets of pointers in the FADT. */
const FADT_FACS = 36;
const FADT_DSDT = 40;
const RSDP_RSDT = 16;
/** Bytes of the FADT, and those up to its reset value. */
const FADT_SIZE = 244;
const FADT_AFTER_RESET = 129;
const RESET_PORT = 0xcf9;
const RSDP_CHECKSUM = 8;

/**
 * The ACPI tables of a PC without 64-bit addresses, with the script that places them.
 * Before it has run, pointers are offsets in their file and checksums are 0.
 */
export function acpiFiles(pc: PcDescription): AcpiFiles {
	const loader = new TableLoader();
	loader.allocate(RSDP_FILE, RSDP_ALIGNMENT, ZONE_F_SEGMENT);
	loader.allocate(TABLES_FILE, FACS_ALIGNMENT, ZONE_HIGH);

	const parts: Uint8Array[] = [];
	let length = 0;
	const place = (bytes: Uint8Array): number => {
		const at = length;
		parts.push(bytes);
		length += bytes.length;
		return at;
	};
	/** Places a table; its pointers, given by their offsets in it, are made absolute before its checksum. */
	const placeTable = (bytes: Uint8Array, pointers: readonly number[] = []): number => {
		const at = place(bytes);
		for (const pointer of pointers) loader.addPointer(TABLES_FILE, TABLES_FILE, at + pointer, 4);
		loader.addChecksum(TABLES_FILE, at + CHECKSUM_AT, at, bytes.length);
		return at;
	};

	const facs = place(facsTable());
	const dsdt = placeTable(table("DSDT", 1, dsdtBody(pc)));
	const listed = [
		placeTable(fadt(pc, facs, dsdt), [FADT_FACS, FADT_DSDT]),
		placeTable(madt(pc)),
		...(pc.hpet ? [placeTable(hpet())] : []),
		placeTable(waet()),
	];
	const rsdt = placeTable(
		table("RSDT", 1, join(...listed.map(u32))),
		listed.map((_, i) => HEADER_SIZE + 4 * i),
	);
	loader.addPointer(RSDP_FILE, TABLES_FILE, RSDP_RSDT, 4);
	loader.addChecksum(RSDP_FILE, RSDP_CHECKSUM, 0, RSDP_SIZE);

	return {
		rsdp: join(text("RSD PTR "), u8(0), text(OEM_ID), u8(0), u32(rsdt)),
		tables: join(...parts, zeros(TABLES_SIZE - length)),
		loader: loader.bytes(LOADER_SIZE),
	};
}

function table(signature: string, revision: number, body: Uint8Array): Uint8Array {
	const length = HEADER_SIZE + body.length;
	const oem = join(text(OEM_ID), text(OEM_TABLE_ID), u32(1), text(CREATOR), u32(1));
	return join(text(signature), u32(length), u8(revision), u8(0), oem, body);
}

/** Firmware Control Structure: no header, 64 bytes, aligned to as many (ACPI 5.2.10). */
function facsTable(): Uint8Array {
	return join(text("FACS"), u32(64), zeros(56));
}

/**
 * Fixed ACPI Description Table, revision 3 (ACPI 2.0, 5.2.8). There is no SMI command port: the machine is in ACPI mode at once. The
 * 64-bit addresses are absent, as the 32-bit ones say it all; the reset register is port 0xCF9.
 */
function fadt(pc: PcDescription, facs: number, dsdt: number): Uint8Array {
	const INTERRUPT_MODEL_APIC = 1;
	const WBINVD = 1 << 0;
	const C1_EVERYWHERE = 1 << 2;
	const NO_FIXED_SLEEP_BUTTON = 1 << 5;
	const RTC_WAKES_FROM_S4 = 1 << 7;
	const USE_PLATFORM_CLOCK = 1 << 15;
	const CMOS_CENTURY = 0x32;
	const RESET_REGISTER = 1 << 10;
	const LEGACY_DEVICES_AND_8042 = 0x03;
	/** An I/O port of one byte, at {@link RESET_PORT}; what is written there resets the whole machine. */
	const reset = join(Uint8Array.of(1, 8, 0, 1), u64(RESET_PORT), u8(0x06));
	const boot = pc.keyboard ? LEGACY_DEVICES_AND_8042 : LEGACY_DEVICES_AND_8042 & ~2;
	/** Longer than these latencies can be: C2 and C3 do not exist. */
	const NO_C_STATE = 0xfff;
	const base = pc.pmBase();
	return table(
		"FACP",
		3,
		join(
			join(u32(facs), u32(dsdt), u8(INTERRUPT_MODEL_APIC), u8(0), u16(SCI)),
			zeros(8),
			// PM1a and PM1b events, PM1a and PM1b control, PM2, timer, GPE0 and GPE1: addresses, then lengths.
			join(u32(base), u32(0), u32(base + 4), u32(0), u32(0), u32(base + 8), u32(pc.gpe0.base), u32(0)),
			Uint8Array.of(4, 2, 0, 4, pc.gpe0.length, 0, 0, 0),
			join(u16(NO_C_STATE), u16(NO_C_STATE), zeros(8), u8(CMOS_CENTURY), u16(boot), u8(0)),
			u32(WBINVD | C1_EVERYWHERE | NO_FIXED_SLEEP_BUTTON | RTC_WAKES_FROM_S4 | RESET_REGISTER | USE_PLATFORM_CLOCK),
			join(reset, zeros(FADT_SIZE - FADT_AFTER_RESET)),
		),
	);
}

/** Multiple APIC Description Table: processors, one I/O APIC, and where ISA interrupts differ from identity. */
function madt(pc: PcDescription): Uint8Array {
	const DUAL_8259 = 1;
	const ENABLED = 1;
	const LEVEL_ACTIVE_HIGH = 0x0d;
	const ALL_PROCESSORS = 0xff;
	const override = (irq: number, gsi: number, flags: number): Uint8Array =>
		join(Uint8Array.of(2, 10, 0, irq), u32(gsi), u16(flags));
	return table(
		"APIC",
		1,
		join(
			u32(LOCAL_APIC_BASE),
			u32(DUAL_8259),
			...Array.from({ length: pc.cpus }, (_, id) => join(Uint8Array.of(0, 8, id, id), u32(ENABLED))),
			join(Uint8Array.of(1, 12, 0, 0), u32(IO_APIC_BASE), u32(0)),
			override(0, 2, 0),
			...[5, SCI, 10, 11].map((irq) => override(irq, irq, LEVEL_ACTIVE_HIGH)),
			join(Uint8Array.of(4, 6, ALL_PROCESSORS), u16(0), u8(1)),
		),
	);
}

/** High Precision Event Timer table (IA-PC HPET 1.0a, 3.2.4). */
function hpet(): Uint8Array {
	const memory = join(zeros(4), u64(HPET_ADDRESS));
	return table("HPET", 1, join(u32(HPET_ID), memory, zeros(4)));
}

/** Windows ACPI Emulated Devices Table: the timer reads right the first time. */
function waet(): Uint8Array {
	const PM_TIMER_GOOD = 1 << 1;
	return table("WAET", 1, u32(PM_TIMER_GOOD));
}
