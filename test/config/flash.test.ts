import { describe, expect, test } from "vitest";
import { type FlashChips, flashImage } from "../../src/config/flash.ts";

const CHIPS: FlashChips = {
	commandSet: "intel",
	strict: false,
	bankWidth: 8,
	blocks: [{ size: 4096 }],
	timing: false,
	locked: false,
};

describe("--flash", () => {
	test.each<[string, Partial<FlashChips>]>([
		["v.fd", {}],
		["file=v.fd", {}],
		["v.fd,command-set=intel,strict=off,bank-width=8,timing=off,locked=off,blocks=4K", {}],
		["v.fd,command-set=amd,strict", { commandSet: "amd", strict: true }],
		["v.fd,bank-width=32,device-width=16", { bankWidth: 32, deviceWidth: 16 }],
		["v.fd,strict,timing,locked=on", { strict: true, timing: true, locked: true }],
		[
			"v.fd,blocks=8x8K+127x64K",
			{
				blocks: [
					{ count: 8, size: 8192 },
					{ count: 127, size: 65536 },
				],
			},
		],
		["v.fd,blocks=64K+8x8K", { blocks: [{ size: 65536 }, { count: 8, size: 8192 }] }],
		["v.fd,blocks=0x1000", { blocks: [{ size: 4096 }] }],
	])("%s", (text, chips) => {
		expect(flashImage.parse(text)).toEqual({
			path: "v.fd",
			readonly: false,
			snapshot: false,
			chips: { ...CHIPS, ...chips },
		});
	});

	test.each([
		["v.fd,readonly", { readonly: true }],
		["v.fd,snapshot", { snapshot: true }],
		["if=pflash,format=raw,readonly=on,file=v.fd", { readonly: true }],
		["file=v.fd,readonly=off,snapshot=on", { snapshot: true }],
	])("%s, as QEMU spells it or shorter", (text, kept) => {
		expect(flashImage.parse(text)).toEqual({ path: "v.fd", readonly: false, snapshot: false, chips: CHIPS, ...kept });
	});

	test("two commas stand for one in a file's name", () => {
		expect(flashImage.parse("a,,b.fd,readonly")).toMatchObject({ path: "a,b.fd", readonly: true });
	});

	test.each([
		["", "a flash needs file=FILE"],
		["readonly", "a flash needs file=FILE"],
		["v.fd,redonly", '"redonly" is nothing that a flash has'],
		["v.fd,redonly", "(did you mean readonly?)"],
		["v.fd,strict=yes", "strict=yes is not possible; write on or off"],
		["v.fd,if=ide", "if=ide is not possible; write pflash"],
		["v.fd,format=qcow2", "format=qcow2 is not possible; write raw"],
		["v.fd,command-set=cfi01", "command-set=cfi01 is not possible; write intel or amd"],
		["v.fd,timing", "timing=on is a rule of real chips: it needs strict=on"],
		["v.fd,locked=on", "locked=on is a rule of real chips: it needs strict=on"],
		["v.fd,command-set=amd,bank-width=16,device-width=8", "device-width=8 needs strict=on"],
		["v.fd,bank-width=64", "bank-width=64 is not possible; write 8 or 16 or 32"],
		["v.fd,bank-width=8,device-width=16", "device-width=16 is not possible on a bus of bank-width=8"],
		["v.fd,blocks=", "blocks= is not possible; write a block size, or COUNTxSIZE joined by +"],
		["v.fd,blocks=0x", 'blocks: "0x" is not a size'],
		["v.fd,blocks=8x", 'blocks: "8x" is not a size'],
		["v.fd,blocks=48K", "blocks=48K is not possible; 48K is no power of two, such as 4K or 8x8K+127x64K"],
		["v.fd,blocks=128", "blocks: 128 is too small; at least 256 bytes is needed"],
		["v.fd,blocks=16M", "blocks: 16M is too large; at most 8M is possible"],
		["v.fd,blocks=4K+8K", "only one size can take the rest"],
		["v.fd,blocks=1x4K+1x8K+1x4K+1x8K+1x4K", "there are at most 4 sizes in a row"],
		["v.fd,blocks=65537x256", "there are at most 65536 blocks of one size"],
		["v.fd,strict,strict=off", "strict is given twice"],
	])("%j is refused", (text, message) => {
		expect(() => flashImage.parse(text)).toThrow(message);
	});

	test("fields of a machine file are what the flag has", () => {
		const fields = { file: "a,b.fd", readonly: true, "command-set": "amd", "bank-width": 16, blocks: 65536 };
		expect(flashImage.parse(flashImage.fromFile(fields))).toEqual({
			path: "a,b.fd",
			readonly: true,
			snapshot: false,
			chips: { ...CHIPS, commandSet: "amd", bankWidth: 16, blocks: [{ size: 65536 }] },
		});
	});
});
