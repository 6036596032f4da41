import { describe, expect, test } from "vitest";
import type { Dma } from "../../src/bus/device.ts";
import { FW_CFG, FwCfg, littleEndian } from "../../src/devices/fw-cfg.ts";
import { deviceContract } from "../support/device-contract.ts";

/** 64 KiB of memory at 0; nothing above. */
class Ram implements Dma {
	readonly bytes = new Uint8Array(0x1_0000);

	read(gpa: number, length: number): Uint8Array {
		return Uint8Array.from({ length }, (_, i) => this.bytes[gpa + i] ?? 0xff);
	}

	write(gpa: number, data: Uint8Array): void {
		if (gpa < this.bytes.length) this.bytes.set(data.subarray(0, this.bytes.length - gpa), gpa);
	}
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const hex = (bytes: Iterable<number>): string =>
	Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

function device() {
	const ram = new Ram();
	const fwCfg = new FwCfg(ram);
	const select = (key: number): void => fwCfg.write(0, 2, key);
	const bytes = (count: number): number[] => Array.from({ length: count }, () => fwCfg.read(1, 1));
	/** Carries out a request at 0x1000 and gives its control word afterwards. */
	const dma = (control: number, length: number, address: number): number => {
		const view = new DataView(ram.bytes.buffer, 0x1000, 16);
		view.setUint32(0, control);
		view.setUint32(4, length);
		view.setUint32(8, Math.floor(address / 2 ** 32));
		view.setUint32(12, address % 2 ** 32);
		fwCfg.dma.write(0, 4, 0);
		fwCfg.dma.write(4, 4, 0x0010_0000);
		return view.getUint32(0);
	};
	return { ram, fwCfg, select, bytes, dma };
}

describe("fw_cfg ports", () => {
	test("signature and interface version, zeros past the end", () => {
		const { select, bytes } = device();
		select(FW_CFG.SIGNATURE);
		expect(bytes(6)).toEqual([0x51, 0x45, 0x4d, 0x55, 0, 0]);
		select(FW_CFG.ID);
		expect(bytes(4)).toEqual([3, 0, 0, 0]);
	});

	test("an unknown key reads zeros, the write bit selects the same item", () => {
		const { select, bytes } = device();
		select(0x7777);
		expect(bytes(2)).toEqual([0, 0]);
		select(0x4000);
		expect(bytes(1)).toEqual([0x51]);
	});

	test("byte writes, and words read, change nothing", () => {
		const { fwCfg, select, bytes } = device();
		select(0);
		fwCfg.write(0, 1, 1);
		fwCfg.write(1, 1, 5);
		expect([fwCfg.read(0, 2), ...bytes(2)]).toEqual([0, 0x51, 0x45]);
	});

	test("a byte read from the selector port is the next byte too", () => {
		const { fwCfg, select } = device();
		select(0);
		expect([fwCfg.read(0, 1), fwCfg.read(1, 1)]).toEqual([0x51, 0x45]);
	});

	test("a generated item is made anew at each select and holds still in between", () => {
		const { fwCfg, select, bytes } = device();
		let made = 0;
		fwCfg.addItem(FW_CFG.NUMA, () => Uint8Array.of(++made, made));
		select(FW_CFG.NUMA);
		expect(bytes(2)).toEqual([1, 1]);
		select(FW_CFG.NUMA);
		expect(bytes(2)).toEqual([2, 2]);
	});

	test("scalars are little endian at every width", () => {
		expect(Array.from(littleEndian(0x1_2345_6789, 8))).toEqual([0x89, 0x67, 0x45, 0x23, 1, 0, 0, 0]);
		expect(Array.from(littleEndian(0xffff_ffff, 4))).toEqual([255, 255, 255, 255]);
	});
});

describe("fw_cfg file directory", () => {
	test("lists files by name with size and key, big endian", () => {
		const { fwCfg, select, bytes } = device();
		fwCfg.addFile("etc/e820", new Uint8Array(40));
		fwCfg.addFile("bootorder", new Uint8Array());
		fwCfg.addFile("etc/acpi/tables", () => new Uint8Array(131072));
		select(FW_CFG.FILE_DIRECTORY);
		const name = (of: string): string => hex(new TextEncoder().encode(of)).padEnd(112, "0");
		expect(hex(bytes(4 + 3 * 64 + 1))).toBe(
			[
				"00000003",
				`00000000 0020 0000 ${name("bootorder")}`,
				`00020000 0021 0000 ${name("etc/acpi/tables")}`,
				`00000028 0022 0000 ${name("etc/e820")}`,
				"00",
			]
				.join("")
				.replaceAll(" ", ""),
		);
	});

	test("a file's bytes are read by its key", () => {
		const { fwCfg, select, bytes } = device();
		fwCfg.addFile("b", Uint8Array.of(2));
		fwCfg.addFile("a", Uint8Array.of(1));
		select(0x20);
		expect(bytes(2)).toEqual([1, 0]);
		select(0x21);
		expect(bytes(1)).toEqual([2]);
	});
});

describe("fw_cfg DMA", () => {
	const ERROR = 1;
	const READ = 2;
	const SKIP = 4;
	const SELECT = 8;
	const WRITE = 16;

	test("the address registers read the signature", () => {
		const { fwCfg } = device();
		expect(text(Uint8Array.from({ length: 8 }, (_, i) => fwCfg.dma.read(i, 1)))).toBe("QEMU CFG");
		expect(fwCfg.dma.read(4, 4)).toBe(0x4746_4320);
	});

	test("select and read fills up with zeros and leaves what follows", () => {
		const { ram, dma } = device();
		ram.bytes.fill(0x55, 0x2000, 0x2010);
		expect(dma(SELECT | READ, 8, 0x2000)).toBe(0);
		expect(hex(ram.bytes.subarray(0x2000, 0x200a))).toBe("51454d55000000005555");
	});

	test("skip moves on, read wins over skip, select alone starts over", () => {
		const { ram, dma, bytes } = device();
		expect(dma(SELECT | SKIP, 2, 0x2000)).toBe(0);
		expect(bytes(1)).toEqual([0x4d]);
		ram.bytes.fill(0x55, 0x2000, 0x2010);
		expect(dma(SELECT | SKIP | READ, 2, 0x2000)).toBe(0);
		expect(hex(ram.bytes.subarray(0x2000, 0x2003))).toBe("514555");
		expect(dma(SELECT, 2, 0x2000)).toBe(0);
		expect(bytes(1)).toEqual([0x51]);
	});

	test("a read of zeros longer than a piece reaches its end exactly", () => {
		const { ram, fwCfg, dma } = device();
		fwCfg.addItem(FW_CFG.KERNEL_DATA, Uint8Array.of(7));
		ram.bytes.fill(0x55, 0x3000);
		expect(dma((FW_CFG.KERNEL_DATA << 16) | SELECT | READ, 0xc000, 0x3000)).toBe(0);
		expect([ram.bytes[0x3000], ram.bytes[0x3001], ram.bytes[0xefff], ram.bytes[0xf000]]).toEqual([7, 0, 0, 0x55]);
	});

	test("writing a read-only item is an error and moves on", () => {
		const { dma, bytes } = device();
		expect(dma(SELECT | WRITE, 2, 0x2000)).toBe(ERROR);
		expect(bytes(1)).toEqual([0x4d]);
		expect(dma(((0x7777 << 16) | SELECT | WRITE) >>> 0, 4, 0x2000)).toBe(ERROR);
	});

	test("a writable file takes what fits, refuses what does not, and tells of it", () => {
		const { ram, fwCfg, dma, bytes } = device();
		const seen: string[] = [];
		fwCfg.addFile("etc/smi/features", new Uint8Array(4), (content) => seen.push(hex(content)));
		ram.bytes.set([1, 2, 3, 4, 5], 0x2000);
		expect(dma((0x20 << 16) | SELECT | WRITE, 5, 0x2000)).toBe(ERROR);
		expect(dma((0x20 << 16) | SELECT | SKIP, 1, 0)).toBe(0);
		expect(dma(WRITE, 2, 0x2000)).toBe(0);
		expect(seen).toEqual(["00010200"]);
		expect(dma((0x20 << 16) | SELECT, 0, 0)).toBe(0);
		expect(bytes(4)).toEqual([0, 1, 2, 0]);
	});

	test("the error bit in a request is no error", () => {
		const { dma } = device();
		expect(dma(SELECT | READ | ERROR, 4, 0x2000)).toBe(0);
	});

	test("narrow writes start nothing, and the high half is used once", () => {
		const { ram, fwCfg, dma } = device();
		fwCfg.dma.write(4, 2, 0x1000);
		fwCfg.dma.write(0, 4, 0x0100_0000);
		fwCfg.dma.write(4, 4, 0x0010_0000);
		expect(hex(ram.bytes.subarray(0x1000, 0x1004))).toBe("00000000");
		expect(dma(SELECT | READ, 4, 0x2000)).toBe(0);
		expect(text(ram.bytes.subarray(0x2000, 0x2004))).toBe("QEMU");
	});

	test("a request far outside memory reaches nothing", () => {
		const { fwCfg } = device();
		fwCfg.dma.write(0, 4, 0xffff_ffff);
		fwCfg.dma.write(4, 4, 0xffff_ffff);
		expect(fwCfg.dma.save()).toEqual({ high: 0 });
	});
});

test("fw_cfg loads a saved position and written content", () => {
	const create = () => {
		const made = device();
		made.fwCfg.addFile("etc/ok", new Uint8Array(2), () => {});
		return made;
	};
	const source = create();
	source.ram.bytes.set([8, 9], 0x2000);
	source.dma((0x20 << 16) | 8 | 16, 2, 0x2000);
	source.select(0x20);
	source.bytes(1);
	const target = create();
	target.fwCfg.load(JSON.parse(JSON.stringify(source.fwCfg.save())));
	expect(target.bytes(2)).toEqual([9, 0]);
});

deviceContract("fw-cfg", () => ({ device: device().fwCfg }), { span: 2 });
deviceContract("fw-cfg-dma", () => ({ device: device().fwCfg.dma }), { span: 8 });
