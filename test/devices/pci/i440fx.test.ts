import { expect, test } from "vitest";
import { ManualClock } from "../../../src/bus/clock.ts";
import { pcFunctions } from "./pc-functions.ts";

test("PAM as SeaBIOS opens it: every segment readable and writable", () => {
	const { host, segments } = pcFunctions(new ManualClock());
	host.write(0x58, 4, 0x3333_3000);
	host.write(0x5c, 4, 0x3333_3333);
	expect(segments).toEqual(Array(13).fill("rw"));
});

test.each([
	[0x59, 0x10, 0],
	[0x5a, 0x01, 1],
	[0x5a, 0x10, 2],
	[0x5d, 0x01, 7],
	[0x5f, 0x10, 12],
])("PAM register %i value %i makes segment %i alone readable", (register, value, segment) => {
	const { host, segments } = pcFunctions(new ManualClock());
	host.write(register, 1, value);
	expect(segments).toEqual(Array.from({ length: 13 }, (_, i) => (i === segment ? "r-" : "--")));
});

test("PAM0's low half and the reserved bits open nothing", () => {
	const { host, segments } = pcFunctions(new ManualClock());
	host.write(0x59, 1, 0xcf);
	expect(segments).toEqual(Array(13).fill("--"));
});

test("reset closes every segment", () => {
	const { host, segments } = pcFunctions(new ManualClock());
	host.write(0x5c, 4, 0x3333_3333);
	host.reset();
	expect(segments).toEqual(Array(13).fill("--"));
});

test("SMRAM opens only while enabled, and never again once locked", () => {
	const { host, smram } = pcFunctions(new ManualClock());
	host.write(0x72, 1, 0x42);
	expect(smram.open).toBe(false);
	host.write(0x72, 1, 0x4a);
	expect(smram.open).toBe(true);
	host.write(0x72, 1, 0x5a);
	expect([smram.open, host.read(0x72, 1)]).toEqual([false, 0x1a]);
	host.write(0x72, 1, 0x4a);
	expect([smram.open, host.read(0x72, 1)]).toEqual([false, 0x1a]);
	host.reset();
	host.write(0x72, 1, 0x4a);
	expect(smram.open).toBe(true);
});
