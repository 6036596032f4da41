import { hex, u8At, u16At, u32At, u64At, utf16At } from "./bytes.ts";
import { type Guid, guidAt } from "./guid.ts";

const HEADER_SIZE = 4;
const END = 0x7f;
const END_INSTANCE = 1;

/** One node without its header. */
type NodeText = (body: Uint8Array) => string;

const h = (value: number): string => `0x${value.toString(16).toUpperCase()}`;
/** More arguments, unless there are none. */
const data = (bytes: Uint8Array): string => (bytes.length === 0 ? "" : `,${hex(bytes).toUpperCase()}`);
const guidText = (bytes: Uint8Array, at: number): string => guidAt(bytes, at).toUpperCase();

/** Terminals that are devices of a vendor's own making, and have names nevertheless. */
const VENDOR_MESSAGING: Readonly<Record<Guid, string>> = {
	"e0c14753-f9be-11d2-9a0c-0090273fc14d": "VenPcAnsi()",
	"dfa66065-b419-11d3-9a2d-0090273fc14d": "VenVt100()",
	"7baec70b-57e0-4c76-8e87-2f9e28088343": "VenVt100Plus()",
	"ad15a0d6-8bec-4acf-a073-d01de77e2d88": "VenUtf8()",
};

const RAM_DISKS: Readonly<Record<Guid, string>> = {
	"77ab535a-45fc-624b-5560-f7b281d1f96e": "VirtualDisk",
	"3d5abd30-4175-87ce-6d64-d2ade523c4bb": "VirtualCD",
	"5cea02c9-4d07-69d3-269f-4496fbe096f9": "PersistentVirtualDisk",
	"08018188-42cd-bb48-100f-5387d53ded3d": "PersistentVirtualCD",
};

/** EISA numbers whose nodes have a name of their own; `PNP` is 0x41d0. */
const ACPI_NAMES: Readonly<Record<number, string>> = {
	2563: "PciRoot",
	2568: "PcieRoot",
	1540: "Floppy",
	769: "Keyboard",
	1281: "Serial",
	1025: "ParallelPort",
};

const PARITIES = ["D", "N", "E", "O", "M", "S"];
const STOP_BITS = ["D", "1", "1.5", "2"];
const BBS_TYPES = ["", "Floppy", "HD", "CDROM", "PCMCIA", "USB", "Network"];

/** By type and subtype (UEFI 2.10, 10.3; texts as in 10.6). */
const NODES: Readonly<Record<number, Readonly<Record<number, NodeText>>>> = {
	1: {
		1: (b) => `Pci(${h(u8At(b, 1))},${h(u8At(b, 0))})`,
		2: (b) => `PcCard(${h(u8At(b, 0))})`,
		3: (b) => `MemoryMapped(${h(u32At(b, 0))},${h(u64At(b, 4))},${h(u64At(b, 12))})`,
		4: (b) => `VenHw(${guidText(b, 0)}${data(b.subarray(16))})`,
		5: (b) => `Ctrl(${h(u32At(b, 0))})`,
		6: (b) => `BMC(${h(u8At(b, 0))},${h(u64At(b, 1))})`,
	},
	2: {
		1: (b) => acpi(u32At(b, 0), u32At(b, 4)),
		2: (b) => `AcpiEx(${eisa(u32At(b, 0))},${eisa(u32At(b, 8))},${h(u32At(b, 4))})`,
		3: (b) => `AcpiAdr(${words(b).map(h).join(",")})`,
	},
	3: {
		1: (b) =>
			`Ata(${u8At(b, 0) === 0 ? "Primary" : "Secondary"},${u8At(b, 1) === 0 ? "Master" : "Slave"},${h(u16At(b, 2))})`,
		2: (b) => `Scsi(${h(u16At(b, 0))},${h(u16At(b, 2))})`,
		3: (b) => `Fibre(${h(u64At(b, 4))},${h(u64At(b, 12))})`,
		4: (b) => `I1394(${hex(b.slice(4, 12).reverse()).toUpperCase()})`,
		5: (b) => `USB(${h(u8At(b, 0))},${h(u8At(b, 1))})`,
		6: (b) => `I2O(${h(u32At(b, 0))})`,
		10: (b) => VENDOR_MESSAGING[guidAt(b, 0)] ?? `VenMsg(${guidText(b, 0)}${data(b.subarray(16))})`,
		11: (b) => `MAC(${hex(b.subarray(0, u8At(b, 32) <= 1 ? 6 : 32)).toUpperCase()},${h(u8At(b, 32))})`,
		12: ipv4Node,
		13: ipv6Node,
		14: (b) =>
			`Uart(${u64At(b, 4) || "DEFAULT"},${u8At(b, 12) || "DEFAULT"},${PARITIES[u8At(b, 13)] ?? u8At(b, 13)},${STOP_BITS[u8At(b, 14)] ?? u8At(b, 14)})`,
		15: (b) => `UsbClass(${[u16At(b, 0), u16At(b, 2), u8At(b, 4), u8At(b, 5), u8At(b, 6)].map(h).join(",")})`,
		16: (b) => `UsbWwid(${h(u16At(b, 2))},${h(u16At(b, 4))},${h(u16At(b, 0))},"${utf16At(b, 6).text}")`,
		17: (b) => `Unit(${h(u8At(b, 0))})`,
		18: (b) => `Sata(${h(u16At(b, 0))},${h(u16At(b, 2))},${h(u16At(b, 4))})`,
		20: (b) => `Vlan(${u16At(b, 0)})`,
		23: (b) =>
			`NVMe(${h(u32At(b, 0))},${[...b.slice(4, 12)]
				.reverse()
				.map((byte) => hex(Uint8Array.of(byte)).toUpperCase())
				.join("-")})`,
		24: (b) => `Uri(${new TextDecoder().decode(b)})`,
		25: (b) => `UFS(${h(u8At(b, 0))},${h(u8At(b, 1))})`,
		26: (b) => `SD(${h(u8At(b, 0))})`,
		28: (b) => `Wi-Fi(${new TextDecoder().decode(b.subarray(0, 32)).replace(/\0+$/, "")})`,
		29: (b) => `eMMC(${h(u8At(b, 0))})`,
		31: (b) => `Dns(${ipList(b)})`,
	},
	4: {
		1: hardDrive,
		2: (b) => `CDROM(${h(u32At(b, 0))},${h(u64At(b, 4))},${h(u64At(b, 12))})`,
		3: (b) => `VenMedia(${guidText(b, 0)}${data(b.subarray(16))})`,
		4: (b) => utf16At(b, 0).text,
		5: (b) => `Media(${guidText(b, 0)})`,
		6: (b) => `FvFile(${guidText(b, 0)})`,
		7: (b) => `Fv(${guidText(b, 0)})`,
		8: (b) => `Offset(${h(u64At(b, 4))},${h(u64At(b, 12))})`,
		9: (b) =>
			`${RAM_DISKS[guidAt(b, 16)] ?? "RamDisk"}(${h(u64At(b, 0))},${h(u64At(b, 8))},${u16At(b, 32)}${guidAt(b, 16) in RAM_DISKS ? "" : `,${guidText(b, 16)}`})`,
	},
	5: {
		1: (b) => {
			const name = new TextDecoder("latin1").decode(b.subarray(4)).replace(/\0.*$/s, "");
			return `BBS(${BBS_TYPES[u16At(b, 0)] || h(u16At(b, 0))},${name},${h(u16At(b, 2))})`;
		},
	},
};

/**
 * A device path as text: `PciRoot(0x0)/Pci(0x1,0x1)/Ata(Primary,Master,0x0)`; several of them with commas between. What lies
 * behind its end counts for nothing; undefined where the bytes are no device path.
 */
export function devicePathText(bytes: Uint8Array): string | undefined {
	const instances: string[][] = [[]];
	for (let at = 0; at + HEADER_SIZE <= bytes.length; ) {
		const [type, subtype, length] = [u8At(bytes, at), u8At(bytes, at + 1), u16At(bytes, at + 2)];
		if (length < HEADER_SIZE || at + length > bytes.length) return undefined;
		const body = bytes.subarray(at + HEADER_SIZE, at + length);
		at += length;
		if (type !== END) instances.at(-1)!.push(NODES[type]?.[subtype]?.(body) ?? `Path(${type},${subtype}${data(body)})`);
		else if (subtype === END_INSTANCE) instances.push([]);
		else return instances.map((nodes) => nodes.join("/")).join(",");
	}
	return undefined;
}

function eisa(id: number): string {
	const letter = (shift: number): string => String.fromCharCode(64 + ((id >>> shift) & 31));
	return `${letter(10)}${letter(5)}${letter(0)}${(id >>> 16).toString(16).toUpperCase().padStart(4, "0")}`;
}

function acpi(id: number, unit: number): string {
	const name = (id & 0xffff) === 0x41d0 ? ACPI_NAMES[id >>> 16] : undefined;
	return name === undefined ? `Acpi(${eisa(id)},${h(unit)})` : `${name}(${h(unit)})`;
}

function words(bytes: Uint8Array): readonly number[] {
	return Array.from({ length: bytes.length >>> 2 }, (_, i) => u32At(bytes, 4 * i));
}

const ipv4 = (bytes: Uint8Array): string => [...bytes].join(".");
const protocol = (value: number): string => ({ 6: "TCP", 17: "UDP" })[value] ?? h(value);

/** Remote address, protocol, where the local one is from, local address, gateway, mask; a short node ends before the gateway. */
function ipv4Node(bytes: Uint8Array): string {
	const origin = u8At(bytes, 14) === 0 ? "DHCP" : "Static";
	const rest = bytes.length < 23 ? [] : [ipv4(bytes.subarray(15, 19)), ipv4(bytes.subarray(19, 23))];
	const parts = [ipv4(bytes.subarray(4, 8)), protocol(u16At(bytes, 12)), origin, ipv4(bytes.subarray(0, 4)), ...rest];
	return `IPv4(${parts.join(",")})`;
}

const IPV6_ORIGINS = ["Static", "StatelessAutoConfigure", "StatefulAutoConfigure"];

function ipv6Node(bytes: Uint8Array): string {
	const origin = IPV6_ORIGINS[u8At(bytes, 38)] ?? h(u8At(bytes, 38));
	const rest = bytes.length < 56 ? [] : [ipv6(bytes.subarray(40, 56)), String(u8At(bytes, 39))];
	const parts = [
		ipv6(bytes.subarray(16, 32)),
		protocol(u16At(bytes, 36)),
		origin,
		ipv6(bytes.subarray(0, 16)),
		...rest,
	];
	return `IPv6(${parts.join(",")})`;
}

function ipv6(bytes: Uint8Array): string {
	const fields = Array.from({ length: 8 }, (_, i) => ((u8At(bytes, 2 * i) << 8) | u8At(bytes, 2 * i + 1)).toString(16));
	return fields.join(":");
}

function ipList(bytes: Uint8Array): string {
	const six = u8At(bytes, 0) === 1;
	const addresses: string[] = [];
	for (let at = 1; at + 16 <= bytes.length; at += 16) {
		addresses.push(six ? ipv6(bytes.subarray(at, at + 16)) : ipv4(bytes.subarray(at, at + 4)));
	}
	return addresses.join(",");
}

function hardDrive(bytes: Uint8Array): string {
	const [kind, signatureKind] = [u8At(bytes, 36), u8At(bytes, 37)];
	const signature = signatureKind === 2 ? guidText(bytes, 20) : h(u32At(bytes, 20));
	const name = kind === 1 ? "MBR" : kind === 2 ? "GPT" : String(kind);
	return `HD(${u32At(bytes, 0)},${name},${signature},${h(u64At(bytes, 4))},${h(u64At(bytes, 12))})`;
}
