import { describe, expect, test } from "vitest";
import { zeros } from "../../../src/base/bytes.ts";
import * as aml from "../../../src/machine/firmware/aml.ts";
import * as resources from "../../../src/machine/firmware/aml-resources.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("AML names", () => {
	test.each([
		["_CRS", "5f435253"],
		["ISA", "4953415f"],
		["\\_SB", "5c5f53425f"],
		["\\_SB.PCI0", "5c2e5f53425f50434930"],
		["^^LNKA", "5e5e4c4e4b41"],
		["\\_SB.PCI0.ISA.PRQA", "5c2f045f53425f504349304953415f50525141"],
		["\\", "5c00"],
	])("%s", (name, bytes) => {
		expect(hex(aml.path(name))).toBe(bytes);
	});
});

describe("AML constants take their shortest form", () => {
	test.each([
		[0, "00"],
		[1, "01"],
		[2, "0a02"],
		[0xff, "0aff"],
		[0x100, "0b0001"],
		[0xffff, "0bffff"],
		[0x1_0000, "0c00000100"],
		[0xffff_ffff, "0cffffffff"],
		[0x1_2345_6789, "0e8967452301000000"],
	])("%i", (value, bytes) => {
		expect(hex(aml.integer(value))).toBe(bytes);
	});

	test("an EISA identifier is compressed, most significant byte first", () => {
		expect(hex(aml.eisaId("PNP0A03"))).toBe("0c41d00a03");
	});
});

describe("AML package lengths", () => {
	/** The length counts itself, the scope's name of 4 bytes, and what is inside. */
	test.each([
		[58, "103f"],
		[59, "104104"],
		[4089, "104fff"],
		[4090, "10810001"],
		[70_000, "10871711"],
	])("%i bytes inside", (inside, start) => {
		const scope = aml.scope("A", zeros(inside));
		expect(hex(scope).slice(0, start.length)).toBe(start);
		expect(scope.length).toBe(1 + (start.length / 2 - 1) + 4 + inside);
	});
});

describe("AML resources", () => {
	test.each([
		["ports", resources.io(0x3f8, 8), "4701f803f8030108"],
		["an ISA interrupt", resources.irq(4), "221000"],
		["interrupts to choose from", resources.interrupt(5, 10, 11), "890e000903050000000a0000000b000000"],
		["a bus window", resources.busWindow(0, 0xff), "880d00020c000000" + "0000ff0000000001"],
		["a port window", resources.ioWindow(0xd00, 0xffff), "880d00010c030000000dffff000000f3"],
		[
			"a memory window",
			resources.memoryWindow(0x800_0000, 0xfebf_ffff),
			"871700000c010000000000000008ffffbffe000000000000c0f6",
		],
	])("%s", (_name, bytes, expected) => {
		expect(hex(bytes)).toBe(expected);
	});

	test("a template is a buffer with an end tag", () => {
		expect(hex(resources.resourceTemplate(resources.irq(8)))).toBe("11080a05220001" + "7900");
	});
});
