import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { acpiFiles } from "../../../src/machine/firmware/acpi.ts";
import { describeWith } from "../../support/guest-files.ts";
import { runTableLoader } from "../../support/table-loader.ts";
import { pc128M } from "./pc-128m.ts";

const TABLES_AT = 0x7fe_0000;
const RSDP_AT = 0xf_5a00;

/** Runs the script as firmware does and gives the tables the RSDT leads to. */
function linked(pc = pc128M) {
	const files = acpiFiles(pc);
	const placed = runTableLoader(files.loader, {
		"etc/acpi/rsdp": { bytes: files.rsdp, address: RSDP_AT },
		"etc/acpi/tables": { bytes: files.tables, address: TABLES_AT },
	});
	const rsdp = placed.get("etc/acpi/rsdp")!;
	const memory = placed.get("etc/acpi/tables")!;
	const view = new DataView(memory.buffer);
	const tableAt = (address: number): Uint8Array => {
		const at = address - TABLES_AT;
		return memory.slice(at, at + view.getUint32(at + 4, true));
	};
	const rsdt = tableAt(new DataView(rsdp.buffer).getUint32(16, true));
	const listed = new DataView(rsdt.buffer);
	const tables = new Map(
		Array.from({ length: (rsdt.length - 36) / 4 }, (_, i) => {
			const table = tableAt(listed.getUint32(36 + 4 * i, true));
			return [signature(table), table] as const;
		}),
	);
	const fadt = new DataView(tables.get("FACP")!.buffer);
	const facs = tableAt(fadt.getUint32(36, true));
	const dsdt = tableAt(fadt.getUint32(40, true));
	return { files, rsdp, rsdt, tables, facs, dsdt, fadt };
}

const signature = (table: Uint8Array): string => new TextDecoder().decode(table.subarray(0, 4));
const sum = (table: Uint8Array): number => table.reduce((total, byte) => total + byte, 0) & 0xff;

describe("ACPI tables", () => {
	test("the script leads from the RSDP to every table, and every checksum is right", () => {
		const { files, rsdp, rsdt, tables, dsdt, facs } = linked();
		expect([files.rsdp.length, files.tables.length, files.loader.length]).toEqual([20, 0x2_0000, 0x1000]);
		expect([...tables.keys()]).toEqual(["FACP", "APIC", "WAET"]);
		expect([rsdp, rsdt, dsdt, ...tables.values()].map(sum)).toEqual([0, 0, 0, 0, 0, 0]);
		expect([signature(dsdt), signature(facs), facs.length]).toEqual(["DSDT", "FACS", 64]);
	});

	test("a HPET is listed only where there is one", () => {
		const { tables } = linked({ ...pc128M, hpet: true });
		expect([...tables.keys()]).toEqual(["FACP", "APIC", "HPET", "WAET"]);
		const view = new DataView(tables.get("HPET")!.buffer);
		expect([view.byteLength, view.getUint32(36, true), view.getUint32(44, true)]).toEqual([
			0x38, 0x8086_a201, 0xfed0_0000,
		]);
	});

	test("the fixed table has the registers where firmware put them, and no SMI command port", () => {
		const { fadt } = linked({ ...pc128M, pmBase: () => 0xb000 });
		expect([fadt.byteLength, fadt.getUint8(8)]).toEqual([244, 3]);
		expect([56, 64, 76, 80].map((at) => fadt.getUint32(at, true))).toEqual([0xb000, 0xb004, 0xb008, 0xafe0]);
		expect([88, 89, 90, 91, 92].map((at) => fadt.getUint8(at))).toEqual([4, 2, 0, 4, 4]);
		expect([fadt.getUint16(46, true), fadt.getUint32(48, true), fadt.getUint32(112, true)]).toEqual([9, 0, 0x84a5]);
		// The 8042 is there; writing 6 to port CF9 resets.
		expect([
			fadt.getUint16(109, true),
			fadt.getUint32(116, true),
			fadt.getUint16(120, true),
			fadt.getUint8(128),
		]).toEqual([...[3, 0x01000801, 0xcf9, 6]]);
	});

	test("the interrupt table: processors, the I/O APIC, overrides and the NMI, as QEMU's", () => {
		const { tables } = linked({ ...pc128M, cpus: 2 });
		expect(Buffer.from(tables.get("APIC")!.subarray(36)).toString("hex")).toBe(
			[
				"0000e0fe 01000000",
				"0008 0000 01000000",
				"0008 0101 01000000",
				"010c 0000 0000c0fe 00000000",
				"020a 0000 02000000 0000",
				"020a 0005 05000000 0d00",
				"020a 0009 09000000 0d00",
				"020a 000a 0a000000 0d00",
				"020a 000b 0b000000 0d00",
				"0406 ff00 0001",
			]
				.join("")
				.replaceAll(" ", ""),
		);
	});
});

describeWith(["iasl"], "DSDT through ACPICA's compiler", (iasl) => {
	let folder: string;

	beforeEach(() => {
		folder = mkdtempSync(join(tmpdir(), "tsvmm-dsdt-"));
	});

	afterEach(() => {
		rmSync(folder, { recursive: true });
	});

	/** Disassembles the table, compiles what came out, and gives the source and the compiler's verdict. */
	function roundTrip(table: Uint8Array): { source: string; verdict: string } {
		const file = join(folder, "dsdt");
		writeFileSync(`${file}.aml`, table);
		spawnSync(iasl, ["-d", `${file}.aml`], { cwd: folder });
		const source = readFileSync(`${file}.dsl`, "utf8");
		const { stdout } = spawnSync(iasl, ["-oa", "-p", `${file}-again`, `${file}.dsl`], {
			cwd: folder,
			encoding: "utf8",
		});
		return { source, verdict: /\d+ Errors, \d+ Warnings/.exec(stdout)?.[0] ?? stdout };
	}

	test("compiles again without an error or a warning, to the same bytes", () => {
		const { dsdt } = linked();
		expect(roundTrip(dsdt).verdict).toBe("0 Errors, 0 Warnings");
		const again = readFileSync(join(folder, "dsdt-again.aml"));
		expect(again.subarray(36).toString("hex")).toBe(Buffer.from(dsdt.subarray(36)).toString("hex"));
	});

	test("names the machine's devices and sleep states", () => {
		const { source } = roundTrip(linked().dsdt);
		const devices = [...source.matchAll(/Device \((\w+)\)/g)].map(([, name]) => name);
		expect(devices).toEqual([
			...["PCI0", "ISA", "MBRD", "RTC", "KBD", "MOU", "COM1"],
			...["LNKA", "LNKB", "LNKC", "LNKD", "LNKS", "CP00"],
		]);
		expect([...source.matchAll(/Name \(\\?(_S\d)/g)].map(([, name]) => name)).toEqual(["_S4", "_S5"]);
	});

	test("without keyboard and mouse, and with two serial ports", () => {
		const serialPorts = [...pc128M.serialPorts, { number: 2, base: 0x2f8, irq: 3 }];
		const { source, verdict } = roundTrip(linked({ ...pc128M, keyboard: false, mouse: false, serialPorts }).dsdt);
		expect(verdict).toBe("0 Errors, 0 Warnings");
		expect(["(KBD)", "(MOU)", "(COM2)"].map((name) => source.includes(name))).toEqual([false, false, true]);
	});
});
