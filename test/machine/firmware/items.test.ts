import { expect, test } from "vitest";
import { FW_CFG, FwCfg } from "../../../src/devices/fw-cfg.ts";
import type { PcDescription } from "../../../src/machine/firmware/description.ts";
import { e820 } from "../../../src/machine/firmware/e820.ts";
import { provideFirmwareItems } from "../../../src/machine/firmware/items.ts";
import { smbios } from "../../../src/machine/firmware/smbios.ts";
import { pc128M } from "./pc-128m.ts";

const GIB = 2 ** 30;
const hex = (bytes: Iterable<number>): string => Buffer.from(Array.from(bytes)).toString("hex");

function provided(pc: PcDescription) {
	const fwCfg = new FwCfg({ read: (_gpa, length) => new Uint8Array(length), write: () => {} });
	provideFirmwareItems(fwCfg, pc);
	const item = (key: number, length: number): Uint8Array => {
		fwCfg.select(key);
		return fwCfg.take(length);
	};
	const directory = item(FW_CFG.FILE_DIRECTORY, 0x10000);
	const view = new DataView(directory.buffer);
	const files = Array.from({ length: view.getUint32(0) }, (_, i) => {
		const at = 4 + 64 * i;
		const name = new TextDecoder().decode(directory.subarray(at + 8, at + 64)).replace(/\0+$/, "");
		return { name, size: view.getUint32(at), key: view.getUint16(at + 4) };
	});
	const file = (name: string): Uint8Array => {
		const { key, size } = files.find((entry) => entry.name === name)!;
		return item(key, size + 1);
	};
	return { item, files, file };
}

test("firmware items: the directory is QEMU's but for what this machine has not", () => {
	expect(provided(pc128M).files.map(({ name, size, key }) => `${key.toString(16)} ${name}(${size})`)).toEqual([
		"20 bios-geometry(0)",
		"21 bootorder(0)",
		"22 etc/acpi/rsdp(20)",
		"23 etc/acpi/tables(131072)",
		"24 etc/boot-fail-wait(4)",
		"25 etc/e820(20)",
		"26 etc/smbios/smbios-anchor(31)",
		"27 etc/smbios/smbios-tables(295)",
		"28 etc/system-states(6)",
		"29 etc/table-loader(4096)",
	]);
});

test("firmware items: numbers", () => {
	const { item } = provided({ ...pc128M, cpus: 2 });
	expect(hex(item(FW_CFG.RAM_SIZE, 16))).toBe("0000000800000000");
	expect(hex(item(FW_CFG.CPUS, 16))).toBe("0200");
	expect(hex(item(FW_CFG.MAX_CPUS, 16))).toBe("0200");
	expect(hex(item(FW_CFG.NUMA, 64))).toBe("00".repeat(24));
	expect(hex(item(FW_CFG.IRQ0_OVERRIDE, 16))).toBe("01000000");
	expect(hex(item(FW_CFG.UUID, 32))).toBe("00".repeat(16));
});

test("firmware items: small files", () => {
	const { file } = provided({ ...pc128M, bootOrder: ["/rom@genroms/a.bin", "HALT"], bootFailWaitMs: 5000 });
	expect(new TextDecoder().decode(file("bootorder"))).toBe("/rom@genroms/a.bin\nHALT\0");
	expect(hex(file("etc/boot-fail-wait"))).toBe("88130000");
	expect(hex(file("etc/system-states"))).toBe("800000008280");
});

test("ACPI tables follow the power management base from one select to the next", () => {
	let pmBase = 0;
	const { file } = provided({ ...pc128M, pmBase: () => pmBase });
	const address = (): number => {
		const tables = file("etc/acpi/tables");
		const at = Buffer.from(tables).indexOf("FACP");
		return new DataView(tables.buffer, tables.byteOffset).getUint32(at + 56, true);
	};
	expect(address()).toBe(0);
	pmBase = 0x600;
	expect(address()).toBe(0x600);
});

test("memory map: RAM below and from 4 GiB, as QEMU's", () => {
	expect(hex(e820({ ...pc128M, lowRam: 3 * GIB, highRam: 3 * GIB }))).toBe(
		["0000000000000000 000000c000000000 01000000", "0000000001000000 000000c000000000 01000000"]
			.join("")
			.replaceAll(" ", ""),
	);
});

test("SMBIOS entry point: lengths and both checksums", () => {
	const { anchor, tables } = smbios(pc128M);
	const view = new DataView(anchor.buffer);
	const sum = (bytes: Uint8Array): number => bytes.reduce((total, byte) => total + byte, 0) & 0xff;
	expect([anchor.length, anchor[5], view.getUint16(22, true), view.getUint16(28, true)]).toEqual([
		31,
		31,
		tables.length,
		8,
	]);
	expect([sum(anchor), sum(anchor.subarray(16))]).toEqual([0, 0]);
});

test("SMBIOS structures: types, handles, and where each ends", () => {
	const { tables } = smbios({ ...pc128M, cpus: 2, highRam: GIB });
	const found: string[] = [];
	for (let at = 0; at < tables.length; ) {
		const length = tables[at + 1]!;
		found.push(`${tables[at]} ${hex(tables.subarray(at + 2, at + 4).reverse())} ${length}`);
		at += length;
		while (tables[at] !== 0 || tables[at + 1] !== 0) at++;
		at += 2;
	}
	expect(found).toEqual([
		"1 0100 27",
		"3 0300 22",
		"4 0400 42",
		"4 0401 42",
		"16 1000 23",
		"17 1100 40",
		"19 1300 31",
		"19 1301 31",
		"32 2000 11",
		"127 7f00 4",
	]);
});

test.each([
	[0x800_0000, 0, "8000", "00000000"],
	[3 * GIB, 29 * GIB, "ff7f", "00800000"],
])("SMBIOS memory module of %i + %i bytes: size fields", (lowRam, highRam, size, extended) => {
	const { tables } = smbios({ ...pc128M, lowRam, highRam });
	const at = Buffer.from(tables).indexOf(Buffer.from([17, 40, 0x00, 0x11]));
	expect([hex(tables.slice(at + 12, at + 14)), hex(tables.slice(at + 28, at + 32))]).toEqual([size, extended]);
});
