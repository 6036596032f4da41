import { checksum } from "../../base/bytes.ts";
import { assert } from "../../base/errors.ts";
import type { Piece } from "../../boot/load-map.ts";
import { acpiFiles, LOADER_FILE, RSDP_FILE, TABLES_FILE } from "./acpi.ts";
import type { PcDescription } from "./description.ts";
import { TABLE_AREA } from "./memory-map.ts";
import { MP_ALIGNMENT, mpTables, type PciRoute } from "./mp-table.ts";
import { smbios } from "./smbios.ts";
import { linkTables } from "./table-placement.ts";

/** The tables that a kernel finds where no firmware has put them. */
export interface KernelTables {
	readonly pieces: readonly Piece[];
	/** The ACPI root pointer. */
	readonly rsdp: Piece;
}

/** Offsets in the SMBIOS entry point (DSP0134 5.2.1). */
const ANCHOR = { checksum: 0x04, intermediate: 0x10, intermediateChecksum: 0x15, address: 0x18 } as const;
const ALIGNMENT = 16;

/** ACPI, SMBIOS and MP tables below 1 MiB; `routes`: where PCI interrupts go. */
export function kernelTables(pc: PcDescription, routes: readonly PciRoute[]): KernelTables {
	const acpi = acpiFiles(pc);
	// Firmware takes the padding along; here the tables have only half of 128 KiB. The last bytes of a table may be zero, too.
	const used = up(acpi.tables.findLastIndex((byte) => byte !== 0) + 1);
	assert(used <= TABLE_AREA.searched - TABLE_AREA.acpi, `ACPI tables of ${used} bytes`);
	const linked = linkTables(acpi.loader, {
		[RSDP_FILE]: { bytes: acpi.rsdp, address: TABLE_AREA.searched },
		[TABLES_FILE]: { bytes: acpi.tables.subarray(0, used), address: TABLE_AREA.acpi },
	});
	const [rsdp, tables] = [linked[RSDP_FILE], linked[TABLES_FILE]];
	assert(rsdp && tables, `${LOADER_FILE} places both files`);

	const anchorAt = up(rsdp.address + rsdp.bytes.length);
	const { anchor, tables: structures } = smbios(pc);
	const structuresAt = up(anchorAt + anchor.length);
	const mpAt = up(structuresAt + structures.length);
	assert(mpAt % MP_ALIGNMENT === 0, "the MP pointer's place");
	const mp = mpTables(pc, mpAt, routes);
	assert(mpAt + mp.length <= TABLE_AREA.end, "room for the MP tables");
	return {
		rsdp,
		pieces: [
			...[rsdp, tables],
			{ address: anchorAt, bytes: anchorFor(anchor, structuresAt) },
			{ address: structuresAt, bytes: structures },
			{ address: mpAt, bytes: mp },
		],
	};
}

function up(address: number): number {
	return Math.ceil(address / ALIGNMENT) * ALIGNMENT;
}

/** The entry point with the structures' address and its two checksums. */
function anchorFor(anchor: Uint8Array, address: number): Uint8Array {
	const bytes = anchor.slice();
	new DataView(bytes.buffer).setUint32(ANCHOR.address, address, true);
	bytes[ANCHOR.intermediateChecksum] = 0;
	bytes[ANCHOR.intermediateChecksum] = checksum(bytes.subarray(ANCHOR.intermediate));
	bytes[ANCHOR.checksum] = 0;
	bytes[ANCHOR.checksum] = checksum(bytes);
	return bytes;
}
