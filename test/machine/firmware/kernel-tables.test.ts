import { describe, expect, test } from "vitest";
import { kernelTables } from "../../../src/machine/firmware/kernel-tables.ts";
import { BoardSetup } from "../../../src/machine/pc/board-setup.ts";
import { pc128M } from "./pc-128m.ts";

const sum = (bytes: Uint8Array): number => bytes.reduce((total, byte) => total + byte, 0) & 0xff;
const text = (bytes: Uint8Array): string => new TextDecoder("latin1").decode(bytes);

/** The tables as they are in memory. */
function memory(): { bytes: Uint8Array; view: DataView; rsdp: number } {
	const bytes = new Uint8Array(0x10_0000);
	const { pieces, rsdp } = kernelTables(pc128M, BoardSetup.routes());
	for (const piece of pieces) bytes.set(piece.bytes, piece.address);
	return { bytes, view: new DataView(bytes.buffer), rsdp: rsdp.address };
}

/** Where a signature is at a multiple of 16 from F0000 on, as operating systems search. */
function search({ bytes }: { bytes: Uint8Array }, signature: string): number {
	for (let at = 0xf_0000; at < 0x10_0000; at += 16) {
		if (text(bytes.subarray(at, at + signature.length)) === signature) return at;
	}
	throw new Error(`${signature} is not there`);
}

describe("tables for a kernel without firmware", () => {
	test("the RSDP leads to ACPI tables with right checksums", () => {
		const { bytes, view, rsdp } = memory();
		expect(rsdp).toBe(search({ bytes }, "RSD PTR "));
		expect(sum(bytes.subarray(rsdp, rsdp + 20))).toBe(0);
		const rsdt = view.getUint32(rsdp + 16, true);
		const length = view.getUint32(rsdt + 4, true);
		const tables = [
			rsdt,
			...Array.from({ length: (length - 36) / 4 }, (_, n) => view.getUint32(rsdt + 36 + 4 * n, true)),
		];
		const found = tables.map((at) => {
			expect(sum(bytes.subarray(at, at + view.getUint32(at + 4, true)))).toBe(0);
			return text(bytes.subarray(at, at + 4));
		});
		expect(found).toEqual(expect.arrayContaining(["RSDT", "FACP", "APIC"]));
	});

	test("the SMBIOS entry point is valid and points at structures", () => {
		const whole = memory();
		const anchor = search(whole, "_SM_");
		const { bytes, view } = whole;
		expect(sum(bytes.subarray(anchor, anchor + 31))).toBe(0);
		expect(sum(bytes.subarray(anchor + 16, anchor + 31))).toBe(0);
		expect(bytes[view.getUint32(anchor + 0x18, true)]).toBe(1);
	});

	test("the MP table lists processor, buses, I/O APIC and every interrupt once", () => {
		const whole = memory();
		const pointer = search(whole, "_MP_");
		const { bytes, view } = whole;
		expect(sum(bytes.subarray(pointer, pointer + 16))).toBe(0);
		const table = view.getUint32(pointer + 4, true);
		const length = view.getUint16(table + 4, true);
		expect(text(bytes.subarray(table, table + 4))).toBe("PCMP");
		expect(sum(bytes.subarray(table, table + length))).toBe(0);
		const counts = [0, 0, 0, 0, 0];
		const sources = new Set<string>();
		for (let at = table + 44; at < table + length; at += bytes[at] === 0 ? 20 : 8) {
			counts[bytes[at]!]!++;
			if (bytes[at] === 3) sources.add(`${bytes[at + 4]}:${bytes[at + 5]}`);
		}
		// 32 slots of four pins; ISA without the cascade and the three interrupts that belong to PCI.
		expect(counts).toEqual([1, 2, 1, 128 + 12, 2]);
		expect(sources.size).toBe(140);
		expect(view.getUint16(table + 34, true)).toBe(counts.reduce((a, b) => a + b));
	});
});
