import { u16At, u32At } from "./bytes.ts";

const MACHINES: Readonly<Record<number, string>> = {
	332: "i386",
	450: "ARM",
	512: "Itanium",
	3772: "EFI byte code",
	20530: "RISC-V 32",
	20580: "RISC-V 64",
	25138: "LoongArch 64",
	34404: "x86-64",
	43620: "AArch64",
};

const SUBSYSTEMS: Readonly<Record<number, string>> = {
	10: "EFI application",
	11: "EFI boot service driver",
	12: "EFI runtime driver",
	13: "EFI ROM image",
};

const TE_SIGNATURE = 0x5a56;
const MZ = 0x5a4d;
const PE = 0x4550;

/** What a PE32 image says about itself. */
export function peDetails(bytes: Uint8Array): Record<string, string | number> {
	if (u16At(bytes, 0) !== MZ) return {};
	const header = u32At(bytes, 0x3c);
	if (u32At(bytes, header) !== PE) return {};
	const optional = header + 24;
	return {
		machine: named(MACHINES, u16At(bytes, header + 4)),
		subsystem: named(SUBSYSTEMS, u16At(bytes, optional + 68)),
		entry: u32At(bytes, optional + 16),
	};
}

/** Likewise a terse image (PI 1.7, volume 1, 15), whose header is a PE32's made short. */
export function teDetails(bytes: Uint8Array): Record<string, string | number> {
	if (u16At(bytes, 0) !== TE_SIGNATURE) return {};
	return {
		machine: named(MACHINES, u16At(bytes, 2)),
		subsystem: named(SUBSYSTEMS, bytes[5] ?? 0),
		entry: u32At(bytes, 8),
	};
}

function named(names: Readonly<Record<number, string>>, value: number): string {
	return names[value] ?? `0x${value.toString(16)}`;
}
