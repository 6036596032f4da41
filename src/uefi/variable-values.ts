import { plural } from "../base/plural.ts";
import { hex, isFilled, u8At, u16At, u32At, u64At, utf16At } from "./bytes.ts";
import { devicePathText } from "./device-path.ts";
import { GUID_SIZE, type Guid, guidAt } from "./guid.ts";
import { GLOBAL_VENDOR, knownName, SECURITY_VENDOR } from "./guid-names.ts";

/** A value for people, and for programs. */
export interface DecodedValue {
	readonly text: string;
	readonly json: Json;
}

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

type Decoder = (data: Uint8Array) => DecodedValue | undefined;

const hex4 = (value: number): string => value.toString(16).toUpperCase().padStart(4, "0");

/** EFI_LOAD_OPTION (UEFI 2.10, 3.1.3). */
interface LoadOption {
	readonly attributes: number;
	readonly description: string;
	readonly path: string;
	readonly optional: Uint8Array;
}

const ACTIVE = 1;
const HIDDEN = 8;
const APPLICATION = 0x100;

function parseLoadOption(data: Uint8Array): LoadOption | undefined {
	const pathSize = u16At(data, 4);
	const { text, end } = utf16At(data, 6);
	if (data.length < 8 || end + pathSize > data.length) return undefined;
	const path = devicePathText(data.subarray(end, end + pathSize));
	if (path === undefined) return undefined;
	return { attributes: u32At(data, 0), description: text, path, optional: data.subarray(end + pathSize) };
}

function loadOption(data: Uint8Array): DecodedValue | undefined {
	const option = parseLoadOption(data);
	if (option === undefined) return undefined;
	const { attributes, description, path, optional } = option;
	const flags = {
		active: (attributes & ACTIVE) !== 0,
		hidden: (attributes & HIDDEN) !== 0,
		application: (attributes & 0x1f00) === APPLICATION,
	};
	const notes = [flags.active ? "" : "inactive", flags.hidden ? "hidden" : "", flags.application ? "application" : ""];
	if (optional.length > 0) notes.push(`options ${optionalText(optional)}`);
	const more = notes.filter((note) => note !== "").join(", ");
	return {
		text: `${JSON.stringify(description)} ${path}${more === "" ? "" : ` (${more})`}`,
		json: { description, path, ...flags, optional: hex(optional) },
	};
}

function optionalText(optional: Uint8Array): string {
	return readable(optional)?.text ?? glimpse(optional);
}

function order(data: Uint8Array): DecodedValue | undefined {
	if (data.length % 2 !== 0) return undefined;
	const numbers = Array.from({ length: data.length / 2 }, (_, i) => u16At(data, 2 * i));
	return { text: numbers.map(hex4).join(", "), json: numbers };
}

function numberOf(size: number, show: (value: number) => string = String): Decoder {
	return (data) => {
		if (data.length !== size) return undefined;
		const value =
			size === 1 ? u8At(data, 0) : size === 2 ? u16At(data, 0) : size === 4 ? u32At(data, 0) : u64At(data, 0);
		return { text: show(value), json: value };
	};
}

const flag = numberOf(1, (value) => (value === 0 ? "off" : value === 1 ? "on" : String(value)));

function asciiText(data: Uint8Array): DecodedValue | undefined {
	const end = data.at(-1) === 0 ? data.length - 1 : data.length;
	const text = printable(data.subarray(0, end));
	return text === undefined ? undefined : { text: JSON.stringify(text), json: text };
}

function devicePath(data: Uint8Array): DecodedValue | undefined {
	const text = devicePathText(data);
	return text === undefined ? undefined : { text, json: text };
}

/** Bits of OsIndications and OsIndicationsSupported (UEFI 2.10, 8.5.4). */
const INDICATIONS = [
	"boot to firmware UI",
	"timestamp revocation",
	"file capsule delivery",
	"FMP capsule",
	"capsule result variable",
	"start OS recovery",
	"start platform recovery",
	"JSON config data refresh",
];

function indications(data: Uint8Array): DecodedValue | undefined {
	if (data.length !== 8) return undefined;
	const value = u64At(data, 0);
	const names = INDICATIONS.filter((_, bit) => Math.floor(value / 2 ** bit) % 2 === 1);
	return { text: names.length === 0 ? String(value) : names.join(", "), json: names.length === 0 ? value : names };
}

/** EFI_KEY_OPTION: a key that starts a boot option (UEFI 2.10, 3.1.6). */
function keyOption(data: Uint8Array): DecodedValue | undefined {
	if (data.length < 10) return undefined;
	const packed = u32At(data, 0);
	const keys = Array.from({ length: Math.min(3, packed >>> 30, (data.length - 10) >>> 2) }, (_, i) => {
		const [scan, unicode] = [u16At(data, 10 + 4 * i), u16At(data, 12 + 4 * i)];
		if (scan !== 0) return SCAN_CODES[scan] ?? `scan code 0x${scan.toString(16)}`;
		return unicode === 0x0d ? "Enter" : String.fromCharCode(unicode);
	});
	const shifts = SHIFTS.filter((_, bit) => (packed & (0x100 << bit)) !== 0);
	const option = hex4(u16At(data, 8));
	return {
		text: `${[...shifts, ...keys].join("+")} starts Boot${option}`,
		json: { keys: [...shifts, ...keys], boot: option },
	};
}

const SHIFTS = ["Shift", "Ctrl", "Alt", "Logo", "Menu", "SysRq"];
/** UEFI 2.10, appendix B. */
const SCAN_CODES: Readonly<Record<number, string>> = {
	1: "Up",
	2: "Down",
	3: "Right",
	4: "Left",
	5: "Home",
	6: "End",
	7: "Insert",
	8: "Delete",
	9: "PageUp",
	10: "PageDown",
	...Object.fromEntries(Array.from({ length: 12 }, (_, i) => [11 + i, `F${i + 1}`])),
	23: "Esc",
};

/** Lists of certificates and hashes (UEFI 2.10, 32.4.1). */
function signatures(data: Uint8Array): DecodedValue | undefined {
	const lists: { type: string; count: number; owners: string[] }[] = [];
	for (let at = 0; at < data.length; ) {
		const [size, header, each] = [u32At(data, at + 16), u32At(data, at + 20), u32At(data, at + 24)];
		const room = size - 28 - header;
		if (size < 28 || at + size > data.length || each < GUID_SIZE || room < 0 || room % each !== 0) return undefined;
		const type = guidAt(data, at);
		const count = room / each;
		const owners = Array.from({ length: Math.min(count, 1000) }, (_, i) => guidAt(data, at + 28 + header + i * each));
		lists.push({
			type: knownName(type) ?? type,
			count,
			owners: [...new Set(owners)].map((guid) => knownName(guid) ?? guid),
		});
		at += size;
	}
	const text = lists.map(({ type, count, owners }) => `${count} ${type} of ${owners.join(", ")}`).join("; ");
	return { text: text === "" ? "no signatures" : text, json: lists };
}

/** Pairs of memory type and pages, up to the type that does not exist. */
function memoryTypes(data: Uint8Array): DecodedValue | undefined {
	if (data.length % 8 !== 0) return undefined;
	const rows: { type: number; pages: number }[] = [];
	for (let at = 0; at < data.length && u32At(data, at) < MEMORY_TYPES.length; at += 8) {
		rows.push({ type: u32At(data, at), pages: u32At(data, at + 4) });
	}
	return {
		text: rows.map(({ type, pages }) => `${MEMORY_TYPES[type]} ${plural(pages, "page")}`).join(", "),
		json: rows,
	};
}

/** UEFI 2.10, 7.2. */
const MEMORY_TYPES = [
	"reserved",
	"loader code",
	"loader data",
	"boot code",
	"boot data",
	"runtime code",
	"runtime data",
	"free",
	"unusable",
	"ACPI tables",
	"ACPI NVS",
	"MMIO",
	"MMIO ports",
	"PAL code",
	"persistent",
	"unaccepted",
];

/** By vendor: patterns of names, and how their values are read. */
const DECODERS: Readonly<Record<Guid, readonly (readonly [name: RegExp, decode: Decoder])[]>> = {
	[GLOBAL_VENDOR]: [
		[/^(Boot|Driver|SysPrep)Order$/, order],
		[/^(Boot|Driver|SysPrep|PlatformRecovery|OsRecovery)[0-9A-F]{4}$/, loadOption],
		[/^Key[0-9A-F]{4}$/, keyOption],
		[/^(BootNext|BootCurrent)$/, numberOf(2, hex4)],
		[/^Timeout$/, numberOf(2, (value) => (value === 0xffff ? "no time-out" : plural(value, "second")))],
		[/^(Lang|LangCodes|PlatformLang|PlatformLangCodes)$/, asciiText],
		[/^(Con(In|Out)|ErrOut)(Dev)?$/, devicePath],
		[/^OsIndications(Supported)?$/, indications],
		[/^(SecureBoot|SetupMode|AuditMode|DeployedMode|VendorKeys)$/, flag],
		[/^(PK|KEK)(Default)?$/, signatures],
		[/^BootOptionSupport$/, numberOf(4, (value) => `0x${value.toString(16)}`)],
	],
	[SECURITY_VENDOR]: [[/^db[xtr]?(Default)?$/, signatures]],
	"f0a30bc7-af08-4556-99c4-001009c93a44": [[/^SecureBootEnable$/, flag]],
	"c076ec0c-7028-4399-a072-71ee5c448b9f": [[/^CustomMode$/, flag]],
	"9073e4e0-60ec-4b6e-9903-4c223c260f3c": [[/^VendorKeysNv$/, flag]],
	"eb704011-1402-11d3-8e77-00a0c969723b": [[/^MTC$/, numberOf(4)]],
	"4c19049f-4137-4dd3-9c10-8b97a83ffdfa": [[/^MemoryTypeInformation$/, memoryTypes]],
	"04b37fe8-f6ae-480b-bdd5-37d98c5e89aa": [
		[/^VarErrorFlag$/, numberOf(1, (value) => (value === 0xff ? "no error" : `0x${value.toString(16)}`))],
	],
	"4b47d616-a8d6-4552-9d44-ccad2e0f4cf9": [
		[/^(Initial)?AttemptOrder$/, (data) => ({ text: [...data].join(", "), json: [...data] })],
	],
};

/** What a well-known variable says; undefined for others, and for values that are not as they should be. */
export function decodeValue(guid: Guid, name: string, data: Uint8Array): DecodedValue | undefined {
	const [, decode] = DECODERS[guid]?.find(([pattern]) => pattern.test(name)) ?? [];
	return decode?.(data);
}

/** A value in one line: what it says, else as text where it is one, else its first bytes. */
export function valueText(guid: Guid, name: string, data: Uint8Array): string {
	return (decodeValue(guid, name, data) ?? readable(data))?.text ?? glimpse(data);
}

/** Bytes that are shown of what cannot be read. */
const GLIMPSE = 24;

function glimpse(data: Uint8Array): string {
	if (data.length > 4 && isFilled(data, data[0]!))
		return `${plural(data.length, "byte")}, all ${hex(data.subarray(0, 1))}`;
	const more = data.length > GLIMPSE ? `… (${plural(data.length, "byte")})` : "";
	return `${hex(data.subarray(0, GLIMPSE))}${more}`;
}

/** Text of at least two characters, ASCII or UTF-16. */
function readable(data: Uint8Array): DecodedValue | undefined {
	if (data.length >= 6 && data.length % 2 === 0) {
		const { text, end } = utf16At(data, 0);
		if (end === data.length && text.length >= 2 && /^[\x20-\x7e]+$/.test(text))
			return { text: JSON.stringify(text), json: text };
	}
	return data.length >= 3 ? asciiText(data) : undefined;
}

function printable(bytes: Uint8Array): string | undefined {
	return bytes.every((byte) => byte >= 0x20 && byte <= 0x7e) ? new TextDecoder("latin1").decode(bytes) : undefined;
}
