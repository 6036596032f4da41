import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { join, text, u8, u16, u32, u64 } from "../../src/base/bytes.ts";
import { fromHex, utf16Bytes } from "../../src/uefi/bytes.ts";
import { devicePathText } from "../../src/uefi/device-path.ts";
import { guidAt, guidBytes, parseGuid } from "../../src/uefi/guid.ts";
import { GLOBAL_VENDOR, SECURITY_VENDOR, vendorByName, vendorName } from "../../src/uefi/guid-names.ts";
import { attributesText, parseAttributes, variablesOf } from "../../src/uefi/variable-store.ts";
import { decodeValue, valueText } from "../../src/uefi/variable-values.ts";
import { exportVariables, importVariables } from "../../src/uefi/variables-json.ts";

const node = (type: number, subtype: number, ...body: Uint8Array[]): Uint8Array => {
	const whole = join(...body);
	return join(u8(type), u8(subtype), u16(whole.length + 4), whole);
};
const END = node(0x7f, 0xff);
const NEXT = node(0x7f, 1);
const root = node(2, 1, u32(0x0a0341d0), u32(0));
const disk = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";

describe("device paths", () => {
	test.each([
		[
			"PciRoot(0x0)/Pci(0x1,0x1)/Ata(Primary,Master,0x0)",
			[root, node(1, 1, u8(1), u8(1)), node(3, 1, u8(0), u8(0), u16(0))],
		],
		["PcieRoot(0x2)", [node(2, 1, u32(0x0a0841d0), u32(2))]],
		["Acpi(PNP0303,0x0)", [node(2, 1, u32(0x030341d0), u32(0))]],
		[
			"Uart(115200,8,N,1)/VenPcAnsi()",
			[
				node(3, 14, u32(0), u64(115200), Uint8Array.of(8, 1, 1)),
				node(3, 10, guidBytes("e0c14753-f9be-11d2-9a0c-0090273fc14d")),
			],
		],
		[
			"HD(1,GPT,C12A7328-F81F-11D2-BA4B-00A0C93EC93B,0x800,0x40000)/\\EFI\\BOOT\\BOOTX64.EFI",
			[
				node(4, 1, u32(1), u64(0x800), u64(0x40000), guidBytes(disk), Uint8Array.of(2, 2)),
				node(4, 4, utf16Bytes("\\EFI\\BOOT\\BOOTX64.EFI")),
			],
		],
		["Sata(0x0,0xFFFF,0x0)", [node(3, 18, u16(0), u16(0xffff), u16(0))]],
		[
			"MAC(525400123456,0x1)/IPv4(0.0.0.0,0x0,DHCP,0.0.0.0,0.0.0.0,0.0.0.0)",
			[node(3, 11, fromHex("525400123456")!, new Uint8Array(26), u8(1)), node(3, 12, new Uint8Array(23))],
		],
		[
			"VirtualDisk(0x1000,0x1FFF,0)",
			[node(4, 9, u64(0x1000), u64(0x1fff), guidBytes("77ab535a-45fc-624b-5560-f7b281d1f96e"), u16(0))],
		],
		["Path(9,8,0102)", [node(9, 8, Uint8Array.of(1, 2))]],
	])("%s", (expected, nodes) => {
		expect(devicePathText(join(...nodes, END, text("more")))).toBe(expected);
	});

	test("several have commas between them", () => {
		expect(devicePathText(join(root, NEXT, root, END))).toBe("PciRoot(0x0),PciRoot(0x0)");
	});

	test("what does not end, or has a node that does not fit, is none", () => {
		expect(devicePathText(root)).toBeUndefined();
		expect(devicePathText(join(u8(1), u8(1), u16(200)))).toBeUndefined();
		expect(devicePathText(join(u8(1), u8(1), u16(0)))).toBeUndefined();
	});

	test("any bytes give a text or nothing", () => {
		const body = fc.uint8Array({ maxLength: 40 });
		const path = fc.array(fc.tuple(fc.constantFrom(1, 2, 3, 4, 5), fc.nat(32), body), { maxLength: 4 });
		fc.assert(
			fc.property(path, fc.uint8Array({ maxLength: 8 }), (nodes, rest) => {
				const bytes = join(...nodes.map(([type, subtype, bytes]) => node(type, subtype, bytes)), rest);
				expect(["string", "undefined"]).toContain(typeof devicePathText(bytes));
			}),
		);
	});
});

describe("values", () => {
	const option = join(u32(1), u16(root.length + END.length), utf16Bytes("Disk"), root, END, u16(0x4241));
	const list = join(
		guidBytes("c1c41626-504c-4092-aca9-41f936934328"),
		u32(28 + 48),
		u32(0),
		u32(48),
		guidBytes("77fa9abd-0359-4d32-bd60-28f4e78f784b"),
		new Uint8Array(32),
	);

	test.each([
		[GLOBAL_VENDOR, "BootOrder", Uint8Array.of(1, 0, 10, 0), "0001, 000A"],
		[GLOBAL_VENDOR, "Boot0001", option, '"Disk" PciRoot(0x0) (options 4142)'],
		[GLOBAL_VENDOR, "Timeout", u16(5), "5 seconds"],
		[GLOBAL_VENDOR, "Timeout", u8(5), "05"],
		[GLOBAL_VENDOR, "Lang", text("eng\0"), '"eng"'],
		[GLOBAL_VENDOR, "BootNext", u16(2), "0002"],
		[GLOBAL_VENDOR, "OsIndications", u64(5), "boot to firmware UI, file capsule delivery"],
		[GLOBAL_VENDOR, "Key0000", join(u32(0x40000200), u32(0), u16(3), u16(12), u16(0)), "Ctrl+F2 starts Boot0003"],
		[GLOBAL_VENDOR, "SetupMode", u8(1), "on"],
		[SECURITY_VENDOR, "dbx", list, "1 SHA-256 of Microsoft"],
		[SECURITY_VENDOR, "dbx", list.subarray(0, 40), "2616c4c14c509240aca941f9369343284c00000000000000… (40 bytes)"],
		[
			"4c19049f-4137-4dd3-9c10-8b97a83ffdfa",
			"MemoryTypeInformation",
			join(u32(10), u32(128), u32(16), u32(0)),
			"ACPI NVS 128 pages",
		],
		["158def5a-f656-419c-b027-7a3192c079d2", "Unknown", utf16Bytes("hello"), '"hello"'],
		["158def5a-f656-419c-b027-7a3192c079d2", "Unknown", new Uint8Array(9), "9 bytes, all 00"],
	])("%s:%s", (guid, name, data, expected) => {
		expect(valueText(guid, name, data)).toBe(expected);
	});

	test("any bytes under a well-known name give a text", () => {
		const names = ["BootOrder", "Boot0000", "Key0000", "ConIn", "PK", "OsIndications", "Lang", "Timeout"];
		fc.assert(
			fc.property(fc.constantFrom(...names), fc.uint8Array({ maxLength: 100 }), (name, data) => {
				expect(typeof valueText(GLOBAL_VENDOR, name, data)).toBe("string");
				expect(JSON.stringify(decodeValue(GLOBAL_VENDOR, name, data)?.json ?? null)).toBeTypeOf("string");
			}),
		);
	});
});

test("GUIDs: text and bytes, in any case, with braces; vendors by name", () => {
	expect(guidBytes(GLOBAL_VENDOR)).toEqual(fromHex("61dfe48bca93d211aa0d00e098032b8c"));
	expect(guidAt(guidBytes(disk), 0)).toBe(disk);
	expect(parseGuid(`{${GLOBAL_VENDOR.toUpperCase()}}`)).toBe(GLOBAL_VENDOR);
	expect(parseGuid("8be4df61")).toBeUndefined();
	expect(vendorByName("GLOBAL")).toBe(GLOBAL_VENDOR);
	expect(vendorName(disk)).toBe(disk);
});

test("attributes: letters and numbers", () => {
	expect(attributesText(0x27)).toBe("NV BS RT AT");
	expect(parseAttributes("nv,bs")).toBe(3);
	expect(parseAttributes("0x27")).toBe(0x27);
	expect(parseAttributes("XX")).toBeUndefined();
});

describe("virt-firmware's JSON", () => {
	test("what is exported can be imported", () => {
		const time = Uint8Array.from({ length: 16 }, (_, i) => i);
		const record = {
			offset: 0,
			size: 0,
			state: "added",
			stateByte: 0x3f,
			attributes: 39,
			guid: SECURITY_VENDOR,
			name: "db",
			data: u16(5),
			time,
		} as const;
		const json = exportVariables(variablesOf([record]));
		expect(JSON.parse(json)).toEqual({
			version: 2,
			variables: [
				{ name: "db", guid: SECURITY_VENDOR, attr: 39, data: "0500", time: "000102030405060708090a0b0c0d0e0f" },
			],
		});
		expect(importVariables(json, "x")).toEqual([
			{ guid: SECURITY_VENDOR, name: "db", attributes: 39, data: u16(5), time },
		]);
	});

	test.each([
		["[", "x is not JSON"],
		["[]", 'x has no list named "variables"'],
		['{"variables":[{"name":"a","guid":"b"}]}', "x: variables[0].guid is not a GUID"],
		[`{"variables":[{"name":"a","guid":"${disk}","attr":7,"data":"0"}]}`, "x: variables[0].data is not hexadecimal"],
		[
			`{"variables":[{"name":"a","guid":"${disk}","attr":-1,"data":"00"}]}`,
			"x: variables[0].attr is not a number of 32 bits",
		],
		[
			`{"variables":[{"name":"a","guid":"${disk}","attr":7,"data":"00","time":"00"}]}`,
			"x: variables[0].time is not 16 bytes of hexadecimal",
		],
	])("%s: %s", (json, message) => {
		expect(() => importVariables(json, "x")).toThrow(message);
	});
});
