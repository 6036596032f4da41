import { describe, expect, test } from "vitest";
import { driveImage } from "../../src/config/drive.ts";
import { machineConfig } from "../../src/config/resolve.ts";
import { placeDrives } from "../../src/config/sections/drives.ts";

const DISK = { path: "a.img", media: "disk", readonly: false, snapshot: false };

describe("--drive", () => {
	test.each([
		["file=a.img", DISK],
		["a.img", DISK],
		["file=a.img,if=ide,format=raw,media=disk,readonly=off", DISK],
		["a.img,index=3,readonly,snapshot", { ...DISK, index: 3, readonly: true, snapshot: true }],
		["snapshot=on,file=a.img", { ...DISK, snapshot: true }],
		["file=a,,b=c.img", { ...DISK, path: "a,b=c.img" }],
		["file=a.iso,media=cdrom", { ...DISK, path: "a.iso", media: "cdrom", readonly: true }],
	])("%s", (text, drive) => {
		expect(driveImage.parse(text)).toEqual(drive);
	});

	test.each([
		["", "a drive needs file=FILE"],
		["index=1", "a drive needs file=FILE"],
		["file=a,index=4", "index=4 is not possible; write 0 to 3"],
		["file=a,format=qcow2", "format=qcow2 is not possible; write raw"],
		["file=a,if=virtio", "if=virtio is not possible; write ide"],
		["file=a,media=disc", "media=disc is not possible; write disk or cdrom (did you mean disk?)"],
		["file=a,readonly=yes", "readonly=yes is not possible; write on or off"],
		["file=a,file=b", "file is given twice"],
		["a,b", '"b" is nothing that a drive has'],
		["file=a,idnex=1", "did you mean index"],
		["file=a\0b", "NUL"],
	])("%j is refused", (text, message) => {
		expect(() => driveImage.parse(text)).toThrow(message);
	});

	test("fields of a machine file are what the flag has", () => {
		const fields = { file: "a,b.img", index: 2, readonly: true, snapshot: false };
		const text = driveImage.fromFile(fields);
		expect(driveImage.parse(text)).toEqual({ ...DISK, path: "a,b.img", index: 2, readonly: true });
		expect(driveImage.rebase?.({ ...DISK, media: "disk" }, "guests").path).toBe("guests/a.img");
	});
});

describe("places of drives", () => {
	const places = (...texts: string[]) =>
		placeDrives(texts.map((text) => driveImage.parse(text))).map((each) => each?.path);

	test("are those asked for; the others take what is free", () => {
		expect(places("a", "b,index=0", "c,index=3", "d")).toEqual(["b", "a", "d", "c"]);
		expect(places("a,index=2")).toEqual([undefined, undefined, "a", undefined]);
	});

	test("two drives at one place, and a fifth drive, are errors", () => {
		const config = (...drive: string[]) => machineConfig({ bios: "rom", drive });
		expect(() => config("a,index=1", "b,index=1")).toThrow("--drive: a and b both have index=1");
		expect(() => config("a", "b", "c", "d", "e")).toThrow("--drive: 5 drives given, but there are 4 places");
	});
});
