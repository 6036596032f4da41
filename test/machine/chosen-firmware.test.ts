import {
	chmodSync,
	existsSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { machineConfig } from "../../src/config/index.ts";
import { chooseFirmware } from "../../src/machine/chosen-firmware.ts";

const folder = mkdtempSync(join(tmpdir(), "tsvmm-chosen-"));
afterAll(() => rmSync(folder, { recursive: true }));
const file = (name: string) => join(folder, name);

beforeEach(() => {
	for (const name of readdirSync(folder)) rmSync(file(name));
	writeFileSync(file("code.fd"), new Uint8Array(8192));
	writeFileSync(file("template.fd"), new Uint8Array(4096).fill(0x5a));
	// A distribution's files are nobody's to write.
	chmodSync(file("template.fd"), 0o444);
});

const known = [
	{ name: "ovmf", images: [{ image: file("code.fd"), template: file("template.fd") }] },
	{ name: "seabios", images: [{ image: file("code.fd") }] },
].map((each) => ({ ...each, interface: "", title: "", install: "" }));

function choose(options: { firmware?: string; "flash-vars"?: string }, onlyLooks = false) {
	const { firmware = "ovmf", ...rest } = options;
	const config = machineConfig({ firmware, ...rest });
	return chooseFirmware(config, firmware, { onlyLooks, places: { descriptors: [], known } });
}

const code = { path: file("code.fd"), readonly: true, snapshot: false };

describe("firmware in flash", () => {
	it("keeps its variables in memory where there is no file for them", () => {
		const { chosen, config } = choose({});
		expect(config.flash).toMatchObject([code, { path: file("template.fd"), readonly: false, snapshot: true }]);
		expect(chosen).toEqual({ name: "ovmf", code: file("code.fd"), template: file("template.fd") });
	});

	it("keeps them in the user's file, which begins as a copy of the template", () => {
		const first = choose({ "flash-vars": file("mine.fd") });
		const vars = { path: file("mine.fd"), readonly: false, snapshot: false };
		expect(first.config.flash).toMatchObject([code, vars]);
		expect(first.chosen).toMatchObject({ flashVars: file("mine.fd"), created: true });
		expect(readFileSync(file("mine.fd"))).toEqual(readFileSync(file("template.fd")));
		expect(readdirSync(folder)).toHaveLength(3);
		writeFileSync(file("mine.fd"), new Uint8Array(4096).fill(0xa5));
		const second = choose({ "flash-vars": file("mine.fd") });
		expect(second.config.flash).toMatchObject([code, vars]);
		expect(second.chosen.created).toBe(false);
		expect(readFileSync(file("mine.fd"))[0]).toBe(0xa5);
	});

	it("makes no file for those who only look", () => {
		const { config } = choose({ "flash-vars": file("mine.fd") }, true);
		expect(config.flash).toMatchObject([code, { path: file("template.fd") }]);
		expect(existsSync(file("mine.fd"))).toBe(false);
	});

	it("refuses variables of another size, the template itself, and a file that cannot be made", () => {
		writeFileSync(file("mine.fd"), new Uint8Array(8192));
		expect(() => choose({ "flash-vars": file("mine.fd") })).toThrow(
			`--flash-vars: ${file("mine.fd")} is 8192 bytes long, but variables of this firmware take 4096; they are from another one`,
		);
		symlinkSync(file("template.fd"), file("link.fd"));
		expect(() => choose({ "flash-vars": file("link.fd") })).toThrow(
			`--flash-vars: ${file("link.fd")} is what every machine's variables begin as; name a file of your own`,
		);
		expect(() => choose({ "flash-vars": file("no/mine.fd") })).toThrow(
			`--flash-vars: ${file("no/mine.fd")} cannot be made: the folder ${file("no")} does not exist`,
		);
	});
});

describe("firmware in a ROM", () => {
	it("takes the place of --bios", () => {
		const { chosen, config } = choose({ firmware: "seabios" });
		expect(config).toMatchObject({ bios: file("code.fd"), flash: [] });
		expect(chosen).toEqual({ name: "seabios", rom: file("code.fd") });
	});

	it("has no variables that a file could keep", () => {
		expect(() => choose({ firmware: "seabios", "flash-vars": file("mine.fd") })).toThrow(
			`--flash-vars: the firmware ${file("code.fd")} keeps no variables in flash; leave it out`,
		);
		expect(existsSync(file("mine.fd"))).toBe(false);
	});
});
