import { u8At, u16At, u32At } from "./bytes.ts";

/** Where a processor begins, from the end of a ROM. */
const RESET_VECTOR = 16;
const BLANK = 0x20;
const TILDE = 0x7e;

/** Recognises an image that has no firmware volumes; undefined for what is unknown. */
export function recognise(bytes: Uint8Array): string | undefined {
	return container(bytes) ?? optionRom(bytes) ?? bios(bytes);
}

/** Files that are no ROM but are mistaken for one. */
function container(bytes: Uint8Array): string | undefined {
	const magic = u32At(bytes, 0);
	if (magic === 0xfb494651) return "a qcow2 disk image, not firmware";
	if (magic === 0x464c457f) return "an ELF file, not a ROM";
	if (u16At(bytes, 0) === 0x5a4d && u32At(bytes, u32At(bytes, 0x3c)) === 0x4550)
		return "a PE image (an EFI program?), not a ROM";
	if (u32At(bytes, 0x202) === 0x53726448) return "a Linux kernel, not a ROM";
	if (u32At(bytes, 16) === 0x0ff0a55a) return "a flash image with Intel's flash descriptor";
	if (indexOf(bytes, "LARCHIVE") >= 0 && indexOf(bytes, "ORBC") >= 0) return "coreboot";
	return undefined;
}

const CODE_TYPES: Readonly<Record<number, string>> = { 0: "x86", 1: "Open Firmware", 3: "EFI" };

/** PCI firmware specification 3.0, 5.1: images one after the other, each with the device it is for, up to one that says it is the last. */
function optionRom(bytes: Uint8Array): string | undefined {
	if (u16At(bytes, 0) !== 0xaa55) return undefined;
	const whose = maker(bytes);
	const images: string[] = [];
	let device = "";
	for (let at = 0; u16At(bytes, at) === 0xaa55; ) {
		const pci = at + u16At(bytes, at + 0x18);
		if (u32At(bytes, pci) !== 0x52494350) {
			images.push(`x86 of ${512 * u8At(bytes, at + 2)} bytes`);
			break;
		}
		const size = 512 * u16At(bytes, pci + 0x10);
		const type = u8At(bytes, pci + 0x14);
		images.push(`${CODE_TYPES[type] ?? `type ${type}`} of ${size} bytes`);
		if (device === "") device = ` for PCI ${hex4(u16At(bytes, pci + 4))}:${hex4(u16At(bytes, pci + 6))}`;
		if (size === 0 || (u8At(bytes, pci + 0x15) & LAST_IMAGE) !== 0) break;
		at += size;
	}
	return `option ROM${device}, ${images.join(", ")}${whose === undefined ? "" : `: ${whose}`}`;
}

const LAST_IMAGE = 0x80;
const hex4 = (value: number): string => value.toString(16).padStart(4, "0");

/** A BIOS ends in a jump, and often a date. */
function bios(bytes: Uint8Array): string | undefined {
	const reset = bytes.subarray(-RESET_VECTOR);
	const opcode = u8At(reset, 0);
	if (reset.length < RESET_VECTOR) return undefined;
	const jumps = opcode === 0xea || opcode === 0xe9 || opcode === 0xeb;
	const whose = maker(bytes);
	if (whose === undefined && !jumps) return undefined;
	const date = printable(reset.subarray(5, 13));
	const dated = /^\d\d\/\d\d\/\d\d$/.test(date) ? `, dated ${date}` : "";
	return `${whose ?? `ROM with a jump at its reset vector (${vector(reset)})`}${dated}`;
}

function vector(reset: Uint8Array): string {
	if (u8At(reset, 0) !== 0xea) return `opcode ${u8At(reset, 0).toString(16)}`;
	return `to ${hex4(u16At(reset, 3))}:${hex4(u16At(reset, 1))}`;
}

/** Texts by which builds name themselves. SeaBIOS has its version somewhere else. */
const MAKERS: readonly (readonly [search: string, title: string, version?: RegExp])[] = [
	["SeaVGABIOS (version ", "SeaVGABIOS", /\0((?:rel-)?\d+\.\d+\.\d+-[\w.-]+)\0/],
	["SeaBIOS (version ", "SeaBIOS", /\0((?:rel-)?\d+\.\d+\.\d+-[\w.-]+)\0/],
	["http://ipxe.org", "iPXE"],
	["qboot", "qboot"],
	["American Megatrends", "AMI BIOS"],
	["Award Software", "Award BIOS"],
	["Phoenix", "Phoenix BIOS"],
	["Plex86/Bochs VGABios", "Bochs VGA BIOS"],
	["Bochs BIOS", "Bochs BIOS"],
];

function maker(bytes: Uint8Array): string | undefined {
	for (const [search, title, version] of MAKERS) {
		if (indexOf(bytes, search) < 0) continue;
		const [, found] = version?.exec(new TextDecoder("latin1").decode(bytes)) ?? [];
		return found === undefined ? title : `${title} ${found}`;
	}
	return undefined;
}

/** ASCII up to the first byte that is not. */
function printable(bytes: Uint8Array): string {
	const end = bytes.findIndex((byte) => byte < BLANK || byte > TILDE);
	return String.fromCharCode(...bytes.subarray(0, end < 0 ? bytes.length : end));
}

function indexOf(bytes: Uint8Array, text: string): number {
	return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).indexOf(text, 0, "latin1");
}
