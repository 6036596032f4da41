import { describe, expect, it } from "vitest";
import { breakWish } from "../../src/config/break.ts";

describe("--break", () => {
	it.each([
		["rom-write", 0, 2 ** 52 - 1],
		["rom-write:0xf0000-0xfffff", 0xf0000, 0xfffff],
		["rom-write:0xF0000+0x10", 0xf0000, 0xf000f],
		["rom-write:983040", 0xf0000, 0xf0000],
		["rom-write:0xfffffffffffff", 2 ** 52 - 1, 2 ** 52 - 1],
	])("%s", (text, first, last) => {
		expect(breakWish.parse(text)).toEqual({ on: "rom-write", first, last });
	});

	it.each([
		["", '"" is nothing that a run can break on; write rom-write, rom-write:0xf0000-0xfffff or rom-write:0xf0000+16'],
		["rom-writes", '"rom-writes" is nothing that a run can break on;'],
		["rom-write:", '"" is not a range of addresses;'],
		["rom-write:0xf0000-", '"0xf0000-" is not a range of addresses;'],
		["rom-write:0xfffff-0xf0000", '"0xfffff-0xf0000" is not a range of addresses;'],
		["rom-write:0xf0000+0", '"0xf0000+0" is not a range of addresses;'],
		["rom-write:0x10000000000000", '"0x10000000000000" is not a range of addresses;'],
		["rom-write:bios", '"bios" is not a range of addresses;'],
	])("%s is refused", (text, message) => {
		expect(() => breakWish.parse(text)).toThrow(message);
	});
});
