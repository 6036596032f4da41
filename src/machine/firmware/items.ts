import { join, text, u8, u16, u32, u64 } from "../../base/bytes.ts";
import { FW_CFG, type FwCfg, littleEndian } from "../../devices/fw-cfg.ts";
import { type AcpiFiles, acpiFiles, LOADER_FILE, RSDP_FILE, TABLES_FILE } from "./acpi.ts";
import type { PcDescription } from "./description.ts";
import { e820 } from "./e820.ts";
import { smbios } from "./smbios.ts";

/** Firmware waits for ever instead of starting over. */
const WAIT_FOR_EVER = 0xffff_ffff;
const SLEEP_STATES = [0, 1, 2, 3, 4, 5];
const SLEEP_STATE_SUPPORTED = 0x80;

/** Puts everything that firmware asks for into the firmware configuration device. */
export function provideFirmwareItems(fwCfg: FwCfg, pc: PcDescription): void {
	fwCfg.addItem(FW_CFG.RAM_SIZE, u64(pc.lowRam + pc.highRam));
	fwCfg.addItem(FW_CFG.UUID, new Uint8Array(16));
	fwCfg.addItem(FW_CFG.NO_GRAPHIC, u16(0));
	fwCfg.addItem(FW_CFG.CPUS, u16(pc.cpus));
	fwCfg.addItem(FW_CFG.MAX_CPUS, u16(pc.cpus));
	fwCfg.addItem(FW_CFG.BOOT_MENU, u16(0));
	// No NUMA nodes: a count of 0, then each processor in node 0.
	fwCfg.addItem(FW_CFG.NUMA, new Uint8Array(8 * (1 + pc.cpus)));
	fwCfg.addItem(FW_CFG.IRQ0_OVERRIDE, littleEndian(1, 4));

	fwCfg.addFile("bios-geometry", new Uint8Array());
	fwCfg.addFile("bootorder", bootOrder(pc));
	fwCfg.addFile("etc/boot-fail-wait", u32(pc.bootFailWaitMs ?? WAIT_FOR_EVER));
	fwCfg.addFile("etc/e820", e820(pc));
	fwCfg.addFile("etc/system-states", systemStates(pc));

	const { anchor, tables } = smbios(pc);
	fwCfg.addFile("etc/smbios/smbios-anchor", anchor);
	fwCfg.addFile("etc/smbios/smbios-tables", tables);

	const acpi = acpiOnDemand(pc);
	fwCfg.addFile(RSDP_FILE, () => acpi().rsdp);
	fwCfg.addFile(TABLES_FILE, () => acpi().tables);
	fwCfg.addFile(LOADER_FILE, () => acpi().loader);
}

/** Made when asked for: by then firmware has given the power management registers their place. Made anew when it moved them. */
function acpiOnDemand(pc: PcDescription): () => AcpiFiles {
	let files: AcpiFiles | undefined;
	let madeFor = 0;
	return () => {
		const base = pc.pmBase();
		if (files === undefined || base !== madeFor) files = acpiFiles(pc);
		madeFor = base;
		return files;
	};
}

/** OpenFirmware paths, a line each, ended by a zero; nothing at all when there is no preference. */
function bootOrder(pc: PcDescription): Uint8Array {
	return pc.bootOrder.length === 0 ? new Uint8Array() : join(text(pc.bootOrder.join("\n")), u8(0));
}

/** For S0..S5 whether the state exists, and its SLP_TYP; S0 always does. */
function systemStates(pc: PcDescription): Uint8Array {
	const types = new Map<number, number>(pc.sleepTypes);
	return Uint8Array.from(SLEEP_STATES, (state) => {
		const type = state === 0 ? 0 : types.get(state);
		return type === undefined ? 0 : SLEEP_STATE_SUPPORTED | type;
	});
}
