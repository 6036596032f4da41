import { describe, expect, test } from "vitest";
import { symbolPlace } from "../../src/config/symbols.ts";

describe("--symbols", () => {
	test.each<[string, object]>([
		["vmlinux", { path: "vmlinux" }],
		["dxe.debug@0x7e000000", { path: "dxe.debug", address: 0x7e00_0000n }],
		["vmlinux@0xffffffff81000000", { path: "vmlinux", address: 0xffff_ffff_8100_0000n }],
		["a@4096", { path: "a", address: 4096n }],
		["me@home/boot.elf", { path: "me@home/boot.elf" }],
		["me@1home@16", { path: "me@1home", address: 16n }],
	])("%s", (text, wanted) => {
		expect(symbolPlace.parse(text)).toEqual(wanted);
	});

	test.each(["a@0x", "a@12q", "a@0x10000000000000000", "@5", ""])("%j is refused", (text) => {
		expect(() => symbolPlace.parse(text)).toThrow(/is not an address; write|a file name is missing/);
	});

	test("in a machine file lies beside it", () => {
		expect(symbolPlace.rebase?.({ path: "a", address: 1n }, "/x")).toEqual({ path: "/x/a", address: 1n });
		expect(symbolPlace.fromFile({ file: "a", address: 4096 })).toBe("a@4096");
	});
});
